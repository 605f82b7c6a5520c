//! Single rows, scans and limits.

use syncline_storage::{Batch, CommitError, Database, Direction, Durability, KeyRange, StorageErrorKind};

use super::{commit, dump, get, rows, scan, snapshot, try_commit};

pub(super) fn check<D: Database>(fresh: &impl Fn() -> D) {
    single_rows(&fresh());
    empty_keys_and_values(&fresh());
    long_values(&fresh());
    limits(&fresh());
    order_is_by_unsigned_bytes(&fresh());
    bounds(&fresh());
    prefixes(&fresh());
    many_rows(&fresh());
    scans_that_are_dropped(&fresh());
}

fn single_rows(db: &dyn Database) {
    assert_eq!(dump(db), [], "a fresh database is empty");
    commit(db, |batch| {
        batch.put("b", "1").put("a", "2");
    });
    let found = snapshot(db);
    assert_eq!(get(&*found, b"a"), Some(b"2".to_vec()), "what was put is there");
    assert_eq!(get(&*found, b"b"), Some(b"1".to_vec()), "what was put is there");
    for absent in [&b""[..], b"c", b"aa", b"a\0", b"\0", b"\xff"] {
        assert_eq!(get(&*found, absent), None, "what was not put is not there");
    }
    commit(db, |batch| {
        batch.put("a", "3").delete("b").delete("never there");
    });
    assert_eq!(dump(db), rows(&[("a", "3")]), "a put replaces, a delete removes");
    commit(db, |batch| {
        batch.delete("a");
    });
    assert_eq!(dump(db), [], "the last row can be removed");
}

fn empty_keys_and_values(db: &dyn Database) {
    commit(db, |batch| {
        batch.put("empty", "").put("\0", "zero");
    });
    let found = snapshot(db);
    assert_eq!(get(&*found, b"empty"), Some(Vec::new()), "an empty value is a value");
    assert_eq!(get(&*found, b"\0"), Some(b"zero".to_vec()), "a zero byte is a key");
    let fills: [fn(&mut Batch); 4] = [
        |batch| {
            batch.put("x", "").put("", "y");
        },
        |batch| {
            batch.put("x", "").delete("");
        },
        |batch| {
            batch.put("x", "").require_absent("");
        },
        |batch| {
            batch.put("x", "").require_equals("", "");
        },
    ];
    for fill in fills {
        let refused = try_commit(db, fill);
        assert_kind(&refused, StorageErrorKind::EmptyKey);
        assert_eq!(dump(db), rows(&[("\0", "zero"), ("empty", "")]), "a batch with an empty key changes nothing");
    }
}

fn long_values(db: &dyn Database) {
    let len = db.limits().max_value_len.min(1 << 20);
    let (first, second) = (vec![0x5a; len], vec![0xa5; len]);
    commit(db, |batch| {
        batch.put("a", "1").put("long", first.clone()).put("z", "2");
    });
    let before = snapshot(db);
    commit(db, |batch| {
        batch.put("long", second.clone());
    });
    assert!(get(&*before, b"long") == Some(first), "a long value is stored whole");
    let found = snapshot(db);
    assert!(get(&*found, b"long") == Some(second.clone()), "a long value is replaced whole");
    let all = scan(&*found, KeyRange::all(), Direction::Reverse);
    assert!(all.get(1).is_some_and(|(_, value)| *value == second), "a scan gives long values");
    commit(db, |batch| {
        batch.delete("long");
    });
    assert_eq!(dump(db), rows(&[("a", "1"), ("z", "2")]), "a long value is removed");
}

fn limits(db: &dyn Database) {
    let limits = db.limits();
    let longest = vec![7u8; limits.max_key_len];
    commit(db, |batch| {
        batch.put(longest.clone(), "longest key");
    });
    let found = snapshot(db);
    assert_eq!(get(&*found, &longest), Some(b"longest key".to_vec()), "a key of max_key_len bytes can be stored");
    let mut over = longest.clone();
    over.push(7);
    assert_eq!(get(&*found, &over), None, "a key that is too long is not there");
    let refused = try_commit(db, |batch| {
        batch.put("x", "").put(over, "");
    });
    assert_kind(&refused, StorageErrorKind::TooLarge);
    // Whoever has larger limits than this is trusted with them: the test must fit into memory.
    if limits.max_value_len <= 64 << 20 {
        commit(db, |batch| {
            batch.put("largest", vec![1; limits.max_value_len]);
        });
        let refused = try_commit(db, |batch| {
            batch.put("x", "").put("larger", vec![1; limits.max_value_len + 1]);
        });
        assert_kind(&refused, StorageErrorKind::TooLarge);
        commit(db, |batch| {
            batch.delete("largest");
        });
    }
    let left: Vec<Vec<u8>> = dump(db).into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [longest], "a batch over a limit changes nothing");
}

