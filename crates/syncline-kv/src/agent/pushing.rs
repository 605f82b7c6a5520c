//! Items that go out at once, and those that come in.

use std::fmt::Debug;

use bytes::Bytes;
use syncline_core::clock::Timestamp;
use syncline_crypto::Hash;

use super::message::{HEAD_LEN, ITEM_HEAD_LEN, PART_HEAD_LEN};
use super::outbox::Batch;
use super::parts::{Assembled, Piece};
use super::{Agent, AgentOutput, Message, MessageError, Push};

impl<P: Ord + Clone + Debug> Agent<P> {
    /// When the rate lets the next push go.
    pub(super) fn next_push(&self) -> Option<Timestamp> {
        if self.outbox.is_empty() { None } else { self.push_budget.ready_at(self.now, 1) }
    }

    /// Takes in what is new on this node. `origin` has it already.
    pub(super) fn queue_pushes(&mut self, origin: Option<&P>, pushes: Vec<Push>) {
        let mut dropped = 0;
        for push in pushes {
            let first = push.goes_first();
            if push.bytes.is_empty() || (!first && push.bytes.len() > self.config.push_len_max()) {
                continue;
            }
            if !self.seen.pushed(self.now, Hash::digest(&push.bytes)) {
                continue;
            }
            dropped +=
                if self.parts_of(push.bytes.len()).is_some() { self.outbox.add(origin, first, push.bytes) } else { 1 };
        }
        if dropped > 0 {
            self.stats.pushes_dropped += dropped;
            self.digests.change(&self.config, self.now);
        }
    }

    /// What the items of a push may take.
    fn room(&self) -> usize {
        self.config.message_len_max() - HEAD_LEN
    }

    /// How many bytes of an item fit into a part.
    fn part_len(&self) -> usize {
        self.config.message_len_max() - PART_HEAD_LEN
    }

    /// Whether an item fits into a push.
    fn fits(&self, len: usize) -> bool {
        ITEM_HEAD_LEN + len <= self.room() && u16::try_from(len).is_ok()
    }

    /// In how many messages an item goes; `None` if they would be too many.
    fn parts_of(&self, len: usize) -> Option<u16> {
        if self.fits(len) {
            return Some(1);
        }
        let count = u16::try_from(len.div_ceil(self.part_len())).ok();
        // An item of which only its length does not fit is split all the same.
        count.map(|count| count.max(2)).filter(|count| *count <= self.config.parts_max())
    }

    pub(super) fn push_waiting(&mut self) {
        while self.push_budget.has(self.now, 1) {
            let Some(batch) = self.outbox.next(self.room()) else { return };
            let targets = self.targets(batch.origin.as_ref());
            for bytes in self.messages(batch) {
                let cost = bytes.len().saturating_mul(targets.len());
                self.push_budget.spend(self.now, u64::try_from(cost).unwrap_or(u64::MAX));
                for to in &targets {
                    self.stats.pushes_sent += 1;
                    self.outputs.push_back(AgentOutput::Send { to: to.clone(), bytes: bytes.clone() });
                }
            }
        }
    }

    fn messages(&self, batch: Batch<P>) -> Vec<Bytes> {
        match batch.items.as_slice() {
            [item] if !self.fits(item.len()) => self.split(item),
            _ => vec![self.encode(&Message::Push(batch.items))],
        }
    }

    fn split(&self, item: &Bytes) -> Vec<Bytes> {
        let Some(count) = self.parts_of(item.len()) else { return Vec::new() };
        let (hash, len) = (Hash::digest(item), item.len().div_ceil(usize::from(count)));
        let part = |index: u16| {
            let from = usize::from(index) * len;
            let bytes = item.slice(from..item.len().min(from + len));
            self.encode(&Message::Part { item: hash, index, count, bytes })
        };
        (0..count).map(part).collect()
    }

    /// Who gets a push: all, or the two neighbours in the ring and some more, but not who has it.
    fn targets(&mut self, origin: Option<&P>) -> Vec<P> {
        let count = self.peers.up().count();
        let mut others: Vec<P> = self.peers.up().filter(|peer| Some(*peer) != origin).cloned().collect();
        if count <= self.config.flood_max() {
            return others;
        }
        let after = others.iter().position(|peer| *peer > self.me).unwrap_or_default();
        let before = after.checked_sub(1).unwrap_or(others.len().saturating_sub(1));
        // The neighbours to the front, then as many others as are lacking.
        let mut chosen = 0;
        for neighbour in [others.get(after).cloned(), others.get(before).cloned()].into_iter().flatten() {
            if let Some(at) = others.iter().skip(chosen).position(|peer| *peer == neighbour) {
                others.swap(chosen, chosen + at);
                chosen += 1;
            }
        }
        let fanout = self.config.fanout().min(others.len());
        while chosen < fanout {
            let at = chosen + self.random.index(others.len() - chosen);
            others.swap(chosen, at);
            chosen += 1;
        }
        others.truncate(fanout);
        others
    }

    pub(super) fn push_received(&mut self, from: Option<P>, len: usize, items: Vec<Bytes>) {
        if self.may_come(from.as_ref(), len) {
            self.apply_new(from, items);
        }
    }

    pub(super) fn part_received(&mut self, from: Option<P>, len: usize, piece: Piece) {
        if !self.may_come(from.as_ref(), len) {
            return;
        }
        let (index, count) = (piece.index, piece.count);
        // All who are no members are one: else each of many invented names would have the share of a member.
        let holder = from.clone().filter(|from| self.peers.is_up(from));
        match self.assemblies.add(&self.config, self.now, holder, piece) {
            Assembled::Unfinished => {}
            Assembled::Whole(item) => self.apply_new(from, vec![item]),
            Assembled::Wrong => self.reject(from, MessageError::Part { index, count }),
        }
    }

    /// Takes the length of a message from the budget of who sent it.
    fn may_come(&mut self, from: Option<&P>, len: usize) -> bool {
        let cost = u64::try_from(len).unwrap_or(u64::MAX);
        let may = match from.and_then(|from| self.peers.up_mut(from)) {
            Some(peer) => {
                let may = peer.intake.take(self.now, cost);
                peer.stats.intake_limited += u64::from(!may);
                may
            }
            None => self.stranger_intake.take(self.now, cost),
        };
        self.stats.intake_limited += u64::from(!may);
        may
    }

    fn apply_new(&mut self, from: Option<P>, items: Vec<Bytes>) {
        let mut new = Vec::with_capacity(items.len());
        for item in items {
            if self.seen.came(self.now, Hash::digest(&item)) {
                self.stats.items_received += 1;
                new.push(item);
            } else {
                self.stats.duplicates += 1;
            }
        }
        if !new.is_empty() {
            self.outputs.push_back(AgentOutput::Apply { from, items: new });
        }
    }
}
