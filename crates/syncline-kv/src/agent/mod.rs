//! The gossip of one namespace on one node: who has something else, and what is new.
//!
//! An [`Agent`] decides; it does no I/O, reads no clock and draws no randomness but from its seed. [`run`] connects it to a
//! [`Membership`], a [`Broadcast`], a [`Connector`] and to what the node has, which is [`Gossiped`].
//!
//! - **Digests.** On start, at jittered intervals, after changes, and whenever messages may have been lost, a node
//!   broadcasts a digest: its root and a nonce. Who has the same keeps silent. Who has not answers after a random time, to
//!   the asker alone, with its own root. The asker opens sessions with those, the nearest first, few at a time, and compares
//!   again afterwards. At a slow pace it also opens sessions with members chosen at random, so that lost digests do not
//!   leave anybody behind.
//! - **Pushes.** What is new and short goes to others at once, and from them on once they have verified and applied it.
//!   Grants and revocations do so whatever their length. With few members it goes to all. With many it goes to both
//!   neighbours of the node in the ring of all members and to some chosen at random (Voulgaris, van Steen: "Hybrid
//!   dissemination: adding determinism to probabilistic multicasting in large-scale P2P systems", Middleware 2007): if
//!   nothing is lost and all know the same members, it reaches everybody.
//!
//! # Hostile members
//!
//! A member can make an agent open sessions with it, one at a time, at a rate that falls while they are of no use, and only
//! after others have had their turn; send it digests and replies at a rate, none longer than what it sent; and hand items
//! to the tree at a rate. What is forwarded, the tree has verified before. Who is no member can do the last alone, with one
//! budget for all of them, and is never sent anything. Memory is bounded by [`AgentConfig`].
//!
//! Roots are no secrets to members: they tell that something has changed and how much there is, not what.

mod config;
mod dialing;
mod digests;
mod event;
mod message;
mod outbox;
mod parts;
mod peers;
mod pushing;
mod random;
mod rate;
mod run;
mod seen;
mod stats;
#[cfg(test)]
mod tests;
mod traits;

use std::collections::VecDeque;
use std::fmt::Debug;

use bytes::Bytes;
use syncline_core::clock::Timestamp;
use syncline_crypto::Hash;

pub use config::AgentConfig;
pub use event::{AgentInput, AgentOutput, Outcome, Push, PushKind, Side, Source};
pub use message::{Message, MessageError, Root};
pub use rate::Rate;
pub use run::run;
pub use stats::{AgentStats, PeerStats};
pub use traits::{Broadcast, Connector, Gossiped, Heard, MemberEvent, Membership, News, OpenError};

use digests::Digests;
use outbox::Outbox;
use parts::{Assemblies, Piece};
use peers::Peers;
use random::Random;
use rate::Bucket;
use seen::Seen;

