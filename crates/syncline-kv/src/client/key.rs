//! Subscriptions to one key.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};

use super::core::SubscriptionId;
use super::shared::{Shared, Watching};
use super::state::{Dirtiness, State, Value};
use super::wire::Scope;
use crate::path::Key;

/// Keeps the value of one key up to date. It ends when it is dropped, by [`unsubscribe`](Self::unsubscribe), or with its client.
///
/// All subscriptions of a client to a key share one subscription at the server.
pub struct KeySubscription {
    shared: Arc<Shared>,
    id: SubscriptionId,
    key: Key,
    values: Observed<Value>,
    dirtiness: Observed<Dirtiness>,
}

impl KeySubscription {
    pub(super) fn new(shared: &Arc<Shared>, id: SubscriptionId, key: Key) -> Self {
        let scope = Scope::Key(key.clone());
        let mut values = Observed::new(shared, id, scope.clone(), |state| state.value);
        let mut dirtiness = Observed::new(shared, id, scope.clone(), |state| state.dirtiness);
        if let Some(state) = shared.state(id, &scope) {
            values.last = Some(state.value);
            dirtiness.last = Some(state.dirtiness);
        }
        Self { shared: Arc::clone(shared), id, key, values, dirtiness }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The value as it is known now; unknown once the subscription has ended.
    #[must_use]
    pub fn value(&self) -> Value {
        self.state().value
    }

    /// Whether the value is up to date; disconnected once the subscription has ended.
    #[must_use]
    pub fn dirtiness(&self) -> Dirtiness {
        self.state().dirtiness
    }

    /// Both, as of one moment.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.state(self.id, &self.values.watching.scope).unwrap_or_default()
    }

    /// The values: the present one, then each that differs from the one before. See [`Observed`].
    #[must_use]
    pub fn values(&self) -> Observed<Value> {
        Observed::new(&self.shared, self.id, self.values.watching.scope.clone(), |state| state.value)
    }

    /// The dirtiness: as it is, then each that differs from the one before. See [`Observed`].
    #[must_use]
    pub fn dirtiness_changes(&self) -> Observed<Dirtiness> {
        Observed::new(&self.shared, self.id, self.values.watching.scope.clone(), |state| state.dirtiness)
    }

    /// The states: as it is, then each that differs from the one before. See [`Observed`].
    #[must_use]
    pub fn states(&self) -> Observed<State> {
        Observed::new(&self.shared, self.id, self.values.watching.scope.clone(), |state| state)
    }

    /// Waits until the value differs from what this method gave last, or, the first time, from what it was when this was
    /// subscribed. None once the subscription has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn value_changed(&mut self) -> Option<Value> {
        self.values.next().await
    }

    /// The same for the dirtiness.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn dirtiness_changed(&mut self) -> Option<Dirtiness> {
        self.dirtiness.next().await
    }

    /// Ends it: its streams end, other subscriptions do not. Harmless if it has ended.
    pub fn unsubscribe(&self) {
        self.shared.with(|core, now| core.unsubscribe(now, self.id));
    }
}

impl Drop for KeySubscription {
    fn drop(&mut self) {
        self.unsubscribe();
    }
}

impl fmt::Debug for KeySubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySubscription").field("key", &self.key).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// A stream of what a subscription sees: what there is at first, then each time something that differs from the last.
///
/// It holds no queue: who comes late finds the latest, and what came and went in between is not told. It ends with its
/// subscription.
pub struct Observed<T> {
    watching: Watching,
    part: fn(State) -> T,
    last: Option<T>,
}

impl<T> Observed<T> {
    pub(super) fn new(shared: &Arc<Shared>, id: SubscriptionId, scope: Scope, part: fn(State) -> T) -> Self {
        Self { watching: shared.watch(id, scope, None), part, last: None }
    }
}

impl<T: Clone + PartialEq + Unpin> Stream for Observed<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let (part, last) = (this.part, &mut this.last);
        this.watching.poll_state(cx, |state| {
            let now = part(state);
            (last.as_ref() != Some(&now)).then(|| last.insert(now).clone())
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Observed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("last", &self.last).finish_non_exhaustive()
    }
}
