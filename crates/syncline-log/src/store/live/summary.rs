//! What is kept of the heights of a set of logs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use syncline_crypto::PublicKey;
use syncline_reconcile::{MemorySet, ReconcileSet as _};

use super::heights::{height_key, item, set_key};
use crate::store::{LogId, LogStore, Logs, ScopeIndex, StoreError, Tip};

/// The heights of some logs at one time.
#[derive(Clone, Debug)]
pub(crate) struct Summary<L> {
    set: MemorySet,
    by_key: BTreeMap<Vec<u8>, Height<L>>,
    digest: [u8; 32],
}

/// How far a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Height<L> {
    pub(crate) author: PublicKey,
    pub(crate) log_id: L,
    pub(crate) tip: Tip,
}

impl<L: LogId> Summary<L> {
    fn new() -> Self {
        let mut empty = Self { set: MemorySet::with_symbols(&set_key(), 0), by_key: BTreeMap::new(), digest: [0; 32] };
        empty.digest = empty.accumulator_digest();
        empty
    }

    fn accumulator_digest(&self) -> [u8; 32] {
        // A set in memory always answers.
        self.set.accumulator().map(|accumulator| accumulator.digest()).unwrap_or_default()
    }

    /// The set to reconcile.
    pub(crate) fn set(&self) -> &MemorySet {
        &self.set
    }

    /// What tells this summary from every other.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Logs that have, or had, operations.
    pub(crate) fn len(&self) -> u64 {
        self.by_key.len() as u64
    }

    /// The log with this [key](height_key).
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Height<L>> {
        self.by_key.get(key)
    }

    /// The tip of a log.
    pub(crate) fn tip(&self, author: &PublicKey, log_id: &L) -> Option<Tip> {
        Some(self.by_key.get(&height_key(author, log_id))?.tip)
    }

    /// All logs, by author and encoded log id.
    pub(crate) fn heights(&self) -> impl Iterator<Item = &Height<L>> {
        self.by_key.values()
    }

    fn set_tip(&mut self, author: PublicKey, log_id: L, tip: Option<Tip>) -> Result<(), StoreError> {
        let key = height_key(&author, &log_id);
        let before = self.by_key.get(&key).map(|height| height.tip);
        if before == tip {
            return Ok(());
        }
        if let Some(before) = before {
            let old = item(key.clone(), &before);
            self.set.remove(&old);
            self.by_key.remove(&key);
        }
        if let Some(tip) = tip {
            let new = item(key.clone(), &tip);
            self.set.insert(&new).map_err(broken)?;
            self.by_key.insert(key, Height { author, log_id, tip });
        }
        Ok(())
    }
}

/// A set that holds exactly what `by_key` says refuses nothing.
fn broken(err: syncline_reconcile::IndexError) -> StoreError {
    StoreError::Other(Box::new(err))
}

/// The summaries of the sets of logs that were used last.
pub(super) struct Summaries<L> {
    /// The one that was used last is the last.
    entries: Vec<Arc<Entry<L>>>,
    entries_max: usize,
    /// Entries that are kept by others only, for the time of a call.
    left: Vec<Weak<Entry<L>>>,
}

/// One set of logs.
pub(super) struct Entry<L> {
    logs: Logs<L>,
    scope: Arc<ScopeIndex<L>>,
    state: Mutex<EntryState<L>>,
    /// Held while the tips are read, so that nobody gets a summary that is older than the call.
    refreshing: futures::lock::Mutex<()>,
}

struct EntryState<L> {
    /// None before the first use.
    current: Option<Arc<Summary<L>>>,
    /// Logs whose tips are to be read again, with the number of the change that says so.
    dirty: BTreeMap<(PublicKey, L), u64>,
    changes: u64,
}

