//! A store on any [`Database`]. `docs/spec/log-store.md` in the repository has its rows.

mod append;
mod cursor;
mod delete;
mod read;
mod rows;

#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};
use syncline_storage::{Blocking, Database, Inline, blocking};

use self::rows::LogKey;
use super::{
    Appended, CursorName, CursorStore, Fork, Heights, Located, LogId, LogSize, LogStore, LogSummary, Logs,
    NewOperation, Page, SeqRange, StoreError, Tip, Tips,
};
use crate::SeqNum;

/// A [`LogStore`] on a [`Database`], which may hold other things as well: the rows have tables of their own, `0x10` to
/// `0x15`. All handles on one database see the same logs.
///
/// Calls on the database block, an append until the disk has answered. They are made on the given [`Blocking`].
///
/// # Concurrent changes
///
/// What is decided is decided on a snapshot and committed on the condition that the logs in question are still as they
/// were. If they are not, it is decided anew, up to [`ATTEMPTS_MAX`](Self::ATTEMPTS_MAX) times; then the call fails with
/// [`StoreError::Conflict`]. Each lost attempt is another's success.
///
/// # Large deletions
///
/// [`prune`](LogStore::prune), [`delete_log`](LogStore::delete_log) and an operation that prunes take transactions of at most
/// [`DELETE_MAX`](Self::DELETE_MAX) operations, the oldest first, so that memory stays bounded. If that is cut short by
/// a crash or an error, the beginning of the log is gone and what is left is sound; do it again to finish.
pub struct DatabaseStore<L> {
    db: Arc<dyn Database>,
    blocking: Arc<dyn Blocking>,
    log_ids: PhantomData<fn(L) -> L>,
}

impl<L> DatabaseStore<L> {
    /// The most bytes that the encoding of a log id may have: 1024.
    pub const LOG_ID_LEN_MAX: usize = rows::LOG_ID_LEN_MAX;

    /// How often a change is tried when others change the same logs: 128.
    pub const ATTEMPTS_MAX: u32 = 128;

    /// The most operations that one transaction deletes: 4096.
    pub const DELETE_MAX: usize = 4096;
}

impl<L: LogId> DatabaseStore<L> {
    /// A store whose calls block the thread that polls. Right for a [`MemoryDb`](syncline_storage::MemoryDb), for tests,
    /// and for programs with one task.
    #[must_use]
    pub fn new(db: Arc<dyn Database>) -> Self {
        Self::with_blocking(db, Arc::new(Inline))
    }

    /// A store whose calls are made on `blocking`.
    #[must_use]
    pub fn with_blocking(db: Arc<dyn Database>, blocking: Arc<dyn Blocking>) -> Self {
        Self { db, blocking, log_ids: PhantomData }
    }

    /// The database below.
    #[must_use]
    pub fn database(&self) -> &Arc<dyn Database> {
        &self.db
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let db = Arc::clone(&self.db);
        blocking::run(&*self.blocking, move || job(&*db)).await?
    }
}

impl<L> Clone for DatabaseStore<L> {
    fn clone(&self) -> Self {
        Self { db: Arc::clone(&self.db), blocking: Arc::clone(&self.blocking), log_ids: PhantomData }
    }
}

impl<L> fmt::Debug for DatabaseStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseStore").field("db", &self.db).field("blocking", &self.blocking).finish_non_exhaustive()
    }
}

impl<L: LogId> LogStore<L> for DatabaseStore<L> {
    async fn append(&self, batch: Vec<NewOperation<L>>) -> Result<Vec<Appended>, StoreError> {
        let batch = rows::keyed(batch)?;
        self.run(move |db| append::append(db, &batch)).await
    }

    async fn heights(&self, logs: &Logs<L>) -> Result<Heights<L>, StoreError> {
        let logs = logs.clone();
        self.run(move |db| read::heights(db, logs)).await
    }

    async fn read(&self, author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize) -> Result<Page, StoreError> {
        let log = LogKey::new(author, &log_id)?;
        self.run(move |db| read::page(db, &log, range, bytes_max)).await
    }

    async fn get(&self, hash: Hash) -> Result<Option<Located<L>>, StoreError> {
        self.run(move |db| read::get(db, hash)).await
    }

    async fn tip(&self, author: PublicKey, log_id: L) -> Result<Option<Tip>, StoreError> {
        let log = LogKey::new(author, &log_id)?;
        self.run(move |db| read::tip(db, &log)).await
    }

    async fn tips(&self, logs: &Logs<L>) -> Result<Tips<L>, StoreError> {
        let logs = logs.clone();
        self.run(move |db| read::tips(db, logs)).await
    }

    async fn prune(&self, author: PublicKey, log_id: L, before: SeqNum) -> Result<u64, StoreError> {
        let log = LogKey::new(author, &log_id)?;
        self.run(move |db| delete::prune(db, &log, before)).await
    }

    async fn delete_payload(&self, hash: Hash) -> Result<bool, StoreError> {
        self.run(move |db| delete::delete_payload(db, hash)).await
    }

    async fn add_payload(&self, hash: Hash, body: Bytes) -> Result<bool, StoreError> {
        self.run(move |db| delete::add_payload(db, hash, &body)).await
    }

    async fn delete_log(&self, author: PublicKey, log_id: L) -> Result<bool, StoreError> {
        let log = LogKey::new(author, &log_id)?;
        self.run(move |db| delete::delete_log(db, &log)).await
    }

    async fn forks(&self, author: PublicKey, log_id: L) -> Result<Vec<Fork>, StoreError> {
        let log = LogKey::new(author, &log_id)?;
        self.run(move |db| read::forks(db, &log)).await
    }

    async fn size(&self, author: PublicKey, log_id: L, range: SeqRange) -> Result<LogSize, StoreError> {
        let log = LogKey::new(author, &log_id)?;
        self.run(move |db| read::size(db, &log, range)).await
    }

    async fn logs(&self, after: Option<(PublicKey, L)>, count_max: usize) -> Result<Vec<LogSummary<L>>, StoreError> {
        let after = after.map(|(author, log_id)| LogKey::new(author, &log_id)).transpose()?;
        self.run(move |db| read::logs(db, after.as_ref(), count_max)).await
    }
}

impl<L: LogId> CursorStore<L> for DatabaseStore<L> {
    async fn cursor(&self, name: CursorName, logs: &Logs<L>) -> Result<Heights<L>, StoreError> {
        let logs = logs.clone();
        self.run(move |db| cursor::cursor(db, &name, logs)).await
    }

    async fn move_cursor(&self, name: CursorName, positions: Heights<L>) -> Result<(), StoreError> {
        self.run(move |db| cursor::move_cursor(db, &name, &positions)).await
    }

    async fn delete_cursor(&self, name: CursorName) -> Result<bool, StoreError> {
        self.run(move |db| cursor::delete_cursor(db, &name)).await
    }
}
