//! What an agent knows of the members.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline_core::clock::Timestamp;

use super::rate::Bucket;
use super::{AgentConfig, PeerStats, Root};

/// One member, there or gone lately.
#[derive(Debug)]
pub(super) struct Peer<P> {
    pub(super) up: bool,
    /// When it went, or came.
    pub(super) since: Timestamp,
    pub(super) rtt: Option<Duration>,
    /// What it is waited with, if it is to be asked for a session.
    pub(super) waiting: Option<Waiting>,
    /// The session that was opened with it.
    pub(super) session: Option<Session>,
    /// How many sessions it has opened.
    pub(super) accepted: u32,
    /// Its place when it next waits: after those who have had fewer sessions meanwhile.
    pub(super) next_turn: u64,
    /// When a session may be opened again.
    pub(super) not_before: Timestamp,
    /// A reply that it is to get.
    pub(super) reply: Option<PendingReply<P>>,
    /// A reply that is put off while a session with it goes on that was opened here. If that fails, it may be the other one
    /// that can open sessions.
    pub(super) put_off: Option<PendingReply<P>>,
    /// When it is to get a digest of its own.
    pub(super) greet_at: Option<Timestamp>,
    /// The last digest that it got as its own.
    pub(super) asked: Option<Asked>,
    pub(super) direct: Bucket,
    pub(super) intake: Bucket,
    pub(super) stats: PeerStats,
}

/// A place in the line for sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) turn: u64,
    /// What the member has said that it has; nothing if it was chosen at random.
    pub(super) root: Option<Root>,
}

/// A session that was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) since: Timestamp,
    pub(super) root: Option<Root>,
}

#[derive(Debug)]
pub(super) struct PendingReply<P> {
    pub(super) due: Timestamp,
    pub(super) root: Root,
    pub(super) nonce: u64,
    /// Who else was heard to answer; at most as many as make the reply needless.
    pub(super) seen: Vec<P>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) nonce: u64,
    pub(super) at: Timestamp,
}

impl<P> Peer<P> {
    fn new(config: &AgentConfig, now: Timestamp) -> Self {
        Self {
            up: true,
            since: now,
            rtt: None,
            waiting: None,
            session: None,
            accepted: 0,
            next_turn: 0,
            not_before: now,
            reply: None,
            put_off: None,
            greet_at: None,
            asked: None,
            direct: Bucket::new(config.direct_per_peer(), now),
            intake: Bucket::new(config.intake_per_peer(), now),
            stats: PeerStats::default(),
        }
    }

    /// Whether a session with it goes on, whoever opened it.
    pub(super) fn in_session(&self) -> bool {
        self.session.is_some() || self.accepted > 0
    }

    fn leave(&mut self, now: Timestamp) {
        self.up = false;
        self.since = now;
        self.waiting = None;
        self.reply = None;
        self.put_off = None;
        self.greet_at = None;
        self.asked = None;
    }
}

/// The members. Those that are gone are kept as long as there is room, so that coming back wipes out no failure and fills no
/// bucket.
#[derive(Debug)]
pub(super) struct Peers<P> {
    known: BTreeMap<P, Peer<P>>,
    max: usize,
}

impl<P: Ord + Clone> Peers<P> {
    pub(super) fn new(max: usize) -> Self {
        Self { known: BTreeMap::new(), max }
    }

    /// Notes a member that is there. Says whether it was not before; `None` if there is no room for it.
    pub(super) fn come(
        &mut self,
        config: &AgentConfig,
        now: Timestamp,
        peer: P,
        rtt: Option<Duration>,
    ) -> Option<bool> {
        if !self.known.contains_key(&peer) && self.known.len() >= self.max && !self.evict() {
            return None;
        }
        let mut is_new = false;
        let known = self.known.entry(peer).or_insert_with(|| {
            is_new = true;
            Peer::new(config, now)
        });
        known.rtt = rtt.or(known.rtt);
        is_new |= !known.up;
        if is_new {
            known.up = true;
            known.since = now;
        }
        Some(is_new)
    }

    /// Notes that a member is gone.
    pub(super) fn go(&mut self, now: Timestamp, peer: &P) {
        if let Some(known) = self.up_mut(peer) {
            known.leave(now);
        }
    }

    /// Forgets who is gone for the longest time. False if all are there, or in a session.
    fn evict(&mut self) -> bool {
        let gone = self.known.iter().filter(|(_, peer)| !peer.up && !peer.in_session());
        let oldest = gone.min_by_key(|(_, peer)| peer.since).map(|(id, _)| id.clone());
        oldest.is_some_and(|id| self.known.remove(&id).is_some())
    }

    pub(super) fn get(&self, peer: &P) -> Option<&Peer<P>> {
        self.known.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &P) -> Option<&mut Peer<P>> {
        self.known.get_mut(peer)
    }

    /// The member, if it is there.
    pub(super) fn up_mut(&mut self, peer: &P) -> Option<&mut Peer<P>> {
        self.known.get_mut(peer).filter(|peer| peer.up)
    }

    pub(super) fn is_up(&self, peer: &P) -> bool {
        self.known.get(peer).is_some_and(|peer| peer.up)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&P, &Peer<P>)> {
        self.known.iter()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Peer<P>> {
        self.known.values_mut()
    }

    /// Those that are there.
    pub(super) fn up(&self) -> impl DoubleEndedIterator<Item = &P> {
        self.known.iter().filter(|(_, peer)| peer.up).map(|(id, _)| id)
    }

    /// How many sessions go on that were opened here.
    pub(super) fn sessions(&self) -> usize {
        self.known.values().filter(|peer| peer.session.is_some()).count()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
