//! Which sessions are opened, and when.

use std::fmt::Debug;
use std::time::Duration;

use syncline_core::clock::Timestamp;

use super::peers::{Peer, PendingReply, Session, Waiting};
use super::{Agent, AgentOutput, Outcome, Root, Side};

impl<P: Ord + Clone + Debug> Agent<P> {
    /// When a session may be opened that waits, or has to end, or is to be opened with anybody.
    pub(super) fn next_session(&self) -> Option<Timestamp> {
        let room = self.peers.sessions() < self.config.sessions_max();
        let time = self.session_time();
        let of_peer = |peer: &Peer<P>| {
            let late = peer.session.map(|session| session.since + time);
            let waits = peer.waiting.is_some() && !peer.in_session();
            // Without room it still matters when somebody begins to wait who could have a session.
            let next = (waits && (room || peer.not_before > self.now)).then_some(peer.not_before);
            [late, next]
        };
        let peers = self.peers.iter().flat_map(|(_, peer)| of_peer(peer));
        peers.chain([self.digests.entropy]).flatten().min()
    }

    /// Puts a member into the line for sessions, behind those who have had fewer of late. If it has said what it has, that is
    /// not what we have; [`Agent::changed`] sees to it that this stays so.
    pub(super) fn want(&mut self, id: &P, root: Option<Root>) {
        let turn = self.turn;
        let Some(peer) = self.peers.up_mut(id) else { return };
        if peer.session.is_some() {
            return;
        }
        if let Some(waiting) = &mut peer.waiting {
            waiting.root = root;
            return;
        }
        peer.waiting = Some(Waiting { turn: turn.max(peer.next_turn), root });
        self.touched = true;
        let waiting = || self.peers.iter().filter(|(_, peer)| peer.waiting.is_some());
        if waiting().count() > self.config.waiting_max() {
            let last = waiting().max_by_key(|(id, peer)| place::<P>(id, peer)).map(|(id, _)| id.clone());
            if let Some(last) = last.and_then(|id| self.peers.get_mut(&id)) {
                last.waiting = None;
            }
        }
    }

    /// Opens sessions while there is room, in the order of turns, then of nearness.
    pub(super) fn open_sessions(&mut self) {
        while self.peers.sessions() < self.config.sessions_max() {
            let ready = self.peers.iter().filter(|(_, peer)| {
                peer.up && peer.waiting.is_some() && !peer.in_session() && peer.not_before <= self.now
            });
            let Some(id) = ready.min_by_key(|(id, peer)| place::<P>(id, peer)).map(|(id, _)| id.clone()) else {
                return;
            };
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let Some(waiting) = peer.waiting.take() else { return };
            self.turn = self.turn.max(waiting.turn);
            peer.next_turn = waiting.turn.saturating_add(1);
            peer.session = Some(Session { since: self.now, root: waiting.root });
            // What it has is compared again afterwards, unless there is no session.
            peer.put_off = peer.reply.take();
            self.stats.sessions += 1;
            self.outputs.push_back(AgentOutput::Sync { with: id });
        }
    }

