//! A store in memory.

mod index;
mod log;
mod state;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};

use self::state::State;
use super::{
    Appended, CursorName, CursorStore, Fork, Heights, Located, LogId, LogSize, LogStore, LogSummary, Logs,
    NewOperation, Page, SeqRange, StoreError, Tip, Tips,
};
use crate::SeqNum;

/// A [`LogStore`] in memory. Nothing survives the value itself. No call fails or waits.
///
/// Headers and bodies are kept as the [`Bytes`](bytes::Bytes) that were given and are read without a copy; a slice of a
/// large buffer keeps that buffer alive.
pub struct MemoryStore<L>(RwLock<State<L>>);

impl<L: LogId> MemoryStore<L> {
    /// A store without logs.
    #[must_use]
    pub fn new() -> Self {
        Self(RwLock::new(State::new()))
    }

    fn read(&self) -> RwLockReadGuard<'_, State<L>> {
        // Nothing that runs under the lock panics between two changes that belong together.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<L>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: LogId> Default for MemoryStore<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L> fmt::Debug for MemoryStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl<L: LogId> LogStore<L> for MemoryStore<L> {
    async fn append(&self, batch: Vec<NewOperation<L>>) -> Result<Vec<Appended>, StoreError> {
        let mut state = self.write();
        Ok(batch.into_iter().map(|new| state.append(new)).collect())
    }

    async fn heights(&self, logs: &Logs<L>) -> Result<Heights<L>, StoreError> {
        Ok(self.read().heights(logs))
    }

    async fn read(&self, author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize) -> Result<Page, StoreError> {
        Ok(self.read().log(&author, &log_id).map(|log| log.page(range, bytes_max)).unwrap_or_default())
    }

    async fn get(&self, hash: Hash) -> Result<Option<Located<L>>, StoreError> {
        Ok(self.read().get(&hash))
    }

    async fn tip(&self, author: PublicKey, log_id: L) -> Result<Option<Tip>, StoreError> {
        Ok(self.read().log(&author, &log_id).map(log::Log::tip))
    }

    async fn tips(&self, logs: &Logs<L>) -> Result<Tips<L>, StoreError> {
        Ok(self.read().tips(logs))
    }

    async fn prune(&self, author: PublicKey, log_id: L, before: SeqNum) -> Result<u64, StoreError> {
        Ok(self.write().prune(&author, &log_id, before))
    }

    async fn delete_payload(&self, hash: Hash) -> Result<bool, StoreError> {
        Ok(self.write().delete_payload(&hash))
    }

    async fn add_payload(&self, hash: Hash, body: Bytes) -> Result<bool, StoreError> {
        Ok(self.write().add_payload(&hash, &body))
    }

    async fn delete_log(&self, author: PublicKey, log_id: L) -> Result<bool, StoreError> {
        Ok(self.write().delete_log(&author, &log_id))
    }

    async fn forks(&self, author: PublicKey, log_id: L) -> Result<Vec<Fork>, StoreError> {
        Ok(self.read().log(&author, &log_id).map(log::Log::forks).unwrap_or_default())
    }

    async fn size(&self, author: PublicKey, log_id: L, range: SeqRange) -> Result<LogSize, StoreError> {
        Ok(self.read().log(&author, &log_id).map(|log| log.size(range)).unwrap_or_default())
    }

    async fn logs(&self, after: Option<(PublicKey, L)>, count_max: usize) -> Result<Vec<LogSummary<L>>, StoreError> {
        Ok(self.read().logs(after, count_max))
    }
}

impl<L: LogId> CursorStore<L> for MemoryStore<L> {
    async fn cursor(&self, name: CursorName, logs: &Logs<L>) -> Result<Heights<L>, StoreError> {
        Ok(self.read().cursor(&name, logs))
    }

    async fn move_cursor(&self, name: CursorName, positions: Heights<L>) -> Result<(), StoreError> {
        self.write().move_cursor(name, positions);
        Ok(())
    }

    async fn delete_cursor(&self, name: CursorName) -> Result<bool, StoreError> {
        Ok(self.write().delete_cursor(&name))
    }
}
