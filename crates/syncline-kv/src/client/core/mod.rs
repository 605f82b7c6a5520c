//! The decisions of a client, without I/O: which server is asked for what, and what is known by its answers.
//!
//! Whatever happens comes in by a call with the time at which it does. Then [`outgoing`](ClientCore::outgoing) has what is to be
//! sent, [`take_touched`](ClientCore::take_touched) what may have changed for subscribers, and
//! [`next_timeout`](ClientCore::next_timeout) the time to call [`timeout`](ClientCore::timeout) at the latest.

mod fault;
mod incoming;
mod interest;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use syncline_core::clock::Timestamp;

use super::ClientConfig;
use super::state::{Dirtiness, Value};
use super::wire::{Id, Message, Scope};
use crate::authority::Authority;
use crate::item::{Entry, GrantId, Namespace};
use crate::path::Key;

pub(super) use fault::{Checked, Fault, Word, check};
use interest::Interest;

/// Names a connection to a server. Earlier ones are less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(u64);

/// Names a subscription of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubscriptionId(u64);

/// What may look different to subscribers now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// The dirtiness of a scope.
    Scope(Scope),
    /// A key of it.
    Key(Scope, Key),
    /// All of it.
    All(Scope),
}

impl Touched {
    pub(super) fn scope(&self) -> &Scope {
        match self {
            Self::Scope(scope) | Self::Key(scope, _) | Self::All(scope) => scope,
        }
    }
}

/// A connection to a server.
#[derive(Debug, Default)]
struct Link {
    ready: bool,
    /// How long ago the server's last complete sync began, in milliseconds, at the time beside it.
    age: Option<u64>,
    age_at: Timestamp,
    next_id: Id,
    scopes: BTreeMap<Id, Scope>,
    /// Grants that were named to the server.
    named: BTreeSet<GrantId>,
    outgoing: Vec<Message>,
}

/// The decisions of a client. See the [module](self).
#[derive(Debug)]
pub(super) struct ClientCore {
    config: ClientConfig,
    authority: Authority,
    now: Timestamp,
    links: BTreeMap<ConnectionId, Link>,
    interests: BTreeMap<Scope, Interest>,
    subscriptions: BTreeMap<SubscriptionId, Scope>,
    next_connection: u64,
    next_subscription: u64,
    touched: Vec<Touched>,
    closed: bool,
}

impl ClientCore {
    pub(super) fn new(namespace: Namespace, config: ClientConfig) -> Self {
        Self {
            authority: Authority::new(namespace, config.authority),
            config,
            now: Timestamp::ZERO,
            links: BTreeMap::new(),
            interests: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            next_connection: 0,
            next_subscription: 0,
            touched: Vec::new(),
            closed: false,
        }
    }

