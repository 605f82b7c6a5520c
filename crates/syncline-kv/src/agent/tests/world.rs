//! Agents on a network that loses, delays and doubles, each with a set of items as its tree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;

/// Item kinds by their first byte; [`FORGED`] are refused by every tree.
pub(super) const ENTRY: u8 = 0;
pub(super) const GRANT: u8 = 1;
pub(super) const REVOCATION: u8 = 2;
pub(super) const FORGED: u8 = 0xff;

/// How the network treats messages.
#[derive(Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) loss_percent: u64,
    pub(super) double_percent: u64,
}

pub(super) struct Node {
    pub(super) agent: Agent<u32>,
    pub(super) items: BTreeSet<Bytes>,
    pub(super) online: bool,
    /// When its agent wants to be woken.
    timeout: Option<Timestamp>,
    /// When each item came.
    pub(super) came: BTreeMap<Bytes, Timestamp>,
}

enum Event {
    Deliver { to: u32, from: u32, bytes: Bytes },
    SessionEnd { opener: u32, with: u32, number: u64 },
}

pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) now: Timestamp,
    pub(super) weather: Weather,
    /// Everything that was done: when, by whom, what.
    pub(super) log: Vec<(Timestamp, u32, AgentOutput<u32>)>,
    pub(super) sessions: u64,
    /// The sessions that go on, by who opened them and with whom.
    active: BTreeMap<(u32, u32), u64>,
    sessions_max: usize,
    events: BTreeMap<(Timestamp, u64), Event>,
    number: u64,
    random: Random,
}

pub(super) fn root_of(items: &BTreeSet<Bytes>) -> Root {
    // Kind and number tell items apart.
    let all: Vec<u8> = items.iter().flat_map(|item| item.iter().take(9).copied()).collect();
    Root::new(Hash::digest(&all), u64::try_from(items.len()).unwrap())
}

pub(super) fn item(kind: u8, n: u64, len: usize) -> Bytes {
    let mut bytes = vec![kind];
    bytes.extend(n.to_be_bytes());
    bytes.resize(len.max(9), 0);
    bytes.into()
}

fn push(item: &Bytes) -> Push {
    let kind = match item.first() {
        Some(&GRANT) => PushKind::Grant,
        Some(&REVOCATION) => PushKind::Revocation,
        _ => PushKind::Entry,
    };
    Push::new(kind, item.clone())
}

impl World {
    pub(super) fn new(count: u32, seed: u64, config: &AgentConfig) -> Self {
        let mut random = Random::new(seed);
        let mut node = |me| Node {
            agent: Agent::new(me, namespace(), random.next_u64(), config.clone()),
            items: BTreeSet::new(),
            online: true,
            timeout: None,
            came: BTreeMap::new(),
        };
        Self {
            nodes: (0..count).map(&mut node).collect(),
            now: at(0),
            weather: Weather::default(),
            log: Vec::new(),
            sessions: 0,
            active: BTreeMap::new(),
            sessions_max: config.sessions_max(),
            events: BTreeMap::new(),
            number: 0,
            random,
        }
    }

    /// Everybody knows everybody, and starts within a second.
    pub(super) fn start(&mut self) {
        let ids: Vec<u32> = (0..).take(self.nodes.len()).collect();
        for &me in &ids {
            for &peer in &ids {
                let rtt = Some(Duration::from_millis(u64::from(me.abs_diff(peer))));
                self.tell(me, AgentInput::PeerUp { peer, rtt });
            }
        }
        for &me in &ids {
            let root = self.root(me);
            self.tell(me, AgentInput::Started { root });
            let time = self.random.up_to(Duration::from_secs(1) / u32::try_from(ids.len()).unwrap());
            self.pass(time);
        }
    }

    pub(super) fn node(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[usize::try_from(id).unwrap()]
    }

    pub(super) fn root(&mut self, id: u32) -> Root {
        root_of(&self.node(id).items)
    }

    pub(super) fn tell(&mut self, id: u32, input: AgentInput<u32>) {
        let now = self.now;
        let node = self.node(id);
        node.agent.handle(now, input);
        let outputs: Vec<_> = std::iter::from_fn(|| node.agent.poll()).collect();
        node.timeout = node.agent.next_timeout();
        assert!(node.timeout.is_none_or(|next| next > now), "{id} has no rest at {now:?}");
        for output in outputs {
            self.log.push((now, id, output.clone()));
            self.carry_out(id, output);
        }
    }

    /// The application of a node puts an item.
    pub(super) fn put(&mut self, id: u32, item: &Bytes) {
        self.applied(id, Source::Local, vec![item.clone()]);
    }

