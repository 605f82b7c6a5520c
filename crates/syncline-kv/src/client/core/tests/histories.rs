//! Random histories of servers that learn, connections that come and go, and subscribers, against what must hold of each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use syncline_core::clock::Timestamp;

use super::world::{CATCH_UP, Tell, World, at, item, key, scope};
use crate::client::core::{ClientCore, ConnectionId, SubscriptionId};
use crate::client::wire::{Id, Message};
use crate::client::{Dirtiness, Value};
use crate::item::{Entry, Grant};

const X: &str = "/x";
const SERVERS: usize = 3;
const GRANTS: usize = 2;

/// What a history consists of.
#[derive(Clone, Debug)]
enum Event {
    /// A server gets a new entry, by a grant or the root.
    Write {
        server: usize,
        grant: Option<usize>,
        is_deletion: bool,
    },
    Revoke {
        server: usize,
        grant: usize,
    },
    /// One server learns all that another knows.
    Sync {
        from: usize,
        to: usize,
    },
    Connect {
        server: usize,
    },
    Drop {
        connection: usize,
    },
    /// So many messages of a connection arrive.
    Deliver {
        connection: usize,
        count: usize,
    },
    Subscribe,
    Unsubscribe,
    Wait {
        millis: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let server = || 0..SERVERS;
    prop_oneof![
        4 => (server(), proptest::option::of(0..GRANTS), proptest::bool::weighted(0.2))
            .prop_map(|(server, grant, is_deletion)| Event::Write { server, grant, is_deletion }),
        1 => (server(), 0..GRANTS).prop_map(|(server, grant)| Event::Revoke { server, grant }),
        2 => (server(), server()).prop_map(|(from, to)| Event::Sync { from, to }),
        2 => server().prop_map(|server| Event::Connect { server }),
        2 => (0..3_usize).prop_map(|connection| Event::Drop { connection }),
        6 => (0..3_usize, 1..9_usize).prop_map(|(connection, count)| Event::Deliver { connection, count }),
        1 => Just(Event::Subscribe),
        1 => Just(Event::Unsubscribe),
        1 => (0..20_000_u64).prop_map(|millis| Event::Wait { millis }),
    ]
}

/// A replica, naively: all that it has heard of.
#[derive(Clone, Debug, Default)]
struct Server {
    entries: BTreeSet<Entry>,
    revoked: BTreeSet<usize>,
}

impl Server {
    fn value(&self, grants: &[Grant]) -> Option<Entry> {
        let is_dead = |entry: &&Entry| {
            let by =
                |revoked: &usize| grants.get(*revoked).is_some_and(|grant| entry.leaves().as_slice() == [grant.id()]);
            !self.revoked.iter().any(by)
        };
        self.entries.iter().filter(is_dead).max_by_key(|entry| entry.order()).cloned()
    }
}

/// A connection as its server sees it.
#[derive(Debug)]
struct Wire {
    server: usize,
    to_client: VecDeque<Message>,
    open: BTreeSet<Id>,
    told: Option<Option<Entry>>,
    told_grants: bool,
    told_revoked: BTreeSet<usize>,
}

struct History {
    world: World,
    grants: Vec<Grant>,
    servers: Vec<Server>,
    wires: BTreeMap<ConnectionId, Wire>,
    core: ClientCore,
    subscriptions: Vec<SubscriptionId>,
    now: Timestamp,
    stamp: u64,
    /// What the client has been proven.
    revoked: BTreeSet<usize>,
    last: Value,
}

impl History {
    fn new() -> Self {
        let world = World::new();
        let grants = (0..GRANTS as u64).map(|stamp| world.grant(stamp + 1)).collect();
        Self {
            core: world.core(),
            world,
            grants,
            servers: vec![Server::default(); SERVERS],
            wires: BTreeMap::new(),
            subscriptions: Vec::new(),
            now: at(0),
            stamp: 0,
            revoked: BTreeSet::new(),
            last: Value::Unknown,
        }
    }

    fn connection(&self, nth: usize) -> Option<ConnectionId> {
        self.wires.keys().nth(nth).copied()
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Write { server, grant, is_deletion } => {
                self.stamp += 1;
                let leaf = grant.filter(|grant| !self.servers[*server].revoked.contains(grant));
                let leaf = leaf.map(|grant| self.grants[grant].id());
                let entry = self.world.entry(X, self.stamp, leaf, *is_deletion);
                self.servers[*server].entries.insert(entry);
            }
            Event::Revoke { server, grant } => {
                self.servers[*server].revoked.insert(*grant);
            }
            Event::Sync { from, to } => {
                let known = self.servers[*from].clone();
                self.servers[*to].entries.extend(known.entries);
                self.servers[*to].revoked.extend(known.revoked);
            }
            Event::Connect { server } if self.wires.len() < 3 => {
                let connection = self.core.connected(self.now);
                let to_client = VecDeque::from([Message::Welcome { version: 1, age: None }]);
                let wire = Wire {
                    server: *server,
                    to_client,
                    open: BTreeSet::new(),
                    told: None,
                    told_grants: false,
                    told_revoked: BTreeSet::new(),
                };
                self.wires.insert(connection, wire);
            }
            Event::Connect { .. } => {}
            Event::Drop { connection } => {
                if let Some(connection) = self.connection(*connection) {
                    self.wires.remove(&connection);
                    self.core.disconnected(self.now, connection);
                }
            }
            Event::Deliver { connection, count } => {
                if let Some(connection) = self.connection(*connection) {
                    self.deliver(connection, *count);
                }
            }
            Event::Subscribe => self.subscriptions.push(self.core.subscribe(self.now, &scope(X))),
            Event::Unsubscribe => {
                if let Some(subscription) = self.subscriptions.pop() {
                    self.core.unsubscribe(self.now, subscription);
                }
            }
            Event::Wait { millis } => {
                self.now = self.now + Duration::from_millis(*millis);
                self.core.timeout(self.now);
            }
        }
        self.serve();
        self.look();
    }