    pub(super) fn namespace(&self) -> &Namespace {
        self.authority.namespace()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_subscribed(&self, subscription: SubscriptionId) -> bool {
        self.subscriptions.contains_key(&subscription)
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.interests.keys()
    }

    pub(super) fn value(&self, scope: &Scope, key: &Key) -> Value {
        self.interests.get(scope).map_or(Value::Unknown, |interest| interest.value(key))
    }

    pub(super) fn entries(&self, scope: &Scope) -> impl Iterator<Item = &Entry> {
        self.interests.get(scope).into_iter().flat_map(Interest::entries)
    }

    pub(super) fn is_live(&self, scope: &Scope) -> bool {
        self.interests.get(scope).is_some_and(|interest| interest.live)
    }

    pub(super) fn dirtiness(&self, scope: &Scope) -> Dirtiness {
        let Some(interest) = self.interests.get(scope) else { return Dirtiness::Disconnected };
        if interest.too_large {
            return Dirtiness::TooLarge;
        }
        let Some(serving) = interest.serving else { return Dirtiness::Disconnected };
        if interest.denied_by.contains(&serving.connection) {
            return Dirtiness::Denied;
        }
        let catching_up = interest.is_catching_up(self.now, self.config.catch_up);
        let is_fresh = self.links.get(&serving.connection).is_some_and(|link| self.is_fresh(link, self.now));
        match catching_up {
            _ if !interest.live || interest.changed => Dirtiness::Pending,
            Some(true) => Dirtiness::Pending,
            Some(false) => Dirtiness::Stale,
            None if !is_fresh => Dirtiness::Stale,
            None if interest.held => Dirtiness::Quarantined,
            None => Dirtiness::Clean,
        }
    }

    /// What may have changed for subscribers since the last call.
    pub(super) fn take_touched(&mut self) -> Vec<Touched> {
        mem::take(&mut self.touched)
    }

    /// What is to be sent to a server, and whether that is all for ever.
    pub(super) fn outgoing(&mut self, connection: ConnectionId) -> (Vec<Message>, bool) {
        let closed = self.closed;
        self.links.get_mut(&connection).map_or((Vec::new(), true), |link| (mem::take(&mut link.outgoing), closed))
    }

    /// The connections for which there is something to send.
    pub(super) fn connections_to_wake(&self) -> impl Iterator<Item = ConnectionId> {
        self.links.iter().filter(|(_, link)| self.closed || !link.outgoing.is_empty()).map(|(id, _)| *id)
    }

    /// A stream to a server is there.
    pub(super) fn connected(&mut self, now: Timestamp) -> ConnectionId {
        self.advance(now);
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.links.insert(id, Link::default());
        id
    }

    /// The stream is gone.
    pub(super) fn disconnected(&mut self, now: Timestamp, connection: ConnectionId) {
        self.advance(now);
        self.links.remove(&connection);
        for (scope, interest) in &mut self.interests {
            interest.denied_by.remove(&connection);
            if interest.serving.is_some_and(|serving| serving.connection == connection) {
                interest.serve(None);
                self.touched.push(Touched::Scope(scope.clone()));
            }
        }
        self.assign();
    }

    /// One more subscribes. If the client is closed, that has ended before it began.
    pub(super) fn subscribe(&mut self, now: Timestamp, scope: &Scope) -> SubscriptionId {
        self.advance(now);
        let id = SubscriptionId(self.next_subscription);
        self.next_subscription += 1;
        if self.closed {
            return id;
        }
        self.subscriptions.insert(id, scope.clone());
        let interest = self.interests.entry(scope.clone()).or_insert_with(|| Interest::new(scope));
        interest.subscriptions += 1;
        interest.cull_at = None;
        self.assign_scope(scope);
        id
    }

    /// One ends. Harmless if it has before.
    pub(super) fn unsubscribe(&mut self, now: Timestamp, subscription: SubscriptionId) {
        self.advance(now);
        let Some(scope) = self.subscriptions.remove(&subscription) else { return };
        // Its streams end.
        self.touched.push(Touched::Scope(scope.clone()));
        if let Some(interest) = self.interests.get_mut(&scope) {
            interest.subscriptions -= 1;
            if interest.subscriptions == 0 {
                interest.cull_at = Some(self.now + self.config.cull_after);
            }
        }
    }

    /// Ends all subscriptions and all connections, for ever.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for link in self.links.values_mut().filter(|link| link.ready) {
            link.outgoing = vec![Message::Bye];
        }
        self.touched.extend(self.interests.keys().cloned().map(Touched::Scope));
        self.interests.clear();
        self.subscriptions.clear();
    }

    fn advance(&mut self, now: Timestamp) {
        // What comes together is looked at once.
        if now > self.now {
            self.timeout(now);
        }
    }

    /// Time has passed.
    pub(super) fn timeout(&mut self, now: Timestamp) {
        let before = self.now;
        self.now = before.max(now);
        let catch_up = self.config.catch_up;
        let mut culled = Vec::new();
        for (scope, interest) in &mut self.interests {
            if interest.cull_at.is_some_and(|at| at <= self.now) {
                culled.push(scope.clone());
                continue;
            }
            let was = interest.is_catching_up(before, catch_up);
            for key in interest.give_in(self.now, catch_up) {
                self.touched.push(Touched::Key(scope.clone(), key));
            }
            if was != interest.is_catching_up(self.now, catch_up) {
                self.touched.push(Touched::Scope(scope.clone()));
            }
        }
        for scope in &culled {
            self.cull(scope);
        }
        if !culled.is_empty() {
            // There is room for others.
            self.assign();
        }
        let aged = self.links.values().filter(|link| self.is_fresh(link, before) != self.is_fresh(link, self.now));
        let scopes: Vec<Scope> = aged.flat_map(|link| link.scopes.values().cloned()).collect();
        self.touched.extend(scopes.into_iter().map(Touched::Scope));
    }

    /// When [`timeout`](Self::timeout) has something to do.
    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        let interests = self.interests.values();
        let interests = interests.filter_map(|interest| interest.next_timeout(self.now, self.config.catch_up));
        let links = self.links.values().filter_map(|link| self.ages_at(link));
        interests.chain(links.filter(|at| *at > self.now)).min()
    }

    fn cull(&mut self, scope: &Scope) {
        if let Some(interest) = self.interests.remove(scope) {
            self.drop_upstream(interest.serving);
        }
        self.touched.push(Touched::All(scope.clone()));
    }
}

#[cfg(test)]
mod tests;
