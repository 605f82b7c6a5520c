//! The append transaction.

use std::collections::BTreeMap;

use syncline_crypto::Hash;
use syncline_storage::{Batch, Database, Snapshot};

use super::DatabaseStore;
use super::delete;
use super::rows::{
    Attempt, BODIES, FORKS, ForkRow, HASHES, Keyed, LOGS, LogKey, LogRow, OPERATIONS, OperationRow, change,
};
use crate::store::decide::{Decision, decide};
use crate::store::{Appended, Corruption, Fork, Link, StoreError};
use crate::{EncodedOperation, SeqNum};

/// Appends a batch in one transaction.
pub(super) fn append(db: &dyn Database, batch: &[Keyed]) -> Result<Vec<Appended>, StoreError> {
    change(db, DatabaseStore::<()>::ATTEMPTS_MAX, |snapshot| Transaction::new(snapshot).append_all(batch))
}

/// What a batch makes of the logs of a snapshot.
struct Transaction<'a> {
    snapshot: &'a dyn Snapshot,
    logs: BTreeMap<LogKey, TouchedLog<'a>>,
    appended: Vec<Appended>,
}

/// A log as it was and as it becomes.
struct TouchedLog<'a> {
    before: Option<LogRow>,
    now: Option<LogRow>,
    /// Whether the stored operations go away.
    stored_are_deleted: bool,
    /// Operations of the batch that are in the log, with consecutive places, the last at the tip.
    added: Vec<&'a EncodedOperation>,
    new_forks: BTreeMap<(SeqNum, Hash), Fork>,
}

impl<'a> Transaction<'a> {
    fn new(snapshot: &'a dyn Snapshot) -> Self {
        Self { snapshot, logs: BTreeMap::new(), appended: Vec::new() }
    }

    fn append_all(mut self, batch: &'a [Keyed]) -> Result<Attempt<Vec<Appended>>, StoreError> {
        for new in batch {
            if !self.logs.contains_key(&new.log) {
                let row = new.log.state(self.snapshot)?;
                self.logs.insert(new.log.clone(), TouchedLog::new(row));
            }
            let Some(log) = self.logs.get_mut(&new.log) else { continue };
            let appended = log.append(self.snapshot, new)?;
            self.appended.push(appended);
        }
        self.finish()
    }

    fn finish(self) -> Result<Attempt<Vec<Appended>>, StoreError> {
        let mut batch = Batch::new();
        for (key, log) in &self.logs {
            // More operations go away than a transaction should hold: some first, and then all this again.
            if log.stored_are_deleted
                && let Some(row) = &log.before
                && delete::is_large(row)
            {
                let mut first = Batch::new();
                delete::oldest(self.snapshot, key, row, SeqNum::MAX, &mut first)?;
                return Ok(Attempt::CommitFirst(first));
            }
            log.write(self.snapshot, key, &mut batch)?;
        }
        if batch.is_empty() {
            return Ok(Attempt::Done(self.appended));
        }
        Ok(Attempt::Commit(batch, self.appended))
    }
}

impl<'a> TouchedLog<'a> {
    fn new(row: Option<LogRow>) -> Self {
        Self { before: row, now: row, stored_are_deleted: false, added: Vec::new(), new_forks: BTreeMap::new() }
    }

    fn append(&mut self, snapshot: &dyn Snapshot, new: &'a Keyed) -> Result<Appended, StoreError> {
        match decide(self.now.as_ref().map(|row| &row.state), &new.operation, new.link) {
            Decision::Store(state) => {
                if new.link == Link::Prunes {
                    self.stored_are_deleted = self.before.is_some();
                    self.added.clear();
                }
                self.added.push(&new.operation);
                self.now = Some(LogRow { state, forks: self.now.map_or(0, |row| row.forks) });
                Ok(Appended::New)
            }
            Decision::Compare => self.compare(snapshot, new),
            Decision::Settled(appended) => Ok(appended),
        }
    }

    fn compare(&mut self, snapshot: &dyn Snapshot, new: &Keyed) -> Result<Appended, StoreError> {
        let seq_num = new.operation.seq_num();
        let first = match self.added_at(seq_num) {
            Some(operation) => operation.header_bytes().clone(),
            None => new.log.operation(snapshot, seq_num)?.header,
        };
        if first == *new.operation.header_bytes() {
            return Ok(Appended::Known);
        }
        let fork = Fork::new(first, new.operation.header_bytes().clone())
            .map_err(|_| Corruption::Operation { author: new.log.author, seq_num })?;
        self.keep(snapshot, &new.log, &fork, new.operation.hash())?;
        Ok(Appended::Forked(Box::new(fork)))
    }

    fn added_at(&self, seq_num: SeqNum) -> Option<&'a EncodedOperation> {
        let first = self.added.first()?.seq_num();
        let index = seq_num.get().checked_sub(first.get())?;
        self.added.get(usize::try_from(index).ok()?).copied()
    }

    fn keep(&mut self, snapshot: &dyn Snapshot, key: &LogKey, fork: &Fork, hash: Hash) -> Result<(), StoreError> {
        let Some(row) = &mut self.now else { return Ok(()) };
        let is_full = usize::from(row.forks) >= Fork::PER_LOG_MAX;
        if is_full || self.new_forks.contains_key(&(fork.seq_num(), hash)) {
            return Ok(());
        }
        let (author, log_id) = key.columns();
        let columns = FORKS.key(&(author, log_id, fork.seq_num().get(), hash.to_bytes()));
        if snapshot.get(&columns)?.is_none() {
            row.forks += 1;
            self.new_forks.insert((fork.seq_num(), hash), fork.clone());
        }
        Ok(())
    }

    fn write(&self, snapshot: &dyn Snapshot, key: &LogKey, batch: &mut Batch) -> Result<(), StoreError> {
        let Some(now) = self.now.filter(|now| self.before != Some(*now)) else { return Ok(()) };
        match &self.before {
            Some(before) => LOGS.require_equals_in(batch, &key.columns(), before),
            None => LOGS.require_absent_in(batch, &key.columns()),
        }
        LOGS.put_in(batch, &key.columns(), &now);
        if self.stored_are_deleted
            && let Some(before) = &self.before
        {
            delete::rows(snapshot, key, before, batch)?;
        }
        for operation in &self.added {
            let columns = key.at(operation.seq_num());
            OPERATIONS.put_in(batch, &columns, &OperationRow::new(operation));
            if let Some(body) = operation.body() {
                BODIES.put_in(batch, &columns, body);
            }
            HASHES.put_in(batch, &key.hash_columns(&operation.hash()), &operation.seq_num().get());
        }
        for ((seq_num, hash), fork) in &self.new_forks {
            let (author, log_id) = key.columns();
            FORKS.put_in(batch, &(author, log_id, seq_num.get(), hash.to_bytes()), &ForkRow::new(fork));
        }
        Ok(())
    }
}
