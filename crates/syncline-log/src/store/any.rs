//! A store whose type does not show.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use syncline_crypto::{Hash, PublicKey};

use super::{
    Appended, Fork, Heights, Located, LogId, LogSize, LogStore, LogSummary, Logs, NewOperation, Page, SeqRange,
    StoreError, Tip, Tips,
};
use crate::SeqNum;

/// A shared handle to some [`LogStore`], itself one. Costs one allocation per call.
///
/// ```
/// use syncline_log::{AnyLogStore, MemoryStore};
///
/// let store: AnyLogStore<u64> = AnyLogStore::new(MemoryStore::new());
/// ```
pub struct AnyLogStore<L>(Arc<dyn Erased<L>>);

impl<L: LogId> AnyLogStore<L> {
    /// Hides the type of a store.
    pub fn new(store: impl LogStore<L>) -> Self {
        Self(Arc::new(store))
    }

    /// Hides the type of a store that is shared already.
    pub fn from_arc<S: LogStore<L>>(store: Arc<S>) -> Self {
        Self(store)
    }
}

impl<L> Clone for AnyLogStore<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: LogId> fmt::Debug for AnyLogStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_store(f)
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

trait Erased<L>: Send + Sync + 'static {
    fn fmt_store(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn append(&self, batch: Vec<NewOperation<L>>) -> Answer<'_, Vec<Appended>>;
    fn heights<'a>(&'a self, logs: &'a Logs<L>) -> Answer<'a, Heights<L>>;
    fn read(&self, author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize) -> Answer<'_, Page>;
    fn get(&self, hash: Hash) -> Answer<'_, Option<Located<L>>>;
    fn tip(&self, author: PublicKey, log_id: L) -> Answer<'_, Option<Tip>>;
    fn tips<'a>(&'a self, logs: &'a Logs<L>) -> Answer<'a, Tips<L>>;
    fn prune(&self, author: PublicKey, log_id: L, before: SeqNum) -> Answer<'_, u64>;
    fn delete_payload(&self, hash: Hash) -> Answer<'_, bool>;
    fn add_payload(&self, hash: Hash, body: Bytes) -> Answer<'_, bool>;
    fn delete_log(&self, author: PublicKey, log_id: L) -> Answer<'_, bool>;
    fn forks(&self, author: PublicKey, log_id: L) -> Answer<'_, Vec<Fork>>;
    fn size(&self, author: PublicKey, log_id: L, range: SeqRange) -> Answer<'_, LogSize>;
    fn logs(&self, after: Option<(PublicKey, L)>, count_max: usize) -> Answer<'_, Vec<LogSummary<L>>>;
}

impl<L: LogId, S: LogStore<L>> Erased<L> for S {
    fn fmt_store(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }

    fn append(&self, batch: Vec<NewOperation<L>>) -> Answer<'_, Vec<Appended>> {
        Box::pin(LogStore::append(self, batch))
    }

    fn heights<'a>(&'a self, logs: &'a Logs<L>) -> Answer<'a, Heights<L>> {
        Box::pin(LogStore::heights(self, logs))
    }

    fn read(&self, author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize) -> Answer<'_, Page> {
        Box::pin(LogStore::read(self, author, log_id, range, bytes_max))
    }

    fn get(&self, hash: Hash) -> Answer<'_, Option<Located<L>>> {
        Box::pin(LogStore::get(self, hash))
    }

    fn tip(&self, author: PublicKey, log_id: L) -> Answer<'_, Option<Tip>> {
        Box::pin(LogStore::tip(self, author, log_id))
    }

    fn tips<'a>(&'a self, logs: &'a Logs<L>) -> Answer<'a, Tips<L>> {
        Box::pin(LogStore::tips(self, logs))
    }

    fn prune(&self, author: PublicKey, log_id: L, before: SeqNum) -> Answer<'_, u64> {
        Box::pin(LogStore::prune(self, author, log_id, before))
    }

    fn delete_payload(&self, hash: Hash) -> Answer<'_, bool> {
        Box::pin(LogStore::delete_payload(self, hash))
    }

    fn add_payload(&self, hash: Hash, body: Bytes) -> Answer<'_, bool> {
        Box::pin(LogStore::add_payload(self, hash, body))
    }

    fn delete_log(&self, author: PublicKey, log_id: L) -> Answer<'_, bool> {
        Box::pin(LogStore::delete_log(self, author, log_id))
    }

    fn forks(&self, author: PublicKey, log_id: L) -> Answer<'_, Vec<Fork>> {
        Box::pin(LogStore::forks(self, author, log_id))
    }

    fn size(&self, author: PublicKey, log_id: L, range: SeqRange) -> Answer<'_, LogSize> {
        Box::pin(LogStore::size(self, author, log_id, range))
    }

    fn logs(&self, after: Option<(PublicKey, L)>, count_max: usize) -> Answer<'_, Vec<LogSummary<L>>> {
        Box::pin(LogStore::logs(self, after, count_max))
    }
}

impl<L: LogId> LogStore<L> for AnyLogStore<L> {
    async fn append(&self, batch: Vec<NewOperation<L>>) -> Result<Vec<Appended>, StoreError> {
        self.0.append(batch).await
    }

    async fn heights(&self, logs: &Logs<L>) -> Result<Heights<L>, StoreError> {
        self.0.heights(logs).await
    }

    async fn read(&self, author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize) -> Result<Page, StoreError> {
        self.0.read(author, log_id, range, bytes_max).await
    }

    async fn get(&self, hash: Hash) -> Result<Option<Located<L>>, StoreError> {
        self.0.get(hash).await
    }

    async fn tip(&self, author: PublicKey, log_id: L) -> Result<Option<Tip>, StoreError> {
        self.0.tip(author, log_id).await
    }

    async fn tips(&self, logs: &Logs<L>) -> Result<Tips<L>, StoreError> {
        self.0.tips(logs).await
    }

    async fn prune(&self, author: PublicKey, log_id: L, before: SeqNum) -> Result<u64, StoreError> {
        self.0.prune(author, log_id, before).await
    }

    async fn delete_payload(&self, hash: Hash) -> Result<bool, StoreError> {
        self.0.delete_payload(hash).await
    }

    async fn add_payload(&self, hash: Hash, body: Bytes) -> Result<bool, StoreError> {
        self.0.add_payload(hash, body).await
    }

    async fn delete_log(&self, author: PublicKey, log_id: L) -> Result<bool, StoreError> {
        self.0.delete_log(author, log_id).await
    }

    async fn forks(&self, author: PublicKey, log_id: L) -> Result<Vec<Fork>, StoreError> {
        self.0.forks(author, log_id).await
    }

    async fn size(&self, author: PublicKey, log_id: L, range: SeqRange) -> Result<LogSize, StoreError> {
        self.0.size(author, log_id, range).await
    }

    async fn logs(&self, after: Option<(PublicKey, L)>, count_max: usize) -> Result<Vec<LogSummary<L>>, StoreError> {
        self.0.logs(after, count_max).await
    }
}
