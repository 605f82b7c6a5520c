//! The bytes of the disk, and how to take back what was not synced.

use std::ops::Range;

use crate::seed::Rng;

/// What the process reads, with the changes since the last sync. A crash takes these back, newest first, and applies
/// what survives of them; so it costs what was written, not the size of the disk.
#[derive(Default)]
pub(super) struct Platter {
    bytes: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write {
        offset: usize,
        before: Vec<u8>,
        after: Vec<u8>,
    },
    /// The cut-off bytes are kept; bytes that were added were zero.
    Length {
        cut: Vec<u8>,
        before: usize,
        after: usize,
    },
}

/// What became of the un-synced writes.
#[derive(Default)]
pub(super) struct Left {
    pub(super) kept: u64,
    pub(super) dropped: u64,
    pub(super) torn: u64,
}

impl Platter {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, unsynced: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let before = self.bytes.len();
        let cut = self.bytes.get(len..).map(<[u8]>::to_vec).unwrap_or_default();
        self.bytes.resize(len, 0);
        self.unsynced.push(Change::Length { cut, before, after: len });
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset.saturating_add(data.len());
        if end > self.bytes.len() {
            self.set_len(end);
        }
        if let Some(place) = self.bytes.get_mut(offset..end) {
            self.unsynced.push(Change::Write { offset, before: place.to_vec(), after: data.to_vec() });
            place.copy_from_slice(data);
        }
    }

    /// Loses the power: what is left is on the disk for good.
    pub(super) fn crash(&mut self, rng: &mut Rng) -> Left {
        let changes = std::mem::take(&mut self.unsynced);
        for change in changes.iter().rev() {
            self.take_back(change);
        }
        // Each crash has its own odds, so that all, none and any mixture of the writes survive often enough.
        let odds = [rng.below(4), rng.below(4), rng.below(4)];
        let (mut lengths, mut writes) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Length { after, .. } => lengths.push(after),
                Change::Write { offset, after, .. } => writes.push((offset, after)),
            }
        }
        // The journal of a file system keeps the order of these.
        lengths.truncate(rng.index(lengths.len() + 1));
        for len in lengths {
            self.bytes.resize(len, 0);
        }
        let mut left = Left::default();
        while !writes.is_empty() {
            let (offset, data) = writes.swap_remove(rng.index(writes.len()));
            let piece = survivor(data.len(), odds, rng);
            match piece.len() {
                0 => left.dropped += 1,
                len if len == data.len() => left.kept += 1,
                _ => left.torn += 1,
            }
            self.put(offset + piece.start, data.get(piece).unwrap_or_default());
        }
        left
    }

    fn take_back(&mut self, change: &Change) {
        match change {
            Change::Write { offset, before, .. } => self.put(*offset, before),
            Change::Length { cut, before, .. } => {
                self.bytes.resize(*before, 0);
                self.put(*before - cut.len(), cut);
            }
        }
    }

    fn put(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if data.is_empty() {
            return;
        }
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        if let Some(place) = self.bytes.get_mut(offset..end) {
            place.copy_from_slice(data);
        }
    }
}

/// The piece of a write of `len` bytes that survives.
fn survivor(len: usize, [keep, drop, tear]: [u64; 3], rng: &mut Rng) -> Range<usize> {
    let lot = rng.below((keep + drop + tear).max(1));
    if lot < keep {
        return 0..len;
    }
    if lot < keep + drop || len < 2 {
        return 0..0;
    }
    let cut = 1 + rng.index(len - 1);
    match rng.below(3) {
        0 => 0..cut,
        1 => cut..len,
        _ => {
            let other = rng.index(len);
            cut.min(other)..cut.max(other)
        }
    }
}
