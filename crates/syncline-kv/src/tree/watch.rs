//! Which keys changed since somebody last asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Inner, Tree};
use crate::item::Item;
use crate::path::{Key, Subtree};

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a key or what is below a path")]
pub enum Scope {
    /// One key.
    Key(Key),
    /// All keys below a path.
    Below(Subtree),
}

impl Scope {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::Below(Subtree::all())
    }

    fn contains(&self, key: &Key) -> bool {
        match self {
            Self::Key(watched) => watched == key,
            Self::Below(subtree) => subtree.contains(key),
        }
    }
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// Keys whose entries changed; usually their value as well. In order.
    pub keys: BTreeSet<Key>,
    /// More keys changed than are remembered: look at all that is watched.
    pub lagged: bool,
    /// Grants, revocations or rotations came: who may do what has changed.
    pub authority: bool,
}

impl Changed {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.lagged && !self.authority
    }
}

/// Watches a part of a tree.
///
/// It remembers which keys changed, not what changed: whoever falls behind finds the latest in the tree, and no writer ever
/// waits. Memory is bounded by [`TreeLimits::watched_keys`](super::TreeLimits::watched_keys).
pub struct Changes {
    watchers: Arc<Mutex<Watchers>>,
    id: u64,
}

/// All that watch a tree.
pub(super) struct Watchers {
    next_id: u64,
    keys_max: usize,
    by_id: BTreeMap<u64, Watcher>,
}

struct Watcher {
    scope: Scope,
    changed: Changed,
    waker: Option<Waker>,
}

impl Tree {
    /// Watches from now on. Read what there is after this call, and nothing is missed in between.
    #[must_use]
    pub fn watch(&self, scope: Scope) -> Changes {
        let mut watchers = lock(&self.inner.watchers);
        let id = watchers.next_id;
        watchers.next_id += 1;
        watchers.by_id.insert(id, Watcher { scope, changed: Changed::default(), waker: None });
        Changes { watchers: Arc::clone(&self.inner.watchers), id }
    }
}

impl Changes {
    /// Waits until something has changed since the last call, or since this was made.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not returned is returned by the next call.
    pub async fn changed(&self) -> Changed {
        poll_fn(|cx| lock(&self.watchers).poll_changed(self.id, cx)).await
    }

    /// What has changed by now, if anything.
    #[must_use]
    pub fn take(&self) -> Option<Changed> {
        let mut watchers = lock(&self.watchers);
        let watcher = watchers.by_id.get_mut(&self.id)?;
        Some(mem::take(&mut watcher.changed)).filter(|changed| !changed.is_empty())
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        lock(&self.watchers).by_id.remove(&self.id);
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Watchers {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { next_id: 0, keys_max, by_id: BTreeMap::new() }
    }

    /// Gives who is to be woken, once nothing is locked.
    fn note(&mut self, note: impl Fn(&mut Watcher, usize)) -> Vec<Waker> {
        let keys_max = self.keys_max;
        let mut wakers = Vec::new();
        for watcher in self.by_id.values_mut() {
            note(watcher, keys_max);
            if !watcher.changed.is_empty() {
                wakers.extend(watcher.waker.take());
            }
        }
        wakers
    }

    fn poll_changed(&mut self, id: u64, cx: &Context<'_>) -> Poll<Changed> {
        let Some(watcher) = self.by_id.get_mut(&id) else { return Poll::Pending };
        if watcher.changed.is_empty() {
            watcher.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(mem::take(&mut watcher.changed))
    }
}

impl Watcher {
    fn lag(&mut self) {
        self.changed = Changed { lagged: true, authority: true, ..Changed::default() };
    }

    fn note(&mut self, keys: &[Key], authority: bool, keys_max: usize) {
        self.changed.authority |= authority;
        for key in keys {
            if self.changed.lagged {
                return;
            }
            if self.scope.contains(key) {
                self.changed.keys.insert(key.clone());
            }
            if self.changed.keys.len() > keys_max {
                self.changed.keys.clear();
                self.changed.lagged = true;
            }
        }
    }
}

impl Inner {
    /// Tells all that watch.
    pub(super) fn tell(&self, keys: &[Key], system: &[Item]) {
        if !keys.is_empty() || !system.is_empty() {
            let note = |watcher: &mut Watcher, max| watcher.note(keys, !system.is_empty(), max);
            let wakers = lock(&self.watchers).note(note);
            // Whoever is woken may look at once.
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Tells all that watch that anything may have changed.
    pub(super) fn tell_all(&self) {
        let wakers = lock(&self.watchers).note(|watcher, _| watcher.lag());
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn lock(watchers: &Mutex<Watchers>) -> std::sync::MutexGuard<'_, Watchers> {
    // Nothing in here panics half way.
    watchers.lock().unwrap_or_else(PoisonError::into_inner)
}
