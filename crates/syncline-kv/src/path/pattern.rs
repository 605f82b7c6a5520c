//! Patterns: globs over keys.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::include::{Budget, Inclusion, union_includes};
use super::scan::{self, Caps};
use super::{Key, KeyError, Subtree, matching, overlap, text};

/// The segment that stands for any number of segments.
pub(super) const DEEP: &str = "**";

/// A glob over keys, such as `/my/**/sta*`.
///
/// ```text
/// pattern = 1*( "/" segment )
/// segment = "**" / 1*( literal / "*" )      a literal is a byte that a key's segment may hold
/// ```
///
/// - `*` stands for zero or more bytes of one segment, never for a `/`. `/sta*` has `/sta` and `/state`; as a key has
///   no empty segments, `/*` has every key of one segment.
/// - `**` is a segment of its own and stands for zero or more whole segments, except at the end of the pattern, where
///   it stands for one or more. `/a/**/b` has `/a/b` and `/a/x/y/b`; `/a/**` has everything below `/a` but not `/a`;
///   `/**` has every key.
/// - There is nothing else: no `?`, classes, braces or escapes; no `a**b`; the whole key is compared, by bytes.
///
/// The rules are those of gitignore and of bmatcuk/doublestar before it let `a/**` match `a`.
///
/// Limits: those of [`Key`] for segments and length, except that a last `/**` is not counted, so that each subtree has
/// its pattern; [`DEEP_MAX`](Self::DEEP_MAX) `**`; [`STARS_MAX`](Self::STARS_MAX) `*` in a segment. With them
/// [`matches`](Self::matches) is linear in the lengths of pattern and key; they also keep [`includes`](Self::includes)
/// small.
///
/// Patterns are equal and ordered as texts: `/**/*` and `/**` match the same keys but differ. A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// The most `**` that a pattern has.
    pub const DEEP_MAX: usize = 4;
    /// The most `*` that one segment has.
    pub const STARS_MAX: usize = 8;

    /// The pattern of this text.
    ///
    /// # Errors
    ///
    /// The text is not a pattern; the error says where it stops being one.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let counted = text.strip_suffix("/**").filter(|rest| !rest.is_empty()).unwrap_or(text);
        scan::check_path(counted, Key::LEN_MAX, Key::SEGMENTS_MAX)?;
        let mut deep = 0;
        for (at, segment) in scan::segments(text) {
            if segment == DEEP {
                deep += 1;
                if deep > Self::DEEP_MAX {
                    return Err(PatternError::TooManyDeep { at });
                }
            } else {
                check_glob(at, segment)?;
            }
        }
        Ok(Self(text.into()))
    }

    /// The pattern that matches `key` and nothing else.
    #[must_use]
    pub fn literal(key: &Key) -> Self {
        Self(key.as_str().into())
    }

    /// The pattern that matches every key: `/**`.
    #[must_use]
    pub fn all() -> Self {
        Self::below("")
    }

    /// The pattern of what is below a key, or below nothing.
    pub(super) fn below(path: &str) -> Self {
        Self([path, "/", DEEP].concat().into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments from first to last, `**` among them.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        scan::segments(&self.0).map(|(_, segment)| segment)
    }

    /// Whether the pattern has this key.
    ///
    /// Linear: for a pattern of `m` bytes and a key of `n`, neither with more than [`Key::SEGMENTS_MAX`] segments, it
    /// compares in the order of `SEGMENTS_MAX * (n + m)` bytes at most, whatever they are. It does not recurse and
    /// takes no memory.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        matching::matches(self.as_str(), key.as_str())
    }

    /// Whether each key that `other` has is also in this pattern. See [`union_includes`].
    #[must_use]
    pub fn includes(&self, other: &Self) -> Inclusion {
        union_includes(std::slice::from_ref(self), other, Budget::default())
    }

    /// A key that both patterns have; none if there is none. Exact.
    ///
    /// Takes time and memory in the order of the product of the patterns' lengths.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> Option<Key> {
        overlap::common_key(self, other, Caps::KEY)
    }

    /// The subtree whose keys are exactly those of the pattern, if the pattern is written so: literal segments, then
    /// wildcards that together mean one segment or more, as in `/a/**`, `/a/**/**` or `/a/**/*`.
    #[must_use]
    pub fn as_subtree(&self) -> Option<Subtree> {
        let prefix = self.literal_prefix();
        let wild = self.0.get(prefix.len()..)?;
        let (mut deep, mut single) = (false, wild.ends_with(DEEP));
        for segment in wild.split('/') {
            match segment {
                DEEP => deep = true,
                "*" if !single => single = true,
                _ => return None,
            }
        }
        let path = prefix.strip_suffix('/')?;
        (deep && single).then(|| path.parse().ok()).flatten()
    }

    /// The longest text that every key of the pattern starts with: `/svc/` of `/svc/*/x`, `/sta` of `/sta*`, and the
    /// whole text of a pattern without wildcards. It bounds a range scan.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// The one key that the pattern has, if it has no wildcard.
    #[must_use]
    pub fn as_key(&self) -> Option<Key> {
        Key::new(self.as_str()).ok()
    }
}

/// Checks a segment that is not `**`.
fn check_glob(at: usize, segment: &str) -> Result<(), PatternError> {
    scan::check_segment(at, segment, |byte| byte == b'*')?;
    if let Some(offset) = segment.find(DEEP) {
        return Err(PatternError::DeepInSegment { at: at + offset });
    }
    match segment.match_indices('*').nth(Pattern::STARS_MAX) {
        Some((offset, _)) => Err(PatternError::TooManyStars { at: at + offset }),
        None => Ok(()),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.0)
    }
}

impl AsRef<str> for Pattern {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Pattern {
    type Error = PatternError;

    fn try_from(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(&text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, "a pattern, such as \"/my/**/sta*\"")
    }
}

/// Why a text is not a pattern. Offsets are in bytes from the beginning of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is not even a path.
    #[error(transparent)]
    Path(#[from] KeyError),
    /// `**` is only part of a segment.
    #[error("\"**\" at byte {at} is not a segment of its own")]
    DeepInSegment {
        /// Where it begins.
        at: usize,
    },
    /// There are more `**` than may be.
    #[error("a \"**\" too many is at byte {at}; {max} are allowed", max = Pattern::DEEP_MAX)]
    TooManyDeep {
        /// Where the first one is that is too many.
        at: usize,
    },
    /// There are more `*` in a segment than may be.
    #[error("a \"*\" too many is at byte {at}; {max} are allowed in a segment", max = Pattern::STARS_MAX)]
    TooManyStars {
        /// Where the first one is that is too many.
        at: usize,
    },
}
