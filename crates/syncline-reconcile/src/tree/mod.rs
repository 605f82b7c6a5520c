//! An index in memory.

mod build;
mod node;
mod packed;
mod parts;
mod query;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    ops::{ControlFlow, RangeInclusive},
    sync::Arc,
};

pub(crate) use self::parts::PartIndex;
use self::{
    build::Builder,
    node::{Inner, Kind, Node},
    packed::{Entry, Packed, Shape},
    query::{Before, Cuts},
};
use crate::{
    Bound, Fingerprint, IndexError, Item, ItemId, SetKey, Span, SummaryIndex,
    compare::{compare_pairs, is_same},
};

/// How many nodes were looked at, for the tests of what an answer costs.
mod touched {
    #[cfg(test)]
    thread_local! {
        pub(super) static NODES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[cfg(test)]
    pub(super) fn count() {
        NODES.set(NODES.get() + 1);
    }

    #[cfg(not(test))]
    pub(super) fn count() {}
}

/// Entries are a key and an id; what is summed are the hashes of the ids.
#[derive(Clone, Debug)]
struct Keyed(SetKey);

impl Shape for Keyed {
    fn head_len(len: usize) -> usize {
        len.saturating_sub(ItemId::LEN)
    }
}

impl Kind for Keyed {
    /// A sum up to somewhere in a leaf hashes a quarter of it on average, so that leaves are small.
    const LEAF_CAPACITY: usize = 16;
    const CAPACITY: usize = 32;

    type Sum = Fingerprint;

    fn sum(&self, (_, id): Entry<'_>) -> Fingerprint {
        Fingerprint::of(&self.0, &id_of(id))
    }
}

/// Ids are stored whole, so that this copies 32 bytes.
fn id_of(bytes: &[u8]) -> ItemId {
    ItemId::from_bytes(bytes.first_chunk().copied().unwrap_or_default())
}

/// A tree and the sum of all that is in it.
#[derive(Debug)]
struct Tree<K: Kind> {
    kind: K,
    root: Node<K>,
    total: K::Sum,
}

impl<K: Kind + Clone> Clone for Tree<K> {
    fn clone(&self) -> Self {
        Self { kind: self.kind.clone(), root: self.root.clone(), total: self.total }
    }
}

impl<K: Kind> Tree<K> {
    fn new(kind: K) -> Self {
        Self { kind, root: Node::default(), total: K::Sum::default() }
    }

    /// Adds an entry that is not there.
    fn insert(&mut self, entry: Entry<'_>, sum: K::Sum) {
        let left = self.total;
        self.total += sum;
        if let Some(split) = self.root.insert(&self.kind, entry, sum) {
            let mut sums = vec![left, split.sum];
            sums[0] += sum;
            sums[0] -= split.sum;
            let separators = Packed::of(&[(&split.separator.0, &split.separator.1)]);
            let children = vec![std::mem::take(&mut self.root), split.right];
            self.root = Node::Inner(Arc::new(Inner { separators, sums, children }));
        }
    }

    /// Removes an entry that is there.
    fn remove(&mut self, entry: Entry<'_>, sum: K::Sum) {
        self.total -= sum;
        self.root.remove(entry, sum);
        while let Node::Inner(inner) = &self.root {
            match &inner.children[..] {
                [] => self.root = Node::default(),
                [only] => {
                    let only = only.clone();
                    self.root = only;
                }
                _ => break,
            }
        }
    }
}

/// A [`SummaryIndex`] in memory: a B+tree of up to 32 children per node and 16 items per leaf. Each inner node has the count and the sum of each
/// of its children beside the bounds between them, so that an answer reads one path.
///
/// A million items with keys of 8 to 40 bytes take some 70 MB. Entries are packed, and a leaf has room for
/// what is in it and no more; a change writes its leaf anew. A clone costs a reference count and keeps what it saw: a later
/// change copies the path to it.
#[derive(Clone)]
pub struct TreeIndex {
    tree: Tree<Keyed>,
}

impl TreeIndex {
    /// An empty index, whose items are hashed under `key`.
    #[must_use]
    pub fn new(key: &SetKey) -> Self {
        Self { tree: Tree::new(Keyed(*key)) }
    }

    /// An index of items that come in ascending order, by key and then by id; many times faster than one by one.
    ///
    /// # Errors
    ///
    /// [`Duplicate`](IndexError::Duplicate), [`Unordered`](IndexError::Unordered) or [`KeyTooLong`](IndexError::KeyTooLong).
    pub fn from_sorted(key: &SetKey, items: impl IntoIterator<Item = Item>) -> Result<Self, IndexError> {
        let kind = Keyed(*key);
        let mut builder = Builder::new(&kind);
        for item in items {
            check_key(&item.key)?;
            let entry: Entry<'_> = (&item.key, item.id.as_bytes());
            match builder.last() {
                Some(last) if last == entry => return Err(IndexError::Duplicate),
                Some(last) if last > entry => return Err(IndexError::Unordered),
                _ => builder.push(entry),
            }
        }
        let (root, total) = builder.finish();
        Ok(Self { tree: Tree { kind, root, total } })
    }

