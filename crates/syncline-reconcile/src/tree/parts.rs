//! From the part of an id to the key that it stands under.

use std::{fmt, ops::ControlFlow};

use super::{
    Tree,
    build::Builder,
    node::Kind,
    packed::{Entry, Shape},
    query,
};
use crate::{IdPart, Item, ItemId, TreeIndex, compare::compare_pairs};

/// Bytes of an id that are kept, to save memory. Among `n` items there are `n / 2^32` others with the same on average; they
/// are told apart by looking them up, one after the other.
const PREFIX: usize = 4;

/// Entries are the beginning of an id and a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByPart;

impl Shape for ByPart {
    fn head_len(len: usize) -> usize {
        len.min(PREFIX)
    }
}

impl Kind for ByPart {
    /// Nothing is summed over a part of a leaf, so that it may be larger.
    const LEAF_CAPACITY: usize = 60;
    const CAPACITY: usize = 48;

    type Sum = u64;

    fn sum(&self, _: Entry<'_>) -> u64 {
        1
    }
}

/// The keys of the items of a [`TreeIndex`] by the beginnings of their ids. A clone costs a reference count.
///
/// Two items under one key whose ids begin alike are one entry, which goes with the last of them.
#[derive(Clone)]
pub(crate) struct PartIndex {
    pub(super) tree: Tree<ByPart>,
}

impl PartIndex {
    pub(crate) fn new() -> Self {
        Self { tree: Tree::new(ByPart) }
    }

    /// That of items which are in no particular order and have no duplicate.
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut entries: Vec<Entry<'_>> = items.iter().map(|item| entry(&item.key, &item.id)).collect();
        entries.sort_unstable_by(|one, other| compare_pairs(*one, *other));
        entries.dedup();
        let mut builder = Builder::new(&ByPart);
        entries.into_iter().for_each(|entry| builder.push(entry));
        let (root, total) = builder.finish();
        Self { tree: Tree { kind: ByPart, root, total } }
    }

    /// Adds an item.
    pub(crate) fn insert(&mut self, key: &[u8], id: &ItemId) {
        let entry = entry(key, id);
        if !self.tree.root.contains(entry) {
            self.tree.insert(entry, 1);
        }
    }

    /// Removes an item, which `index` no longer has.
    pub(crate) fn remove(&mut self, key: &[u8], id: &ItemId, index: &TreeIndex) {
        let entry = entry(key, id);
        if self.tree.root.contains(entry) && index.find_under(key, entry.0).is_none() {
            self.tree.remove(entry, 1);
        }
    }

    /// The item of `index` whose id begins with `part`.
    pub(crate) fn find(&self, part: &IdPart, index: &TreeIndex) -> Option<Item> {
        let prefix = &part.as_bytes()[..PREFIX];
        let mut found = None;
        let _ = query::scan(&self.tree.root, (prefix, &[]), &mut |(head, key)| {
            if head != prefix {
                return ControlFlow::Break(());
            }
            found = index.find_under(key, part.as_bytes());
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found
    }

    /// The item of `index` whose id begins with each of these parts, which are in ascending order.
    pub(crate) fn find_all(&self, parts: &[IdPart], index: &TreeIndex) -> Vec<Option<Item>> {
        let prefixes: Vec<Entry<'_>> = parts.iter().map(|part| (&part.as_bytes()[..PREFIX], &[][..])).collect();
        let mut found = vec![None; parts.len()];
        let mut places: Vec<(Entry<'_>, usize)> = Vec::with_capacity(parts.len());
        let mut next = 0;
        query::each_leaf(&self.tree.root, &prefixes, |entries, place| {
            let at = entries.partition_point(|entry| compare_pairs(entry, *place).is_lt());
            if at + 1 < entries.len() && entries.get(at + 1).0 != place.0 {
                let (head, key) = entries.get(at);
                if head == place.0 {
                    places.push(((key, parts[next].as_bytes()), next));
                }
            } else {
                // Several, or more of them may be in the next leaf.
                found[next] = self.find(&parts[next], index);
            }
            next += 1;
        });
        places.sort_unstable_by(|(one, _), (other, _)| compare_pairs(*one, *other));
        let (places, numbers): (Vec<Entry<'_>>, Vec<usize>) = places.into_iter().unzip();
        for (item, number) in index.find_all_under(&places).into_iter().zip(numbers) {
            found[number] = item;
        }
        found
    }
}

fn entry<'a>(key: &'a [u8], id: &'a ItemId) -> Entry<'a> {
    (&id.as_bytes()[..PREFIX], key)
}

impl fmt::Debug for PartIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartIndex").field("len", &self.tree.total).finish_non_exhaustive()
    }
}
