//! Puts items together that came in parts.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use syncline_core::clock::Timestamp;
use syncline_crypto::Hash;

use super::AgentConfig;

/// Items of which parts are there, by sender and hash. A sender can only spoil its own.
#[derive(Debug)]
pub(super) struct Assemblies<P> {
    unfinished: BTreeMap<(Option<P>, Hash), Assembly>,
    bytes: usize,
    next_number: u64,
}

#[derive(Debug)]
struct Assembly {
    since: Timestamp,
    /// Tells apart those of one time.
    number: u64,
    parts: Vec<Option<Bytes>>,
    missing: usize,
    bytes: usize,
}

/// What a part has led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assembled {
    /// Others are missing.
    Unfinished,
    /// The item is whole, and is what its hash says.
    Whole(Bytes),
    /// The parts do not fit together, or the item is too long.
    Wrong,
}

/// A part as it came.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) item: Hash,
    pub(super) index: u16,
    pub(super) count: u16,
    pub(super) bytes: Bytes,
}

impl<P: Ord + Clone> Assemblies<P> {
    pub(super) fn new() -> Self {
        Self { unfinished: BTreeMap::new(), bytes: 0, next_number: 0 }
    }

    pub(super) fn add(&mut self, config: &AgentConfig, now: Timestamp, from: Option<P>, piece: Piece) -> Assembled {
        self.expire(config, now);
        if piece.count > config.parts_max() {
            return Assembled::Wrong;
        }
        let key = (from, piece.item);
        if !self.unfinished.contains_key(&key) {
            self.begin(config, now, &key, usize::from(piece.count));
        }
        let Some(assembly) = self.unfinished.get_mut(&key) else { return Assembled::Wrong };
        if assembly.parts.len() != usize::from(piece.count) {
            self.remove(&key);
            return Assembled::Wrong;
        }
        if let Some(slot @ None) = assembly.parts.get_mut(usize::from(piece.index)) {
            // A copy, so that a short part does not hold a long message.
            *slot = Some(Bytes::copy_from_slice(&piece.bytes));
            assembly.missing -= 1;
            assembly.bytes += piece.bytes.len();
            self.bytes += piece.bytes.len();
        }
        if assembly.missing == 0 {
            return self.finish(&key);
        }
        self.shed(config);
        Assembled::Unfinished
    }

    fn begin(&mut self, config: &AgentConfig, now: Timestamp, key: &(Option<P>, Hash), count: usize) {
        let mut own: Vec<_> = self.of(&key.0).map(|(key, assembly)| (assembly.number, key.clone())).collect();
        own.sort();
        let allowed = config.assemblies_per_peer().saturating_sub(1);
        for (_, oldest) in own.iter().take(own.len().saturating_sub(allowed)) {
            self.remove(oldest);
        }
        if config.assemblies_per_peer() > 0 {
            let number = self.next_number;
            self.next_number += 1;
            let assembly = Assembly { since: now, number, parts: vec![None; count], missing: count, bytes: 0 };
            self.unfinished.insert(key.clone(), assembly);
        }
    }

    fn of(&self, from: &Option<P>) -> impl Iterator<Item = (&(Option<P>, Hash), &Assembly)> {
        let first = (from.clone(), Hash::from_bytes([0; Hash::LEN]));
        let last = (from.clone(), Hash::from_bytes([0xff; Hash::LEN]));
        self.unfinished.range(first..=last)
    }

    fn finish(&mut self, key: &(Option<P>, Hash)) -> Assembled {
        let Some(assembly) = self.remove(key) else { return Assembled::Wrong };
        let mut item = BytesMut::with_capacity(assembly.bytes);
        assembly.parts.iter().flatten().for_each(|part| item.extend_from_slice(part));
        if Hash::digest(&item) == key.1 { Assembled::Whole(item.freeze()) } else { Assembled::Wrong }
    }

