//! A check finds whatever is wrong with the rows.

use super::*;

fn filled() -> MemoryDb {
    let db = MemoryDb::new();
    commit(&db, &set(), |change| (0..300).for_each(|n| change.insert(&item(n)).unwrap()));
    (300..320).for_each(|n| {
        commit(&db, &set(), |change| change.insert(&item(n)).unwrap());
    });
    set().check(&*db.snapshot().unwrap()).unwrap();
    db
}

fn copy_with(from: &MemoryDb, batch: Batch) -> MemoryDb {
    let copy = MemoryDb::new();
    let mut all = Batch::new();
    for (key, value) in rows(&*from.snapshot().unwrap(), KeyRange::all()) {
        all.put(key, value);
    }
    copy.commit(all, Durability::Immediate).unwrap();
    copy.commit(batch, Durability::Immediate).unwrap();
    copy
}

fn assert_found(db: &MemoryDb, batch: Batch, what: &str) {
    let damaged = copy_with(db, batch);
    let found = set().check(&*damaged.snapshot().unwrap());
    assert!(matches!(found, Err(IndexError::Corrupt(_))), "{what}: {found:?}");
}

#[test]
fn a_flipped_bit_a_missing_row_an_extra_row() {
    let db = filled();
    let mut rng = Rng(9);
    for (at, (key, value)) in rows(&*db.snapshot().unwrap(), KeyRange::all()).into_iter().enumerate() {
        // Of the many items and parts, some; of all other rows, each.
        if key[0] <= 0x51 && at % 10 != 0 {
            continue;
        }
        let mut gone = Batch::new();
        gone.delete(key.clone());
        assert_found(&db, gone, "a missing row");

        let mut extra = Batch::new();
        let mut other = key.to_vec();
        *other.last_mut().unwrap() ^= 1;
        extra.put(other, value.clone());
        if key[0] != 0x53 {
            assert_found(&db, extra, "an extra row");
        }

        let mut flips = vec![0, value.len().saturating_sub(1), rng.below(value.len().max(1) as u64) as usize];
        flips.dedup();
        for at in flips {
            let mut flipped = value.to_vec();
            match flipped.get_mut(at) {
                Some(byte) => *byte ^= 1 << rng.below(8),
                None => flipped.push(0),
            }
            let mut batch = Batch::new();
            batch.put(key.clone(), flipped);
            assert_found(&db, batch, "a flipped bit");
        }
    }
}

#[test]
fn a_rebuild_repairs_all_but_the_items() {
    let db = filled();
    let mut batch = Batch::new();
    for (at, (key, _)) in rows(&*db.snapshot().unwrap(), KeyRange::prefix(&[0x51])).into_iter().enumerate() {
        if at % 2 == 0 {
            batch.delete(key);
        }
    }
    for (key, _) in rows(&*db.snapshot().unwrap(), KeyRange::prefix(&[0x52])) {
        batch.put(key, "nonsense");
    }
    for (key, _) in rows(&*db.snapshot().unwrap(), KeyRange::prefix(&[0x53])) {
        batch.put(key, "nonsense");
    }
    let damaged = copy_with(&db, batch);
    assert!(set().view(damaged.snapshot().unwrap()).is_err());
    assert!(set().change(&*damaged.snapshot().unwrap()).is_err());
    let batch = set().rebuild(&*damaged.snapshot().unwrap()).unwrap();
    damaged.commit(batch, Durability::Immediate).unwrap();
    set().check(&*damaged.snapshot().unwrap()).unwrap();
    assert_eq!(canonical(&damaged), canonical(&db));
}

#[test]
fn another_key_and_another_number_of_symbols_are_noticed() {
    let db = filled();
    for other in
        [StoredSet::with_symbols(b"s", &SetKey::from_bytes([1; 32]), 1_000), StoredSet::with_symbols(b"s", &KEY, 999)]
    {
        assert!(matches!(other.view(db.snapshot().unwrap()), Err(IndexError::Corrupt(_))));
        assert!(matches!(other.check(&*db.snapshot().unwrap()), Err(IndexError::Corrupt(_))));
        // A rebuild is the way to another number.
        let rebuilt = copy_with(&db, other.rebuild(&*db.snapshot().unwrap()).unwrap());
        other.check(&*rebuilt.snapshot().unwrap()).unwrap();
    }
}

/// Whatever stands in the rows, reading gives a result or an error.
#[test]
fn damaged_rows_make_nobody_panic() {
    let db = filled();
    let all = rows(&*db.snapshot().unwrap(), KeyRange::all());
    for_each_seed(200, |rng| {
        let mut batch = Batch::new();
        for _ in 0..1 + rng.below(5) {
            let (key, value) = &all[rng.below(all.len() as u64) as usize];
            let mut value = value.to_vec();
            value.truncate(rng.below(value.len() as u64 + 1) as usize);
            value.extend_from_slice(&rng.next().to_le_bytes()[..rng.below(9) as usize]);
            match rng.below(3) {
                0 => batch.delete(key.clone()),
                1 => batch.put(key.clone(), value),
                _ => batch.put(key.slice(..1 + rng.below(key.len() as u64) as usize), value),
            };
        }
        let damaged = copy_with(&db, batch);
        let snapshot = damaged.snapshot().unwrap();
        let _ = set().check(&*snapshot);
        let _ = set().rebuild(&*snapshot);
        if let Ok(mut change) = set().change(&*snapshot) {
            let _ = (change.insert(&item(1_000)), change.remove(&item(rng.below(300))), change.remove(&item(4)));
            let _ = change.write(&mut Batch::new());
        }
        if let Ok(view) = set().view(damaged.snapshot().unwrap()) {
            let bound = Bound { key: item(5).key, id_prefix: Vec::new() };
            let _ = (view.rank(&bound), view.select(100), view.symbols(0, 500), view.find(&id(7).part()));
            let _ = view.items(&Span::ALL, &mut |_, _| std::ops::ControlFlow::Continue(()));
        }
    });
}
