//! Comparing keys, many of which are empty or differ in their first bytes.
//!
//! The standard library leaves this to `memcmp`, also for an empty vector, whose pointer leads nowhere. A `memcmp` made of
//! masked loads then takes a fault in microcode: some 80 ns, 20 times as long as what is compared here.

use std::cmp::Ordering;

/// How two byte strings are ordered, as slices are.
#[inline]
pub(crate) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    match (one.split_first_chunk::<4>(), other.split_first_chunk::<4>()) {
        (Some((one, rest)), Some((other, other_rest))) => {
            u32::from_be_bytes(*one).cmp(&u32::from_be_bytes(*other)).then_with(|| compare_rest(rest, other_rest))
        }
        // Three bytes at most.
        _ => one.iter().cmp(other),
    }
}

#[inline]
fn compare_rest(one: &[u8], other: &[u8]) -> Ordering {
    if one.is_empty() || other.is_empty() { one.len().cmp(&other.len()) } else { one.cmp(other) }
}

/// Whether two byte strings are equal.
#[inline]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

/// How two pairs of byte strings are ordered: by the first, then by the second.
#[inline]
pub(crate) fn compare_pairs(one: (&[u8], &[u8]), other: (&[u8], &[u8])) -> Ordering {
    compare(one.0, other.0).then_with(|| compare(one.1, other.1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_are_ordered_as_slices_are(
            common in prop::collection::vec(any::<u8>(), 0..20),
            one in prop::collection::vec(0..3_u8, 0..4),
            other in prop::collection::vec(0..3_u8, 0..4),
        ) {
            let (one, other) = ([&common[..], &one].concat(), [&common[..], &other].concat());
            prop_assert_eq!(compare(&one, &other), one.cmp(&other));
            prop_assert_eq!(is_same(&one, &other), one == other);
            let (pair, other_pair) = ((&common[..], &one[..]), (&common[..], &other[..]));
            prop_assert_eq!(compare_pairs(pair, other_pair), pair.cmp(&other_pair));
            let (pair, other_pair) = ((&one[..], &common[..]), (&other[..], &common[..]));
            prop_assert_eq!(compare_pairs(pair, other_pair), pair.cmp(&other_pair));
        }
    }
}
