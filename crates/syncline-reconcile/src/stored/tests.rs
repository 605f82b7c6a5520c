mod damage;
mod faults;
mod levels;
mod spec;

use std::collections::BTreeSet;

use bytes::Bytes;
use syncline_storage::{
    Batch, Database, Direction, Durability, FaultDb, FaultScript, KeyRange, MemoryDb, Snapshot, TableId,
};

use super::*;
use crate::{
    Bound, Fingerprint, Item, MemorySet, ReconcileSet, Span, SummaryIndex,
    testing::{KEY, Rng, assert_agrees, for_each_seed, id, item, some_bound},
};

fn set() -> StoredSet {
    StoredSet::with_symbols(b"s", &KEY, 1_000)
}

fn commit(db: &dyn Database, set: &StoredSet, steps: impl FnOnce(&mut Change<'_>)) -> Batch {
    let snapshot = db.snapshot().unwrap();
    let mut change = set.change(&*snapshot).unwrap();
    steps(&mut change);
    let mut batch = Batch::new();
    change.write(&mut batch).unwrap();
    db.commit(batch.clone(), Durability::Eventual).unwrap();
    batch
}

fn rows(snapshot: &dyn Snapshot, range: KeyRange) -> Vec<(Bytes, Bytes)> {
    snapshot.scan(range, Direction::Forward).unwrap().map(Result::unwrap).collect()
}

/// The rows that depend on the items alone.
fn canonical(db: &dyn Database) -> Vec<(Bytes, Bytes)> {
    let snapshot = db.snapshot().unwrap();
    (0x50..=0x52).flat_map(|table| rows(&*snapshot, KeyRange::prefix(&[TableId(table).0]))).collect()
}

fn assert_same(view: &StoredView, memory: &MemorySet) {
    assert_eq!(view.fingerprint(&Span::ALL).unwrap(), memory.index().total());
    assert_eq!(view.accumulator().unwrap(), memory.accumulator().unwrap());
    let symbols = memory.sketch().symbols(0, usize::MAX);
    assert_eq!(view.symbol_count(), symbols.len());
    assert_eq!(view.symbols(0, usize::MAX).unwrap(), symbols);
    for (from, to) in
        [(0, 64), (64, 128), (100, 300), (130, 140), (900, 1_000), (999, 2_000), (500, 400), (1_000, 1_001)]
    {
        let expected = symbols.get(from..to.min(symbols.len())).unwrap_or_default();
        assert_eq!(view.symbols(from, to).unwrap(), expected, "{from}..{to}");
    }
}

/// Random changes, one to hundreds in a batch, against a set in memory.
fn random_set(rng: &mut Rng, commits: u64) -> (MemoryDb, MemorySet, BTreeSet<Item>) {
    let (db, set) = (MemoryDb::new(), set());
    let (mut memory, mut model) = (MemorySet::with_symbols(&KEY, 1_000), BTreeSet::new());
    let universe = 1 + rng.below(1_500);
    for _ in 0..commits {
        let count = if rng.below(4) == 0 { rng.below(300) } else { 1 + rng.below(3) };
        let removing = rng.below(3);
        commit(&db, &set, |change| {
            for _ in 0..count {
                let item = item(rng.below(universe));
                if rng.below(3) < removing {
                    let there = model.remove(&item);
                    assert_eq!(change.remove(&item).unwrap(), there);
                    memory.remove(&item);
                } else if model.insert(item.clone()) {
                    change.insert(&item).unwrap();
                    memory.insert(&item).unwrap();
                } else {
                    assert!(matches!(change.insert(&item), Err(IndexError::Duplicate)));
                }
                assert_eq!(change.contains(&item).unwrap(), model.contains(&item));
            }
            assert_eq!(change.total(), memory.index().total());
        });
        if rng.below(8) == 0 {
            set.check(&*db.snapshot().unwrap()).unwrap();
        }
    }
    (db, memory, model)
}

#[test]
fn says_what_a_scan_and_what_a_set_in_memory_say() {
    for_each_seed(8, |rng| {
        let (db, memory, model) = random_set(rng, 60);
        let items: Vec<Item> = model.into_iter().collect();
        set().check(&*db.snapshot().unwrap()).unwrap();
        let view = set().view(db.snapshot().unwrap()).unwrap();
        assert_agrees(&view, &items, rng, 40);
        assert_same(&view, &memory);
        for item in &items {
            assert!(view.contains(&item.key, &item.id).unwrap());
            assert_eq!(view.find(&item.id.part()).unwrap().as_ref(), Some(item));
        }
        assert_eq!(view.find(&id(u64::MAX).part()).unwrap(), None);
        assert!(!view.contains(b"", &id(1)).unwrap());
        // In memory and stored, span by span.
        for _ in 0..50 {
            let span = Span { from: some_bound(&items, rng), to: Some(some_bound(&items, rng)) };
            assert_eq!(view.fingerprint(&span).unwrap(), memory.fingerprint(&span).unwrap());
        }
    });
}

#[test]
fn rows_do_not_depend_on_the_way_they_came_about() {
    for_each_seed(10, |rng| {
        let (db, memory, model) = random_set(rng, 40);
        let straight = MemoryDb::new();
        for chunk in model.iter().rev().collect::<Vec<_>>().chunks(100) {
            commit(&straight, &set(), |change| chunk.iter().for_each(|item| change.insert(item).unwrap()));
        }
        assert_eq!(canonical(&db), canonical(&straight));
        assert_same(&set().view(straight.snapshot().unwrap()).unwrap(), &memory);

        let rebuilt = MemoryDb::new();
        let mut batch = Batch::new();
        model.iter().for_each(|item| set().put_item(&mut batch, item).unwrap());
        rebuilt.commit(batch, Durability::Immediate).unwrap();
        if !model.is_empty() {
            assert!(matches!(set().check(&*rebuilt.snapshot().unwrap()), Err(IndexError::Corrupt(_))));
        }
        let batch = set().rebuild(&*rebuilt.snapshot().unwrap()).unwrap();
        rebuilt.commit(batch, Durability::Immediate).unwrap();
        assert_eq!(canonical(&db), canonical(&rebuilt));
        set().check(&*rebuilt.snapshot().unwrap()).unwrap();
        assert_same(&set().view(rebuilt.snapshot().unwrap()).unwrap(), &memory);

        // And it goes on from there; in the end nothing is left but the state.
        commit(&rebuilt, &set(), |change| model.iter().for_each(|item| assert!(change.remove(item).unwrap())));
        set().check(&*rebuilt.snapshot().unwrap()).unwrap();
        assert!(rebuilt.len() <= 1 + 7, "{}", rebuilt.len());
        assert_eq!(canonical(&rebuilt), []);
    });
}

#[test]
fn sets_share_a_database() {
    let db = MemoryDb::new();
    let sets = [&b""[..], b"a", b"a\0", b"ab", b"\xff"].map(|name| StoredSet::with_symbols(name, &KEY, 200));
    for (set, from) in sets.iter().zip((0..).step_by(50)) {
        commit(&db, set, |change| (from..from + 100).for_each(|n| change.insert(&item(n)).unwrap()));
    }
    let mut batch = Batch::new();
    sets[1].clear(&mut batch);
    db.commit(batch, Durability::Immediate).unwrap();
    for (n, set) in sets.iter().enumerate() {
        set.check(&*db.snapshot().unwrap()).unwrap();
        let view = set.view(db.snapshot().unwrap()).unwrap();
        let items: BTreeSet<Item> = (0..100).map(|i| item(50 * n as u64 + i)).filter(|_| n != 1).collect();
        assert_agrees(&view, &items.into_iter().collect::<Vec<_>>(), &mut Rng(1), 10);
    }
}

#[test]
fn an_empty_set_needs_no_rows() {
    let db = MemoryDb::new();
    let view = set().view(db.snapshot().unwrap()).unwrap();
    assert_agrees(&view, &[], &mut Rng(1), 10);
    assert_same(&view, &MemorySet::with_symbols(&KEY, 1_000));
    set().check(&*db.snapshot().unwrap()).unwrap();
    assert!(commit(&db, &set(), |change| assert!(!change.remove(&item(1)).unwrap())).is_empty());
}

#[test]
fn long_keys_and_zeros_in_keys() {
    let (db, set) = (MemoryDb::new(), set());
    let mut items = vec![
        Item::new(vec![0; Item::KEY_LEN_MAX], id(1)),
        Item::new("", id(2)),
        Item::new([0], id(3)),
        Item::new([0, 0xff], id(4)),
        Item::new([0xff; 9], id(5)),
    ];
    commit(&db, &set, |change| {
        items.iter().for_each(|item| change.insert(item).unwrap());
        let too_long = Item::new(vec![0; Item::KEY_LEN_MAX + 1], id(1));
        assert!(matches!(change.insert(&too_long), Err(IndexError::KeyTooLong { len: 1_025 })));
        assert!(!change.remove(&too_long).unwrap());
    });
    items.sort();
    assert_agrees(&set.view(db.snapshot().unwrap()).unwrap(), &items, &mut Rng(2), 30);
    set.check(&*db.snapshot().unwrap()).unwrap();
}

#[test]
fn every_number_of_symbols_works() {
    for symbols in [0, 1, 127, 128, 129, 256, 257, 640] {
        let set = StoredSet::with_symbols(b"s", &KEY, symbols);
        let (db, mut memory) = (MemoryDb::new(), MemorySet::with_symbols(&KEY, symbols));
        for n in 0..40 {
            commit(&db, &set, |change| {
                change.insert(&item(n)).unwrap();
                memory.insert(&item(n)).unwrap();
                if n % 3 == 2 {
                    change.remove(&item(n - 1)).unwrap();
                    memory.remove(&item(n - 1));
                }
            });
            let view = set.view(db.snapshot().unwrap()).unwrap();
            assert_eq!(view.symbols(0, usize::MAX).unwrap(), memory.sketch().symbols(0, usize::MAX));
        }
        set.check(&*db.snapshot().unwrap()).unwrap();
    }
}

#[test]
fn a_change_writes_few_rows_and_a_question_reads_few() {
    const N: u64 = 20_000;
    let set = StoredSet::new(b"s", &KEY);
    let db = FaultDb::new(MemoryDb::new(), FaultScript::new()).unwrap();
    for from in (0..N).step_by(1_000) {
        commit(&db, &set, |change| (from..from + 1_000).for_each(|n| change.insert(&item(n)).unwrap()));
    }
    let levels = 1 + (N as f64).log(16.0).ceil() as usize;
    let (mut sum, mut most) = (0, 0);
    for n in N..N + 500 {
        let written = commit(&db, &set, |change| change.insert(&item(n)).unwrap()).len();
        sum += written;
        most = most.max(written);
        assert!(commit(&db, &set, |change| assert!(change.remove(&item(n - 500)).unwrap())).len() <= 4 + 2 * levels);
    }
    // The item, its part, the state, a page, and a row of each level; two where the item is an anchor.
    let mean = sum as f64 / 500.0;
    assert!(mean <= 4.0 + 0.2 + levels as f64 && most <= 4 + levels + 4, "mean {mean}, most {most}");

    let mut items: Vec<Item> = (500..N + 500).map(item).collect();
    items.sort();
    let view = set.view(db.snapshot().unwrap()).unwrap();
    let reads = |run: &mut dyn FnMut()| {
        let before = db.counts().reads;
        run();
        (db.counts().reads - before) as usize
    };
    let (mut rng, mut read) = (Rng(5), 0);
    for _ in 0..200 {
        let (from, to) = (some_bound(&items, &mut rng), some_bound(&items, &mut rng));
        let one = reads(&mut || drop(view.fingerprint(&Span { from: from.clone(), to: Some(to.clone()) })));
        // On each of four levels some 16 rows on average for each end, and seldom five times as many.
        assert!(one <= 2 * levels * 16 * 5, "{one}");
        read += one;
        assert!(reads(&mut || drop(view.select(rng.below(N)))) <= levels * 16 * 5);
    }
    assert!(read / 200 <= 2 * levels * 20, "{} rows per question", read / 200);
    // Places that come together share what they read: never more than everything once.
    let bounds: Vec<Bound> =
        items.chunks(4).map(|chunk| Bound { key: chunk[0].key.clone(), id_prefix: vec![] }).collect();
    let all = reads(&mut || drop(view.fingerprints_before(&bounds)));
    assert!(all <= 3 * N as usize / 2, "{all}");
    assert_eq!(view.fingerprint(&Span::ALL).unwrap().count, N);
    assert_ne!(view.fingerprint(&Span::ALL).unwrap(), Fingerprint::EMPTY);
}