impl<L: LogId> Summaries<L> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries: Vec::new(), entries_max, left: Vec::new() }
    }

    fn position(&self, logs: &Logs<L>) -> Option<usize> {
        let as_listed = self.entries.iter().position(|entry| entry.logs == *logs);
        // A topic map may list them in another order each time.
        as_listed.or_else(|| {
            let scope = index(logs);
            self.entries.iter().position(|entry| entry.scope == scope)
        })
    }

    /// The entry for exactly these logs.
    pub(super) fn entry(&mut self, logs: &Logs<L>) -> Arc<Entry<L>> {
        let entry = match self.position(logs) {
            Some(at) => self.entries.remove(at),
            None => Arc::new(Entry::new(logs.clone())),
        };
        if self.entries.len() >= self.entries_max {
            // Who has it still gets to know of changes.
            let oldest = self.entries.remove(0);
            self.left.retain(|left| left.strong_count() > 0);
            self.left.push(Arc::downgrade(&oldest));
        }
        self.entries.push(Arc::clone(&entry));
        entry
    }

    pub(super) fn note(&mut self, log: &(PublicKey, L)) {
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::SummaryNotUpdated) {
            return;
        }
        let left = self.left.iter().filter_map(Weak::upgrade);
        for entry in self.entries.iter().cloned().chain(left) {
            if entry.scope.get(&log.0).is_some_and(|logs| logs.contains(&log.1)) {
                entry.lock().note(log.clone());
            }
        }
    }
}

impl<L: LogId> EntryState<L> {
    fn note(&mut self, log: (PublicKey, L)) {
        // Before the first use there is nothing that could be out of date.
        self.changes += 1;
        let change = self.changes;
        self.dirty.insert(log, change);
    }
}

impl<L: LogId> Entry<L> {
    fn new(logs: Logs<L>) -> Self {
        let scope = index(&logs);
        let state = EntryState { current: None, dirty: BTreeMap::new(), changes: 0 };
        Self { logs, scope, state: Mutex::new(state), refreshing: futures::lock::Mutex::new(()) }
    }

    pub(super) fn scope(&self) -> &Arc<ScopeIndex<L>> {
        &self.scope
    }

    fn lock(&self) -> MutexGuard<'_, EntryState<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the summary up to date and gives it.
    pub(super) async fn refresh<S: LogStore<L>>(&self, store: &S) -> Result<Arc<Summary<L>>, StoreError> {
        let _refreshing = self.refreshing.lock().await;
        let (current, dirty, seen) = {
            let state = self.lock();
            match &state.current {
                Some(current) if state.dirty.is_empty() => return Ok(Arc::clone(current)),
                current => (current.clone(), state.dirty.keys().cloned().collect::<Vec<_>>(), state.changes),
            }
        };
        // The entry's own handle goes, so that a summary nobody else uses is changed in place.
        let asked = match &current {
            None => self.logs.clone(),
            Some(_) => by_author(&dirty),
        };
        drop(current);
        let tips = store.tips(&asked).await?;
        let mut state = self.lock();
        let mut summary = state.current.take().unwrap_or_else(|| Arc::new(Summary::new()));
        let changed = Arc::make_mut(&mut summary);
        for (author, log_ids) in asked {
            for log_id in log_ids {
                let tip = tips.get(&author).and_then(|tips| tips.get(&log_id)).copied();
                changed.set_tip(author, log_id, tip)?;
            }
        }
        changed.digest = changed.accumulator_digest();
        // What changed again while the tips were read is read again the next time.
        state.dirty.retain(|_, change| *change > seen);
        state.current = Some(Arc::clone(&summary));
        Ok(summary)
    }
}

/// A set of logs, for looking up.
pub(super) fn index<L: LogId>(logs: &Logs<L>) -> Arc<ScopeIndex<L>> {
    Arc::new(logs.iter().map(|(author, logs)| (*author, logs.iter().cloned().collect())).collect())
}

fn by_author<L: LogId>(logs: &[(PublicKey, L)]) -> Logs<L> {
    let mut by_author = Logs::new();
    for (author, log_id) in logs {
        by_author.entry(*author).or_default().push(log_id.clone());
    }
    by_author
}
