//! What a client, its subscriptions, its streams and its connections share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use syncline_core::clock::{Timer, Timestamp};
use syncline_crypto::Verifier;
use syncline_storage::Blocking;

use super::WatchLimits;
use super::core::{Checked, ClientCore, ConnectionId, Fault, SubscriptionId, Touched};
use super::state::State;
use super::wire::{Message, Scope};
use crate::path::{Key, KeyFilter};

/// Shared by all parts of a client.
pub(super) struct Shared {
    pub(super) timer: Arc<dyn Timer>,
    pub(super) verifier: Arc<dyn Verifier>,
    pub(super) blocking: Arc<dyn Blocking>,
    pub(super) limits: WatchLimits,
    inner: Mutex<Inner>,
}

struct Inner {
    core: ClientCore,
    next_watcher: u64,
    watchers: BTreeMap<Scope, BTreeMap<u64, Watcher>>,
    senders: BTreeMap<ConnectionId, Waker>,
    driver: Option<Waker>,
    /// When the driver wakes by itself.
    wakes_at: Option<Timestamp>,
}

/// A stream that waits.
#[derive(Default)]
struct Watcher {
    waker: Option<Waker>,
    keys: Option<ChangedKeys>,
}

/// Keys that a stream of events has to look at.
#[derive(Debug)]
pub(super) struct ChangedKeys {
    pub(super) filter: KeyFilter,
    pub(super) keys: BTreeSet<Key>,
    pub(super) all: bool,
}

/// A stream's place in the list of those that are woken.
pub(super) struct Watching {
    pub(super) shared: Arc<Shared>,
    pub(super) subscription: SubscriptionId,
    pub(super) scope: Scope,
    id: u64,
}

impl Shared {
    pub(super) fn new(
        core: ClientCore,
        timer: Arc<dyn Timer>,
        verifier: Arc<dyn Verifier>,
        blocking: Arc<dyn Blocking>,
        limits: WatchLimits,
    ) -> Self {
        let inner = Inner {
            core,
            next_watcher: 0,
            watchers: BTreeMap::new(),
            senders: BTreeMap::new(),
            driver: None,
            wakes_at: None,
        };
        Self { timer, verifier, blocking, limits, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks.
    pub(super) fn read<R>(&self, look: impl FnOnce(&ClientCore) -> R) -> R {
        look(&self.lock().core)
    }

    /// Lets something happen, and wakes whom it concerns.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut ClientCore, Timestamp) -> R) -> R {
        let now = self.timer.now();
        let (result, wakers) = {
            let mut inner = self.lock();
            let result = act(&mut inner.core, now);
            (result, inner.concerned())
        };
        // Not under the lock: a waker runs code of others.
        for waker in wakers {
            waker.wake();
        }
        result
    }

    /// Takes in messages of a server, whose signatures were checked.
    pub(super) fn take(&self, connection: ConnectionId, messages: Vec<Checked>) -> Result<(), Fault> {
        self.with(|core, now| messages.into_iter().try_for_each(|message| core.message(now, connection, message)))
    }

    pub(super) fn poll_outgoing(&self, connection: ConnectionId, cx: &Context<'_>) -> Poll<Vec<Message>> {
        let mut inner = self.lock();
        let (messages, is_last) = inner.core.outgoing(connection);
        if messages.is_empty() && !is_last {
            let before = inner.senders.insert(connection, cx.waker().clone());
            drop(inner);
            drop(before);
            return Poll::Pending;
        }
        Poll::Ready(messages)
    }

    pub(super) fn disconnected(&self, connection: ConnectionId) {
        self.with(|core, now| core.disconnected(now, connection));
        let before = self.lock().senders.remove(&connection);
        drop(before);
    }

    /// Does what is due, and sleeps until there is more. Ready when the client is closed.
    pub(super) fn poll_drive(
        &self,
        sleep: &mut Option<(Timestamp, BoxFuture<'static, ()>)>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let next = self.with(|core, now| {
                core.timeout(now);
                if core.is_closed() { Err(()) } else { Ok(core.next_timeout()) }
            });
            let Ok(next) = next else { return Poll::Ready(()) };
            let mut inner = self.lock();
            let before = inner.driver.replace(cx.waker().clone());
            inner.wakes_at = next;
            // Something may have happened in between.
            let is_late = inner.core.is_closed() || inner.core.next_timeout() != next;
            drop(inner);
            drop(before);
            if is_late {
                continue;
            }
            let Some(at) = next else {
                *sleep = None;
                return Poll::Pending;
            };
            if sleep.as_ref().is_none_or(|(armed, _)| *armed != at) {
                *sleep = Some((at, self.timer.sleep_until(at)));
            }
            let is_pending = sleep.as_mut().is_none_or(|(_, sleep)| sleep.as_mut().poll(cx).is_pending());
            if is_pending {
                return Poll::Pending;
            }
            *sleep = None;
        }
    }

    pub(super) fn state(&self, subscription: SubscriptionId, scope: &Scope) -> Option<State> {
        let inner = self.lock();
        inner.state(subscription, scope)
    }

    pub(super) fn watch(
        self: &Arc<Self>,
        subscription: SubscriptionId,
        scope: Scope,
        filter: Option<KeyFilter>,
    ) -> Watching {
        let mut inner = self.lock();
        let id = inner.next_watcher;
        inner.next_watcher += 1;
        let keys = filter.map(|filter| {
            let keys = inner.core.entries(&scope).map(|entry| entry.key().clone());
            let keys = keys.filter(|key| filter.matches(key)).collect();
            ChangedKeys { filter, keys, all: false }
        });
        inner.watchers.entry(scope.clone()).or_default().insert(id, Watcher { waker: None, keys });
        drop(inner);
        Watching { shared: Arc::clone(self), subscription, scope, id }
    }
}