    fn applied(&mut self, id: u32, source: Source<u32>, items: Vec<Bytes>) {
        let now = self.now;
        let node = self.node(id);
        let mut pushes = Vec::new();
        for item in items {
            if item.first() != Some(&FORGED) && node.items.insert(item.clone()) {
                node.came.insert(item.clone(), now);
                pushes.push(push(&item));
            }
        }
        let root = self.root(id);
        if !pushes.is_empty() {
            self.tell(id, AgentInput::Changed { root, source, pushes });
        }
    }

    fn carry_out(&mut self, id: u32, output: AgentOutput<u32>) {
        match output {
            AgentOutput::Broadcast { bytes } => {
                for to in (0..).take(self.nodes.len()) {
                    self.send(id, to, bytes.clone());
                }
            }
            AgentOutput::Send { to, bytes } => self.send(id, to, bytes),
            AgentOutput::Apply { from, items } => self.applied(id, Source::Pushed(from), items),
            AgentOutput::Sync { with } => self.open(id, with),
            AgentOutput::CancelSync { with } => {
                self.active.remove(&(id, with));
            }
            AgentOutput::Rejected { .. } => {}
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.number += 1;
        self.events.insert((self.now + after, self.number), event);
    }

    fn send(&mut self, from: u32, to: u32, bytes: Bytes) {
        assert!(bytes.len() <= 1_200);
        if !self.node(from).online {
            return;
        }
        let copies = 1 + u64::from(self.random.below(100) < self.weather.double_percent);
        for _ in 0..copies {
            if self.random.below(100) >= self.weather.loss_percent {
                let delay = Duration::from_millis(1) + self.random.up_to(Duration::from_millis(20));
                self.schedule(delay, Event::Deliver { to, from, bytes: bytes.clone() });
            }
        }
    }

    fn open(&mut self, opener: u32, with: u32) {
        self.sessions += 1;
        self.number += 1;
        let number = self.number;
        assert!(self.active.insert((opener, with), number).is_none(), "a second session with the same");
        let opened = self.active.keys().filter(|(by, _)| *by == opener).count();
        assert!(opened <= self.sessions_max, "{opened} sessions at once");
        self.schedule(Duration::from_millis(50), Event::SessionEnd { opener, with, number });
        if self.node(with).online {
            self.tell(with, AgentInput::SessionAccepted { peer: opener });
        }
    }

    fn session_end(&mut self, opener: u32, with: u32) {
        let both_online = self.node(opener).online && self.node(with).online;
        let mut outcome = Outcome::Failed;
        if both_online {
            let (ours, theirs) = (self.node(opener).items.clone(), self.node(with).items.clone());
            let moved = ours.symmetric_difference(&theirs).count();
            outcome = Outcome::Completed { moved: u64::try_from(moved).unwrap() };
            self.applied(opener, Source::Session(with), theirs.difference(&ours).cloned().collect());
            self.applied(with, Source::Session(opener), ours.difference(&theirs).cloned().collect());
        }
        self.tell(opener, AgentInput::SessionEnded { peer: with, side: Side::Opened, outcome });
        self.tell(with, AgentInput::SessionEnded { peer: opener, side: Side::Accepted, outcome });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { to, from, bytes } => {
                if self.node(to).online {
                    self.tell(to, AgentInput::Received { from: Some(from), bytes });
                }
            }
            Event::SessionEnd { opener, with, number } => {
                if self.active.get(&(opener, with)) == Some(&number) {
                    self.active.remove(&(opener, with));
                    self.session_end(opener, with);
                }
            }
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let ids = (0_u32..).take(self.nodes.len());
            let timeouts = ids.zip(&self.nodes).filter_map(|(id, node)| Some((node.timeout?, id)));
            let timeout = timeouts.min();
            let next = event.into_iter().chain(timeout.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next;
            if event == Some(next) {
                let (_, event) = self.events.pop_first().unwrap();
                self.happen(event);
            } else if let Some((_, id)) = timeout {
                self.tell(id, AgentInput::Timeout);
            }
        }
        self.now = end;
    }

    /// Whether all have the same.
    pub(super) fn agrees(&self) -> bool {
        self.nodes.windows(2).all(|pair| pair[0].items == pair[1].items)
    }

    /// Passes time until all have the same. Panics if it takes longer than `most`.
    pub(super) fn converge(&mut self, most: Duration) -> Duration {
        let (since, step) = (self.now, Duration::from_millis(500));
        while !self.agrees() {
            assert!(self.now.since(since) < most, "not equal after {most:?}");
            self.pass(step);
        }
        self.now.since(since)
    }

    pub(super) fn has(&mut self, id: u32, item: &Bytes) -> bool {
        self.node(id).items.contains(item)
    }
}