    /// Takes from who has most until all is within the limit.
    fn shed(&mut self, config: &AgentConfig) {
        while self.bytes > config.assembly_bytes_max() {
            let mut held: BTreeMap<&Option<P>, usize> = BTreeMap::new();
            for ((from, _), assembly) in &self.unfinished {
                *held.entry(from).or_default() += assembly.bytes;
            }
            let Some(most) = held.iter().max_by_key(|(_, bytes)| **bytes).map(|(from, _)| (*from).clone()) else {
                return;
            };
            let oldest = self.of(&most).min_by_key(|(_, assembly)| assembly.number).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.remove(&oldest);
        }
    }

    fn expire(&mut self, config: &AgentConfig, now: Timestamp) {
        let due = |assembly: &Assembly| assembly.since + config.assembly_for() <= now;
        let late: Vec<_> =
            self.unfinished.iter().filter(|(_, assembly)| due(assembly)).map(|(key, _)| key.clone()).collect();
        for key in late {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &(Option<P>, Hash)) -> Option<Assembly> {
        let removed = self.unfinished.remove(key)?;
        self.bytes -= removed.bytes;
        Some(removed)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        assert_eq!(self.bytes, self.unfinished.values().map(|assembly| assembly.bytes).sum::<usize>());
        (self.unfinished.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(item: &[u8], index: u16, count: u16) -> Piece {
        let (at, len) = (usize::from(index), item.len().div_ceil(usize::from(count)));
        let bytes = Bytes::copy_from_slice(&item[at * len..item.len().min((at + 1) * len)]);
        Piece { item: Hash::digest(item), index, count, bytes }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn parts_come_in_any_order_and_more_than_once() {
        let config = AgentConfig::default();
        let mut all = Assemblies::new();
        for index in [2, 0, 2] {
            let piece = piece(b"abcdef", index, 3);
            assert_eq!(all.add(&config, at(0), Some(1), piece), Assembled::Unfinished);
        }
        assert_eq!(all.add(&config, at(0), Some(2), piece(b"abcdef", 1, 3)), Assembled::Unfinished, "another's");
        let whole = all.add(&config, at(0), Some(1), piece(b"abcdef", 1, 3));
        assert_eq!(whole, Assembled::Whole(Bytes::from_static(b"abcdef")));
        assert_eq!(all.held(), (1, 2));
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let config = AgentConfig::default().with_parts_max(4);
        let mut all = Assemblies::new();
        assert_eq!(all.add(&config, at(0), Some(1), piece(b"abcdef", 0, 5)), Assembled::Wrong, "too many");
        assert_eq!(all.add(&config, at(0), Some(1), piece(b"abcdef", 0, 4)), Assembled::Unfinished);
        assert_eq!(all.add(&config, at(0), Some(1), piece(b"abcdef", 1, 3)), Assembled::Wrong, "another count");
        let mut other = piece(b"abcdef", 0, 2);
        other.bytes = Bytes::from_static(b"xyz");
        assert_eq!(all.add(&config, at(0), Some(1), other), Assembled::Unfinished);
        assert_eq!(all.add(&config, at(0), Some(1), piece(b"abcdef", 1, 2)), Assembled::Wrong, "another hash");
        assert_eq!(all.held(), (0, 0));
    }

    #[test]
    fn each_has_its_share_for_its_time() {
        let config = AgentConfig::default().with_assemblies_per_peer(2).with_assembly_bytes_max(10);
        let mut all = Assemblies::new();
        let item = |n: u8| [n; 6];
        assert_eq!(all.add(&config, at(0), Some(9), piece(&item(0), 0, 2)), Assembled::Unfinished);
        for n in 1..=3 {
            assert_eq!(all.add(&config, at(1), Some(1), piece(&item(n), 0, 2)), Assembled::Unfinished);
        }
        assert_eq!(all.held(), (3, 9), "the first of three is gone");
        assert_eq!(all.add(&config, at(1), Some(2), piece(&item(4), 0, 2)), Assembled::Unfinished);
        assert_eq!(all.held(), (3, 9), "who has most loses its oldest");
        assert_eq!(all.add(&config, at(1), Some(9), piece(&item(0), 1, 2)), Assembled::Whole(item(0).to_vec().into()));
        let late = at(1) + config.assembly_for();
        assert_eq!(all.add(&config, late, Some(3), piece(&item(5), 0, 2)), Assembled::Unfinished);
        assert_eq!(all.held(), (1, 3), "the others were too slow");
    }
}
