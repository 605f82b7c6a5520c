//! Many threads on one handle.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use syncline_storage::{Batch, CommitError, Database, Direction, Durability, KeyRange};

use super::{dump, get, scan, snapshot};

const WRITERS: u8 = 4;
const COMMITS: u64 = 25;

pub(super) fn check<D: Database>(fresh: &impl Fn() -> D) {
    batches_are_seen_whole(&fresh());
    one_of_two_wins(&fresh());
}

/// Each batch sets the same number under several keys far apart; no reader may ever see two numbers.
fn batches_are_seen_whole(db: &dyn Database) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write_whole_batches(db, writer))).collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    read_whole_batches(db);
                }
                read_whole_batches(db);
            });
        }
        let finished: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        // Set before a failure is passed on, or the readers would never end.
        done.store(true, Ordering::Relaxed);
        for result in finished {
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        }
    });
    assert_eq!(dump(db).len(), usize::from(WRITERS) * 3, "all commits of all threads are there");
}

fn keys(writer: u8) -> [Vec<u8>; 3] {
    [0x00, 0x70, 0xf0].map(|first| vec![first, writer])
}

fn write_whole_batches(db: &dyn Database, writer: u8) {
    for n in 1..=COMMITS {
        let mut batch = Batch::new();
        for key in keys(writer) {
            batch.put(key, n.to_be_bytes().to_vec());
        }
        let result = db.commit(batch, Durability::Immediate);
        assert!(result.is_ok(), "a commit beside others failed: {result:?}");
        assert_eq!(
            get(&*snapshot(db), &[0x00, writer]),
            Some(n.to_be_bytes().to_vec()),
            "a snapshot taken after a commit has returned shows that commit"
        );
    }
}

fn read_whole_batches(db: &dyn Database) {
    let snapshot = snapshot(db);
    for writer in 0..WRITERS {
        let [first, rest @ ..] = keys(writer).map(|key| get(&*snapshot, &key));
        for other in rest {
            assert_eq!(first, other, "a snapshot shows a part of a batch");
        }
    }
    let rows = scan(&*snapshot, KeyRange::all(), Direction::Reverse);
    assert_eq!(rows.len() % 3, 0, "a scan shows a part of a batch");
}

/// Threads raise one counter by compare and swap: none of their steps is lost or done twice.
fn one_of_two_wins(db: &dyn Database) {
    let lost = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..COMMITS {
                    while !raise_counter(db) {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let total = u64::from(WRITERS) * COMMITS;
    assert_eq!(
        get(&*snapshot(db), b"counter"),
        Some(total.to_be_bytes().to_vec()),
        "of two commits with the same precondition exactly one succeeds ({lost:?} lost the race)"
    );
}

fn raise_counter(db: &dyn Database) -> bool {
    let old = get(&*snapshot(db), b"counter");
    let number = old.as_deref().and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    let mut batch = Batch::new();
    match old {
        None => batch.require_absent("counter"),
        Some(old) => batch.require_equals("counter", old),
    };
    batch.put("counter", (number + 1).to_be_bytes().to_vec());
    match db.commit(batch, Durability::Immediate) {
        Ok(()) => true,
        Err(CommitError::Precondition { .. }) => false,
        Err(error) => panic!("a commit beside others failed: {error:?}"),
    }
}