    /// The key of the item hashes.
    #[must_use]
    pub fn set_key(&self) -> &SetKey {
        &self.tree.kind.0
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// [`Duplicate`](IndexError::Duplicate) if it is there, [`KeyTooLong`](IndexError::KeyTooLong). Then nothing has changed.
    pub fn insert(&mut self, item: &Item) -> Result<(), IndexError> {
        check_key(&item.key)?;
        let entry: Entry<'_> = (&item.key, item.id.as_bytes());
        // Looked up first, so that what is refused copies no shared node.
        if self.tree.root.contains(entry) {
            return Err(IndexError::Duplicate);
        }
        self.tree.insert(entry, self.tree.kind.sum(entry));
        Ok(())
    }

    /// Removes an item. Says whether it was there.
    pub fn remove(&mut self, item: &Item) -> bool {
        let entry: Entry<'_> = (&item.key, item.id.as_bytes());
        let there = self.tree.root.contains(entry);
        if there {
            self.tree.remove(entry, self.tree.kind.sum(entry));
        }
        there
    }

    /// Whether an item is there.
    #[must_use]
    pub fn contains(&self, key: &[u8], id: &ItemId) -> bool {
        self.tree.root.contains((key, id.as_bytes()))
    }

    /// Count and sum of everything, at no cost.
    #[must_use]
    pub fn total(&self) -> Fingerprint {
        self.tree.total
    }

    /// The first item under `key` whose id begins so.
    pub(crate) fn find_under(&self, key: &[u8], beginning: &[u8]) -> Option<Item> {
        let mut found = None;
        let _ = query::scan(&self.tree.root, (key, beginning), &mut |entry| {
            found = item_of(entry, (key, beginning));
            ControlFlow::Break(())
        });
        found
    }

    /// The same for each of some keys and beginnings, which are in ascending order.
    pub(crate) fn find_all_under(&self, places: &[Entry<'_>]) -> Vec<Option<Item>> {
        let mut found = Vec::with_capacity(places.len());
        query::each_leaf(&self.tree.root, places, |entries, place| {
            let at = entries.partition_point(|entry| compare_pairs(entry, *place).is_lt());
            // Behind the last entry of the leaf the first of the next one may be meant.
            found.push(if at < entries.len() {
                item_of(entries.get(at), *place)
            } else {
                self.find_under(place.0, place.1)
            });
        });
        found
    }
}

/// The item of an entry, if it stands under such a key and its id begins so.
fn item_of((key, id): Entry<'_>, (wanted, beginning): Entry<'_>) -> Option<Item> {
    (is_same(key, wanted) && id.starts_with(beginning)).then(|| Item::new(key, id_of(id)))
}

pub(crate) fn check_key(key: &[u8]) -> Result<(), IndexError> {
    if key.len() > Item::KEY_LEN_MAX { Err(IndexError::KeyTooLong { len: key.len() }) } else { Ok(()) }
}

impl SummaryIndex for TreeIndex {
    fn len(&self) -> Result<u64, IndexError> {
        Ok(self.tree.total.count)
    }

    fn fingerprint(&self, span: &Span) -> Result<Fingerprint, IndexError> {
        let before = |bound: &Bound| -> Result<Fingerprint, IndexError> {
            if *bound == Bound::MIN {
                return Ok(Fingerprint::EMPTY);
            }
            Ok(self.fingerprints_before(std::slice::from_ref(bound))?.first().copied().unwrap_or_default())
        };
        let from = before(&span.from)?;
        match &span.to {
            None => Ok(self.tree.total - from),
            Some(to) if *to <= span.from => Ok(Fingerprint::EMPTY),
            Some(to) => Ok(before(to)? - from),
        }
    }

    fn fingerprints_before(&self, bounds: &[Bound]) -> Result<Vec<Fingerprint>, IndexError> {
        if !bounds.is_sorted() {
            return Err(IndexError::Unordered);
        }
        Ok(Before::sums(&self.tree.kind, &self.tree.root, bounds, self.tree.total))
    }

    fn rank(&self, bound: &Bound) -> Result<u64, IndexError> {
        Ok(query::rank(&self.tree.root, bound))
    }

    fn select(&self, rank: u64) -> Result<Option<Item>, IndexError> {
        Ok(query::select(&self.tree.root, rank).map(|(key, id)| Item::new(key, id_of(id))))
    }

    fn cuts(&self, ranks: &[RangeInclusive<u64>]) -> Result<Vec<(Bound, Fingerprint)>, IndexError> {
        Cuts::places(&self.tree.kind, &self.tree.root, ranks, self.tree.total)
            .ok_or(IndexError::Corrupt("an item within the set's length is missing"))
    }

    fn items(&self, span: &Span, visit: &mut dyn FnMut(&[u8], &ItemId) -> ControlFlow<()>) -> Result<(), IndexError> {
        let _ = query::scan(&self.tree.root, (&span.from.key, &span.from.id_prefix), &mut |(key, id)| {
            if span.to.as_ref().is_some_and(|to| to.is_at_or_before(key, id)) {
                return ControlFlow::Break(());
            }
            visit(key, &id_of(id))
        });
        Ok(())
    }
}

impl fmt::Debug for TreeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeIndex").field("len", &self.tree.total.count).finish_non_exhaustive()
    }
}
