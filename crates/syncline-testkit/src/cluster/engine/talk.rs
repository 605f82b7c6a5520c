//! Sessions: who meets whom, and how it ends.

use std::time::Duration;

use syncline_core::clock::{Clock, Timestamp};

use super::super::{Node, NodeId, Rate, Reason, Scenario, Session, SessionId};
use super::{Engine, Event, Owner};
use crate::net::{Handle, Link, Tap, TaskId};

/// How often each node opens a session in the liveness phase.
const EACH: Duration = Duration::from_secs(10);

/// A session that at least one side still runs.
pub(super) struct Open {
    /// The initiator and the acceptor.
    pub(super) nodes: [usize; 2],
    sides: [Side; 2],
    /// What each of them sends.
    pub(super) taps: [Tap; 2],
    /// Which of these directions are held back, partitions aside.
    pub(super) clogged: [bool; 2],
    /// Whether what arrives is what was sent.
    pub(super) is_faithful: bool,
    since: Timestamp,
}

struct Side {
    task: TaskId,
    handle: Handle<Result<String, String>>,
    ended: Option<Result<String, String>>,
}

impl<S: Scenario> Engine<'_, S> {
    /// Two random nodes open a session, and now and then another one at once.
    pub(super) fn meet(&mut self) {
        self.schedule_session();
        let rng = &mut self.rngs.meet;
        let (from, other) = (rng.index(self.machines.len()), rng.index(self.machines.len().saturating_sub(1)));
        let is_double = rng.chance(self.options.faults.duplicate_per_mille, 1000) && self.calm_since.is_none();
        let is_crossed = rng.chance(1, 2);
        if self.machines.len() < 2 {
            return;
        }
        let to = if other >= from { other + 1 } else { other };
        self.open(from, to);
        if is_double {
            self.counts.faults += 1;
            if is_crossed { self.open(to, from) } else { self.open(from, to) }
        }
    }

    pub(super) fn schedule_session(&mut self) {
        // In the liveness phase as often as an application would that has nothing else to do.
        let rate = match (self.calm_since, self.options.session) {
            (Some(_), Rate::NEVER) | (None, _) => self.options.session,
            (Some(_), _) if self.convergence.is_some() => Rate::NEVER,
            (Some(_), _) => Rate::every(EACH / u32::try_from(self.machines.len()).unwrap_or(u32::MAX)),
        };
        if let Some(after) = rate.draw(&mut self.rngs.meet) {
            self.at(after, Event::Session);
        }
    }

    /// Opens a session if both are up, one can reach the other, and they have not too many.
    pub(super) fn open(&mut self, from: usize, to: usize) {
        let pair = [from.min(to), from.max(to)];
        let count = self.sessions.values().filter(|open| [open.nodes, [open.nodes[1], open.nodes[0]]].contains(&pair));
        let is_full = count.count() >= self.options.sessions_per_pair_max;
        let is_up = |node: usize| self.machines.get(node).is_some_and(|machine| machine.node.is_some());
        let is_cut_off = self.lines.is_blocked(from, to) && self.lines.is_blocked(to, from);
        if from == to || is_full || is_cut_off || !is_up(from) || !is_up(to) {
            return;
        }
        let id = SessionId(self.counts.sessions);
        self.counts.sessions += 1;
        let faults = if self.calm_since.is_some() { &super::super::Faults::none() } else { &self.options.faults };
        let draw = self.lines.draw(from, to, faults);
        self.log(&format!("{id} {} -> {} opens{}", NodeId(from), NodeId(to), draw.text));
        let Link { a, b, a_to_b, b_to_a } = Link::new(&self.clock, draw.there, draw.back);
        let session = |peer, end| Session { id, peer: NodeId(peer), end, is_faithful: draw.is_faithful };
        let is_faithful = draw.is_faithful;
        let (one, two) = (session(to, a), session(from, b));
        let (Some(initiating), Some(accepting)) = (
            self.machines[from].node.as_mut().map(|node| node.initiate(one)),
            self.machines[to].node.as_mut().map(|node| node.accept(two)),
        ) else {
            return;
        };
        let initiating = self.sim.spawn(format!("{id} at {}", NodeId(from)), initiating);
        let accepting = self.sim.spawn(format!("{id} at {}", NodeId(to)), accepting);
        self.owners.insert(initiating.id(), Owner::Side(from, id, 0));
        self.owners.insert(accepting.id(), Owner::Side(to, id, 1));
        let sides = [initiating, accepting].map(|handle| Side { task: handle.id(), handle, ended: None });
        let open = Open {
            nodes: [from, to],
            sides,
            taps: [a_to_b, b_to_a],
            clogged: [false; 2],
            is_faithful,
            since: self.clock.now(),
        };
        self.sessions.insert(id, open);
        self.hold_sessions();
    }

    /// Holds back what partitions and clogs say, and nothing else.
    pub(super) fn hold_sessions(&mut self) {
        for open in self.sessions.values_mut() {
            let [from, to] = open.nodes;
            let blocked = [self.lines.is_blocked(from, to), self.lines.is_blocked(to, from)];
            for ((tap, clogged), blocked) in open.taps.iter().zip(open.clogged).zip(blocked) {
                tap.hold(clogged || blocked);
            }
        }
    }

    /// A side's task has ended by itself.
    pub(super) fn side_ended(&mut self, id: SessionId, side: usize) {
        let Some(open) = self.sessions.get_mut(&id) else { return };
        let ended = open.sides[side].handle.take().unwrap_or_else(|| Err("gone".into()));
        open.sides[side].ended = Some(ended);
        self.close_if_over(id);
    }

    /// A side is gone with its node.
    pub(super) fn break_off(&mut self, id: SessionId, side: usize) {
        let cut = self.lines.cut();
        let is_quiet = self.rngs.life.chance(1, 2);
        let Some(open) = self.sessions.get_mut(&id) else { return };
        // The process died, and its machine ended the stream; or the machine died, and nobody did.
        if !is_quiet {
            open.taps.iter().for_each(|tap| tap.cut(cut));
        }
        open.sides[side].ended = Some(Err("crashed".into()));
        self.close_if_over(id);
    }

    /// Cuts both directions of a session.
    pub(super) fn cut_session(&mut self, id: SessionId) {
        let cut = self.lines.cut();
        self.log(&format!("{id} is cut: {cut:?}"));
        if let Some(open) = self.sessions.get(&id) {
            open.taps.iter().for_each(|tap| tap.cut(cut));
        }
    }

    /// Drops one side of a session where it stands.
    pub(super) fn cancel_side(&mut self, id: SessionId, side: usize) {
        let Some(open) = self.sessions.get_mut(&id).filter(|open| open.sides[side].ended.is_none()) else { return };
        open.sides[side].ended = Some(Err("cancelled".into()));
        let (task, node) = (open.sides[side].task, open.nodes[side]);
        self.log(&format!("{id} is cancelled at {}", NodeId(node)));
        self.drop_task(task);
        self.close_if_over(id);
    }

    fn close_if_over(&mut self, id: SessionId) {
        let Some(open) = self.sessions.get(&id) else { return };
        let [Side { ended: Some(one), .. }, Side { ended: Some(two), .. }] = &open.sides else { return };
        let [from, to] = open.nodes.map(NodeId);
        let sent = [open.taps[0].written(), open.taps[1].written()];
        let text =
            format!("{id} {from} -> {to} ends, {} + {} bytes: {}; {}", sent[0], sent[1], outcome(one), outcome(two));
        self.counts.completed += u64::from(one.is_ok() && two.is_ok());
        self.sessions.remove(&id);
        self.log(&text);
    }

    pub(super) fn look_for_stuck_sessions(&self, now: Timestamp, calm_since: Timestamp) -> Result<(), Reason> {
        let Some(max) = self.options.session_time_max else { return Ok(()) };
        for (id, open) in &self.sessions {
            let time = now.since(open.since.max(calm_since));
            if time > max {
                return Err(Reason::SessionStuck { session: *id, open: time });
            }
        }
        Ok(())
    }

    /// A random direction of a random session.
    pub(super) fn some_direction(&mut self) -> Option<(SessionId, usize)> {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        let (id, side) = (self.rngs.faults.pick(&ids).copied(), self.rngs.faults.index(2));
        id.map(|id| (id, side))
    }
}

fn outcome(ended: &Result<String, String>) -> String {
    match ended {
        Ok(text) => format!("complete ({text})"),
        Err(why) => why.clone(),
    }
}
