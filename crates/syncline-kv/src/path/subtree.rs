//! Subtrees: the keys below one path, which are contiguous in the order of keys.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Key, KeyError, Pattern, text};

/// All keys strictly below a path, or all keys.
///
/// The subtree of `/a/b` has `/a/b/c` and `/a/b/c/d`, but neither `/a/b` nor `/a/bc`. In the byte order of keys it is
/// one contiguous range, from [`start`](Self::start) to [`end`](Self::end), which no other key is in.
///
/// The text is the path, empty for all keys; `/` is read as all keys too. A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree(Arc<str>);

impl Subtree {
    /// All keys.
    #[must_use]
    pub fn all() -> Self {
        Self("".into())
    }

    /// The keys strictly below `key`.
    ///
    /// Below a key of [`SEGMENTS_MAX`](Key::SEGMENTS_MAX) segments, or of almost [`LEN_MAX`](Key::LEN_MAX) bytes, there
    /// are none.
    #[must_use]
    pub fn below(key: &Key) -> Self {
        Self(key.as_str().into())
    }

    /// The path, without a slash at its end; empty for all keys.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` is strictly below the path.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        key.as_str().strip_prefix(self.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether `other` is this subtree or within it.
    ///
    /// It compares paths: a subtree that is empty because its path is as long as a key may be is only in those above
    /// it.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let rest = other.as_str().strip_prefix(self.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The pattern that matches the same keys: `/a/b/**`, or `/**` for all.
    #[must_use]
    pub fn pattern(&self) -> Pattern {
        Pattern::below(self.as_str())
    }

    /// The first byte string of the range: `/a/b/` for the subtree of `/a/b`. Itself not a key.
    #[must_use]
    pub fn start(&self) -> Vec<u8> {
        [self.0.as_bytes(), b"/"].concat()
    }

    /// The first byte string after the range: `/a/b0` for the subtree of `/a/b`, since `0` follows `/`. Always
    /// there; an option, because range scans take one.
    #[must_use]
    pub fn end(&self) -> Option<Vec<u8>> {
        Some([self.0.as_bytes(), &[b'/' + 1]].concat())
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subtree({})", self.0)
    }
}

impl AsRef<str> for Subtree {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subtree {
    type Err = KeyError;

    fn from_str(path: &str) -> Result<Self, KeyError> {
        match path {
            "" | "/" => Ok(Self::all()),
            path => Ok(Self::below(&Key::new(path)?)),
        }
    }
}

impl Serialize for Subtree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Subtree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, "a path, such as \"/my/key\", or nothing")
    }
}
