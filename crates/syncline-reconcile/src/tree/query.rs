//! Reading the tree.

use std::ops::ControlFlow;

use super::{
    node::{Kind, Node},
    packed::{Entry, Packed},
};
use crate::{Bound, Fingerprint};

fn is_before(entry: Entry<'_>, bound: &Bound) -> bool {
    !bound.is_at_or_before(entry.0, entry.1)
}

/// Sums of everything before places that come in ascending order.
pub(super) struct Before<'a, K: Kind> {
    pub(super) kind: &'a K,
    pub(super) sums: Vec<K::Sum>,
}

impl<K: Kind> Before<'_, K> {
    /// Goes down once for all `bounds`, which lie in the span of `node`. What is before the node sums up to `base`, what is
    /// in it to `total`.
    pub(super) fn visit(&mut self, node: &Node<K>, bounds: &[Bound], mut base: K::Sum, total: K::Sum) {
        super::touched::count();
        let inner = match node {
            Node::Leaf(entries) => return self.visit_leaf(entries, bounds, base, total),
            Node::Inner(inner) => inner,
        };
        let mut rest = bounds;
        let mut next = 0;
        while let Some(bound) = rest.first() {
            let at = inner.separators.partition_point(|separator| separator <= (&bound.key, &bound.id_prefix));
            inner.sums[next..at].iter().for_each(|sum| base += *sum);
            next = at;
            let here = if at < inner.separators.len() {
                let separator = inner.separators.get(at);
                // Few of many lie in one child, so that the end is looked for from the near side.
                let is_here = |bound: &Bound| (&bound.key[..], &bound.id_prefix[..]) < separator;
                let mut reach = 1;
                while rest.get(reach).is_some_and(is_here) {
                    reach *= 2;
                }
                reach / 2 + rest[reach / 2..rest.len().min(reach)].partition_point(is_here)
            } else {
                rest.len()
            };
            let (here, behind) = rest.split_at(here);
            self.visit(&inner.children[at], here, base, inner.sums[at]);
            rest = behind;
        }
    }

    fn visit_leaf(&mut self, entries: &Packed<K>, bounds: &[Bound], base: K::Sum, total: K::Sum) {
        let (mut done, mut sum) = (0, K::Sum::default());
        for bound in bounds {
            let to = entries.partition_point(|entry| is_before(entry, bound));
            // From the nearer side: the last place, or the end.
            if to.abs_diff(done) <= entries.len() - to {
                (done..to).for_each(|at| sum += self.kind.sum(entries.get(at)));
                (to..done).for_each(|at| sum -= self.kind.sum(entries.get(at)));
            } else {
                sum = total;
                (to..entries.len()).for_each(|at| sum -= self.kind.sum(entries.get(at)));
            }
            done = to;
            let mut before = base;
            before += sum;
            self.sums.push(before);
        }
    }
}

/// How many entries lie before a place, from the counts alone.
pub(super) fn rank<K: Kind<Sum = Fingerprint>>(mut node: &Node<K>, bound: &Bound) -> u64 {
    let mut rank = 0;
    loop {
        super::touched::count();
        match node {
            Node::Leaf(entries) => return rank + entries.partition_point(|entry| is_before(entry, bound)) as u64,
            Node::Inner(inner) => {
                let at = inner.child_of((&bound.key, &bound.id_prefix));
                rank += inner.sums[..at].iter().map(|sum| sum.count).sum::<u64>();
                node = &inner.children[at];
            }
        }
    }
}

/// The entry with so many before it.
pub(super) fn select<K: Kind<Sum = Fingerprint>>(mut node: &Node<K>, mut rank: u64) -> Option<Entry<'_>> {
    loop {
        super::touched::count();
        match node {
            Node::Leaf(entries) => {
                let at = usize::try_from(rank).ok()?;
                return (at < entries.len()).then(|| entries.get(at));
            }
            Node::Inner(inner) => {
                let mut children = inner.children.iter().zip(&inner.sums);
                node = loop {
                    let (child, sum) = children.next()?;
                    if rank < sum.count {
                        break child;
                    }
                    rank -= sum.count;
                };
            }
        }
    }
}

/// Shows the entries from `from` on, in order.
pub(super) fn scan<'a, K: Kind>(
    node: &'a Node<K>,
    from: Entry<'_>,
    visit: &mut dyn FnMut(Entry<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    super::touched::count();
    match node {
        Node::Leaf(entries) => {
            let first = entries.partition_point(|entry| entry < from);
            (first..entries.len()).try_for_each(|at| visit(entries.get(at)))
        }
        Node::Inner(inner) => {
            let first = inner.child_of(from);
            inner.children[first..].iter().try_for_each(|child| scan(child, from, visit))
        }
    }
}
