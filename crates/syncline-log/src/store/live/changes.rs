//! Which logs changed since somebody last asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use syncline_crypto::PublicKey;

use super::{State, lock};
use crate::SeqNum;
use crate::store::{LogId, ScopeIndex};

/// Watches some logs of a [`LiveStore`](super::LiveStore).
///
/// It remembers which logs changed, not what changed: whoever falls behind finds the rest in the store. Memory is bounded
/// by the number of watched logs.
pub struct Changes<L> {
    state: Arc<Mutex<State<L>>>,
    id: u64,
}

/// What happened to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// First it was deleted.
    pub(crate) is_deleted: bool,
    /// Then something was appended, up to here at the most.
    pub(crate) appended_to: Option<SeqNum>,
}

impl Change {
    pub(super) const DELETED: Self = Self { is_deleted: true, appended_to: None };

    /// Something may have been appended.
    pub(super) const UNKNOWN: Self = Self::appended(SeqNum::MAX);

    pub(super) const fn appended(to: SeqNum) -> Self {
        Self { is_deleted: false, appended_to: Some(to) }
    }

    /// This change, and then another one.
    fn then(self, next: Self) -> Self {
        if next.is_deleted {
            return next;
        }
        Self { is_deleted: self.is_deleted, appended_to: self.appended_to.max(next.appended_to) }
    }
}

/// All that watch a store.
pub(super) struct Watchers<L> {
    next_id: u64,
    by_id: BTreeMap<u64, Watcher<L>>,
}

struct Watcher<L> {
    scope: Arc<ScopeIndex<L>>,
    changed: BTreeMap<(PublicKey, L), Change>,
    waker: Option<Waker>,
}

impl<L: LogId> Changes<L> {
    pub(super) fn new(state: &Arc<Mutex<State<L>>>, scope: Arc<ScopeIndex<L>>) -> Self {
        let watcher = Watcher { scope, changed: BTreeMap::new(), waker: None };
        let id = lock(state).watchers.add(watcher);
        Self { state: Arc::clone(state), id }
    }

    /// Waits until any of the logs has changed since the last call, or since this was made. Gives all that have: something
    /// may have been appended to them, or they were deleted. That nothing changed is possible, too: an append that added
    /// nothing, or failed, is told as well.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not returned is returned by the next call.
    pub async fn changed(&self) -> BTreeSet<(PublicKey, L)> {
        self.changes().await.into_keys().collect()
    }

    /// As [`changed`](Self::changed), with what happened.
    pub(crate) async fn changes(&self) -> BTreeMap<(PublicKey, L), Change> {
        poll_fn(|cx| lock(&self.state).watchers.poll_changed(self.id, cx)).await
    }
}

impl<L> Drop for Changes<L> {
    fn drop(&mut self) {
        lock(&self.state).watchers.by_id.remove(&self.id);
    }
}

impl<L> fmt::Debug for Changes<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<L: LogId> Watchers<L> {
    pub(super) fn new() -> Self {
        Self { next_id: 0, by_id: BTreeMap::new() }
    }

    fn add(&mut self, watcher: Watcher<L>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.by_id.insert(id, watcher);
        id
    }

    pub(super) fn note(&mut self, log: &(PublicKey, L), change: Change) {
        for watcher in self.by_id.values_mut() {
            if watcher.scope.get(&log.0).is_some_and(|logs| logs.contains(&log.1)) {
                let before = watcher.changed.get(log).copied();
                watcher.changed.insert(log.clone(), before.map_or(change, |before| before.then(change)));
                if let Some(waker) = watcher.waker.take() {
                    waker.wake();
                }
            }
        }
    }

    fn poll_changed(&mut self, id: u64, cx: &mut Context<'_>) -> Poll<BTreeMap<(PublicKey, L), Change>> {
        let Some(watcher) = self.by_id.get_mut(&id) else { return Poll::Pending };
        if watcher.changed.is_empty() {
            watcher.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(mem::take(&mut watcher.changed))
    }
}
