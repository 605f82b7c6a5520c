//! The positions of consumers.

use syncline_storage::{Batch, Database, Direction, Durability, KeyRange};

use super::DatabaseStore;
use super::read;
use super::rows::{Attempt, CURSORS, change, encode_log_id};
use crate::SeqNum;
use crate::store::{CursorName, Heights, LogId, Logs, StoreError};

pub(super) fn cursor<L: LogId>(db: &dyn Database, name: &CursorName, logs: Logs<L>) -> Result<Heights<L>, StoreError> {
    let snapshot = db.snapshot()?;
    read::collect(logs, |author, log_id| {
        let columns = (name.as_str().to_owned(), author.to_bytes(), encode_log_id(log_id)?);
        Ok(CURSORS.get(&*snapshot, &columns)?.map(SeqNum))
    })
}

pub(super) fn move_cursor<L: LogId>(
    db: &dyn Database,
    name: &CursorName,
    positions: &Heights<L>,
) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    for (author, logs) in positions {
        for (log_id, seq_num) in logs {
            let columns = (name.as_str().to_owned(), author.to_bytes(), encode_log_id(log_id)?);
            CURSORS.put_in(&mut batch, &columns, &seq_num.get());
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    db.commit(batch, Durability::Immediate).map_err(StoreError::Commit)
}

pub(super) fn delete_cursor(db: &dyn Database, name: &CursorName) -> Result<bool, StoreError> {
    let prefix: KeyRange = CURSORS.prefix(&(name.as_str().to_owned(),));
    change(db, DatabaseStore::<()>::ATTEMPTS_MAX, |snapshot| {
        if snapshot.scan(prefix.clone(), Direction::Forward)?.next().transpose()?.is_none() {
            return Ok(Attempt::Done(false));
        }
        let mut batch = Batch::new();
        batch.delete_range(prefix.clone());
        Ok(Attempt::Commit(batch, true))
    })
}
