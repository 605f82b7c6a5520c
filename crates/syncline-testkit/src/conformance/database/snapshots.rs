//! Snapshots see one state, and go on seeing it.

use syncline_storage::{Database, Direction, KeyRange};

use super::{Row, commit, dump, scan, snapshot};

pub(super) fn check<D: Database>(fresh: &impl Fn() -> D) {
    see_no_later_commit(&fresh());
    a_scan_is_not_disturbed(&fresh());
    outlive_the_handle(fresh());
}

fn see_no_later_commit(db: &dyn Database) {
    let mut kept = vec![(snapshot(db), Vec::<Row>::new())];
    for round in 0..20u8 {
        commit(db, |batch| {
            for n in 0..50u8 {
                batch.put(vec![n, round % 7], vec![round, n]);
            }
            batch.delete_range(KeyRange::prefix(&[round]));
        });
        kept.push((snapshot(db), dump(db)));
    }
    for (round, (snapshot, rows)) in kept.iter().enumerate() {
        let found = scan(&**snapshot, KeyRange::all(), Direction::Forward);
        assert!(found == *rows, "snapshot {round} shows later commits");
    }
}

fn a_scan_is_not_disturbed(db: &dyn Database) {
    commit(db, |batch| {
        for n in 0..200u8 {
            batch.put(vec![n], "old");
        }
    });
    let before = snapshot(db);
    for direction in [Direction::Forward, Direction::Reverse] {
        let rows = match before.scan(KeyRange::all(), direction) {
            Ok(rows) => rows,
            Err(error) => panic!("a scan failed: {error:?}"),
        };
        let mut seen = 0;
        for (at, row) in rows.enumerate() {
            let Ok((key, value)) = row else { panic!("a scan failed beside a commit: {row:?}") };
            assert!(value == "old" && key.len() == 1, "a scan shows a later commit");
            if at % 20 == 0 {
                commit(db, |batch| {
                    batch.delete_range(KeyRange::all()).put(vec![1, 1], "new");
                });
            }
            seen += 1;
        }
        assert_eq!(seen, 200, "a scan loses rows to a later commit");
    }
}

fn outlive_the_handle<D: Database>(db: D) {
    commit(&db, |batch| {
        batch.put("a", "1");
    });
    let before = snapshot(&db);
    drop(db);
    let found = scan(&*before, KeyRange::all(), Direction::Forward);
    assert_eq!(found, super::rows(&[("a", "1")]), "a snapshot owns what it needs and may outlive the handle");
}