    /// Servers answer what they were asked, and tell what has changed.
    fn serve(&mut self) {
        for (connection, wire) in &mut self.wires {
            for message in self.core.outgoing(*connection).0 {
                match message {
                    Message::Subscribe { id, .. } => {
                        wire.open.insert(id);
                        wire.told = None;
                    }
                    Message::Unsubscribe(id) => {
                        wire.open.remove(&id);
                    }
                    _ => {}
                }
            }
            assert!(wire.open.len() <= 1, "more than one subscription to one key: {:?}", wire.open);
            let Some(&id) = wire.open.first() else { continue };
            let server = &self.servers[wire.server];
            let value = server.value(&self.grants);
            let is_first = wire.told.is_none();
            if !std::mem::replace(&mut wire.told_grants, true) {
                wire.to_client.extend(self.grants.iter().cloned().map(item));
            }
            if is_first {
                wire.to_client.push_back(Message::Begin(id));
            }
            if wire.told.as_ref() != Some(&value) {
                wire.told = Some(value.clone());
                wire.to_client.push_back(match value {
                    Some(entry) => Message::Value { id, entry },
                    None => Message::Absent { id, key: key(X) },
                });
            }
            for revoked in &server.revoked {
                if wire.told_revoked.insert(*revoked) {
                    wire.to_client.push_back(item(self.world.revocation(self.grants[*revoked].id())));
                }
            }
            if is_first {
                wire.to_client.push_back(Message::Live(id));
            }
        }
    }

    fn deliver(&mut self, connection: ConnectionId, count: usize) {
        for _ in 0..count {
            let message = self.wires.get_mut(&connection).and_then(|wire| wire.to_client.pop_front());
            let Some(message) = message else { return };
            if let Message::Item(crate::item::Item::Revocation(revocation)) = &message {
                self.revoked.extend(self.grants.iter().position(|grant| grant.id() == revocation.grant()));
            }
            self.core.tell(self.now, connection, message).expect("these servers do nothing wrong");
            self.look();
        }
    }

    /// What must hold at any time.
    fn look(&mut self) {
        let value = self.core.value(&scope(X), &key(X));
        let is_proven_dead =
            |entry: &Entry| self.revoked.iter().any(|grant| entry.leaves().as_slice() == [self.grants[*grant].id()]);
        if let Some(entry) = value.entry() {
            assert!(!is_proven_dead(entry), "a value is shown that is revoked: {entry:?}");
        }
        let is_kept = self.core.scopes().next().is_some();
        if let (true, Some(before)) = (is_kept, self.last.entry()) {
            let knows_why = is_proven_dead(before)
                || self.servers.iter().any(|server| {
                    let revoked = |grant: &usize| before.leaves().as_slice() == [self.grants[*grant].id()];
                    server.revoked.iter().any(revoked)
                });
            match &value {
                Value::Present(now) => assert!(now.order() >= before.order() || knows_why, "time was turned back"),
                Value::Unknown => assert!(is_proven_dead(before), "a value was lost"),
                Value::Absent => {}
            }
        }
        if is_kept && value.is_unknown() {
            assert!(self.last.is_unknown() || !self.revoked.is_empty(), "what was known was lost");
        }
        self.last = if is_kept { value } else { Value::Unknown };
        let next = self.core.next_timeout();
        assert!(next.is_none_or(|next| next > self.now), "a timeout that has passed: {next:?} at {:?}", self.now);
    }

    /// All servers hear of all, and all that is under way arrives.
    fn settle(&mut self) {
        let all = self.servers.iter().fold(Server::default(), |mut all, server| {
            all.entries.extend(server.entries.iter().cloned());
            all.revoked.extend(&server.revoked);
            all
        });
        self.servers.fill(all);
        self.apply(&Event::Connect { server: 0 });
        self.apply(&Event::Subscribe);
        loop {
            self.serve();
            let waiting = self.wires.iter().find(|(_, wire)| !wire.to_client.is_empty()).map(|(id, _)| *id);
            let Some(connection) = waiting else { break };
            self.deliver(connection, 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn in_the_end_the_client_has_what_the_servers_have(events in proptest::collection::vec(event(), 1..200)) {
        let mut history = History::new();
        history.apply(&Event::Subscribe);
        for event in &events {
            history.apply(event);
        }
        history.settle();
        let expected = history.servers[0].value(&history.grants).filter(|entry| !entry.is_tombstone());
        let after = history.now + CATCH_UP;
        history.core.timeout(after);
        let value = history.core.value(&scope(X), &key(X));
        prop_assert_eq!(value.entry(), expected.as_ref());
        prop_assert!(!value.is_unknown());
        prop_assert_eq!(history.core.dirtiness(&scope(X)), Dirtiness::Clean);
    }
}