/// The gossip of one namespace on one node, as a state machine.
///
/// ```
/// use syncline_core::clock::Timestamp;
/// use syncline_crypto::Hash;
/// use syncline_kv::agent::{Agent, AgentConfig, AgentInput, AgentOutput, Root};
///
/// let namespace = Hash::digest(b"a namespace");
/// let now = Timestamp::from_millis(1_000);
/// let start = |name, other, has: &[u8]| {
///     let mut agent = Agent::new(name, namespace, has.len() as u64, AgentConfig::default());
///     agent.handle(now, AgentInput::PeerUp { peer: other, rtt: None });
///     agent.handle(now, AgentInput::Started { root: Root::new(Hash::digest(has), 1) });
///     agent
/// };
/// let (mut ada, mut ben) = (start("ada", "ben", b"this"), start("ben", "ada", b"that too"));
///
/// // Ada tells what she has. Ben has something else, and says so after a while.
/// let Some(AgentOutput::Broadcast { bytes }) = ada.poll() else { panic!("no digest") };
/// while ben.poll().is_some() {}
/// ben.handle(now, AgentInput::Received { from: Some("ada"), bytes });
/// let later = ben.next_timeout().unwrap();
/// ben.handle(later, AgentInput::Timeout);
/// let Some(AgentOutput::Send { to: "ada", bytes }) = ben.poll() else { panic!("no answer") };
///
/// // That is reason enough for a session.
/// ada.handle(later, AgentInput::Received { from: Some("ben"), bytes });
/// assert_eq!(ada.poll(), Some(AgentOutput::Sync { with: "ben" }));
/// ```
///
/// # Contract
///
/// - After each [`handle`](Self::handle) the caller drains [`poll`](Self::poll) until it returns `None`, carries the outputs
///   out in their order, and asks [`next_timeout`](Self::next_timeout).
/// - The outputs are a function of the seed, the settings and the inputs.
/// - For each [`AgentOutput::Sync`] there is one [`AgentInput::SessionEnded`], unless an [`AgentOutput::CancelSync`] comes
///   first.
/// - No bytes from anybody are an error of the agent: what is wrong is ignored, counted, and told by
///   [`AgentOutput::Rejected`].
#[derive(Debug)]
pub struct Agent<P> {
    me: P,
    namespace: Hash,
    config: AgentConfig,
    random: Random,
    now: Timestamp,
    /// What the node has; nothing before it has started.
    root: Option<Root>,
    peers: Peers<P>,
    digests: Digests,
    /// The turn of the last session: members that begin to wait now come no earlier.
    turn: u64,
    outbox: Outbox<P>,
    seen: Seen,
    assemblies: Assemblies<P>,
    push_budget: Bucket,
    stranger_intake: Bucket,
    stats: AgentStats,
    outputs: VecDeque<AgentOutput<P>>,
    /// Whether something may be due that was not before.
    touched: bool,
    /// When something is due at the latest.
    wake: Option<Timestamp>,
}

impl<P: Ord + Clone + Debug> Agent<P> {
    /// An agent of the node `me` for a namespace. Nodes with the same seed are in step, and answer each other's nonces:
    /// each needs its own, and a new one for each start.
    #[must_use]
    pub fn new(me: P, namespace: Hash, seed: u64, config: AgentConfig) -> Self {
        let config = config.mended();
        let now = Timestamp::ZERO;
        Self {
            me,
            namespace,
            random: Random::new(seed),
            now,
            root: None,
            peers: Peers::new(config.peers_max()),
            digests: Digests::new(&config, now),
            turn: 0,
            outbox: Outbox::new(config.push_bytes_max()),
            seen: Seen::new(config.seen_max(), config.seen_for()),
            assemblies: Assemblies::new(),
            push_budget: Bucket::new(config.push_rate(), now),
            stranger_intake: Bucket::new(config.intake_strangers(), now),
            stats: AgentStats::default(),
            outputs: VecDeque::new(),
            touched: false,
            wake: None,
            config,
        }
    }

    /// Takes in one event at the time `now`. A time before that of an earlier event counts as that.
    pub fn handle(&mut self, now: Timestamp, input: AgentInput<P>) {
        self.now = self.now.max(now);
        // To look at all members takes longer than to read a message, and what is ignored must not cost that.
        self.touched = !matches!(input, AgentInput::Received { .. });
        match input {
            AgentInput::Started { root } if self.root.is_none() => self.start(root),
            AgentInput::Started { root } => self.changed(root, &Source::Local, Vec::new()),
            AgentInput::PeerUp { peer, rtt } => self.peer_up(peer, rtt),
            AgentInput::PeerDown { peer } => self.peers.go(self.now, &peer),
            _ if self.root.is_none() => {}
            AgentInput::Reconnected { peer } => self.greet(&peer),
            AgentInput::Received { from, bytes } => self.received(from, &bytes),
            AgentInput::Lagged => self.digests.lagged = true,
            AgentInput::Changed { root, source, pushes } => self.changed(root, &source, pushes),
            AgentInput::SessionAccepted { peer } => self.session_accepted(&peer),
            AgentInput::SessionEnded { peer, side, outcome } => self.session_ended(&peer, side, outcome),
            AgentInput::Timeout => {}
        }
        if self.touched || self.wake.is_some_and(|wake| wake <= self.now) {
            self.advance();
            self.wake = self.next_wake();
        }
    }

