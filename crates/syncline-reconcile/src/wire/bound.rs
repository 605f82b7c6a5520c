//! Bounds, without what their neighbours tell.
//!
//! A bound lies between the bound before it and the end of the span that is split. What those two begin with in common, it
//! begins with too, so that is left out.

use super::{Reader, put_varint, varint_len};
use crate::{Bound, Item, ItemId, ReconcileError, compare::is_same};

/// Flag of a bound's head: its key is that of the bound before.
const SAME_KEY: u8 = 0x02;
/// Flag of a bound's head: what follows are ids, not a fingerprint.
const LIST: u8 = 0x01;
/// Head of the last child, which ends where the span ends.
const LAST: u8 = 63 << 2;
/// Head instead of a child: what is left of the span comes with a later message.
const CONTINUED: u8 = 62 << 2;

/// Where a child of a span ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChildEnd {
    /// Before a bound. Another child follows, or a continuation.
    Bound(Bound),
    /// With the span.
    Last,
}

/// How many bytes of the key, and then of the id, follow from the neighbours.
fn known(before: &Bound, end: Option<&Bound>) -> usize {
    end.map_or(0, |end| common(&before.key, &end.key))
}

fn known_id(before: &Bound, end: Option<&Bound>, key: &[u8]) -> usize {
    match end {
        Some(end) if is_same(&before.key, key) && is_same(&end.key, key) => common(&before.id_prefix, &end.id_prefix),
        _ => 0,
    }
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Bytes that [`write_bound`] takes.
pub(crate) fn bound_len(before: &Bound, end: Option<&Bound>, bound: &Bound) -> usize {
    let id = bound.id_prefix.len() - known_id(before, end, &bound.key).min(bound.id_prefix.len());
    let key = if is_same(&bound.key, &before.key) {
        0
    } else {
        let rest = bound.key.len() - known(before, end).min(bound.key.len());
        varint_len(rest as u64) + rest
    };
    1 + key + id
}

/// Appends a bound that lies behind `before` and before `end`.
pub(crate) fn write_bound(out: &mut Vec<u8>, before: &Bound, end: Option<&Bound>, bound: &Bound, list: bool) {
    let same = is_same(&bound.key, &before.key);
    let id = bound.id_prefix.get(known_id(before, end, &bound.key)..).unwrap_or_default();
    out.push((id.len() as u8) << 2 | if same { SAME_KEY } else { 0 } | if list { LIST } else { 0 });
    if !same {
        let rest = bound.key.get(known(before, end)..).unwrap_or_default();
        put_varint(out, rest.len() as u64);
        out.extend_from_slice(rest);
    }
    out.extend_from_slice(id);
}

/// Appends the head of the last child.
pub(crate) fn write_last(out: &mut Vec<u8>, list: bool) {
    out.push(LAST | if list { LIST } else { 0 });
}

/// Appends that there is more to come.
pub(crate) fn write_continued(out: &mut Vec<u8>) {
    out.push(CONTINUED);
}

/// Reads where a child ends, and whether ids follow; nothing if what is left comes later. A bound must lie behind `before`
/// and before `end`.
pub(crate) fn read_child(
    reader: &mut Reader<'_>,
    before: &Bound,
    end: Option<&Bound>,
) -> Result<Option<(ChildEnd, bool)>, ReconcileError> {
    let head = reader.byte()?;
    match head & !LIST {
        LAST => Ok(Some((ChildEnd::Last, head & LIST != 0))),
        CONTINUED if head & LIST == 0 => Ok(None),
        _ => read_bound(reader, head, before, end).map(|bound| Some((ChildEnd::Bound(bound), head & LIST != 0))),
    }
}

fn read_bound(reader: &mut Reader<'_>, head: u8, before: &Bound, end: Option<&Bound>) -> Result<Bound, ReconcileError> {
    let key = if head & SAME_KEY != 0 {
        before.key.clone()
    } else {
        let rest = reader.count(1)?;
        let known = before.key.get(..known(before, end)).unwrap_or_default();
        if known.len() + rest > Item::KEY_LEN_MAX {
            return Err(ReconcileError::Malformed("a bound's key is too long"));
        }
        [known, reader.take(rest)?].concat()
    };
    let rest = usize::from(head >> 2);
    let known = before.id_prefix.get(..known_id(before, end, &key)).unwrap_or_default();
    if known.len() + rest > ItemId::LEN {
        return Err(ReconcileError::Malformed("a bound's id is too long"));
    }
    let bound = Bound { id_prefix: [known, reader.take(rest)?].concat(), key };
    if bound <= *before || end.is_some_and(|end| bound >= *end) {
        return Err(ReconcileError::Malformed("a bound is not between its neighbours"));
    }
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_bound() -> impl Strategy<Value = Bound> {
        let piece = || prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 0..4);
        (piece(), piece()).prop_map(|(key, id_prefix)| Bound { key, id_prefix })
    }

    proptest! {
        #[test]
        fn a_bound_between_two_comes_back(mut bounds in prop::array::uniform3(any_bound()), open: bool, list: bool) {
            bounds.sort();
            let [before, bound, end] = bounds;
            let end = Some(&end).filter(|_| !open);
            let mut out = Vec::new();
            write_bound(&mut out, &before, end, &bound, list);
            prop_assert_eq!(out.len(), bound_len(&before, end, &bound));
            let read = read_child(&mut Reader::new(&out), &before, end);
            if before < bound && end.is_none_or(|end| bound < *end) {
                prop_assert_eq!(read.expect("it lies between them"), Some((ChildEnd::Bound(bound), list)));
            } else {
                prop_assert!(read.is_err());
            }
        }

        #[test]
        fn garbage_is_no_bound_or_one_between(before in any_bound(), end in any_bound(), bytes: Vec<u8>) {
            if let Ok(Some((ChildEnd::Bound(bound), _))) = read_child(&mut Reader::new(&bytes), &before, Some(&end)) {
                prop_assert!(before < bound && bound < end);
            }
        }
    }
}
