//! Digests and replies to them.

use std::collections::VecDeque;
use std::fmt::Debug;

use syncline_core::clock::Timestamp;

use super::peers::{Asked, PendingReply};
use super::random::Random;
use super::rate::Bucket;
use super::{Agent, AgentConfig, AgentOutput, Message, Root};

/// How many broadcasts may be answered: the latest.
const NONCES_MAX: usize = 16;

/// When digests are due, and which may be answered.
#[derive(Debug)]
pub(super) struct Digests {
    periodic: Timestamp,
    /// Since when there was a change that is not told, and when it is to be.
    changed: Option<(Timestamp, Timestamp)>,
    /// Whether messages were lost.
    pub(super) lagged: bool,
    last: Option<Timestamp>,
    nonces: VecDeque<Asked>,
    /// When the next member is chosen at random.
    pub(super) entropy: Option<Timestamp>,
    direct: Bucket,
}

impl Digests {
    pub(super) fn new(config: &AgentConfig, now: Timestamp) -> Self {
        Self {
            periodic: now,
            changed: None,
            lagged: false,
            last: None,
            nonces: VecDeque::new(),
            entropy: None,
            direct: Bucket::new(config.direct_total(), now),
        }
    }

    pub(super) fn start(&mut self, config: &AgentConfig, random: &mut Random, now: Timestamp) {
        self.periodic = now;
        self.set_entropy(config, random, now);
    }

    pub(super) fn set_entropy(&mut self, config: &AgentConfig, random: &mut Random, now: Timestamp) {
        let mean = config.interval().saturating_mul(config.entropy_intervals());
        self.entropy = (config.entropy_intervals() > 0).then(|| now + random.around(mean, config.jitter_percent()));
    }

    /// Notes a change, which waits for further ones, but not for ever.
    pub(super) fn change(&mut self, config: &AgentConfig, now: Timestamp) {
        let since = self.changed.map_or(now, |(since, _)| since);
        self.changed = Some((since, (now + config.debounce()).min(since + config.debounce_max())));
    }

    fn broadcast_at(&self, config: &AgentConfig) -> Timestamp {
        let mut at = self.periodic;
        if let Some((_, due)) = self.changed {
            at = at.min(due);
        }
        if self.lagged {
            at = Timestamp::ZERO;
        }
        self.last.map_or(at, |last| at.max(last + config.broadcast_gap()))
    }

    /// Whether this is the nonce of a broadcast that may still be answered.
    fn asked(&self, config: &AgentConfig, now: Timestamp, nonce: u64) -> bool {
        self.nonces.iter().any(|asked| asked.nonce == nonce && asked.at + config.reply_window() >= now)
    }
}

impl<P: Ord + Clone + Debug> Agent<P> {
    /// When a digest or a reply is next due.
    pub(super) fn next_digest(&self) -> Option<Timestamp> {
        let due = |peer: &super::peers::Peer<P>| [peer.greet_at, peer.reply.as_ref().map(|reply| reply.due)];
        let direct = self.peers.iter().flat_map(|(_, peer)| due(peer)).flatten().min();
        let broadcast = self.digests.broadcast_at(&self.config);
        Some(direct.map_or(broadcast, |direct| direct.min(broadcast)))
    }

    pub(super) fn broadcast_due(&mut self, root: Root) {
        let digests = &mut self.digests;
        if digests.broadcast_at(&self.config) > self.now {
            return;
        }
        let nonce = self.random.next_u64();
        digests.nonces.push_back(Asked { nonce, at: self.now });
        if digests.nonces.len() > NONCES_MAX {
            digests.nonces.pop_front();
        }
        if digests.periodic <= self.now {
            digests.periodic = self.now + self.random.around(self.config.interval(), self.config.jitter_percent());
        }
        digests.changed = None;
        digests.lagged = false;
        digests.last = Some(self.now);
        self.stats.broadcasts += 1;
        let bytes = self.encode(&Message::Digest { root, nonce });
        self.outputs.push_back(AgentOutput::Broadcast { bytes });
    }

    /// Has a member get a digest of its own, soon, but not when everybody else's comes.
    pub(super) fn greet(&mut self, peer: &P) {
        let at = self.now + self.random.up_to(self.config.reply_delay_max());
        if let Some(peer) = self.peers.up_mut(peer) {
            peer.greet_at.get_or_insert(at);
        }
    }

    pub(super) fn greetings_due(&mut self, root: Root) {
        for id in self.due(|peer| peer.greet_at) {
            let Some(peer) = self.peers.up_mut(&id) else { continue };
            peer.greet_at = None;
            if !self.may_send_to(&id) {
                continue;
            }
            let asked = Asked { nonce: self.random.next_u64(), at: self.now };
            if let Some(peer) = self.peers.up_mut(&id) {
                peer.asked = Some(asked);
            }
            self.stats.digests_sent += 1;
            let bytes = self.encode(&Message::Digest { root, nonce: asked.nonce });
            self.outputs.push_back(AgentOutput::Send { to: id, bytes });
        }
    }

