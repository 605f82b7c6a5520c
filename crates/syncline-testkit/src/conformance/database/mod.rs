//! What every [`Database`] promises, as tests for an engine of your own.
//!
//! ```
//! use syncline_storage::MemoryDb;
//!
//! // In your crate this is the body of one `#[test]`.
//! syncline_testkit::conformance::database(MemoryDb::new);
//! ```

mod batches;
mod model;
mod preconditions;
mod reopen;
mod rows;
mod snapshots;
mod threads;

use syncline_storage::{Batch, CommitError, Database, Direction, Durability, KeyRange, Snapshot};

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// Checks the contract of [`Database`] on databases from `fresh`, which gives a new and empty one at each call.
///
/// Covered: reads and scans both ways at all kinds of bounds, prefixes that end in `0xff`, empty keys and values, values
/// of 1 MiB, limits, atomicity of batches, order within a batch, range deletes, preconditions alone and in
/// [`commit_all`](Database::commit_all), isolation of snapshots, concurrent threads, and random operations compared with a
/// `BTreeMap`. Not covered, since it takes a crash: durability. See [`database_with_reopen`] and `tests/crash`.
///
/// The random part takes `SEED=n` from the environment and prints the seed of a failure. The suite takes seconds on an
/// engine in memory, and as long as its few thousand commits take on one with a disk.
///
/// # Panics
///
/// With the rule that is broken.
pub fn database<D: Database>(fresh: impl Fn() -> D) {
    rows::check(&fresh);
    batches::check(&fresh);
    preconditions::check(&fresh);
    snapshots::check(&fresh);
    threads::check(&fresh);
    model::check(&fresh, None);
}

/// As [`database`], and that what was committed is there after a clean close: `reopen` closes the database it is given
/// and opens the same one again.
///
/// # Panics
///
/// With the rule that is broken.
pub fn database_with_reopen<D: Database>(fresh: impl Fn() -> D, reopen: impl Fn(D) -> D) {
    database(&fresh);
    reopen::check(&fresh, &reopen);
    model::check(&fresh, Some(&reopen));
}

/// Commits and insists that it works.
#[track_caller]
fn commit(db: &dyn Database, fill: impl FnOnce(&mut Batch)) {
    if let Err(error) = try_commit(db, fill) {
        panic!("a commit that must work failed: {error:?}");
    }
}

fn try_commit(db: &dyn Database, fill: impl FnOnce(&mut Batch)) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    fill(&mut batch);
    db.commit(batch, Durability::Immediate)
}

#[track_caller]
fn snapshot(db: &dyn Database) -> Box<dyn Snapshot> {
    match db.snapshot() {
        Ok(snapshot) => snapshot,
        Err(error) => panic!("a snapshot of a healthy database failed: {error:?}"),
    }
}

#[track_caller]
fn get(snapshot: &dyn Snapshot, key: &[u8]) -> Option<Vec<u8>> {
    match snapshot.get(key) {
        Ok(value) => value.map(Vec::from),
        Err(error) => panic!("a read of a healthy database failed: {error:?}"),
    }
}

#[track_caller]
fn scan(snapshot: &dyn Snapshot, range: KeyRange, direction: Direction) -> Vec<Row> {
    let rows = snapshot.scan(range, direction).and_then(Iterator::collect);
    let rows: Vec<(bytes::Bytes, bytes::Bytes)> = match rows {
        Ok(rows) => rows,
        Err(error) => panic!("a scan of a healthy database failed: {error:?}"),
    };
    rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

/// All rows, checked to be the same in both directions.
#[track_caller]
fn dump(db: &dyn Database) -> Vec<Row> {
    let snapshot = snapshot(db);
    let rows = scan(&*snapshot, KeyRange::all(), Direction::Forward);
    let mut back = scan(&*snapshot, KeyRange::all(), Direction::Reverse);
    back.reverse();
    assert_eq!(rows, back, "both directions give the same rows");
    rows
}

/// Rows of text, for comparison with what [`dump`] gives.
fn rows(expected: &[(&str, &str)]) -> Vec<Row> {
    expected.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}
