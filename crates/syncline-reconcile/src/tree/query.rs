//! Reading the tree.

use std::ops::{ControlFlow, Range, RangeInclusive};

use super::{
    node::{Inner, Kind, Node},
    packed::{Entry, Free, Packed},
};
use crate::{Bound, Fingerprint, compare::compare_pairs};

fn is_before(entry: Entry<'_>, bound: &Bound) -> bool {
    !bound.is_at_or_before(entry.0, entry.1)
}

/// Leaves that are fetched together. They fit into the first-level cache.
const TOGETHER: usize = 16;

/// Sums of everything before places that come in ascending order.
pub(super) struct Before<'a, K: Kind> {
    kind: &'a K,
    bounds: &'a [Bound],
    sums: Vec<K::Sum>,
    waiting: Vec<Waiting<'a, K>>,
}

/// A leaf with some of the bounds in it.
struct Waiting<'a, K: Kind> {
    entries: &'a Packed<K>,
    bounds: Range<usize>,
    base: K::Sum,
    total: K::Sum,
}

impl<'a, K: Kind> Before<'a, K> {
    /// Goes down once for all of them. `total` is the sum of everything below `root`.
    pub(super) fn sums(kind: &'a K, root: &'a Node<K>, bounds: &'a [Bound], total: K::Sum) -> Vec<K::Sum> {
        let sums = vec![K::Sum::default(); bounds.len()];
        let mut this = Self { kind, bounds, sums, waiting: Vec::with_capacity(TOGETHER) };
        this.visit(root, 0..bounds.len(), K::Sum::default(), total);
        this.flush();
        this.sums
    }

    /// Goes down for the bounds that lie in the span of `node`. What is before the node sums up to `base`, what is in it to
    /// `total`.
    fn visit(&mut self, node: &'a Node<K>, bounds: Range<usize>, mut base: K::Sum, total: K::Sum) {
        super::touched::count();
        let inner = match node {
            Node::Leaf(entries) => {
                self.waiting.push(Waiting { entries, bounds, base, total });
                if self.waiting.len() == TOGETHER {
                    self.flush();
                }
                return;
            }
            Node::Inner(inner) => inner,
        };
        let Range { start: mut first, end } = bounds;
        let mut next = 0;
        while first < end {
            let bound = &self.bounds[first];
            let place = bound.as_pair();
            let at = inner.separators.partition_point_from(next, |separator| compare_pairs(separator, place).is_le());
            inner.sums[next..at].iter().for_each(|sum| base += *sum);
            next = at;
            if at > 0 && compare_pairs(inner.separators.get(at - 1), place).is_eq() {
                // At the very beginning of the child, so that there is nothing to look for in it.
                self.sums[first] = base;
                first += 1;
                continue;
            }
            let here = first + self.run(first..end, &inner.separators, at);
            self.visit(&inner.children[at], first..here, base, inner.sums[at]);
            first = here;
        }
    }

    /// How many of these bounds, one at least, lie in the same child as the first, which is child `at`.
    fn run(&self, bounds: Range<usize>, separators: &Packed<Free>, at: usize) -> usize {
        let rest = &self.bounds[bounds];
        if at == separators.len() {
            return rest.len();
        }
        let separator = separators.get(at);
        let is_here = |bound: &Bound| compare_pairs(bound.as_pair(), separator).is_lt();
        // Few of many lie in one child, so that the end is looked for from the near side.
        let mut reach = 1;
        while rest.get(reach).is_some_and(is_here) {
            reach *= 2;
        }
        reach / 2 + rest[reach / 2..rest.len().min(reach)].partition_point(is_here)
    }

    fn flush(&mut self) {
        self.waiting.iter().for_each(|waiting| waiting.entries.touch());
        for waiting in self.waiting.drain(..) {
            waiting.sum_up(self.kind, &self.bounds[waiting.bounds.clone()], &mut self.sums[waiting.bounds.clone()]);
        }
    }
}

impl<K: Kind> Waiting<'_, K> {
    fn sum_up(&self, kind: &K, bounds: &[Bound], sums: &mut [K::Sum]) {
        let (entries, mut done, mut sum) = (self.entries, 0, K::Sum::default());
        for (bound, before) in bounds.iter().zip(sums) {
            let to = entries.partition_point(|entry| is_before(entry, bound));
            sum = sum_to(kind, entries, to, (done, sum), self.total);
            done = to;
            *before = self.base;
            *before += sum;
        }
    }
}

/// The sum of the first entries of a leaf, up to `to`, from the nearer side: a place up to which it is known, or the end.
fn sum_to<K: Kind>(
    kind: &K,
    entries: &Packed<K>,
    to: usize,
    (done, mut sum): (usize, K::Sum),
    total: K::Sum,
) -> K::Sum {
    if to.abs_diff(done) <= entries.len() - to {
        (done..to).for_each(|at| sum += kind.sum(entries.get(at)));
        (to..done).for_each(|at| sum -= kind.sum(entries.get(at)));
    } else {
        sum = total;
        (to..entries.len()).for_each(|at| sum -= kind.sum(entries.get(at)));
    }
    sum
}

/// Places with so many entries before them as each range allows. The ranges ascend and do not overlap.
pub(super) struct Cuts<'a, K: Kind> {
    kind: &'a K,
    found: Vec<(Bound, Fingerprint)>,
    waiting: Vec<Inside<'a, K>>,
}

