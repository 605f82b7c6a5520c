//! Random operations, compared with a map that is obviously right.

use std::collections::BTreeMap;

use syncline_storage::{Batch, CommitError, Database, Direction, Durability, KeyRange, Op, Snapshot};

use super::{dump, get, scan, snapshot};
use crate::seed::{Rng, for_each_seed};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const SEEDS: u64 = 12;
const STEPS: usize = 60;

pub(super) fn check<D: Database>(fresh: &impl Fn() -> D, reopen: Option<&dyn Fn(D) -> D>) {
    for_each_seed(0..SEEDS, |seed| {
        let mut rng = Rng::new(seed);
        let (mut db, mut model) = (fresh(), Model::new());
        let mut kept: Vec<(Box<dyn Snapshot>, Model)> = Vec::new();
        for _ in 0..STEPS {
            commit_both(&db, &mut model, &mut rng);
            match rng.below(12) {
                0 => kept.push((snapshot(&db), model.clone())),
                1 => drop(rng.chance(1, 2).then(|| kept.pop())),
                2 => {
                    // Snapshots keep some engines open.
                    if let Some(reopen) = reopen {
                        kept.clear();
                        let barrier = db.commit(Batch::new(), Durability::Immediate);
                        assert!(barrier.is_ok(), "an empty batch failed: {barrier:?}");
                        db = reopen(db);
                    }
                }
                _ => {}
            }
            compare(&*snapshot(&db), &model, &mut rng);
        }
        for (snapshot, model) in &kept {
            compare(&**snapshot, model, &mut rng);
        }
        assert!(dump(&db).into_iter().eq(model), "after all steps the database differs from the model");
    });
}

/// Short keys of few different bytes, so that they meet; now and then a long one.
fn key(rng: &mut Rng) -> Vec<u8> {
    const BYTES: [u8; 5] = [0x00, 0x01, 0x61, 0xfe, 0xff];
    let mut key: Vec<u8> = (0..=rng.index(3)).map(|_| BYTES[rng.index(BYTES.len())]).collect();
    if rng.chance(1, 20) {
        key.resize(key.len() + 300, 0x61);
    }
    key
}

fn value(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(10) {
        0 => 0,
        1..8 => rng.index(40),
        8 => rng.index(2_000),
        _ => rng.index(20_000),
    };
    rng.bytes(len)
}

fn range(rng: &mut Rng) -> KeyRange {
    let range = if rng.chance(1, 2) { KeyRange::prefix(&key(rng)) } else { KeyRange::all() };
    let range = match rng.below(3) {
        0 => range.starting_at(key(rng)),
        1 => range.after(key(rng)),
        _ => range,
    };
    match rng.below(3) {
        0 => range.before(key(rng)),
        1 => range.up_to(key(rng)),
        _ => range,
    }
}

fn batch(model: &Model, rng: &mut Rng) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..rng.index(8) {
        match rng.below(10) {
            0..6 => batch.put(key(rng), value(rng)),
            6..9 => batch.delete(key(rng)),
            _ => batch.delete_range(range(rng)),
        };
    }
    for _ in 0..rng.index(3) {
        let key = key(rng);
        // Mostly what holds, or hardly any batch would be applied.
        match (model.get(&key), rng.chance(4, 5)) {
            (Some(value), true) => batch.require_equals(key, value.clone()),
            (None, true) => batch.require_absent(key),
            (Some(_), false) => batch.require_absent(key),
            (None, false) => batch.require_equals(key, value(rng)),
        };
    }
    batch
}

fn commit_both(db: &dyn Database, model: &mut Model, rng: &mut Rng) {
    let durability = match rng.chance(1, 3) {
        true => Durability::Eventual,
        false => Durability::Immediate,
    };
    let count = if rng.chance(1, 4) { rng.index(4) } else { 1 };
    // All are made for the state before the first, so that some of the later preconditions fail.
    let batches: Vec<Batch> = (0..count).map(|_| batch(model, rng)).collect();
    let expected: Vec<Option<Vec<u8>>> = batches.iter().map(|batch| apply(batch, model)).collect();
    let results = match <[Batch; 1]>::try_from(batches) {
        Ok([single]) => vec![db.commit(single, durability)],
        Err(batches) => db.commit_all(batches, durability),
    };
    let found: Vec<Option<Vec<u8>>> = results.into_iter().map(failed_key).collect();
    assert_eq!(found, expected, "which batches fail, and on which key");
}

fn failed_key(result: Result<(), CommitError>) -> Option<Vec<u8>> {
    match result {
        Ok(()) => None,
        Err(CommitError::Precondition { key, .. }) => Some(key.into()),
        Err(error) => panic!("a commit failed: {error:?}"),
    }
}

/// Gives the key of the first precondition that fails.
fn apply(batch: &Batch, model: &mut Model) -> Option<Vec<u8>> {
    for precondition in batch.preconditions() {
        let found = model.get(&precondition.key()[..]).map(|value| &value[..]);
        if !precondition.holds(found) {
            return Some(precondition.key().to_vec());
        }
    }
    for op in batch.ops() {
        match op {
            Op::Put { key, value } => drop(model.insert(key.to_vec(), value.to_vec())),
            Op::Delete { key } => drop(model.remove(&key[..])),
            Op::DeleteRange { range } => model.retain(|key, _| !range.contains(key)),
        }
    }
    None
}

fn compare(snapshot: &dyn Snapshot, model: &Model, rng: &mut Rng) {
    for _ in 0..4 {
        let key = key(rng);
        assert!(get(snapshot, &key).as_ref() == model.get(&key), "get of {key:?}");
        let range = range(rng);
        let rows = || model.iter().filter(|(key, _)| range.contains(key));
        let found = scan(snapshot, range.clone(), Direction::Forward);
        assert!(found.iter().map(|(key, value)| (key, value)).eq(rows()), "forward scan of {range:?}");
        let found = scan(snapshot, range.clone(), Direction::Reverse);
        assert!(found.iter().map(|(key, value)| (key, value)).eq(rows().rev()), "reverse scan of {range:?}");
    }
}
