//! The rows of all levels, from items that come in order.

use bytes::Bytes;

use super::layout::{LEVEL_MAX, level_of};
use crate::Fingerprint;

/// A finished row.
pub(super) struct Segment {
    pub(super) level: u8,
    /// The anchor, or nothing for the head of the level.
    pub(super) place: Bytes,
    pub(super) sum: Fingerprint,
}

#[derive(Debug, Default)]
struct Open {
    place: Bytes,
    sum: Fingerprint,
    in_use: bool,
}

/// Takes items in ascending order.
pub(super) struct Segments {
    /// From level 1.
    open: Vec<Open>,
    pub(super) total: Fingerprint,
}

impl Segments {
    pub(super) fn new() -> Self {
        Self { open: (1..=LEVEL_MAX).map(|_| Open::default()).collect(), total: Fingerprint::EMPTY }
    }

    /// Takes an item, and gives the rows that end before it.
    pub(super) fn push(&mut self, place: &Bytes, one: Fingerprint) -> Vec<Segment> {
        let own = level_of(&one);
        let mut ended = Vec::new();
        for (open, level) in self.open.iter_mut().zip(1..) {
            if level <= own {
                let last =
                    std::mem::replace(open, Open { place: place.clone(), sum: Fingerprint::EMPTY, in_use: true });
                ended.push(Segment { level, place: last.place, sum: last.sum });
            }
            open.sum += one;
        }
        self.total += one;
        ended
    }

    /// The last rows of all levels in use.
    pub(super) fn finish(self) -> Vec<Segment> {
        let open = self.open.into_iter().zip(1..).filter(|(open, _)| open.in_use);
        open.map(|(open, level)| Segment { level, place: open.place, sum: open.sum }).collect()
    }
}
