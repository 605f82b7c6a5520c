//! A contiguous range of keys.

use std::{fmt, ops::Bound};

use bytes::Bytes;

use crate::error::Hex;

/// A contiguous range of keys, in the order of their bytes. A range whose lower end is past its upper end holds nothing.
///
/// ```
/// use syncline_storage::KeyRange;
///
/// let page = KeyRange::prefix(b"log/").after("log/17");
/// assert!(page.contains(b"log/2"));
/// assert!(!page.contains(b"log/17"));
/// assert!(!page.contains(b"map/1"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    lower: Bound<Bytes>,
    upper: Bound<Bytes>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self::new(Bound::Unbounded, Bound::Unbounded)
    }

    /// The keys between two bounds.
    #[must_use]
    pub fn new(lower: Bound<Bytes>, upper: Bound<Bytes>) -> Self {
        Self { lower, upper }
    }

    /// The keys that begin with `prefix`, `prefix` itself among them. The empty prefix gives every key.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self {
            lower: Bound::Included(Bytes::copy_from_slice(prefix)),
            upper: match successor(prefix) {
                Some(end) => Bound::Excluded(end.into()),
                None => Bound::Unbounded,
            },
        }
    }

    /// Narrows the range to keys from `key` on, `key` included.
    #[must_use]
    pub fn starting_at(self, key: impl Into<Bytes>) -> Self {
        self.raise(Bound::Included(key.into()))
    }

    /// Narrows the range to keys greater than `key`: the next page after a cursor.
    #[must_use]
    pub fn after(self, key: impl Into<Bytes>) -> Self {
        self.raise(Bound::Excluded(key.into()))
    }

    /// Narrows the range to keys less than `key`.
    #[must_use]
    pub fn before(self, key: impl Into<Bytes>) -> Self {
        self.cap(Bound::Excluded(key.into()))
    }

    /// Narrows the range to keys up to `key`, `key` included.
    #[must_use]
    pub fn up_to(self, key: impl Into<Bytes>) -> Self {
        self.cap(Bound::Included(key.into()))
    }

    /// The lower bound.
    #[must_use]
    pub fn lower(&self) -> Bound<&[u8]> {
        self.lower.as_ref().map(|key| &key[..])
    }

    /// The upper bound.
    #[must_use]
    pub fn upper(&self) -> Bound<&[u8]> {
        self.upper.as_ref().map(|key| &key[..])
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        above(self.lower(), key) && below(self.upper(), key)
    }

    /// Whether the bounds alone show that no key can be in the range. Some ordered maps panic on such a range; an
    /// engine that uses one asks here first.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (self.lower(), self.upper()) {
            (_, Bound::Unbounded) | (Bound::Unbounded, Bound::Included(_)) => false,
            (Bound::Unbounded, Bound::Excluded(high)) => high.is_empty(),
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
            | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
        }
    }

    /// Bytes held by the bounds.
    pub(crate) fn byte_len(&self) -> usize {
        bound_len(&self.lower) + bound_len(&self.upper)
    }

    fn raise(mut self, lower: Bound<Bytes>) -> Self {
        let tighter = match (&self.lower, &lower) {
            (Bound::Unbounded, _) => true,
            (_, Bound::Unbounded) => false,
            (Bound::Included(old), Bound::Excluded(new)) => new >= old,
            (Bound::Included(old) | Bound::Excluded(old), Bound::Included(new))
            | (Bound::Excluded(old), Bound::Excluded(new)) => new > old,
        };
        if tighter {
            self.lower = lower;
        }
        self
    }

    fn cap(mut self, upper: Bound<Bytes>) -> Self {
        let tighter = match (&self.upper, &upper) {
            (Bound::Unbounded, _) => true,
            (_, Bound::Unbounded) => false,
            (Bound::Included(old), Bound::Excluded(new)) => new <= old,
            (Bound::Included(old) | Bound::Excluded(old), Bound::Included(new))
            | (Bound::Excluded(old), Bound::Excluded(new)) => new < old,
        };
        if tighter {
            self.upper = upper;
        }
        self
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRange")
            .field("lower", &self.lower().map(Hex))
            .field("upper", &self.upper().map(Hex))
            .finish()
    }
}

fn bound_len(bound: &Bound<Bytes>) -> usize {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key.len(),
        Bound::Unbounded => 0,
    }
}

/// Whether `key` is on the right side of a lower bound.
pub(crate) fn above(lower: Bound<&[u8]>, key: &[u8]) -> bool {
    match lower {
        Bound::Included(low) => key >= low,
        Bound::Excluded(low) => key > low,
        Bound::Unbounded => true,
    }
}

/// Whether `key` is on the right side of an upper bound.
pub(crate) fn below(upper: Bound<&[u8]>, key: &[u8]) -> bool {
    match upper {
        Bound::Included(high) => key <= high,
        Bound::Excluded(high) => key < high,
        Bound::Unbounded => true,
    }
}

/// The least byte string greater than all that begin with `prefix`; none if `prefix` is empty or all `0xff`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0x7f), Just(0xfe), Just(0xff)], 0..4)
    }

    proptest! {
        #[test]
        fn a_prefix_range_holds_what_begins_with_it(prefix in short(), key in short()) {
            prop_assert_eq!(KeyRange::prefix(&prefix).contains(&key), key.starts_with(&prefix));
        }

        #[test]
        fn narrowing_is_intersection(
            prefix in short(), a in short(), b in short(), c in short(), d in short(), key in short(),
        ) {
            let range = KeyRange::prefix(&prefix)
                .starting_at(a.clone()).after(b.clone()).before(c.clone()).up_to(d.clone());
            let expected =
                key.starts_with(&prefix) && key >= a && key > b && key < c && key <= d;
            prop_assert_eq!(range.contains(&key), expected);
            if range.is_empty() {
                prop_assert!(!expected);
            }
            let other = KeyRange::prefix(&prefix).after(b).starting_at(a).up_to(d).before(c);
            prop_assert_eq!(other.contains(&key), expected);
        }
    }

    #[test]
    fn emptiness() {
        assert!(!KeyRange::all().is_empty());
        assert!(KeyRange::all().before("").is_empty());
        assert!(KeyRange::all().starting_at("b").before("b").is_empty());
        assert!(!KeyRange::all().starting_at("b").up_to("b").is_empty());
        assert!(KeyRange::all().after("b").up_to("b").is_empty());
        assert!(KeyRange::all().after("b").up_to("a").is_empty());
    }
}
