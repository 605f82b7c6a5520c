//! Subscriptions to what is below a path.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use super::core::{ClientCore, SubscriptionId};
use super::key::Observed;
use super::shared::{ChangedKeys, Shared, Watching};
use super::state::Dirtiness;
use super::wire::Scope;
use crate::item::{Entry, EntryId};
use crate::path::{Key, KeyFilter, Subtree};

/// Keeps the values below a path up to date, as far as a filter lets their keys pass. It ends when it is dropped, by
/// [`unsubscribe`](Self::unsubscribe), or with its client.
///
/// All subscriptions of a client to a path share one subscription at the server, which sends all that is below it; the filter
/// is the client's own, the same for what is there at first and for what changes.
pub struct PrefixSubscription {
    shared: Arc<Shared>,
    id: SubscriptionId,
    subtree: Subtree,
    scope: Scope,
    filter: KeyFilter,
}

/// What happens below a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a set changes in these ways")]
pub enum SetEvent {
    /// A key has a value, and had none.
    Added(Entry),
    /// A key has another value.
    Updated(Entry),
    /// A key has no value any more.
    Removed(Key),
    /// All that the server had has been told. Comes once in a stream.
    Live,
}

impl PrefixSubscription {
    pub(super) fn new(shared: &Arc<Shared>, id: SubscriptionId, subtree: Subtree, filter: KeyFilter) -> Self {
        let scope = Scope::Below(subtree.clone());
        Self { shared: Arc::clone(shared), id, subtree, scope, filter }
    }

    /// The path.
    #[must_use]
    pub fn subtree(&self) -> &Subtree {
        &self.subtree
    }

    /// The values as they are known now, by key; none once the subscription has ended.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<Key, Entry> {
        self.shared.read(|core| {
            let is_open = core.is_subscribed(self.id);
            let entries = core.entries(&self.scope).filter(|entry| is_open && self.filter.matches(entry.key()));
            entries.map(|entry| (entry.key().clone(), entry.clone())).collect()
        })
    }

    /// Whether all that the server has is known and up to date; disconnected once the subscription has ended.
    #[must_use]
    pub fn dirtiness(&self) -> Dirtiness {
        self.shared.state(self.id, &self.scope).map_or(Dirtiness::Disconnected, |state| state.dirtiness)
    }

    /// The dirtiness: as it is, then each that differs from the one before.
    #[must_use]
    pub fn dirtiness_changes(&self) -> Observed<Dirtiness> {
        Observed::new(&self.shared, self.id, self.scope.clone(), |state| state.dirtiness)
    }

    /// What there is, as additions; then [`SetEvent::Live`]; then what changes. See [`SetEvents`].
    #[must_use]
    pub fn events(&self) -> SetEvents {
        SetEvents {
            watching: self.shared.watch(self.id, self.scope.clone(), Some(self.filter.clone())),
            told: BTreeMap::new(),
            told_live: false,
        }
    }

    /// Ends it: its streams end, other subscriptions do not. Harmless if it has ended.
    pub fn unsubscribe(&self) {
        self.shared.with(|core, now| core.unsubscribe(now, self.id));
    }
}

impl Drop for PrefixSubscription {
    fn drop(&mut self) {
        self.unsubscribe();
    }
}

impl fmt::Debug for PrefixSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefixSubscription")
            .field("subtree", &self.subtree)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

/// A stream of what happens below a path.
///
/// Who applies the events in order has what the subscription has. Of a key that changes more often than the stream is read the
/// latest is told. What was removed while there was no connection is told when the next server says so. Memory: a key and an id for each
/// value. It ends with its subscription.
pub struct SetEvents {
    watching: Watching,
    told: BTreeMap<Key, EntryId>,
    told_live: bool,
}

impl Stream for SetEvents {
    type Item = SetEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SetEvent>> {
        let this = self.get_mut();
        let Self { watching, told, told_live } = this;
        let scope = &watching.scope;
        watching.poll_keys(cx, |core, changed| next_event(core, scope, changed, told, told_live))
    }
}

fn next_event(
    core: &ClientCore,
    scope: &Scope,
    changed: &mut ChangedKeys,
    told: &mut BTreeMap<Key, EntryId>,
    told_live: &mut bool,
) -> Option<SetEvent> {
    if std::mem::take(&mut changed.all) {
        let now = core.entries(scope).map(|entry| entry.key()).filter(|key| changed.filter.matches(key));
        changed.keys.extend(now.chain(told.keys()).cloned());
    }
    while let Some(key) = changed.keys.pop_first() {
        let value = core.value(scope, &key);
        let Some(entry) = value.entry() else {
            if told.remove(&key).is_some() {
                return Some(SetEvent::Removed(key));
            }
            continue;
        };
        match told.insert(key, entry.id()) {
            Some(before) if before == entry.id() => {}
            Some(_) => return Some(SetEvent::Updated(entry.clone())),
            None => return Some(SetEvent::Added(entry.clone())),
        }
    }
    let is_live = !*told_live && core.is_live(scope);
    *told_live |= is_live;
    is_live.then_some(SetEvent::Live)
}

impl fmt::Debug for SetEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetEvents").field("told", &self.told.len()).finish_non_exhaustive()
    }
}
