use std::{collections::BTreeSet, ops::ControlFlow};

use super::{
    node::{Kind, Node, total},
    packed::Entry,
    *,
};
use crate::{
    IdPart, MemorySet, ReconcileSet,
    testing::{KEY, Rng, assert_agrees, for_each_seed, id, item, items_of, some_bound},
};

/// Leaves at one depth, no node too wide or empty, entries between their bounds, sums that are right. Gives the depth.
fn check<K: Kind>(kind: &K, node: &Node<K>, from: Entry<'_>, to: Option<Entry<'_>>, sum: K::Sum, root: bool) -> usize {
    match node {
        Node::Leaf(entries) => {
            assert!(entries.len() <= K::LEAF_CAPACITY && (root || entries.len() > 0));
            let entries: Vec<Entry<'_>> = entries.iter().collect();
            assert!(entries.is_sorted_by(|a, b| a < b));
            assert!(entries.iter().all(|entry| *entry >= from && to.is_none_or(|to| *entry < to)));
            let sums: Vec<K::Sum> = entries.iter().map(|entry| kind.sum(*entry)).collect();
            assert_eq!(total::<K>(&sums), sum);
            0
        }
        Node::Inner(inner) => {
            assert!(inner.children.len() <= K::CAPACITY && inner.children.len() >= if root { 2 } else { 1 });
            assert_eq!((inner.separators.len() + 1, inner.sums.len()), (inner.children.len(), inner.children.len()));
            assert_eq!(total::<K>(&inner.sums), sum);
            let bound = |at: usize| (at < inner.separators.len()).then(|| inner.separators.get(at));
            let depths: BTreeSet<usize> = (0..inner.children.len())
                .map(|at| {
                    let from = at.checked_sub(1).and_then(bound).unwrap_or(from);
                    check(kind, &inner.children[at], from, bound(at).or(to), inner.sums[at], false)
                })
                .collect();
            assert_eq!(depths.len(), 1);
            1 + depths.first().unwrap()
        }
    }
}

fn check_tree<K: Kind>(tree: &Tree<K>) -> usize {
    check(&tree.kind, &tree.root, (&[], &[]), None, tree.total, true)
}

/// Inserts and removes at random, runs in key order and snapshots among them.
fn random_steps(rng: &mut Rng, steps: u64) -> Vec<(MemorySet, BTreeSet<Item>)> {
    let universe = 1 + rng.below(3_000);
    let (mut set, mut model) = (MemorySet::with_symbols(&KEY, 100), BTreeSet::new());
    let mut kept = Vec::new();
    for _ in 0..steps {
        let start = rng.below(universe);
        let run = if rng.below(50) == 0 { rng.below(300) } else { 1 };
        let removing = rng.below(2) == 0;
        for n in start..start + run {
            let item = if n % 3 == 0 { Item::new(n.to_be_bytes(), id(n)) } else { item(n) };
            if removing {
                assert_eq!(set.remove(&item), model.remove(&item));
            } else {
                assert_eq!(set.insert(&item).is_ok(), model.insert(item));
            }
        }
        if rng.below(200) == 0 {
            kept.push((set.clone(), model.clone()));
        }
    }
    kept.push((set, model));
    kept
}

#[test]
fn answers_as_a_scan_would_also_from_snapshots() {
    for_each_seed(6, |rng| {
        for (set, model) in random_steps(rng, 1_000) {
            check_tree(&set.index.tree);
            check_tree(&set.parts.tree);
            let items: Vec<Item> = model.into_iter().collect();
            assert_agrees(&set, &items, rng, 15);
            for item in &items {
                assert!(set.contains(&item.key, &item.id).unwrap());
                assert_eq!(set.find(&item.id.part()).unwrap().as_ref(), Some(item));
            }
            assert_eq!(set.find(&id(u64::MAX).part()).unwrap(), None);
            let mut parts: Vec<_> = items.iter().map(|item| item.id.part()).collect();
            parts.extend((0..50).map(|_| id(rng.next()).part()));
            assert_finds_all(&set, &parts);
            parts.sort();
            assert_finds_all(&set, &parts);
        }
    });
}

fn assert_finds_all(set: &MemorySet, parts: &[IdPart]) {
    let one_by_one: Vec<Option<Item>> = parts.iter().map(|part| set.find(part).unwrap()).collect();
    assert_eq!(set.find_all(parts).unwrap(), one_by_one);
}

