//! The lines between the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Faults;
use crate::net::{Conditions, Cut};
use crate::seed::Rng;

/// What each direction between two nodes is like, and which are blocked.
pub(super) struct Lines {
    rng: Rng,
    lines: BTreeMap<(usize, usize), Line>,
    blocked: BTreeSet<(usize, usize)>,
}

#[derive(Clone, Copy)]
struct Line {
    latency: Duration,
    bandwidth: Option<u64>,
    capacity: usize,
    is_chunked: bool,
    needs_flush: bool,
}

/// How a session's connection is.
pub(super) struct Draw {
    pub(super) there: Conditions,
    pub(super) back: Conditions,
    pub(super) is_faithful: bool,
    /// For the history.
    pub(super) text: String,
}

impl Lines {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, lines: BTreeMap::new(), blocked: BTreeSet::new() }
    }

    pub(super) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked.contains(&(from, to))
    }

    pub(super) fn block(&mut self, from: usize, to: usize) {
        self.blocked.insert((from, to));
    }

    pub(super) fn unblock(&mut self, from: usize, to: usize) {
        self.blocked.remove(&(from, to));
    }

    pub(super) fn unblock_all(&mut self) {
        self.blocked.clear();
    }

    /// A connection for one session.
    pub(super) fn draw(&mut self, from: usize, to: usize, faults: &Faults) -> Draw {
        let mut text = String::new();
        let (mut there, mut back) = (self.conditions(from, to), self.conditions(to, from));
        if self.rng.chance(faults.cut_at_byte_per_mille, 1000) {
            let (at, cut) = (self.place(), self.cut());
            let direction = if self.rng.chance(1, 2) { &mut there } else { &mut back };
            *direction = direction.clone().with_cut(at, cut);
            text += &format!(", {cut:?} at byte {at}");
        }
        let is_faithful = !self.rng.chance(faults.corrupt_per_mille, 1000);
        if !is_faithful {
            let (at, mask) = (self.place(), 1 << self.rng.below(8));
            let direction = if self.rng.chance(1, 2) { &mut there } else { &mut back };
            *direction = direction.clone().with_corrupt(at, mask);
            text += &format!(", corrupt at byte {at}");
        }
        Draw { there, back, is_faithful, text }
    }

    /// Where in a stream something happens: early more often than late.
    fn place(&mut self) -> u64 {
        let within = 1 << (4 + self.rng.below(12));
        self.rng.below(within)
    }

    pub(super) fn cut(&mut self) -> Cut {
        *self.rng.pick(&[Cut::Close, Cut::Reset, Cut::Stall]).unwrap_or(&Cut::Reset)
    }

    /// How long a datagram takes: as long as the line is, and up to as long again and 50 ms, so that some overtake others.
    pub(super) fn delay(&mut self, from: usize, to: usize, rng: &mut Rng) -> Duration {
        let latency = u64::try_from(self.line(from, to).latency.as_millis()).unwrap_or_default();
        Duration::from_millis(latency + rng.below(latency + 50))
    }

    fn line(&mut self, from: usize, to: usize) -> Line {
        let rng = &mut self.rng;
        *self.lines.entry((from, to)).or_insert_with(|| Line::draw(rng))
    }

    fn conditions(&mut self, from: usize, to: usize) -> Conditions {
        let line = self.line(from, to);
        let mut conditions = Conditions::new().with_latency(line.latency).with_capacity(line.capacity);
        if let Some(bandwidth) = line.bandwidth {
            conditions = conditions.with_bandwidth(bandwidth);
        }
        if line.is_chunked {
            conditions = conditions.with_random_chunks(self.rng.next_u64());
        }
        if line.needs_flush { conditions.with_flush_required() } else { conditions }
    }
}

impl Line {
    fn draw(rng: &mut Rng) -> Self {
        let latency = if rng.chance(1, 8) { rng.below(1_500) } else { rng.below(150) };
        let latency = Duration::from_millis(latency);
        // A small buffer, but never one that leaves less than 8 kB/s.
        let small = usize::try_from(latency.as_millis() * 8).unwrap_or_default() + 1 + rng.index(500);
        Self {
            latency,
            // 8 kB/s to 8 MB/s.
            bandwidth: rng.chance(1, 2).then(|| 8_000 << rng.below(11)),
            capacity: if rng.chance(1, 4) { small } else { Conditions::CAPACITY_DEFAULT },
            is_chunked: rng.chance(1, 4),
            needs_flush: rng.chance(1, 2),
        }
    }
}
