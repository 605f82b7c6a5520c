//! Many threads that append at once.

use std::thread;

use syncline_log::store::Appended;
use syncline_log::{EncodedOperation, Link, LogStore, Operation};

use super::{all_encoded, append, assert_holds, author, ok, read_all, write};
use crate::generate::LogExtensions;

const THREADS: usize = 4;
const LENGTH: usize = 60;

pub(super) fn check<S: LogStore<u64>>(fresh: &impl Fn() -> S) {
    each_operation_is_new_once(&fresh());
    one_history_wins_at_each_place(&fresh());
    logs_grow_while_they_are_pruned(&fresh());
}

fn each_operation_is_new_once<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["x"; LENGTH]);
    let news: usize = run(|thread| {
        let mut news = 0;
        for batch in written.chunks(thread + 1) {
            let outcomes = append(store, 0, batch, Link::Next);
            assert!(outcomes.iter().all(Appended::is_stored), "thread {thread}: {outcomes:?}");
            news += outcomes.iter().filter(|outcome| **outcome == Appended::New).count();
        }
        news
    })
    .into_iter()
    .sum();
    assert_eq!(news, LENGTH, "each operation is new for one thread only");
    assert_holds(store, author.public_key(), 0, &all_encoded(&written));
}

fn one_history_wins_at_each_place<S: LogStore<u64>>(store: &S) {
    let histories: Vec<Vec<Operation<LogExtensions>>> =
        ["a", "b", "c", "d"].iter().map(|body| write(&mut author(1, 0), &[*body; LENGTH])).collect();
    run(|thread| {
        for batch in histories[thread].chunks(3) {
            append(store, 0, batch, Link::Next);
        }
    });
    let key = author(1, 0).public_key();
    let stored = read_all(store, key, 0);
    assert!(
        histories.iter().any(|history| all_encoded(history).iter().map(super::stored).eq(stored.iter().cloned())),
        "the log is one of the histories, and whole"
    );
    let forks = ok(store.forks(key, 0));
    assert!(!forks.is_empty(), "the others are noticed");
}

fn logs_grow_while_they_are_pruned<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let key = author.public_key();
    let written = write(&mut author, &["x"; LENGTH]);
    run(|thread| match thread {
        0 => {
            for operation in &written {
                let outcome = append(store, 0, std::slice::from_ref(operation), Link::Next);
                assert_eq!(outcome, [Appended::New]);
            }
        }
        1 => {
            for operation in &written[..LENGTH / 2] {
                ok(store.prune(key, 0, operation.header.seq_num));
            }
        }
        2 => {
            for operation in &written {
                ok(store.delete_payload(operation.hash));
            }
        }
        _ => {
            for _ in 0..LENGTH {
                let rows = read_all(store, key, 0);
                let numbers: Vec<u64> = rows.iter().map(|row| row.seq_num.get()).collect();
                // A stream reads several pages, and pruning may take away what it has not read yet.
                assert!(numbers.is_sorted_by(|a, b| a < b), "a log is read in order: {numbers:?}");
            }
        }
    });
    let rows = read_all(store, key, 0);
    let read: Vec<EncodedOperation> = rows.iter().filter_map(|row| row.decode().ok()).collect();
    assert!(read.iter().map(EncodedOperation::hash).eq(written[LENGTH - read.len()..].iter().map(|row| row.hash)));
    assert_eq!(ok(store.tip(key, 0)), author.tip());
}

/// Runs a job on each thread and gives the results in order.
fn run<T: Send>(job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let job = &job;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || job(number))).collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}
