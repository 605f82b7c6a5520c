//! What a reconciler needs to know of a set.

use std::ops::{ControlFlow, RangeInclusive};

use crate::{Bound, Fingerprint, IdPart, IndexError, Item, ItemId, LtHash, SetKey, Span, Symbol};

/// A set of items in order, with the sums of its parts at hand.
///
/// Each answer costs O(log n), [`items`](Self::items) aside. All answers given to one reconciliation are about the same
/// state of the set: hand over a snapshot.
pub trait SummaryIndex {
    /// How many items there are.
    ///
    /// # Errors
    ///
    /// [`IndexError`], as from every method, if the index is stored and cannot be read.
    fn len(&self) -> Result<u64, IndexError>;

    /// Whether there are none.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn is_empty(&self) -> Result<bool, IndexError> {
        Ok(self.len()? == 0)
    }

    /// Count and sum of a span.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn fingerprint(&self, span: &Span) -> Result<Fingerprint, IndexError>;

    /// The fingerprint of everything before each of these bounds, which are in ascending order: one descent for all. The
    /// fingerprint between two of them is a difference.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn fingerprints_before(&self, bounds: &[Bound]) -> Result<Vec<Fingerprint>, IndexError>;

    /// How many items lie before a place.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn rank(&self, bound: &Bound) -> Result<u64, IndexError>;

    /// The item with so many before it.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn select(&self, rank: u64) -> Result<Option<Item>, IndexError>;

    /// Places to cut the set at. Each has so many items before it as one of `ranks` allows, which are in ascending order, do
    /// not overlap, and are over 0 and below [`len`](Self::len). With each place comes the fingerprint of everything before.
    ///
    /// An index answers with places that it knows. Unless it is implemented, these are the shortest at the middle of each
    /// range, found by [`select`](Self::select) and [`fingerprints_before`](Self::fingerprints_before).
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn cuts(&self, ranks: &[RangeInclusive<u64>]) -> Result<Vec<(Bound, Fingerprint)>, IndexError> {
        let item = |rank: Option<u64>| match rank.map(|rank| self.select(rank)) {
            Some(Ok(Some(item))) => Ok(item),
            Some(Err(err)) => Err(err),
            Some(Ok(None)) | None => Err(IndexError::Corrupt("an item within the set's length is missing")),
        };
        let bound = |range: &RangeInclusive<u64>| {
            let rank = range.start().midpoint(*range.end());
            let (before, at) = (item(rank.checked_sub(1))?, item(Some(rank))?);
            Ok(Bound::between((&before.key, before.id.as_bytes()), (&at.key, at.id.as_bytes())))
        };
        let bounds: Vec<Bound> = ranks.iter().map(bound).collect::<Result<_, IndexError>>()?;
        let prints = self.fingerprints_before(&bounds)?;
        Ok(bounds.into_iter().zip(prints).collect())
    }

    /// Shows the items of a span in order, until told to stop.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn items(&self, span: &Span, visit: &mut dyn FnMut(&[u8], &ItemId) -> ControlFlow<()>) -> Result<(), IndexError>;
}

/// A whole set: its index, the verdict on its equality, and its sketch.
///
/// A sketch knows items by the [parts](IdPart) of their ids only. So a set has, beside the order by key, a way from a part
/// to the item: an index by id, kept with each change, since a pass over all items costs more than the rest of a session.
/// Who decodes looks up the parts that are said to be [ours](crate::Side::Ours), and sends the others to the peer, who
/// looks them up in its turn.
pub trait ReconcileSet: SummaryIndex {
    /// The key of its item hashes.
    fn set_key(&self) -> &SetKey;

    /// The accumulator over all items.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn accumulator(&self) -> Result<LtHash, IndexError>;

    /// How many symbols of its sketch the set keeps; 0 if it keeps none. The same for the life of the set.
    fn symbol_count(&self) -> usize;

    /// The coded symbols `from..to` of the set's sketch, as far as they are kept; none if the set keeps no sketch.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn symbols(&self, from: usize, to: usize) -> Result<Vec<Symbol>, IndexError>;

    /// Whether an item is there.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn contains(&self, key: &[u8], id: &ItemId) -> Result<bool, IndexError>;

    /// The item whose id begins with `part`, in O(log n): one of them, should there be several.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn find(&self, part: &IdPart) -> Result<Option<Item>, IndexError>;

    /// What [`find`](Self::find) says of each of these parts. Faster than one by one where the set makes it so, and then
    /// fastest if they are in ascending order.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn find_all(&self, parts: &[IdPart]) -> Result<Vec<Option<Item>>, IndexError> {
        parts.iter().map(|part| self.find(part)).collect()
    }
}