#[test]
fn what_a_set_keeps_does_not_depend_on_the_way_it_was_reached() {
    for_each_seed(10, |rng| {
        let Some((set, model)) = random_steps(rng, 1_000).pop() else { return };
        let built = MemorySet::from_items(&KEY, 100, model.into_iter().rev().collect()).unwrap();
        check_tree(&built.index.tree);
        check_tree(&built.parts.tree);
        assert_eq!(set.index().total(), built.index().total());
        assert_eq!(set.accumulator().unwrap(), built.accumulator().unwrap());
        assert_eq!(set.sketch(), built.sketch());
    });
}

#[test]
fn a_duplicate_and_a_long_key_are_refused_and_change_nothing() {
    let mut set = MemorySet::with_symbols(&KEY, 64);
    let longest = Item::new(vec![1; Item::KEY_LEN_MAX], id(1));
    set.insert(&longest).unwrap();
    let (total, accumulator, sketch) = (set.index().total(), set.accumulator().unwrap(), set.sketch().clone());
    assert!(matches!(set.insert(&longest), Err(IndexError::Duplicate)));
    let too_long = Item::new(vec![1; Item::KEY_LEN_MAX + 1], id(2));
    assert!(matches!(set.insert(&too_long), Err(IndexError::KeyTooLong { len: 1_025 })));
    assert!(!set.remove(&too_long));
    assert_eq!((set.index().total(), set.accumulator().unwrap()), (total, accumulator));
    assert_eq!(set.sketch(), &sketch);
    // The same id under another key is another item.
    set.insert(&Item::new("", id(1))).unwrap();
    assert_eq!(set.len().unwrap(), 2);
}

#[test]
fn a_tree_of_the_longest_keys_holds() {
    let mut set = MemorySet::with_symbols(&KEY, 0);
    let mut items: Vec<Item> = (0..500u64)
        .map(|n| {
            let mut key = vec![5; Item::KEY_LEN_MAX];
            key[1_000..1_008].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            Item::new(key, id(n))
        })
        .collect();
    items.iter().for_each(|item| set.insert(item).unwrap());
    check_tree(&set.index.tree);
    check_tree(&set.parts.tree);
    items.sort();
    assert_eq!(items_of(&set, &Span::ALL), items);
    items.iter().for_each(|item| assert_eq!(set.find(&item.id.part()).unwrap().as_ref(), Some(item)));
    // Appended in order of their ids, so that leaves are full.
    check_tree(&PartIndex::of(&items).tree);
}

#[test]
fn building_refuses_duplicates_and_disorder() {
    let mut items: Vec<Item> = (0..100).map(item).collect();
    items.sort();
    let twice = items.iter().flat_map(|item| [item.clone(), item.clone()]);
    assert!(matches!(TreeIndex::from_sorted(&KEY, twice), Err(IndexError::Duplicate)));
    // Also across the border of two leaves.
    let mut border = items.clone();
    border.insert(32, items[31].clone());
    assert!(matches!(TreeIndex::from_sorted(&KEY, border), Err(IndexError::Duplicate)));
    items.swap(31, 32);
    assert!(matches!(TreeIndex::from_sorted(&KEY, items.clone()), Err(IndexError::Unordered)));
    items.push(items[0].clone());
    assert!(matches!(MemorySet::from_items(&KEY, 0, items), Err(IndexError::Duplicate)));
}

#[test]
fn bounds_in_disorder_are_refused() {
    let index = TreeIndex::from_sorted(&KEY, [item(1)]).unwrap();
    let behind = Bound { key: vec![1], id_prefix: Vec::new() };
    assert!(matches!(index.fingerprints_before(&[behind, Bound::MIN]), Err(IndexError::Unordered)));
}

fn nodes(run: impl FnOnce()) -> usize {
    super::touched::NODES.set(0);
    run();
    super::touched::NODES.get()
}

#[test]
fn each_operation_looks_at_one_path() {
    for_each_seed(1, |rng| {
        let mut items: Vec<Item> = (0..30_000).map(item).collect();
        items.sort();
        let mut index = TreeIndex::new(&KEY);
        (0..30_000).for_each(|n| index.insert(&item(n)).unwrap());
        let height = 1 + check_tree(&index.tree);
        // Nodes are a quarter full at least on average: 8^height is over the number of items only if the height is small.
        assert!(height <= 1 + (30_000f64.log2() / 8f64.log2()).ceil() as usize, "{height}");
        for _ in 0..200 {
            let (bound, n) = (some_bound(&items, rng), rng.below(30_000));
            assert!(nodes(|| drop(index.rank(&bound))) <= height);
            assert!(nodes(|| drop(index.select(n))) <= height);
            assert!(nodes(|| drop(index.fingerprints_before(std::slice::from_ref(&bound)))) <= height);
            assert!(nodes(|| drop(index.fingerprint(&Span { from: bound.clone(), to: Some(bound) }))) <= 2 * height);
            assert!(nodes(|| assert!(index.remove(&item(n)))) <= 2 * height);
            assert!(nodes(|| index.insert(&item(n)).unwrap()) <= 2 * height);
        }
        // A thousand bounds in one descent: no node is looked at twice.
        let bounds: Vec<Bound> =
            items.chunks(30).map(|chunk| Bound { key: chunk[0].key.clone(), id_prefix: Vec::new() }).collect();
        let leaves = 30_000 / 16;
        assert!(nodes(|| drop(index.fingerprints_before(&bounds))) <= bounds.len() + leaves / 4);
    });
}

