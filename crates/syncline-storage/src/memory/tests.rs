mod sorted;

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    node::{CAPACITY, Node},
    rows::Rows,
    tree::Tree,
};
use crate::KeyRange;

fn key(n: u16) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// Every leaf is at the same depth, no node is over the capacity, no child is empty, all keys are in their spans.
fn check(node: &Node, low: Option<&Bytes>, high: Option<&Bytes>, root: bool) -> usize {
    let inside = |key: &Bytes| low.is_none_or(|low| key >= low) && high.is_none_or(|h| key < h);
    match node {
        Node::Leaf(rows) => {
            assert!(rows.len() <= CAPACITY && (root || rows.len() > 0));
            assert!(rows.is_sound());
            assert!(rows.entries().iter().all(|(key, _)| inside(key)));
            0
        }
        Node::Inner(inner) => {
            assert!(inner.children.len() <= CAPACITY);
            assert!(inner.children.len() >= if root { 2 } else { 1 });
            assert_eq!(inner.separators.len() + 1, inner.children.len());
            assert!(inner.separators.is_sound());
            let depths: Vec<usize> = (0..inner.children.len())
                .map(|at| {
                    let low = if at == 0 { low } else { inner.separators.entries().get(at - 1) };
                    check(&inner.children[at], low, inner.separators.entries().get(at).or(high), false)
                })
                .collect();
            assert!(depths.windows(2).all(|pair| pair[0] == pair[1]));
            depths[0] + 1
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Remove(u16),
    Run(u16, u16),
    Clear(u16, u16),
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u16>().prop_map(Step::Insert),
        4 => any::<u16>().prop_map(Step::Remove),
        2 => (any::<u16>(), 1..400u16).prop_map(|(at, n)| Step::Run(at, n)),
        2 => (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Step::Clear(a, b)),
        1 => Just(Step::Snapshot),
    ]
}

fn same(tree: &Tree, model: &BTreeMap<Bytes, Bytes>) {
    check(tree.root(), None, None, true);
    assert_eq!(tree.len(), model.len());
    let all = KeyRange::all();
    assert!(Rows::forward(tree.root(), &all).map(|(k, v)| (k, v)).eq(model.iter()));
    assert!(Rows::reverse(tree.root(), &all).map(|(k, v)| (k, v)).eq(model.iter().rev()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn behaves_as_a_btree_map(steps in proptest::collection::vec(step(), 1..80), probe: u16) {
        let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
        let mut kept = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let value = Bytes::from(n.to_be_bytes().to_vec());
            match step {
                Step::Insert(at) => {
                    tree.insert(key(at), value.clone());
                    model.insert(key(at), value);
                }
                Step::Remove(at) => {
                    prop_assert_eq!(tree.remove(&key(at)), model.remove(&key(at)).is_some());
                }
                Step::Run(at, count) => for n in 0..count {
                    tree.insert(key(at.wrapping_add(n)), value.clone());
                    model.insert(key(at.wrapping_add(n)), value.clone());
                },
                Step::Clear(from, to) => {
                    let doomed: Vec<Bytes> =
                        model.range(key(from.min(to))..key(from.max(to))).map(|(k, _)| k.clone()).collect();
                    for key in doomed {
                        prop_assert!(tree.remove(&key));
                        model.remove(&key);
                    }
                }
                Step::Snapshot => kept.push((tree.clone(), model.clone())),
            }
            check(tree.root(), None, None, true);
            prop_assert_eq!(tree.get(&key(probe)), model.get(&key(probe)));
        }
        kept.push((tree, model));
        for (tree, model) in &kept {
            same(tree, model);
        }
    }
}

fn bound() -> impl Strategy<Value = Bound<Bytes>> {
    let at = 0..1_200u16;
    prop_oneof![
        4 => at.clone().prop_map(|at| Bound::Included(key(at))),
        4 => at.prop_map(|at| Bound::Excluded(key(at))),
        1 => Just(Bound::Unbounded),
    ]
}

proptest! {
    #[test]
    fn a_scan_gives_what_is_in_the_range(
        keys in proptest::collection::btree_set(0..1_200u16, 0..600),
        ranges in proptest::collection::vec((bound(), bound()), 20),
    ) {
        let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
        for n in keys.iter().rev().filter(|n| *n % 2 == 0).chain(&keys) {
            tree.insert(key(*n), Bytes::new());
            model.insert(key(*n), Bytes::new());
        }
        for (lower, upper) in ranges {
            let range = KeyRange::new(lower, upper);
            let inside = || model.iter().filter(|(key, _)| range.contains(key));
            prop_assert!(Rows::forward(tree.root(), &range).map(|(k, v)| (k, v)).eq(inside()), "{range:?}");
            prop_assert!(Rows::reverse(tree.root(), &range).map(|(k, v)| (k, v)).eq(inside().rev()), "{range:?}");
        }
    }
}

/// The range of a key that is not there may lie between two leaves; then the second is not looked at.
#[test]
fn a_scan_stops_between_two_leaves() {
    let mut tree = Tree::default();
    for n in 0..10_000u16 {
        tree.insert(key(2 * n), Bytes::new());
    }
    let last = u16::try_from(2 * (CAPACITY - 1)).unwrap();
    let range = KeyRange::all().starting_at(key(last)).before(key(last + 1));
    let mut rows = Rows::forward(tree.root(), &range);
    assert!(!rows.is_in_last_leaf());
    assert_eq!(rows.by_ref().count(), 1);
    assert!(rows.is_in_last_leaf() && rows.leaves == 1);
    let range = KeyRange::all().starting_at(key(last + 2)).before(key(last + 4));
    let mut rows = Rows::reverse(tree.root(), &range);
    assert_eq!(rows.by_ref().count(), 1);
    assert_eq!(rows.leaves, 1);
}

#[test]
fn appending_leaves_full_leaves() {
    let mut tree = Tree::default();
    for n in 0..10_000u16 {
        tree.insert(key(n), Bytes::new());
    }
    fn leaves(node: &Node) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Inner(inner) => inner.children.iter().map(|child| leaves(child)).sum(),
        }
    }
    assert_eq!(leaves(tree.root()), 10_000usize.div_ceil(CAPACITY));
}

#[test]
fn without_a_snapshot_nothing_is_copied() {
    let mut tree = Tree::default();
    for n in 0..10_000u16 {
        tree.insert(key(n), Bytes::new());
    }
    let before = std::ptr::from_ref(tree.root());
    tree.insert(key(5_000), Bytes::from_static(b"x"));
    assert_eq!(before, std::ptr::from_ref(tree.root()));

    let snapshot = tree.clone();
    tree.insert(key(5_000), Bytes::from_static(b"y"));
    let (Node::Inner(old), Node::Inner(new)) = (snapshot.root(), tree.root()) else { panic!("two levels at least") };
    let copied = old.children.iter().zip(&new.children).filter(|(old, new)| !Arc::ptr_eq(old, new)).count();
    assert_eq!(copied, 1);
    assert_eq!(snapshot.get(&key(5_000)), Some(&Bytes::from_static(b"x")));
}

#[test]
fn a_scan_does_not_walk_on_behind_its_end() {
    let mut tree = Tree::default();
    for n in 0..10_000u16 {
        tree.insert(key(n), Bytes::new());
    }
    let range = KeyRange::all().starting_at(key(5_000)).up_to(key(5_100));
    for mut rows in [Rows::forward(tree.root(), &range), Rows::reverse(tree.root(), &range)] {
        assert!(!rows.is_in_last_leaf());
        assert_eq!(rows.by_ref().take(101).count(), 101);
        assert!(rows.is_in_last_leaf());
    }
}
