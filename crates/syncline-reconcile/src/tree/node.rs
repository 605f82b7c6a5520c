//! The nodes of the tree. Shared nodes are copied before they change, so that snapshots keep what they saw.

use std::{
    fmt::Debug,
    ops::{AddAssign, SubAssign},
    sync::Arc,
};

use super::packed::{Entry, Free, Packed, Shape};
use crate::{Bound, compare::compare_pairs};

/// What a tree is made of: how its entries are cut in two, and what is summed.
pub(super) trait Kind: Shape + Sized + Debug {
    /// Most entries of a leaf. Together they are below 64 KiB.
    const LEAF_CAPACITY: usize;
    /// Most children of an inner node.
    const CAPACITY: usize;

    type Sum: Copy + Default + PartialEq + Debug + AddAssign + SubAssign;

    /// What an entry contributes.
    fn sum(&self, entry: Entry<'_>) -> Self::Sum;
}

#[derive(Debug)]
pub(super) enum Node<K: Kind> {
    Leaf(Packed<K>),
    Inner(Arc<Inner<K>>),
}

/// Child `i` holds the entries `e` with `separators[i - 1] <= e < separators[i]`, and `sums[i]` is their sum.
#[derive(Debug)]
pub(super) struct Inner<K: Kind> {
    pub(super) separators: Packed<Free>,
    pub(super) sums: Vec<K::Sum>,
    pub(super) children: Vec<Node<K>>,
}

/// The right half of a node that was full, its sum, and a place between the halves.
pub(super) struct Split<K: Kind> {
    pub(super) separator: (Vec<u8>, Vec<u8>),
    pub(super) sum: K::Sum,
    pub(super) right: Node<K>,
}

impl<K: Kind> Clone for Node<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(entries.clone()),
            Self::Inner(inner) => Self::Inner(Arc::clone(inner)),
        }
    }
}

impl<K: Kind> Clone for Inner<K> {
    fn clone(&self) -> Self {
        Self { separators: self.separators.clone(), sums: self.sums.clone(), children: self.children.clone() }
    }
}

impl<K: Kind> Default for Node<K> {
    fn default() -> Self {
        Self::Leaf(Packed::default())
    }
}

impl<K: Kind> Node<K> {
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    /// Fetches what a search looks at.
    pub(super) fn touch(&self) {
        match self {
            Self::Leaf(entries) => entries.touch(),
            Self::Inner(inner) => inner.separators.touch(),
        }
    }

    /// Most entries or children.
    fn capacity(&self) -> usize {
        match self {
            Self::Leaf(_) => K::LEAF_CAPACITY,
            Self::Inner(_) => K::CAPACITY,
        }
    }

    pub(super) fn contains(&self, entry: Entry<'_>) -> bool {
        let mut node = self;
        loop {
            super::touched::count();
            match node {
                Self::Leaf(entries) => return entries.search(entry).is_ok(),
                Self::Inner(inner) => node = &inner.children[inner.child_of(entry)],
            }
        }
    }

    /// Adds an entry that is not there, whose sum is `sum`. Gives the right half if the node had to be split.
    pub(super) fn insert(&mut self, kind: &K, entry: Entry<'_>, sum: K::Sum) -> Option<Split<K>> {
        super::touched::count();
        match self {
            Self::Leaf(entries) => {
                let (Ok(at) | Err(at)) = entries.search(entry);
                *entries = entries.replace(at..at, &[entry]);
                split_entries(kind, entries, at)
            }
            Self::Inner(inner) => Arc::make_mut(inner).insert(kind, entry, sum),
        }
    }

    /// Removes an entry that is there, whose sum is `sum`.
    pub(super) fn remove(&mut self, entry: Entry<'_>, sum: K::Sum) {
        super::touched::count();
        match self {
            Self::Leaf(entries) => {
                if let Ok(at) = entries.search(entry) {
                    *entries = entries.replace(at..at + 1, &[]);
                }
            }
            Self::Inner(inner) => Arc::make_mut(inner).remove(entry, sum),
        }
    }

    /// Takes over all that is in the right neighbour.
    fn join(&mut self, separator: Entry<'_>, right: Self) {
        match (self, right) {
            (Self::Leaf(entries), Self::Leaf(more)) => *entries = entries.join(&more),
            (Self::Inner(inner), Self::Inner(more)) => {
                let (inner, mut more) = (Arc::make_mut(inner), Arc::unwrap_or_clone(more));
                let end = inner.separators.len();
                inner.separators = inner.separators.replace(end..end, &[separator]).join(&more.separators);
                inner.sums.append(&mut more.sums);
                inner.children.append(&mut more.children);
            }
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {
                unreachable!("neighbours have the same height")
            }
        }
    }
}

