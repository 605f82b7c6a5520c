//! What a change knows of the levels does not depend on the order in which it is asked.

use super::*;
use crate::stored::layout::level_of;

fn level(item: &Item) -> u8 {
    level_of(&Fingerprint::of(&KEY, &item.id))
}

fn sorted(range: std::ops::Range<u64>) -> Vec<Item> {
    let mut items: Vec<Item> = range.map(item).collect();
    items.sort();
    items
}

/// The rows of the items alone, put one by one.
fn straight<'a>(items: impl IntoIterator<Item = &'a Item>) -> MemoryDb {
    let db = MemoryDb::new();
    items.into_iter().for_each(|item| {
        commit(&db, &set(), |change| change.insert(item).unwrap());
    });
    db
}

/// Up and down through the set, over anchors that come and go in the same change, on a stored set and on an empty one.
#[test]
fn anchors_that_come_and_go_are_seen() {
    for_each_seed(12, |rng| {
        let all = sorted(0..500);
        let mut model: BTreeSet<Item> = all.iter().filter(|_| rng.below(3) == 0).cloned().collect();
        let db = straight(&model);
        for _ in 0..4 {
            commit(&db, &set(), |change| {
                for _ in 0..3 {
                    let from = rng.below(all.len() as u64) as usize;
                    let mut run: Vec<&Item> = all.iter().skip(from).take(rng.below(200) as usize).collect();
                    if rng.below(3) == 0 {
                        run.reverse();
                    }
                    // Anchors change more often than other items, and some at once back again.
                    for item in run {
                        let times = if level(item) > 0 { rng.below(4) } else { rng.below(3) / 2 };
                        for _ in 0..times {
                            if model.remove(item) {
                                assert!(change.remove(item).unwrap());
                            } else {
                                model.insert(item.clone());
                                change.insert(item).unwrap();
                            }
                        }
                    }
                }
            });
            set().check(&*db.snapshot().unwrap()).unwrap();
        }
        assert_eq!(canonical(&db), canonical(&straight(&model)));
    });
}

/// The last anchor of a level goes with its head, and comes back, all in one change.
#[test]
fn a_level_falls_out_of_use_and_into_use_again() {
    let items = sorted(0..150);
    let top: Vec<&Item> = items.iter().filter(|item| level(item) >= 1).collect();
    assert!(top.len() > 1 && level(&items[149]) == 0 && level(&items[0]) == 0);
    let db = straight(&items);
    for again in [false, true] {
        let copy = MemoryDb::new();
        let mut batch = Batch::new();
        rows(&*db.snapshot().unwrap(), KeyRange::all()).into_iter().for_each(|(key, value)| {
            batch.put(key, value);
        });
        copy.commit(batch, Durability::Immediate).unwrap();
        commit(&copy, &set(), |change| {
            top.iter().for_each(|item| assert!(change.remove(item).unwrap()));
            // An item behind and one before where the anchors were.
            for item in [&items[149], &items[0]] {
                assert!(change.remove(item).unwrap());
                change.insert(item).unwrap();
            }
            if again {
                top.iter().rev().for_each(|item| change.insert(item).unwrap());
            }
        });
        set().check(&*copy.snapshot().unwrap()).unwrap();
        let left = items.iter().filter(|item| again || level(item) < 1);
        assert_eq!(canonical(&copy), canonical(&straight(left)));
    }
}

/// Items in order under the same anchors read these once.
#[test]
fn items_in_order_read_few_rows() {
    const N: u64 = 5_000;
    let db = FaultDb::new(MemoryDb::new(), FaultScript::new()).unwrap();
    let (stored, new): (Vec<_>, Vec<_>) = sorted(0..N).into_iter().enumerate().partition(|(at, _)| at % 5 > 0);
    for chunk in stored.chunks(1_000) {
        commit(&db, &set(), |change| chunk.iter().for_each(|(_, item)| change.insert(item).unwrap()));
    }
    let new: Vec<&Item> = new.iter().map(|(_, item)| item).filter(|item| level(item) == 0).collect();
    let reads = |run: &mut dyn FnMut()| {
        let before = db.counts().reads;
        run();
        (db.counts().reads - before) as usize
    };
    let snapshot = db.snapshot().unwrap();
    let set = set();
    let mut change = set.change(&*snapshot).unwrap();
    let read = reads(&mut || new.iter().for_each(|item| change.insert(item).unwrap()));
    // Whether the item is there, and each anchor and the one behind it.
    let anchors = stored.iter().map(|(_, item)| usize::from(level(item))).sum::<usize>();
    assert!(read <= new.len() + 4 * anchors, "{read} rows for {} items and {anchors} anchors", new.len());
    assert_eq!(change.total().count, (stored.len() + new.len()) as u64);
}
