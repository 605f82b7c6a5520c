//! A tree of entries that come in order.

use std::{mem, sync::Arc};

use super::{
    node::{Inner, Kind, Node, separate, total},
    packed::{Entry, Packed},
};

/// Takes entries in ascending order and makes a tree of them whose leaves are full.
pub(super) struct Builder<'a, K: Kind> {
    kind: &'a K,
    pending: Vec<(Vec<u8>, Vec<u8>)>,
    done: Vec<Built<K>>,
}

/// A node, its sum, and the place at which its span begins.
struct Built<K: Kind> {
    from: (Vec<u8>, Vec<u8>),
    sum: K::Sum,
    node: Node<K>,
}

impl<'a, K: Kind> Builder<'a, K> {
    pub(super) fn new(kind: &'a K) -> Self {
        Self { kind, pending: Vec::new(), done: Vec::new() }
    }

    /// The entry before the next.
    pub(super) fn last(&self) -> Option<Entry<'_>> {
        let last = self.pending.last().map(|(head, tail)| (&head[..], &tail[..]));
        last.or_else(|| match &self.done.last()?.node {
            Node::Leaf(entries) => entries.iter().next_back(),
            Node::Inner(_) => None,
        })
    }

    /// Adds an entry that is greater than the last.
    pub(super) fn push(&mut self, entry: Entry<'_>) {
        if self.pending.len() == K::LEAF_CAPACITY {
            self.flush();
        }
        self.pending.push((entry.0.to_vec(), entry.1.to_vec()));
    }

    fn flush(&mut self) {
        let pending = mem::take(&mut self.pending);
        let entries: Vec<Entry<'_>> = pending.iter().map(|(head, tail)| (&head[..], &tail[..])).collect();
        let Some(first) = entries.first() else {
            return;
        };
        let from = self.last().map(|last| separate(last, *first)).unwrap_or_default();
        let mut sum = K::Sum::default();
        entries.iter().for_each(|entry| sum += self.kind.sum(*entry));
        self.done.push(Built { from, sum, node: Node::Leaf(Packed::of(&entries)) });
    }

    /// The root and the sum of everything.
    pub(super) fn finish(mut self) -> (Node<K>, K::Sum) {
        self.flush();
        let mut level = self.done;
        while level.len() > 1 {
            level = raise(level);
        }
        level.pop().map(|built| (built.node, built.sum)).unwrap_or_default()
    }
}

/// Puts nodes under as few parents as possible, evenly.
fn raise<K: Kind>(level: Vec<Built<K>>) -> Vec<Built<K>> {
    let width = level.len().div_ceil(level.len().div_ceil(K::CAPACITY));
    let mut parents = Vec::new();
    let mut level = level.into_iter().peekable();
    while level.peek().is_some() {
        let (mut froms, mut sums, mut children) = (Vec::new(), Vec::with_capacity(width), Vec::with_capacity(width));
        for built in level.by_ref().take(width) {
            froms.push(built.from);
            sums.push(built.sum);
            children.push(built.node);
        }
        let separators: Vec<Entry<'_>> = froms.iter().skip(1).map(|(head, tail)| (&head[..], &tail[..])).collect();
        let separators = Packed::of(&separators);
        let sum = total::<K>(&sums);
        let from = froms.swap_remove(0);
        parents.push(Built { from, sum, node: Node::Inner(Arc::new(Inner { separators, sums, children })) });
    }
    parents
}