#[track_caller]
fn assert_kind(result: &Result<(), CommitError>, kind: StorageErrorKind) {
    match result {
        Err(CommitError::Storage(error)) if error.kind() == kind => {}
        other => panic!("expected a refusal with {kind:?}, not {other:?}"),
    }
}

/// Keys next to each other in all the ways that an engine may get wrong.
const KEYS: [&[u8]; 12] =
    [b"\0", b"\0\0", b"\0\xff", b"\x01", b"a", b"a\0", b"ab", b"b", b"\x7f", b"\x80", b"\xff", b"\xff\xff"];

fn put_keys(db: &dyn Database) {
    commit(db, |batch| {
        for key in KEYS.iter().rev() {
            batch.put(*key, *key);
        }
    });
}

fn order_is_by_unsigned_bytes(db: &dyn Database) {
    put_keys(db);
    let found: Vec<Vec<u8>> = dump(db).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, KEYS, "keys are ordered as unsigned bytes, a prefix first");
}

fn bounds(db: &dyn Database) {
    put_keys(db);
    let found = snapshot(db);
    let mut ranges = vec![KeyRange::all()];
    for low in KEYS.into_iter().chain([&b""[..], b"aa", b"\xff\xff\xff"]) {
        ranges.push(KeyRange::all().starting_at(low));
        ranges.push(KeyRange::all().after(low));
        ranges.push(KeyRange::all().before(low));
        ranges.push(KeyRange::all().up_to(low));
        for high in KEYS.into_iter().chain([&b""[..], b"aa", b"\xff\xff\xff"]) {
            ranges.push(KeyRange::all().starting_at(low).before(high));
            ranges.push(KeyRange::all().starting_at(low).up_to(high));
            ranges.push(KeyRange::all().after(low).before(high));
            ranges.push(KeyRange::all().after(low).up_to(high));
        }
    }
    for range in ranges {
        let mut expected: Vec<&[u8]> = KEYS.into_iter().filter(|key| range.contains(key)).collect();
        let forward = scan(&*found, range.clone(), Direction::Forward);
        assert!(forward.iter().map(|(key, _)| key).eq(expected.iter()), "forward scan of {range:?}: {forward:?}");
        expected.reverse();
        let reverse = scan(&*found, range.clone(), Direction::Reverse);
        assert!(reverse.iter().map(|(key, _)| key).eq(expected.iter()), "reverse scan of {range:?}: {reverse:?}");
    }
}

fn prefixes(db: &dyn Database) {
    put_keys(db);
    let found = snapshot(db);
    for prefix in [&b""[..], b"\0", b"a", b"ab", b"abc", b"\xff", b"\xff\xff", b"\xff\xff\xff"] {
        let expected: Vec<&[u8]> = KEYS.into_iter().filter(|key| key.starts_with(prefix)).collect();
        let rows = scan(&*found, KeyRange::prefix(prefix), Direction::Forward);
        assert!(rows.iter().map(|(key, _)| key).eq(expected.iter()), "scan of the prefix {prefix:?}: {rows:?}");
    }
}

/// More rows than fit on a page, so that scans and deletes cross inner nodes.
fn many_rows(db: &dyn Database) {
    const COUNT: u32 = 20_000;
    let value = [9u8; 40];
    for from in (0..COUNT).step_by(5_000) {
        commit(db, |batch| {
            for n in from..from + 5_000 {
                // A permutation, so that they do not come in order.
                let n = n.wrapping_mul(7_919) % COUNT;
                batch.put(n.to_be_bytes().to_vec(), value.to_vec());
            }
        });
    }
    let keys: Vec<Vec<u8>> = dump(db).into_iter().map(|(key, _)| key).collect();
    assert!(
        keys.iter().eq((0..COUNT).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>().iter()),
        "all of {COUNT} rows are there in order"
    );
    commit(db, |batch| {
        for n in (0..COUNT).filter(|n| n % 3 != 0) {
            batch.delete(n.to_be_bytes().to_vec());
        }
    });
    let left = dump(db).len();
    let expected = usize::try_from(COUNT.div_ceil(3)).unwrap_or(usize::MAX);
    assert_eq!(left, expected, "deletes leave the other rows");
}

fn scans_that_are_dropped(db: &dyn Database) {
    put_keys(db);
    let found = snapshot(db);
    for take in 0..3 {
        let rows = match found.scan(KeyRange::all(), Direction::Forward) {
            Ok(rows) => rows.take(take).count(),
            Err(error) => panic!("a scan failed: {error:?}"),
        };
        assert_eq!(rows, take, "a scan may be left before its end");
    }
    drop(found);
    let barrier = db.commit(Batch::new(), Durability::Immediate);
    assert!(barrier.is_ok(), "an empty batch is a barrier and succeeds: {barrier:?}");
}
