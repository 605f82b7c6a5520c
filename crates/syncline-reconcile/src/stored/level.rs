//! One level of the summary as a change leaves it.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use syncline_storage::{Batch, Direction, KeyRange, Snapshot};

use super::layout::{Keys, decode_sum, encode_sum};
use crate::{Fingerprint, IndexError};

/// The rows of a level in a snapshot.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) keys: &'a Keys,
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) level: u8,
}

/// What is known of a level: rows that were read, since each is read to be changed, and what became of them.
///
/// Items mostly come in order, many under one anchor. So with an anchor goes what is known of the snapshot behind it. That
/// never turns wrong: the snapshot does not change, and an anchor that a change adds or removes stands here itself.
#[derive(Debug, Default)]
pub(super) struct Level {
    rows: BTreeMap<Bytes, Row>,
    /// The snapshot has no row of the level.
    unused: bool,
}

#[derive(Debug)]
struct Row {
    /// None if the row goes.
    sum: Option<Fingerprint>,
    clear: Clear,
}

/// How far behind an anchor the snapshot has no other that is not known here.
#[derive(Clone, Debug)]
enum Clear {
    Unknown,
    /// To this place.
    To(Bytes),
    ToTheEnd,
}

impl Clear {
    fn reaches(&self, place: &[u8]) -> bool {
        match self {
            Self::Unknown => false,
            Self::To(end) => place <= &end[..],
            Self::ToTheEnd => true,
        }
    }
}

impl Level {
    /// The last row before a place: an anchor, or the head. None if the level is not in use.
    pub(super) fn covering(
        &mut self,
        stored: Stored<'_>,
        place: &[u8],
    ) -> Result<Option<(&Bytes, &mut Fingerprint)>, IndexError> {
        self.learn(stored, place)?;
        let before = self.rows.range_mut::<[u8], _>((Bound::Unbounded, Bound::Excluded(place)));
        Ok(before.rev().find_map(|(anchor, row)| Some((anchor, row.sum.as_mut()?))))
    }

    /// Sees to it that the last row before a place is known, if there is one.
    fn learn(&mut self, stored: Stored<'_>, place: &[u8]) -> Result<(), IndexError> {
        let mut removed: Option<Bytes> = None;
        loop {
            let place = removed.as_deref().unwrap_or(place);
            let last = self.rows.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(place))).next_back();
            let last = match last {
                Some((_, row)) if row.clear.reaches(place) && row.sum.is_some() => return Ok(()),
                Some((anchor, row)) if row.clear.reaches(place) => {
                    removed = Some(anchor.clone());
                    continue;
                }
                None if self.unused => return Ok(()),
                last => last.map(|(anchor, _)| anchor.clone()),
            };
            if let Some((anchor, sum)) = stored.last_between(last.as_deref(), place)? {
                // Whether more items come under it is seen when they do; most anchors have only one in a change.
                self.rows.insert(anchor, Row { sum: Some(sum), clear: Clear::Unknown });
                return Ok(());
            }
            let next = stored.first_from(place)?;
            let Some(row) = last.and_then(|last| self.rows.get_mut(&last)) else {
                // A level in use has a head, before all places.
                self.unused = next.is_none();
                return Ok(());
            };
            row.clear = next.map_or(Clear::ToTheEnd, Clear::To);
        }
    }

    /// The row of an anchor.
    pub(super) fn get(&self, stored: Stored<'_>, anchor: &[u8]) -> Result<Option<Fingerprint>, IndexError> {
        match self.rows.get(anchor) {
            Some(row) => Ok(row.sum),
            None => stored.get(anchor),
        }
    }

    /// Cuts the span of an anchor, or of the head of a level that is not in use yet, in two at a place.
    pub(super) fn split(&mut self, anchor: &Bytes, before: Fingerprint, place: Bytes, behind: Fingerprint) {
        let clear = if self.unused { Clear::ToTheEnd } else { Clear::Unknown };
        let row = self.rows.entry(anchor.clone()).or_insert(Row { sum: None, clear });
        row.sum = Some(before);
        let clear = row.clear.clone();
        self.rows.insert(place, Row { sum: Some(behind), clear });
    }

    pub(super) fn remove(&mut self, anchor: &[u8]) {
        match self.rows.get_mut(anchor) {
            Some(row) => row.sum = None,
            None => {
                self.rows.insert(Bytes::copy_from_slice(anchor), Row { sum: None, clear: Clear::Unknown });
            }
        }
    }

    /// Whether there is an anchor behind a place.
    pub(super) fn has_behind(&self, stored: Stored<'_>, place: &[u8]) -> Result<bool, IndexError> {
        let mut behind = self.rows.range::<[u8], _>((Bound::Excluded(place), Bound::Unbounded));
        if behind.any(|(_, row)| row.sum.is_some()) {
            return Ok(true);
        }
        let range = stored.range().after(stored.key(place));
        for row in stored.snapshot.scan(range, Direction::Forward)? {
            if !self.rows.contains_key(&stored.place(&row?.0)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The sum of the rows from one place, included, to another.
    pub(super) fn sum(&self, stored: Stored<'_>, from: &[u8], to: &[u8]) -> Result<Fingerprint, IndexError> {
        let mut sum = Fingerprint::EMPTY;
        if from >= to {
            return Ok(sum);
        }
        let known = self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        known.filter_map(|(_, row)| row.sum).for_each(|one| sum += one);
        let range = stored.range().starting_at(stored.key(from)).before(stored.key(to));
        for row in stored.snapshot.scan(range, Direction::Forward)? {
            let (key, value) = row?;
            if !self.rows.contains_key(&stored.place(&key)) {
                sum += decode_sum(&value)?;
            }
        }
        Ok(sum)
    }

    /// Writes the rows.
    pub(super) fn write(self, keys: &Keys, level: u8, batch: &mut Batch) {
        for (place, row) in self.rows {
            let key = keys.summary(level, &place);
            match row.sum {
                Some(sum) => batch.put(key, encode_sum(&sum)),
                None => batch.delete(key),
            };
        }
    }
}

impl Stored<'_> {
    fn key(&self, place: &[u8]) -> Bytes {
        self.keys.summary(self.level, place)
    }

    fn place(&self, key: &Bytes) -> Bytes {
        self.keys.place(self.level, key)
    }

    fn range(&self) -> KeyRange {
        self.keys.level(self.level)
    }

    fn get(&self, place: &[u8]) -> Result<Option<Fingerprint>, IndexError> {
        self.snapshot.get(&self.key(place))?.map(|value| decode_sum(&value)).transpose()
    }

    /// The last row between two places, or from the head on.
    fn last_between(&self, after: Option<&[u8]>, before: &[u8]) -> Result<Option<(Bytes, Fingerprint)>, IndexError> {
        let lower = after.map_or_else(|| Bound::Included(self.key(&[])), |after| Bound::Excluded(self.key(after)));
        let range = KeyRange::new(lower, Bound::Excluded(self.key(before)));
        let Some(row) = self.snapshot.scan(range, Direction::Reverse)?.next() else {
            return Ok(None);
        };
        let (key, value) = row?;
        Ok(Some((self.place(&key), decode_sum(&value)?)))
    }

    /// The first anchor at a place or behind it.
    fn first_from(&self, place: &[u8]) -> Result<Option<Bytes>, IndexError> {
        let range = self.range().starting_at(self.key(place));
        let row = self.snapshot.scan(range, Direction::Forward)?.next().transpose()?;
        Ok(row.map(|(key, _)| self.place(&key)))
    }
}