impl<K: Kind> Inner<K> {
    /// The child in whose span an entry falls.
    pub(super) fn child_of(&self, entry: Entry<'_>) -> usize {
        self.separators.partition_point(|separator| compare_pairs(separator, entry).is_le())
    }

    fn insert(&mut self, kind: &K, entry: Entry<'_>, sum: K::Sum) -> Option<Split<K>> {
        let at = self.child_of(entry);
        // There is one child more than separators, and `child_of` counts separators.
        self.sums[at] += sum;
        let split = self.children[at].insert(kind, entry, sum)?;
        self.sums[at] -= split.sum;
        self.separators = self.separators.replace(at..at, &[(&split.separator.0, &split.separator.1)]);
        insert_tight(&mut self.sums, at + 1, split.sum);
        insert_tight(&mut self.children, at + 1, split.right);
        if self.children.len() <= K::CAPACITY {
            return None;
        }
        // As with entries: those who append leave full nodes behind them.
        let middle = if at + 2 == self.children.len() { self.children.len() - 1 } else { self.children.len() / 2 };
        Some(self.split(middle))
    }

    fn split(&mut self, middle: usize) -> Split<K> {
        let (head, tail) = self.separators.get(middle - 1);
        let separator = (head.to_vec(), tail.to_vec());
        let right = Self {
            separators: self.separators.split(middle).1,
            sums: self.sums.split_off(middle),
            children: self.children.split_off(middle),
        };
        self.separators = self.separators.split(middle - 1).0;
        self.sums.shrink_to_fit();
        self.children.shrink_to_fit();
        Split { separator, sum: total::<K>(&right.sums), right: Node::Inner(Arc::new(right)) }
    }

    fn remove(&mut self, entry: Entry<'_>, sum: K::Sum) {
        let at = self.child_of(entry);
        // As in `insert`: there is a child at this place.
        self.sums[at] -= sum;
        self.children[at].remove(entry, sum);
        let width = self.children[at].width();
        if width == 0 {
            // The span goes to the neighbour. Without one this node is empty too, and goes in its turn.
            self.children.remove(at);
            self.sums.remove(at);
            if self.separators.len() > 0 {
                let gone = at.saturating_sub(1);
                self.separators = self.separators.replace(gone..gone + 1, &[]);
            }
            return;
        }
        let capacity = self.children[at].capacity();
        if width >= capacity / 4 || self.children.len() == 1 {
            return;
        }
        // Sparse: joined with a neighbour if both together leave some room.
        let left = at.saturating_sub(1);
        if self.children[left].width() + self.children[left + 1].width() <= capacity * 3 / 4 {
            let right = self.children.remove(left + 1);
            let sum = self.sums.remove(left + 1);
            self.sums[left] += sum;
            let separators = self.separators.clone();
            self.separators = separators.replace(left..left + 1, &[]);
            self.children[left].join(separators.get(left), right);
        }
    }
}

/// Grows a vector by one place instead of doubling it: nodes are many and their sizes are small.
fn insert_tight<T>(vec: &mut Vec<T>, at: usize, value: T) {
    vec.reserve_exact(1);
    vec.insert(at, value);
}

pub(super) fn total<K: Kind>(sums: &[K::Sum]) -> K::Sum {
    let mut total = K::Sum::default();
    sums.iter().for_each(|sum| total += *sum);
    total
}

fn split_entries<K: Kind>(kind: &K, entries: &mut Packed<K>, inserted: usize) -> Option<Split<K>> {
    if entries.len() <= K::LEAF_CAPACITY {
        return None;
    }
    // Who appends in order fills the leaf to the brim instead of leaving it half empty for ever.
    let middle = if inserted + 1 == entries.len() { inserted } else { entries.len() / 2 };
    let (left, right) = entries.split(middle);
    let separator = separate(left.get(middle - 1), right.get(0));
    let mut sum = K::Sum::default();
    right.iter().for_each(|entry| sum += kind.sum(entry));
    *entries = left;
    Some(Split { separator, sum, right: Node::Leaf(right) })
}

/// The shortest place behind one entry and not behind the next.
pub(super) fn separate(left: Entry<'_>, right: Entry<'_>) -> (Vec<u8>, Vec<u8>) {
    let Bound { key, id_prefix } = Bound::between(left, right);
    (key, id_prefix)
}
