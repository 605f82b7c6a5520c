//! What every [`LogStore`] promises, as tests for a store of your own.

mod append;
mod cursors;
mod deletion;
mod forks;
mod model;
mod reading;
mod reopen;
mod threads;

use std::future::Future;

use futures::executor::block_on;
use syncline_crypto::PublicKey;
use syncline_log::store::{Appended, CursorStore, NewOperation, Page, StoreError, StoredOperation};
use syncline_log::{EncodedOperation, Link, LogStore, Operation, SeqNum, SeqRange};

use crate::generate::{Author, LogExtensions, Step, encoded, signing_key};
use crate::seed::Rng;

/// Checks the contract of [`LogStore`] on stores from `fresh`, which gives a new and empty one at each call.
///
/// Covered: every outcome of an append alone and within a batch, empty batches, heights, pages of all sizes, streams,
/// lookups by hash, prune flags, pruning, deleted payloads and logs, places at both ends of the number range, forks and
/// their bound, listing, threads that append the same and different histories, and random calls compared with a naive
/// model. Not covered, since it takes a crash: durability. See [`log_store_with_reopen`].
///
/// Futures are polled on this thread and on threads of the suite's own. A store that needs a runtime gets it by a call
/// within its context. The random part takes `SEED=n` from the environment and prints the seed of a failure.
///
/// ```
/// use syncline_log::MemoryStore;
///
/// // In your crate this is the body of one `#[test]`.
/// syncline_testkit::conformance::log_store(MemoryStore::new);
/// ```
///
/// # Panics
///
/// With the rule that is broken.
pub fn log_store<S: LogStore<u64>>(fresh: impl Fn() -> S) {
    append::check(&fresh);
    reading::check(&fresh);
    deletion::check(&fresh);
    forks::check(&fresh);
    threads::check(&fresh);
    model::check(&fresh, None);
}

/// As [`log_store`], and that everything is there after a clean close: `reopen` closes the store it is given and opens
/// the same one again.
///
/// # Panics
///
/// With the rule that is broken.
pub fn log_store_with_reopen<S: LogStore<u64>>(fresh: impl Fn() -> S, reopen: impl Fn(S) -> S) {
    log_store(&fresh);
    reopen::check(&fresh, &reopen);
    model::check(&fresh, Some(&reopen));
}

/// Checks the contract of [`CursorStore`] on stores from `fresh`, which gives a new and empty one at each call.
///
/// # Panics
///
/// With the rule that is broken.
pub fn cursor_store<S: CursorStore<u64>>(fresh: impl Fn() -> S) {
    cursors::check(&fresh);
}

/// Waits for a call and insists that it works.
#[track_caller]
fn ok<T>(call: impl Future<Output = Result<T, StoreError>>) -> T {
    match block_on(call) {
        Ok(answer) => answer,
        Err(error) => panic!("a call on a healthy store failed: {error:?}"),
    }
}

/// An author with a key of its own for each number.
fn author(number: u64, log_id: u64) -> Author {
    Author::new(signing_key(&mut Rng::new(number)), log_id)
}

fn new(log_id: u64, operation: &Operation<LogExtensions>, link: Link) -> NewOperation<u64> {
    NewOperation { log_id, operation: encoded(operation), link }
}

/// Writes operations with these bodies.
fn write(author: &mut Author, bodies: &[&'static str]) -> Vec<Operation<LogExtensions>> {
    bodies.iter().map(|body| author.write(Step::body(*body))).collect()
}

fn append<S: LogStore<u64>>(
    store: &S,
    log_id: u64,
    operations: &[Operation<LogExtensions>],
    link: Link,
) -> Vec<Appended> {
    ok(store.append(operations.iter().map(|operation| new(log_id, operation, link)).collect()))
}

/// Appends operations that must be new.
#[track_caller]
fn append_new<S: LogStore<u64>>(store: &S, log_id: u64, operations: &[Operation<LogExtensions>]) {
    let outcomes = append(store, log_id, operations, Link::Next);
    assert_eq!(outcomes, vec![Appended::New; operations.len()], "operations that extend a log are new");
}

/// All operations of a log.
fn read_all<S: LogStore<u64>>(store: &S, author: PublicKey, log_id: u64) -> Vec<StoredOperation> {
    read_pages(store, author, log_id, 1 << 16).into_iter().flat_map(|page| page.operations).collect()
}

/// The pages of a log. They must go on, or a broken store would keep the suite busy for ever.
#[track_caller]
fn read_pages<S: LogStore<u64>>(store: &S, author: PublicKey, log_id: u64, bytes_max: usize) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut range = SeqRange::ALL;
    loop {
        let page = ok(store.read(author, log_id, range, bytes_max));
        let numbers: Vec<SeqNum> = page.operations.iter().map(|row| row.seq_num).collect();
        assert!(numbers.iter().all(|number| range.contains(*number)), "a page has operations of its range only");
        assert!(numbers.is_sorted_by(|a, b| a < b), "a page is in order");
        let next = page.next;
        pages.push(page);
        let Some(next) = next else { return pages };
        let goes_on = numbers.last().is_some_and(|last| *last < next) && next <= range.to;
        assert!(goes_on, "a page that is not the last has an operation, and the next one begins behind it");
        range.from = next;
    }
}

/// Insists that a log holds exactly these operations.
#[track_caller]
fn assert_holds<S: LogStore<u64>>(store: &S, author: PublicKey, log_id: u64, expected: &[EncodedOperation]) {
    let found = read_all(store, author, log_id);
    let expected: Vec<StoredOperation> = expected.iter().map(stored).collect();
    assert_eq!(found, expected, "the operations of a log, exactly as they were appended");
}

fn stored(operation: &EncodedOperation) -> StoredOperation {
    let (header, body) = operation.clone().into_parts();
    StoredOperation::new(operation.seq_num(), header, body)
}

fn all_encoded(operations: &[Operation<LogExtensions>]) -> Vec<EncodedOperation> {
    operations.iter().map(encoded).collect()
}

const fn seq(number: u64) -> SeqNum {
    SeqNum::new(number)
}

/// The guide's examples run with the tests of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../../../docs/guide/store.md")]
mod guide {}
