//! What takes rows away, and what brings back a body.

use std::ops::Bound;

use bytes::Bytes;
use syncline_crypto::Hash;
use syncline_storage::{Batch, Database, Direction, KeyRange, Snapshot};

use super::DatabaseStore;
use super::read;
use super::rows::{Attempt, BODIES, FORKS, HASHES, LOGS, LogKey, LogRow, OPERATIONS, OperationRow, change};
use crate::SeqNum;
use crate::store::{SeqRange, StoreError};

const ATTEMPTS_MAX: u32 = DatabaseStore::<()>::ATTEMPTS_MAX;
const DELETE_MAX: u64 = DatabaseStore::<()>::DELETE_MAX as u64;

/// Deletes the operations before `before`, some in each transaction.
pub(super) fn prune(db: &dyn Database, log: &LogKey, before: SeqNum) -> Result<u64, StoreError> {
    let mut deleted = 0;
    loop {
        let (count, is_last) = change(db, ATTEMPTS_MAX, |snapshot| {
            let Some(row) = log.state(snapshot)? else { return Ok(Attempt::Done((0, true))) };
            let mut batch = Batch::new();
            let done = oldest(snapshot, log, &row, before, &mut batch)?;
            Ok(if batch.is_empty() { Attempt::Done(done) } else { Attempt::Commit(batch, done) })
        })?;
        deleted += count;
        if is_last {
            return Ok(deleted);
        }
    }
}

/// Deletes the oldest operations before `before`, no more than a transaction should hold. Gives their number, and
/// whether these were all.
pub(super) fn oldest(
    snapshot: &dyn Snapshot,
    log: &LogKey,
    row: &LogRow,
    before: SeqNum,
    batch: &mut Batch,
) -> Result<(u64, bool), StoreError> {
    let first = row.state.first;
    let step = SeqNum(first.get().saturating_add(DELETE_MAX)).min(before);
    let pruned = LogRow { state: row.state.pruned(step), forks: row.forks };
    // A horizon that moved is above 0.
    let Some(last) = pruned.state.first.checked_previous().filter(|last| *last >= first) else { return Ok((0, true)) };
    LOGS.require_equals_in(batch, &log.columns(), row);
    LOGS.put_in(batch, &log.columns(), &pruned);
    delete_range(snapshot, log, SeqRange::new(first, last), batch)?;
    let is_all = pruned.state == row.state.pruned(before);
    Ok((pruned.state.first.get() - first.get(), is_all))
}

/// Whether a log has more operations than a transaction should delete.
pub(super) fn is_large(row: &LogRow) -> bool {
    row.state.present().is_some_and(|range| range.to.get() - range.from.get() >= DELETE_MAX)
}

/// Deletes all operations of a log.
pub(super) fn rows(snapshot: &dyn Snapshot, log: &LogKey, row: &LogRow, batch: &mut Batch) -> Result<(), StoreError> {
    let Some(range) = row.state.present() else { return Ok(()) };
    delete_range(snapshot, log, range, batch)
}

fn delete_range(snapshot: &dyn Snapshot, log: &LogKey, range: SeqRange, batch: &mut Batch) -> Result<(), StoreError> {
    for row in read::rows(snapshot, log, range)? {
        let (_, row) = row?;
        HASHES.delete_in(batch, &log.hash_columns(&Hash::digest(&row.header)));
    }
    let (from, to) = (log.at(range.from), log.at(range.to));
    let keys = |from, to| KeyRange::new(Bound::Included(from), Bound::Included(to));
    batch.delete_range(keys(OPERATIONS.key(&from), OPERATIONS.key(&to)));
    batch.delete_range(keys(BODIES.key(&from), BODIES.key(&to)));
    Ok(())
}

/// Deletes a body in every log that has the operation.
pub(super) fn delete_payload(db: &dyn Database, hash: Hash) -> Result<bool, StoreError> {
    change(db, ATTEMPTS_MAX, |snapshot| {
        let mut batch = Batch::new();
        for place in read::places(snapshot, hash)? {
            let (log, seq_num) = place?;
            let row = log.operation(snapshot, seq_num)?;
            if row.body_len.is_none() {
                continue;
            }
            let columns = log.at(seq_num);
            // Whoever deletes the operation in the meantime must not get it back without its body.
            OPERATIONS.require_equals_in(&mut batch, &columns, &row);
            OPERATIONS.put_in(&mut batch, &columns, &OperationRow { body_len: None, ..row });
            BODIES.delete_in(&mut batch, &columns);
        }
        Ok(if batch.is_empty() { Attempt::Done(false) } else { Attempt::Commit(batch, true) })
    })
}

/// Adds a body in every log that has the operation without.
pub(super) fn add_payload(db: &dyn Database, hash: Hash, body: &Bytes) -> Result<bool, StoreError> {
    change(db, ATTEMPTS_MAX, |snapshot| {
        let mut batch = Batch::new();
        for place in read::places(snapshot, hash)? {
            let (log, seq_num) = place?;
            let row = log.operation(snapshot, seq_num)?;
            if row.body_len.is_some() {
                continue;
            }
            let columns = log.at(seq_num);
            // Whoever prunes the operation in the meantime must not find a body left behind.
            OPERATIONS.require_equals_in(&mut batch, &columns, &row);
            OPERATIONS.put_in(&mut batch, &columns, &OperationRow { body_len: Some(body.len() as u64), ..row });
            BODIES.put_in(&mut batch, &columns, body);
        }
        Ok(if batch.is_empty() { Attempt::Done(false) } else { Attempt::Commit(batch, true) })
    })
}

/// Forgets a log.
pub(super) fn delete_log(db: &dyn Database, log: &LogKey) -> Result<bool, StoreError> {
    change(db, ATTEMPTS_MAX, |snapshot| {
        let Some(row) = log.state(snapshot)? else { return Ok(Attempt::Done(false)) };
        let mut batch = Batch::new();
        if is_large(&row) {
            oldest(snapshot, log, &row, SeqNum::MAX, &mut batch)?;
            return Ok(Attempt::CommitFirst(batch));
        }
        LOGS.require_equals_in(&mut batch, &log.columns(), &row);
        LOGS.delete_in(&mut batch, &log.columns());
        rows(snapshot, log, &row, &mut batch)?;
        for fork in FORKS.scan_prefix(snapshot, &log.columns(), Direction::Forward)? {
            let (columns, _) = fork?;
            FORKS.delete_in(&mut batch, &columns);
        }
        Ok(Attempt::Commit(batch, true))
    })
}
