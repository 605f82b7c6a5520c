//! Sums of everything before places, from the rows of the levels.

use bytes::Bytes;
use syncline_storage::{Direction, Scan, Snapshot};

use super::{
    StoredSet,
    layout::{decode_sum, id_at},
};
use crate::{Fingerprint, IndexError};

/// Goes through the places in ascending order. On each level it stands on the last row before the place, and goes on
/// from there; the levels below begin again where it has moved.
pub(super) struct Cursor<'a> {
    set: &'a StoredSet,
    snapshot: &'a dyn Snapshot,
    /// From the highest level that is in use down to level 1; the items are last.
    levels: Vec<Level<'a>>,
    top: u8,
}

/// A row of a level, and those behind it.
struct Level<'a> {
    level: u8,
    rows: Scan<'a>,
    /// What lies before the row.
    before: Fingerprint,
    /// What the row stands for; nothing before the first item.
    sum: Fingerprint,
    place: Bytes,
    next: Option<(Bytes, Bytes)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(set: &'a StoredSet, snapshot: &'a dyn Snapshot, top: u8) -> Self {
        Self { set, snapshot, levels: Vec::new(), top }
    }

    /// The sum of all items before a place, which is not before the last one.
    pub(super) fn before(&mut self, place: &[u8]) -> Result<Fingerprint, IndexError> {
        self.go(|_, next, _| next < place)
    }

    /// The place of the item with so many before it. For a cursor that was not moved before.
    pub(super) fn select(&mut self, rank: u64) -> Result<Option<Bytes>, IndexError> {
        self.go(|_, _, before| before <= rank)?;
        let found = self.levels.pop();
        Ok(found.filter(|level| level.before.count == rank && level.sum.count == 1).map(|level| level.place))
    }

    /// Moves on, on each level, for as long as `passes` says so of the next row: its level, its place, and how many items
    /// lie before it. Gives the sum of what lies before the place at which it ends.
    fn go(&mut self, passes: impl Fn(u8, &[u8], u64) -> bool) -> Result<Fingerprint, IndexError> {
        for level in (0..=self.top).rev() {
            let at = usize::from(self.top - level);
            if self.levels.len() <= at {
                let opened = self.open(level)?;
                self.levels.push(opened);
            }
            let mut moved = false;
            if let Some(here) = self.levels.get_mut(at) {
                while let Some((place, _)) = &here.next
                    && passes(level, place, here.before.count.wrapping_add(here.sum.count))
                {
                    here.advance(self.set)?;
                    moved = true;
                }
            }
            if moved {
                self.levels.truncate(at + 1);
            }
        }
        let last = self.levels.last();
        Ok(last.map(|level| level.before + level.sum).unwrap_or_default())
    }

    /// Begins a level at the row on which the level above it stands.
    fn open(&self, level: u8) -> Result<Level<'a>, IndexError> {
        let above = self.levels.last();
        let (from, before) = above.map(|above| (above.place.clone(), above.before)).unwrap_or_default();
        let rows = self.snapshot.scan(self.set.keys.level_from(level, &from), Direction::Forward)?;
        let mut opened = Level { level, rows, before, sum: Fingerprint::EMPTY, place: Bytes::new(), next: None };
        opened.read(self.set)?;
        if level > 0 {
            opened.advance(self.set)?;
            if opened.place != from {
                return Err(IndexError::Corrupt("an anchor is missing on a level below its own"));
            }
        }
        Ok(opened)
    }
}

impl Level<'_> {
    fn read(&mut self, set: &StoredSet) -> Result<(), IndexError> {
        let next = self.rows.next().transpose()?;
        self.next = next.map(|(key, value)| (set.keys.place(self.level, &key), value));
        Ok(())
    }

    /// Goes to the next row, if there is one.
    fn advance(&mut self, set: &StoredSet) -> Result<(), IndexError> {
        if let Some((place, value)) = self.next.take() {
            self.before += self.sum;
            self.sum = match self.level {
                0 => Fingerprint::of(&set.shape.key, &id_at(&place)?),
                _ => decode_sum(&value)?,
            };
            self.place = place;
            self.read(set)?;
        }
        Ok(())
    }
}