    pub(super) fn replies_due(&mut self, root: Root) {
        for id in self.due(|peer| peer.reply.as_ref().map(|reply| reply.due)) {
            let Some(peer) = self.peers.up_mut(&id) else { continue };
            let Some(reply) = peer.reply.take() else { continue };
            if reply.root == root {
                continue;
            }
            if peer.session.is_some() {
                peer.put_off = Some(reply);
                self.stats.replies_suppressed += 1;
            } else if peer.in_session() {
                self.stats.replies_suppressed += 1;
            } else if self.may_send_to(&id) {
                self.stats.replies_sent += 1;
                let bytes = self.encode(&Message::Reply { root, nonce: reply.nonce });
                self.outputs.push_back(AgentOutput::Send { to: id, bytes });
            }
        }
    }

    fn due(&self, at: impl Fn(&super::peers::Peer<P>) -> Option<Timestamp>) -> Vec<P> {
        let due = self.peers.iter().filter(|(_, peer)| at(peer).is_some_and(|at| at <= self.now));
        due.map(|(id, _)| id.clone()).collect()
    }

    /// Takes one direct message from the budgets. The member's own comes first, so that one that asks for too much takes
    /// nothing from the others.
    fn may_send_to(&mut self, peer: &P) -> bool {
        let (now, total) = (self.now, &mut self.digests.direct);
        let own = self.peers.up_mut(peer).map(|peer| &mut peer.direct);
        let may = own.is_some_and(|own| own.has(now, 1) && total.take(now, 1) && own.take(now, 1));
        if !may {
            self.stats.direct_limited += 1;
        }
        may
    }

    pub(super) fn digest_received(&mut self, from: Option<&P>, theirs: Root, nonce: u64) {
        let Some((id, peer)) = from.and_then(|id| Some((id, self.peers.up_mut(id)?))) else {
            self.stats.strangers += 1;
            return;
        };
        if self.root == Some(theirs) {
            (peer.reply, peer.put_off) = (None, None);
            agree(peer);
            return;
        }
        self.stats.disagreements += 1;
        if peer.in_session() {
            self.stats.replies_suppressed += 1;
            if peer.session.is_some() {
                peer.put_off = Some(PendingReply { due: self.now, root: theirs, nonce, seen: Vec::new() });
            }
            return;
        }
        // A later digest takes the place of an earlier one, and waits no longer than that.
        let delay = self.random.up_to(self.config.reply_delay_max());
        if let Some(peer) = self.peers.up_mut(id) {
            self.touched |= peer.reply.is_none();
            let due = peer.reply.as_ref().map_or(self.now + delay, |reply| reply.due);
            peer.reply = Some(PendingReply { due, root: theirs, nonce, seen: Vec::new() });
        }
    }

    pub(super) fn reply_received(&mut self, from: Option<&P>, theirs: Root, nonce: u64) {
        let Some((id, peer)) = from.and_then(|id| Some((id, self.peers.up_mut(id)?))) else {
            self.stats.strangers += 1;
            return;
        };
        let window = self.config.reply_window();
        let asked = peer.asked.is_some_and(|asked| asked.nonce == nonce && asked.at + window >= self.now)
            || self.digests.asked(&self.config, self.now, nonce);
        if !asked {
            self.overheard(id, nonce);
        } else if self.root == Some(theirs) {
            agree(peer);
        } else {
            self.want(id, Some(theirs));
        }
    }

    /// Somebody else has answered a digest that we may be about to answer.
    fn overheard(&mut self, from: &P, nonce: u64) {
        let enough = self.config.replies_seen_max();
        let mut known = false;
        for peer in self.peers.values_mut() {
            let Some(reply) = peer.reply.as_mut().filter(|reply| reply.nonce == nonce) else { continue };
            known = true;
            if !reply.seen.contains(from) {
                reply.seen.push(from.clone());
            }
            if reply.seen.len() >= enough {
                peer.reply = None;
                self.stats.replies_suppressed += 1;
            }
        }
        if !known {
            self.stats.unsolicited += 1;
            if let Some(peer) = self.peers.get_mut(from) {
                peer.stats.unsolicited += 1;
            }
        }
    }
}

/// The member has what we have: nothing of what it had said before counts any more.
fn agree<P>(peer: &mut super::peers::Peer<P>) {
    if peer.waiting.is_some_and(|waiting| waiting.root.is_some()) {
        peer.waiting = None;
    }
}