#[test]
fn a_visitor_can_stop() {
    let mut items: Vec<Item> = (0..1_000).map(item).collect();
    items.sort();
    let index = TreeIndex::from_sorted(&KEY, items).unwrap();
    let mut seen = 0;
    let looked_at = nodes(|| {
        index
            .items(&Span::ALL, &mut |_, _| {
                seen += 1;
                if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
    });
    assert_eq!((seen, looked_at), (5, 3));
}

#[test]
fn a_snapshot_shares_all_but_the_path() {
    let mut items: Vec<Item> = (0..20_000).map(item).collect();
    items.sort();
    let mut index = TreeIndex::from_sorted(&KEY, items).unwrap();
    let snapshot = index.clone();
    index.insert(&item(20_000)).unwrap();
    let (Node::Inner(old), Node::Inner(new)) = (&snapshot.tree.root, &index.tree.root) else {
        panic!("two levels at least")
    };
    let address = |node: &Node<Keyed>| match node {
        Node::Inner(inner) => Arc::as_ptr(inner),
        Node::Leaf(_) => panic!("three levels at least"),
    };
    let old: Vec<_> = old.children.iter().map(address).collect();
    // One, or two if it was split.
    let copied = new.children.iter().filter(|node| !old.contains(&address(node))).count();
    assert!((1..=2).contains(&copied), "{copied}");
    assert_eq!(snapshot.len().unwrap(), 20_000);
}

#[test]
fn ids_that_begin_alike_are_told_apart() {
    let twin = |last: u8, key: &str| {
        let mut bytes = [3; 32];
        bytes[15] = last;
        Item::new(key, ItemId::from_bytes(bytes))
    };
    let mut set = MemorySet::with_symbols(&KEY, 0);
    let items = [twin(1, "a"), twin(2, "a"), twin(3, "b"), twin(4, "c")];
    items.iter().for_each(|item| set.insert(item).unwrap());
    for (gone, item) in items.iter().enumerate() {
        for item in &items[gone..] {
            assert_eq!(set.find(&item.id.part()).unwrap().as_ref(), Some(item));
        }
        assert_finds_all(&set, &items.each_ref().map(|item| item.id.part()));
        assert!(set.remove(item));
        assert_eq!(set.find(&item.id.part()).unwrap(), None);
    }
    assert_eq!(set.parts.tree.total, 0);
}

/// Bytes of all allocations of a tree, each rounded up as a common allocator does, with its own header.
fn held<K: Kind>(node: &Node<K>) -> usize {
    let allocation = |bytes: usize| (bytes + 8).next_multiple_of(16);
    match node {
        Node::Leaf(entries) => allocation(entries.held()),
        Node::Inner(inner) => {
            let below: usize = inner.children.iter().map(held).sum();
            let sums = inner.sums.capacity() * size_of::<K::Sum>();
            let children = inner.children.capacity() * size_of::<Node<K>>();
            let own = allocation(16 + size_of::<Inner<K>>());
            below + own + allocation(inner.separators.held()) + allocation(sums) + allocation(children)
        }
    }
}

#[test]
fn a_million_items_fit_in_100_megabytes() {
    // A tenth of them, inserted in no order, and with an index by id; what is per item does not grow with their number.
    const N: u64 = 100_000;
    let mut set = MemorySet::with_symbols(&KEY, 0);
    let mut keys = 0;
    for n in 0..N {
        let item = item(n);
        keys += item.key.len();
        set.insert(&item).unwrap();
    }
    assert!((23..=25).contains(&(keys / N as usize)), "keys of 8 to 40 bytes");
    let per_item = (held(&set.index.tree.root) + held(&set.parts.tree.root)) as f64 / N as f64;
    assert!(per_item < 100.0, "{per_item} bytes per item");
}
