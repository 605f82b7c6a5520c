//! Datagrams: what nodes send each other beside sessions.

use bytes::Bytes;

use super::super::{Faults, Node, NodeId, Reason, Scenario};
use super::{Engine, Event};

impl<S: Scenario> Engine<'_, S> {
    /// Sends a datagram on its way, if the line takes it.
    pub(super) fn send(&mut self, from: usize, to: usize, bytes: &Bytes) {
        if from == to || to >= self.machines.len() || self.lines.is_blocked(from, to) {
            return;
        }
        let none = Faults::none();
        let faults = if self.calm_since.is_some() { &none } else { &self.options.faults };
        let rng = &mut self.rngs.datagrams;
        let copies = 1 + u64::from(rng.chance(faults.datagram_duplicate_per_mille, 1000));
        for _ in 0..copies {
            if !self.rngs.datagrams.chance(faults.datagram_loss_per_mille, 1000) {
                let delay = self.lines.delay(from, to, &mut self.rngs.datagrams);
                self.at(delay, Event::Arrive(self.events_drawn));
                // No number is drawn twice.
                self.datagrams.insert(self.events_drawn - 1, (from, to, bytes.clone()));
            }
        }
    }

    pub(super) fn arrive(&mut self, number: u64) -> Result<(), Reason> {
        let Some((from, to, bytes)) = self.datagrams.remove(&number) else { return Ok(()) };
        let Some(node) = &mut self.machines[to].node else { return Ok(()) };
        node.receive(NodeId(from), bytes);
        self.after_work(to)
    }
}
