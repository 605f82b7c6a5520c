//! A store that tells who wants to know what changes, and keeps the summaries of what is synced.

mod changes;
mod heights;
mod summary;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};

use super::{
    Appended, CursorName, CursorStore, Fork, Heights, Located, LogId, LogSize, LogStore, LogSummary, Logs,
    NewOperation, Page, ScopeIndex, SeqRange, StoreError, Tip, Tips,
};
use crate::SeqNum;

pub(crate) use changes::Change;
pub use changes::Changes;
pub(crate) use summary::{Height, Summary};

use changes::Watchers;
use summary::{Entry, Summaries, index};

/// A [`LogStore`] around another one that tells sessions what changes while they run, and keeps for each set of logs that
/// is synced a summary of their heights, so that two equal peers find that out at once, whatever the number of logs.
///
/// Clones are the same store. All changes must be made through one of them: what is appended to the store below by another
/// way is stored, but neither pushed to peers nor part of a summary until something else in that log changes or the
/// program starts again.
///
/// ```
/// use syncline_log::store::LiveStore;
/// use syncline_log::{MemoryStore, SeqNum};
///
/// let store = LiveStore::<u64, _>::new(MemoryStore::new());
/// let same = store.clone();
/// ```
///
/// # Costs
///
/// The first session over a set of logs reads all their tips, O(logs). After that a change costs O(log logs) for each set
/// that has the log, when the next session asks. A set takes about 300 bytes per log. The
/// [`SUMMARIES_MAX`](Self::SUMMARIES_MAX) sets that were used last are kept; others are made anew.
pub struct LiveStore<L, S>(Arc<Shared<L, S>>);

struct Shared<L, S> {
    store: S,
    state: Arc<Mutex<State<L>>>,
}

/// Who wants to know of changes.
struct State<L> {
    watchers: Watchers<L>,
    summaries: Summaries<L>,
}

fn lock<L>(state: &Mutex<State<L>>) -> MutexGuard<'_, State<L>> {
    // Nothing that runs under the lock panics between two changes that belong together.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<L: LogId, S: LogStore<L>> LiveStore<L, S> {
    /// For how many sets of logs summaries are kept: 256.
    pub const SUMMARIES_MAX: usize = 256;

    /// Wraps a store.
    #[must_use]
    pub fn new(store: S) -> Self {
        let state = State { watchers: Watchers::new(), summaries: Summaries::new(Self::SUMMARIES_MAX) };
        Self(Arc::new(Shared { store, state: Arc::new(Mutex::new(state)) }))
    }

    /// The store below. Reading from it is fine; for changes see the type's documentation.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.0.store
    }

    /// Watches some logs from now on.
    #[must_use]
    pub fn watch(&self, logs: &Logs<L>) -> Changes<L> {
        Changes::new(&self.0.state, index(logs))
    }

    /// Some logs, to watch and to know the heights of.
    pub(crate) fn scope(&self, logs: &Logs<L>) -> Scope<L, S> {
        let entry = lock(&self.0.state).summaries.entry(logs);
        Scope { store: self.clone(), entry }
    }

    /// Tells of a change when it is made, and also if the call is dropped before it returns: then it may be made.
    fn telling<I: IntoIterator<Item = ((PublicKey, L), Change)>>(&self, logs: I) -> Tell<L> {
        Tell { state: Arc::clone(&self.0.state), logs: logs.into_iter().collect() }
    }
}

/// Some logs of a store.
pub(crate) struct Scope<L, S> {
    store: LiveStore<L, S>,
    entry: Arc<Entry<L>>,
}

impl<L: LogId, S: LogStore<L>> Scope<L, S> {
    pub(crate) fn index(&self) -> &Arc<ScopeIndex<L>> {
        self.entry.scope()
    }

    /// Watches the logs from now on.
    pub(crate) fn watch(&self) -> Changes<L> {
        Changes::new(&self.store.0.state, Arc::clone(self.index()))
    }

    /// The heights of the logs, as they were at some time after the call.
    pub(crate) async fn summary(&self) -> Result<Arc<Summary<L>>, StoreError> {
        self.entry.refresh(&self.store.0.store).await
    }
}

/// Notes a change when it goes out of scope.
struct Tell<L: LogId> {
    state: Arc<Mutex<State<L>>>,
    logs: Vec<((PublicKey, L), Change)>,
}