    pub(super) fn session_accepted(&mut self, id: &P) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.accepted = peer.accepted.saturating_add(1);
        }
    }

    pub(super) fn session_ended(&mut self, id: &P, side: Side, outcome: Outcome) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        match side {
            Side::Accepted => {
                peer.accepted = peer.accepted.saturating_sub(1);
                // What it had said is no longer so. Who opened the session compares again.
                if matches!(outcome, Outcome::Completed { .. }) {
                    peer.waiting = None;
                }
            }
            Side::Opened => {
                if let Some(session) = peer.session.take() {
                    self.opened_ended(id, session, outcome);
                }
            }
        }
    }

    fn opened_ended(&mut self, id: &P, session: Session, outcome: Outcome) {
        let of_use = match outcome {
            // Nothing moved, and yet it has something else than we have: it will not get better by trying at once.
            Outcome::Completed { moved: 0 } => session.root.is_none() || session.root == self.root,
            Outcome::Completed { .. } => true,
            Outcome::Failed | Outcome::Refused => false,
        };
        let now = self.now;
        if let Some(peer) = self.peers.get_mut(id) {
            let put_off = peer.put_off.take();
            if outcome == Outcome::Failed && peer.up && peer.reply.is_none() {
                peer.reply = put_off.map(|reply| PendingReply { due: now, ..reply });
            }
        }
        if of_use {
            self.succeeded(id);
        } else {
            self.failed(id);
        }
        if matches!(outcome, Outcome::Completed { .. }) {
            self.greet(id);
        } else if session.root.is_some() && session.root != self.root {
            self.want(id, session.root);
        }
    }

    fn succeeded(&mut self, id: &P) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.stats.failures = 0;
            peer.not_before = self.now + self.config.session_gap();
        }
    }

    fn failed(&mut self, id: &P) {
        self.stats.sessions_failed += 1;
        let (min, max) = (self.config.retry_min(), self.config.retry_max());
        let Some(peer) = self.peers.get_mut(id) else { return };
        let full = min.saturating_mul(1 << peer.stats.failures.min(31)).min(max);
        peer.stats.failures = peer.stats.failures.saturating_add(1);
        let delay = full.saturating_sub(self.random.up_to(full / 2)).max(Duration::from_millis(1));
        peer.not_before = self.now + delay.max(self.config.session_gap().min(max));
    }

    /// How long a session may take now.
    fn session_time(&self) -> Duration {
        let waits = |peer: &Peer<P>| peer.waiting.is_some() && !peer.in_session() && peer.not_before <= self.now;
        let full = self.peers.sessions() >= self.config.sessions_max();
        let crowded = full && self.peers.iter().any(|(_, peer)| waits(peer));
        if crowded { self.config.session_share() } else { self.config.session_max() }
    }

    /// Ends sessions that have had their time, the oldest first: with one gone, the others may have more.
    pub(super) fn end_late_sessions(&mut self) {
        loop {
            let sessions = self.peers.iter().filter_map(|(id, peer)| Some((peer.session?.since, id)));
            let Some((since, id)) = sessions.min().map(|(since, id)| (since, id.clone())) else { return };
            if since + self.session_time() > self.now {
                return;
            }
            self.outputs.push_back(AgentOutput::CancelSync { with: id.clone() });
            let Some(session) = self.peers.get_mut(&id).and_then(|peer| peer.session.take()) else { return };
            if since + self.config.session_max() <= self.now {
                self.opened_ended(&id, session, Outcome::Failed);
            } else {
                self.yielded(&id, session);
            }
            self.open_sessions();
        }
    }

    /// A session made room for those who wait, and comes again after them.
    fn yielded(&mut self, id: &P, session: Session) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.not_before = self.now + self.config.session_gap();
        }
        self.want(id, session.root);
    }

    /// At a slow pace anybody's turn comes, whatever digests say.
    pub(super) fn choose_at_random(&mut self) {
        if self.digests.entropy.is_none_or(|at| at > self.now) {
            return;
        }
        self.digests.set_entropy(&self.config, &mut self.random, self.now);
        let now = self.now;
        let ready = |peer: &Peer<P>| peer.up && !peer.in_session() && peer.waiting.is_none() && peer.not_before <= now;
        let chosen: Vec<P> = self.peers.iter().filter(|(_, peer)| ready(peer)).map(|(id, _)| id.clone()).collect();
        if let Some(id) = chosen.get(self.random.index(chosen.len())) {
            self.want(id, None);
        }
    }
}

/// The order in which members get sessions. Turns come first: nearness is what a member can feign, and it would be served
/// for ever.
fn place<P: Clone>(id: &P, peer: &Peer<P>) -> (u64, Duration, P) {
    let turn = peer.waiting.map_or(u64::MAX, |waiting| waiting.turn);
    (turn, peer.rtt.unwrap_or(Duration::MAX), id.clone())
}