impl Inner {
    fn state(&self, subscription: SubscriptionId, scope: &Scope) -> Option<State> {
        if !self.core.is_subscribed(subscription) {
            return None;
        }
        let value = match scope {
            Scope::Key(key) => self.core.value(scope, key),
            Scope::Below(_) => super::Value::Unknown,
        };
        Some(State { value, dirtiness: self.core.dirtiness(scope) })
    }

    /// All who should look now.
    fn concerned(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for touched in self.core.take_touched() {
            let Some(watchers) = self.watchers.get_mut(touched.scope()) else { continue };
            for watcher in watchers.values_mut() {
                if let Some(changed) = &mut watcher.keys {
                    changed.note(&touched);
                }
                wakers.extend(watcher.waker.take());
            }
        }
        let connections: Vec<ConnectionId> = self.core.connections_to_wake().collect();
        wakers.extend(connections.iter().filter_map(|connection| self.senders.remove(connection)));
        if self.core.is_closed() || self.core.next_timeout() != self.wakes_at {
            wakers.extend(self.driver.take());
        }
        wakers
    }
}

impl ChangedKeys {
    fn note(&mut self, touched: &Touched) {
        match touched {
            Touched::Key(_, key) if self.filter.matches(key) => {
                self.keys.insert(key.clone());
            }
            Touched::All(_) => self.all = true,
            _ => {}
        }
    }
}

impl Watching {
    /// The state, if the subscription goes on. Who finds nothing new in it is woken when it may have changed.
    pub(super) fn poll_state<R>(&self, cx: &Context<'_>, look: impl FnOnce(State) -> Option<R>) -> Poll<Option<R>> {
        let mut inner = self.shared.lock();
        let Some(state) = inner.state(self.subscription, &self.scope) else { return Poll::Ready(None) };
        let found = look(state);
        let before = if found.is_none() { inner.wait(self, cx) } else { None };
        drop(inner);
        drop(before);
        found.map_or(Poll::Pending, |found| Poll::Ready(Some(found)))
    }

    /// The same for who looks at keys.
    pub(super) fn poll_keys<R>(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(&ClientCore, &mut ChangedKeys) -> Option<R>,
    ) -> Poll<Option<R>> {
        let mut inner = self.shared.lock();
        let Inner { core, watchers, .. } = &mut *inner;
        if !core.is_subscribed(self.subscription) {
            return Poll::Ready(None);
        }
        let watcher = watchers.get_mut(&self.scope).and_then(|watchers| watchers.get_mut(&self.id));
        let Some(changed) = watcher.and_then(|watcher| watcher.keys.as_mut()) else { return Poll::Ready(None) };
        let found = look(core, changed);
        let before = if found.is_none() { inner.wait(self, cx) } else { None };
        drop(inner);
        drop(before);
        found.map_or(Poll::Pending, |found| Poll::Ready(Some(found)))
    }
}

impl Inner {
    /// Gives the waker of before, which is not to be dropped under the lock: with it a task may go, and with that other streams.
    fn wait(&mut self, watching: &Watching, cx: &Context<'_>) -> Option<Waker> {
        let watcher = self.watchers.get_mut(&watching.scope).and_then(|watchers| watchers.get_mut(&watching.id));
        watcher.and_then(|watcher| watcher.waker.replace(cx.waker().clone()))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        let mut gone = None;
        if let Some(watchers) = inner.watchers.get_mut(&self.scope) {
            gone = watchers.remove(&self.id);
            if watchers.is_empty() {
                inner.watchers.remove(&self.scope);
            }
        }
        // As in `wait`.
        drop(inner);
        drop(gone);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().core.fmt(f)
    }
}
