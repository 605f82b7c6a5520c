//! The decisions of a client, without I/O: which server is asked for what, and what is known by its answers.
//!
//! Whatever happens comes in by a call with the time at which it does. Then [`outgoing`](ClientCore::outgoing) has what is to be
//! sent, [`take_touched`](ClientCore::take_touched) what may have changed for subscribers, and
//! [`next_timeout`](ClientCore::next_timeout) the time to call [`timeout`](ClientCore::timeout) at the latest.

mod fault;
mod interest;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use syncline_core::clock::Timestamp;

use super::ClientConfig;
use super::state::{Dirtiness, Value};
use super::wire::{Id, KNOW_MAX, Message, Refusal, Scope, VERSION};
use crate::authority::{Admission, Authority, Awaited, Standing, SystemItem};
use crate::item::{Entry, GrantId, Namespace};
use crate::path::Key;

pub(super) use fault::{Checked, Fault, Word, check};
use interest::{Answer, Interest, Serving};

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
        self.timeout(now);
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.links.insert(id, Link::default());
        id
    }

    /// The stream is gone.
    pub(super) fn disconnected(&mut self, now: Timestamp, connection: ConnectionId) {
        self.timeout(now);
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

    /// One more subscribes; none if the client is closed.
    pub(super) fn subscribe(&mut self, now: Timestamp, scope: &Scope) -> Option<SubscriptionId> {
        self.timeout(now);
        if self.closed {
            return None;
        }
        let id = SubscriptionId(self.next_subscription);
        self.next_subscription += 1;
        self.subscriptions.insert(id, scope.clone());
        let interest = self.interests.entry(scope.clone()).or_insert_with(Interest::new);
        interest.subscriptions += 1;
        interest.cull_at = None;
        self.assign_scope(scope);
        Some(id)
    }

    /// One ends. Harmless if it has before.
    pub(super) fn unsubscribe(&mut self, now: Timestamp, subscription: SubscriptionId) {
        self.timeout(now);
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

    /// Time has passed.
    pub(super) fn timeout(&mut self, now: Timestamp) {
        let before = mem::replace(&mut self.now, self.now.max(now));
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
        for scope in culled {
            self.cull(&scope);
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

    fn drop_upstream(&mut self, serving: Option<Serving>) {
        let Some(serving) = serving else { return };
        if let Some(link) = self.links.get_mut(&serving.connection)
            && link.scopes.remove(&serving.id).is_some()
        {
            link.outgoing.push(Message::Unsubscribe(serving.id));
        }
    }

    fn is_fresh(&self, link: &Link, now: Timestamp) -> bool {
        let Some(within) = self.config.fresh_within else { return true };
        let age = link.age.map(|age| u128::from(age) + now.since(link.age_at).as_millis());
        age.is_some_and(|age| age <= within.as_millis())
    }

    /// The first time at which a server that is fresh is not any more.
    fn ages_at(&self, link: &Link) -> Option<Timestamp> {
        let within = u64::try_from(self.config.fresh_within?.as_millis()).unwrap_or(u64::MAX);
        let left = within.checked_sub(link.age?)?;
        Some(Timestamp::from_millis(link.age_at.as_millis().saturating_add(left).saturating_add(1)))
    }

    /// Finds a server for all interests that lack one, or are refused by theirs.
    fn assign(&mut self) {
        let scopes: Vec<Scope> = self.interests.keys().cloned().collect();
        for scope in scopes {
            self.assign_scope(&scope);
        }
    }

    fn assign_scope(&mut self, scope: &Scope) {
        let Some(interest) = self.interests.get_mut(scope) else { return };
        let is_served = interest.serving.is_some_and(|serving| !interest.denied_by.contains(&serving.connection));
        if is_served || interest.too_large {
            return;
        }
        let ready = || self.links.iter().filter(|(_, link)| link.ready).map(|(id, _)| *id);
        let willing = ready().find(|id| !interest.denied_by.contains(id));
        // One that refuses may not for ever.
        let refusing = || ready().next().filter(|_| interest.serving.is_none());
        let Some(connection) = willing.or_else(refusing) else { return };
        let old = interest.serving;
        self.serve(scope, connection);
        self.drop_upstream(old);
    }

    fn serve(&mut self, scope: &Scope, connection: ConnectionId) {
        let Some(interest) = self.interests.get_mut(scope) else { return };
        let Some(link) = self.links.get_mut(&connection) else { return };
        let id = link.next_id;
        link.next_id += 1;
        link.scopes.insert(id, scope.clone());
        let new: Vec<GrantId> = interest.leaves().into_iter().filter(|leaf| link.named.insert(*leaf)).collect();
        link.outgoing.extend(new.chunks(KNOW_MAX).map(|some| Message::Know(some.to_vec())));
        let deletions = interest.holds_something();
        link.outgoing.push(Message::Subscribe { id, scope: scope.clone(), deletions });
        interest.serve(Some(Serving { connection, id }));
        self.touched.push(Touched::Scope(scope.clone()));
    }

    /// Takes in a message of a server.
    ///
    /// # Errors
    ///
    /// The server is at fault. Nothing of this message was taken in; the caller ends the connection.
    pub(super) fn message(&mut self, now: Timestamp, connection: ConnectionId, message: Checked) -> Result<(), Fault> {
        self.timeout(now);
        let Some(link) = self.links.get_mut(&connection) else { return Ok(()) };
        match (link.ready, message) {
            (false, Checked::Word(Word::Welcome { version: VERSION, age })) => {
                (link.ready, link.age, link.age_at) = (true, age, self.now);
                if self.closed {
                    link.outgoing.push(Message::Bye);
                }
                self.assign();
                Ok(())
            }
            (false, Checked::Word(Word::Welcome { .. } | Word::Refuse(Refusal::Version))) => Err(Fault::Version),
            (false, Checked::Word(Word::Refuse(Refusal::Namespace))) => Err(Fault::Refused),
            (false, _) => Err(Fault::Unexpected("not a welcome")),
            (true, Checked::Word(Word::Fresh(age))) => {
                (link.age, link.age_at) = (age, self.now);
                self.touched.extend(link.scopes.values().cloned().map(Touched::Scope));
                Ok(())
            }
            (true, Checked::Item(item)) => self.admit(item),
            (true, Checked::Value { id, entry }) => self.entry(connection, id, entry),
            (true, Checked::Word(word)) => self.word(connection, word),
        }
    }

    /// The scope of a subscription; none if it has ended.
    fn scope_of(&self, connection: ConnectionId, id: Id) -> Result<Option<Scope>, Fault> {
        let Some(link) = self.links.get(&connection) else { return Ok(None) };
        if id >= link.next_id {
            return Err(Fault::UnknownSubscription(id));
        }
        Ok(link.scopes.get(&id).cloned())
    }

    fn word(&mut self, connection: ConnectionId, word: Word) -> Result<(), Fault> {
        let id = match word {
            Word::Begin(id) | Word::Live(id) | Word::Denied(id) | Word::Changed(id) => id,
            Word::Absent { id, .. } | Word::Held { id, .. } => id,
            Word::Welcome { .. } => return Err(Fault::Unexpected("welcome")),
            Word::Refuse(_) => return Err(Fault::Unexpected("refuse")),
            Word::Fresh(_) => return Ok(()),
        };
        let Some(scope) = self.scope_of(connection, id)? else { return Ok(()) };
        let max = self.config.set_keys;
        let Some(interest) = self.interests.get_mut(&scope) else { return Ok(()) };
        match word {
            Word::Begin(_) => {
                interest.denied_by.remove(&connection);
                interest.begin();
            }
            Word::Live(_) => {
                let missing = interest.complete(self.now, max);
                self.touched.extend(missing.into_iter().map(|key| Touched::Key(scope.clone(), key)));
            }
            Word::Changed(_) => interest.changed = true,
            Word::Held { held, .. } => interest.held = held,
            Word::Absent { key, .. } => return self.answer(&scope, &key, Answer::Absent),
            _ => {
                interest.serve(interest.serving);
                interest.denied_by.insert(connection);
                self.assign_scope(&scope);
            }
        }
        self.touched.push(Touched::Scope(scope));
        Ok(())
    }

    fn entry(&mut self, connection: ConnectionId, id: Id, entry: Entry) -> Result<(), Fault> {
        let standing = self.authority.check(&entry);
        let Some(scope) = self.scope_of(connection, id)? else { return Ok(()) };
        let key = entry.key().clone();
        let answer = match standing {
            Standing::Live => Answer::Entry(entry),
            Standing::Dead { .. } | Standing::Distrusted { .. } => Answer::Dead(entry),
            Standing::Unauthorized(denied) => return Err(Fault::Unauthorized(denied)),
            Standing::Waiting(grant) => return Err(Fault::Unfounded(Awaited::Grant(grant))),
        };
        self.answer(&scope, &key, answer)
    }

    fn answer(&mut self, scope: &Scope, key: &Key, answer: Answer) -> Result<(), Fault> {
        if !scope.contains(key) {
            return Err(Fault::NotAsked(key.clone()));
        }
        let Some(interest) = self.interests.get_mut(scope) else { return Ok(()) };
        interest.answer(self.now, key, answer, self.config.set_keys);
        if interest.too_large {
            let serving = mem::take(&mut interest.serving);
            self.drop_upstream(serving);
            self.touched.push(Touched::All(scope.clone()));
        } else {
            self.touched.push(Touched::Key(scope.clone(), key.clone()));
        }
        Ok(())
    }

    fn admit(&mut self, item: SystemItem) -> Result<(), Fault> {
        let effects = match self.authority.admit(item) {
            Admission::Added(effects) => effects,
            Admission::Known => return Ok(()),
            Admission::Waiting(awaited) => return Err(Fault::Unfounded(awaited)),
            Admission::Refused(refusal) => return Err(Fault::NotAdmitted(refusal)),
            Admission::Full => return Err(Fault::Full),
        };
        if effects.is_none() {
            return Ok(());
        }
        for (scope, interest) in &mut self.interests {
            for key in interest.reassess(&self.authority) {
                self.touched.push(Touched::Key(scope.clone(), key));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
