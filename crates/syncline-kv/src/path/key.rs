//! Keys: absolute paths of named segments.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::{scan, text};

/// A key: a path such as `/my/key/state`.
///
/// A key is one or more segments, each after a `/`. A segment is 1 to [`SEGMENT_LEN_MAX`](Self::SEGMENT_LEN_MAX) bytes
/// out of `A-Z a-z 0-9 . - _ ~ : @ + = , %`; it is neither `.` nor `..`, which other systems take for the segment
/// itself and for its parent. There is no escape: what is written is what is compared, byte by byte, and upper and
/// lower case differ.
///
/// Keys are ordered by their bytes. `/` comes before the letters and digits but after `% + , - .`, so that `/a-b` lies
/// between `/a` and `/a/b`; the keys below one path are contiguous all the same, see [`Subtree`](super::Subtree).
///
/// A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in bytes.
    pub const LEN_MAX: usize = 1024;
    /// The most segments that a key has.
    pub const SEGMENTS_MAX: usize = 32;
    /// The longest segment, in bytes, without its `/`.
    pub const SEGMENT_LEN_MAX: usize = 255;

    /// The key of this text.
    ///
    /// # Errors
    ///
    /// The text is not a key; the error says where it stops being one.
    pub fn new(path: &str) -> Result<Self, KeyError> {
        scan::check_path(path, Self::LEN_MAX, Self::SEGMENTS_MAX)?;
        for (at, segment) in scan::segments(path) {
            scan::check_segment(at, segment, |_| false)?;
        }
        Ok(Self(path.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as bytes, for stores that order by bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The segments from first to last, without slashes. There is at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        scan::segments(&self.0).map(|(_, segment)| segment)
    }

    /// The key without its last segment; none if that was the only one.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()).map(|(parent, _)| Self(parent.into()))
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(path: &str) -> Result<Self, KeyError> {
        Self::new(path)
    }
}

impl TryFrom<&str> for Key {
    type Error = KeyError;

    fn try_from(path: &str) -> Result<Self, KeyError> {
        Self::new(path)
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(path: String) -> Result<Self, KeyError> {
        Self::new(&path)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, "a key, such as \"/my/key\"")
    }
}

/// Why a text is not a key. Offsets are in bytes from the beginning of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no text.
    #[error("the path is empty; it needs at least one segment, as in \"/a\"")]
    Empty,
    /// The first byte is not a slash.
    #[error("the path does not begin with \"/\" at byte 0")]
    NoSlash,
    /// The text is longer than it may be.
    #[error("the path has {len} bytes; {max} are allowed")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// How many may be.
        max: usize,
    },
    /// There are more segments than may be.
    #[error("a segment too many begins at byte {at}; {max} are allowed")]
    TooManySegments {
        /// Where the first segment begins that is too many.
        at: usize,
        /// How many may be.
        max: usize,
    },
    /// Nothing is between two slashes, or after the last one.
    #[error("the segment at byte {at} is empty; \"//\" and a \"/\" at the end are not allowed")]
    EmptySegment {
        /// Where its first byte would be.
        at: usize,
    },
    /// A segment is longer than it may be.
    #[error("the segment at byte {at} has {len} bytes; {max} are allowed", max = Key::SEGMENT_LEN_MAX)]
    SegmentTooLong {
        /// Where it begins.
        at: usize,
        /// Its bytes.
        len: usize,
    },
    /// A segment is `.` or `..`.
    #[error("the segment at byte {at} is \".\" or \"..\"; neither is allowed")]
    DotSegment {
        /// Where it begins.
        at: usize,
    },
    /// A character is outside the charset.
    #[error("{found:?} at byte {at} is not allowed; letters and digits of ASCII are, and . - _ ~ : @ + = , %")]
    Char {
        /// Where it is.
        at: usize,
        /// What it is.
        found: char,
    },
}