    /// The next thing to do, in order.
    #[must_use]
    pub fn poll(&mut self) -> Option<AgentOutput<P>> {
        self.outputs.pop_front()
    }

    /// When to call `handle` with [`AgentInput::Timeout`] at the latest; later than the last event. `None` before the start.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        self.wake
    }

    /// What the agent has done and met.
    #[must_use]
    pub fn stats(&self) -> AgentStats {
        self.stats
    }

    /// What a member has done wrong; `None` if it is not known.
    #[must_use]
    pub fn peer_stats(&self, peer: &P) -> Option<PeerStats> {
        self.peers.get(peer).map(|peer| peer.stats)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.root?;
        [self.next_digest(), self.next_session(), self.next_push()].into_iter().flatten().min()
    }

    /// Does what is due, whichever event came.
    fn advance(&mut self) {
        let Some(root) = self.root else { return };
        self.end_late_sessions();
        self.choose_at_random();
        self.broadcast_due(root);
        self.greetings_due(root);
        self.replies_due(root);
        self.open_sessions();
        self.push_waiting();
    }

    fn start(&mut self, root: Root) {
        self.root = Some(root);
        self.digests.start(&self.config, &mut self.random, self.now);
    }

    fn peer_up(&mut self, peer: P, rtt: Option<std::time::Duration>) {
        if peer == self.me {
            return;
        }
        match self.peers.come(&self.config, self.now, peer.clone(), rtt) {
            None => self.stats.peers_refused += 1,
            Some(true) if self.root.is_some() => self.greet(&peer),
            Some(_) => {}
        }
    }

    fn changed(&mut self, root: Root, source: &Source<P>, pushes: Vec<Push>) {
        self.root = Some(root);
        for peer in self.peers.values_mut() {
            if peer.waiting.is_some_and(|waiting| waiting.root == Some(root)) {
                peer.waiting = None;
            }
        }
        // Who gets a push tells nobody by a digest: who pushed it does.
        if !matches!(source, Source::Pushed(_)) {
            self.digests.change(&self.config, self.now);
        }
        if self.config.eager() {
            self.queue_pushes(source.peer(), pushes);
        }
    }

    fn received(&mut self, from: Option<P>, bytes: &Bytes) {
        if from.as_ref() == Some(&self.me) {
            return;
        }
        if bytes.len() > self.config.receive_len_max() {
            return self.reject(from, MessageError::TooLong);
        }
        match Message::decode(&self.namespace, bytes) {
            Err(error) => self.reject(from, error),
            Ok(Message::Digest { root, nonce }) => self.digest_received(from.as_ref(), root, nonce),
            Ok(Message::Reply { root, nonce }) => self.reply_received(from.as_ref(), root, nonce),
            Ok(Message::Push(items)) => self.push_received(from, bytes.len(), items),
            Ok(Message::Part { item, index, count, bytes: part }) => {
                self.part_received(from, bytes.len(), Piece { item, index, count, bytes: part });
            }
        }
    }

    fn reject(&mut self, from: Option<P>, error: MessageError) {
        self.stats.rejected += 1;
        if let Some(peer) = from.as_ref().and_then(|from| self.peers.get_mut(from)) {
            peer.stats.rejected += 1;
        }
        self.outputs.push_back(AgentOutput::Rejected { from, error });
    }

    /// Keeps to the longest message of a transport.
    fn carry_at_most(&mut self, len: usize) {
        let config = std::mem::take(&mut self.config);
        let len = config.message_len_max().min(len);
        self.config = config.with_message_len_max(len).mended();
    }

    fn encode(&self, message: &Message) -> Bytes {
        message.encode(&self.namespace)
    }
}