impl<L: LogId> Drop for Tell<L> {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        for (log, change) in &self.logs {
            state.summaries.note(log);
            state.watchers.note(log, *change);
        }
    }
}

impl<L: LogId, S: LogStore<L>> LogStore<L> for LiveStore<L, S> {
    async fn append(&self, batch: Vec<NewOperation<L>>) -> Result<Vec<Appended>, StoreError> {
        // The runs of one log that the batch consists of, mostly one: the log, and where the next begins.
        let mut runs: Vec<((PublicKey, L), usize)> = Vec::new();
        let mut places = Vec::with_capacity(batch.len());
        for (at, new) in batch.iter().enumerate() {
            let author = new.operation.public_key();
            places.push(new.operation.seq_num());
            match runs.last_mut().filter(|((last, log_id), _)| *last == author && *log_id == new.log_id) {
                Some((_, end)) => *end = at + 1,
                None => runs.push(((author, new.log_id.clone()), at + 1)),
            }
        }
        let mut tell = self.telling(runs.iter().map(|(log, _)| (log.clone(), Change::UNKNOWN)));
        let outcomes = self.0.store.append(batch).await?;
        // Now it is known.
        tell.logs.clear();
        let mut start = 0;
        for (log, end) in runs {
            let new = (start..end).rev().find(|at| outcomes.get(*at).is_some_and(|outcome| *outcome == Appended::New));
            let height = new.and_then(|at| places.get(at));
            tell.logs.extend(height.map(|height| (log, Change::appended(*height))));
            start = end;
        }
        drop(tell);
        Ok(outcomes)
    }

    async fn heights(&self, logs: &Logs<L>) -> Result<Heights<L>, StoreError> {
        self.0.store.heights(logs).await
    }

    async fn read(&self, author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize) -> Result<Page, StoreError> {
        self.0.store.read(author, log_id, range, bytes_max).await
    }

    async fn get(&self, hash: Hash) -> Result<Option<Located<L>>, StoreError> {
        self.0.store.get(hash).await
    }

    async fn tip(&self, author: PublicKey, log_id: L) -> Result<Option<Tip>, StoreError> {
        self.0.store.tip(author, log_id).await
    }

    async fn tips(&self, logs: &Logs<L>) -> Result<Tips<L>, StoreError> {
        self.0.store.tips(logs).await
    }

    async fn prune(&self, author: PublicKey, log_id: L, before: SeqNum) -> Result<u64, StoreError> {
        // Neither tips nor what is there to push change.
        self.0.store.prune(author, log_id, before).await
    }

    async fn delete_payload(&self, hash: Hash) -> Result<bool, StoreError> {
        self.0.store.delete_payload(hash).await
    }

    async fn add_payload(&self, hash: Hash, body: Bytes) -> Result<bool, StoreError> {
        self.0.store.add_payload(hash, body).await
    }

    async fn delete_log(&self, author: PublicKey, log_id: L) -> Result<bool, StoreError> {
        let tell = self.telling([((author, log_id.clone()), Change::DELETED)]);
        let outcome = self.0.store.delete_log(author, log_id).await;
        drop(tell);
        outcome
    }

    async fn forks(&self, author: PublicKey, log_id: L) -> Result<Vec<Fork>, StoreError> {
        self.0.store.forks(author, log_id).await
    }

    async fn size(&self, author: PublicKey, log_id: L, range: SeqRange) -> Result<LogSize, StoreError> {
        self.0.store.size(author, log_id, range).await
    }

    async fn logs(&self, after: Option<(PublicKey, L)>, count_max: usize) -> Result<Vec<LogSummary<L>>, StoreError> {
        self.0.store.logs(after, count_max).await
    }
}

impl<L: LogId, S: CursorStore<L>> CursorStore<L> for LiveStore<L, S> {
    async fn cursor(&self, name: CursorName, logs: &Logs<L>) -> Result<Heights<L>, StoreError> {
        self.0.store.cursor(name, logs).await
    }

    async fn move_cursor(&self, name: CursorName, positions: Heights<L>) -> Result<(), StoreError> {
        self.0.store.move_cursor(name, positions).await
    }

    async fn delete_cursor(&self, name: CursorName) -> Result<bool, StoreError> {
        self.0.store.delete_cursor(name).await
    }
}

impl<L, S> Clone for LiveStore<L, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L, S: fmt::Debug> fmt::Debug for LiveStore<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveStore").field(&self.0.store).finish()
    }
}