/// A place inside a leaf.
struct Inside<'a, K: Kind> {
    entries: &'a Packed<K>,
    /// Which of those that are looked for.
    number: usize,
    rank: u64,
    base: Fingerprint,
    total: Fingerprint,
}

impl<'a, K: Kind<Sum = Fingerprint>> Cuts<'a, K> {
    /// Goes down once for all of them. Nothing if there is an entry missing on either side of a place.
    pub(super) fn places(
        kind: &'a K,
        root: &'a Node<K>,
        ranks: &[RangeInclusive<u64>],
        total: Fingerprint,
    ) -> Option<Vec<(Bound, Fingerprint)>> {
        let mut this = Self { kind, found: Vec::with_capacity(ranks.len()), waiting: Vec::new() };
        this.visit(root, ranks, Fingerprint::EMPTY, total);
        for together in this.waiting.chunks(TOGETHER) {
            together.iter().for_each(|inside| inside.entries.touch());
            for inside in together {
                *this.found.get_mut(inside.number)? = inside.place(this.kind)?;
            }
        }
        (this.found.len() == ranks.len()).then_some(this.found)
    }

    /// Goes down for the ranges that begin in `node`, behind its first entry, and takes the place between two children where
    /// there is one: its sum is known.
    fn visit(
        &mut self,
        node: &'a Node<K>,
        mut ranks: &[RangeInclusive<u64>],
        mut base: Fingerprint,
        total: Fingerprint,
    ) {
        super::touched::count();
        let inner = match node {
            Node::Leaf(entries) => {
                for range in ranks {
                    let (number, rank) = (self.found.len(), range.start().midpoint(*range.end()));
                    self.found.push((Bound::MIN, base));
                    self.waiting.push(Inside { entries, number, rank, base, total });
                }
                return;
            }
            Node::Inner(inner) => inner,
        };
        let mut at = 0;
        while let (Some(range), Some(sum)) = (ranks.first(), inner.sums.get(at)) {
            let end = base.count.saturating_add(sum.count);
            let is_last = at + 1 == inner.children.len();
            let here = if is_last { ranks.len() } else { ranks.iter().take_while(|range| *range.end() < end).count() };
            if here > 0 {
                let (inside, behind) = ranks.split_at(here);
                self.visit(&inner.children[at], inside, base, *sum);
                ranks = behind;
            } else if range.contains(&end) {
                let (key, id_prefix) = inner.separators.get(at);
                let bound = Bound { key: key.to_vec(), id_prefix: id_prefix.to_vec() };
                self.found.push((bound, base + *sum));
                ranks = &ranks[1..];
            } else {
                base += *sum;
                at += 1;
            }
        }
    }
}

impl<K: Kind<Sum = Fingerprint>> Inside<'_, K> {
    fn place(&self, kind: &K) -> Option<(Bound, Fingerprint)> {
        let at = usize::try_from(self.rank.checked_sub(self.base.count)?).ok()?;
        let before = at.checked_sub(1)?;
        if at >= self.entries.len() {
            return None;
        }
        let sum = sum_to(kind, self.entries, at, (0, Fingerprint::EMPTY), self.total);
        Some((Bound::between(self.entries.get(before), self.entries.get(at)), self.base + sum))
    }
}

/// Shows each of these places, which come in ascending order, with the leaf in which a [`scan`] from it begins. Goes down
/// level by level, so that what lies next to each other is fetched together.
pub(super) fn each_leaf<'a, 'e, K: Kind>(
    root: &'a Node<K>,
    places: &[Entry<'e>],
    mut visit: impl FnMut(&'a Packed<K>, &Entry<'e>),
) {
    let mut level = vec![(root, places)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for nodes in level.chunks(TOGETHER) {
            nodes.iter().for_each(|(node, _)| node.touch());
            for (node, places) in nodes {
                super::touched::count();
                match node {
                    Node::Leaf(entries) => places.iter().for_each(|place| visit(entries, place)),
                    Node::Inner(inner) => inner.share_out(places, &mut next),
                }
            }
        }
        level = next;
    }
}

impl<K: Kind> Inner<K> {
    /// Adds the children in which these places lie, each with its own.
    fn share_out<'a, 'p, 'e>(
        &'a self,
        mut places: &'p [Entry<'e>],
        children: &mut Vec<(&'a Node<K>, &'p [Entry<'e>])>,
    ) {
        let mut at = 0;
        while let Some(first) = places.first() {
            at = self.separators.partition_point_from(at, |separator| compare_pairs(separator, *first).is_le());
            let here = if at == self.separators.len() {
                places.len()
            } else {
                let end = self.separators.get(at);
                places.iter().take_while(|place| compare_pairs(**place, end).is_lt()).count()
            };
            let (inside, behind) = places.split_at(here);
            children.push((&self.children[at], inside));
            places = behind;
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
            entries.touch();
            let first = entries.partition_point(|entry| compare_pairs(entry, from).is_lt());
            (first..entries.len()).try_for_each(|at| visit(entries.get(at)))
        }
        Node::Inner(inner) => {
            let first = inner.child_of(from);
            inner.children[first..].iter().try_for_each(|child| scan(child, from, visit))
        }
    }
}
