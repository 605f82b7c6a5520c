//! Changes of a stored set.

use std::fmt;

use bytes::Bytes;
use syncline_storage::{Batch, Direction, Snapshot};

use super::{
    StoredSet,
    layout::{LEVEL_MAX, decode_sum, encode_sum, id_at, level_of, place_of_item},
    overlay::Overlay,
    state::{Op, State},
};
use crate::{Fingerprint, IndexError, Item, Symbol, tree::check_key};

/// Changes of a [`StoredSet`] that are yet to be written. Each sees those before it.
///
/// Made by [`StoredSet::change`] from the snapshot that the changes are based on, and [written](Self::write) into the batch
/// that holds whatever they are about. Dropped, it leaves no trace.
///
/// After an error other than [`Duplicate`](IndexError::Duplicate) or [`KeyTooLong`](IndexError::KeyTooLong) a part of the
/// change may be in: drop it.
pub struct Change<'a> {
    set: &'a StoredSet,
    rows: Overlay<'a>,
    /// The row of the state as it was.
    before: Option<Bytes>,
    state: State,
    ops: Vec<Op>,
}

impl<'a> Change<'a> {
    pub(super) fn new(set: &'a StoredSet, snapshot: &'a dyn Snapshot) -> Result<Self, IndexError> {
        let before = snapshot.get(&set.keys.state())?;
        let state = set.decode_state(before.as_deref())?;
        Ok(Self { set, rows: Overlay::new(snapshot), before, state, ops: Vec::new() })
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// [`Duplicate`](IndexError::Duplicate) if it is there, [`KeyTooLong`](IndexError::KeyTooLong): then nothing has
    /// changed. [`Storage`](IndexError::Storage) and [`Corrupt`](IndexError::Corrupt).
    pub fn insert(&mut self, item: &Item) -> Result<(), IndexError> {
        check_key(&item.key)?;
        let place = place_of_item(item);
        let row = self.set.keys.item(&place);
        if self.rows.get(&row)?.is_some() {
            return Err(IndexError::Duplicate);
        }
        let one = Fingerprint::of(&self.set.shape.key, &item.id);
        self.summarize_insert(&place, one)?;
        self.rows.put(row, Bytes::new());
        self.rows.put(self.set.keys.part(item), Bytes::new());
        self.ops.push(self.state.change(&self.set.shape, &item.id, one, false));
        Ok(())
    }

    /// Removes an item. Says whether it was there.
    ///
    /// # Errors
    ///
    /// [`Storage`](IndexError::Storage) and [`Corrupt`](IndexError::Corrupt).
    pub fn remove(&mut self, item: &Item) -> Result<bool, IndexError> {
        let place = place_of_item(item);
        let row = self.set.keys.item(&place);
        if check_key(&item.key).is_err() || self.rows.get(&row)?.is_none() {
            return Ok(false);
        }
        let one = Fingerprint::of(&self.set.shape.key, &item.id);
        self.summarize_remove(&place, one)?;
        self.rows.delete(row);
        self.rows.delete(self.set.keys.part(item));
        self.ops.push(self.state.change(&self.set.shape, &item.id, one, true));
        Ok(true)
    }

    /// Whether an item is there, these changes included.
    ///
    /// # Errors
    ///
    /// [`Storage`](IndexError::Storage).
    pub fn contains(&self, item: &Item) -> Result<bool, IndexError> {
        Ok(self.rows.get(&self.set.keys.item(&place_of_item(item)))?.is_some())
    }

    /// Count and sum of the set, these changes included.
    #[must_use]
    pub fn total(&self) -> Fingerprint {
        self.state.total
    }

    /// Adds the changes to a batch, with the precondition that the set is still what it was in the snapshot: a commit
    /// between the two lets this one fail. A batch takes one `Change` of a set.
    ///
    /// # Errors
    ///
    /// [`Storage`](IndexError::Storage) and [`Corrupt`](IndexError::Corrupt); then the batch is unchanged.
    pub fn write(mut self, batch: &mut Batch) -> Result<(), IndexError> {
        if self.ops.is_empty() {
            return Ok(());
        }
        let (keys, shape) = (&self.set.keys, &self.set.shape);
        let read = |page: u64| Ok(self.rows.get(&keys.page(page as u16))?);
        let pages = self.state.turn(shape, self.ops, read)?;
        for (page, symbols) in pages {
            let key = keys.page(page as u16);
            if symbols.iter().any(|symbol| !symbol.is_empty()) {
                self.rows.put(key, symbols.iter().flat_map(Symbol::to_bytes).collect());
            } else if self.rows.get(&key)?.is_some() {
                self.rows.delete(key);
            }
        }
        self.rows.put(keys.state(), self.state.encode(shape));
        match self.before {
            Some(before) => batch.require_equals(keys.state(), before),
            None => batch.require_absent(keys.state()),
        };
        self.rows.write(batch);
        Ok(())
    }

    /// The last row of a level before a place: an anchor, or the head. None if the level is not in use.
    fn covering(&self, level: u8, place: &[u8]) -> Result<Option<(Bytes, Fingerprint)>, IndexError> {
        let range = self.set.keys.level(level).before(self.set.keys.summary(level, place));
        let Some((key, value)) = self.rows.first(range, Direction::Reverse)? else {
            return Ok(None);
        };
        Ok(Some((self.set.keys.place(level, &key), decode_sum(&value)?)))
    }

    fn put_sum(&mut self, level: u8, place: &[u8], sum: &Fingerprint) {
        self.rows.put(self.set.keys.summary(level, place), encode_sum(sum));
    }

    /// Updates the rows of all levels for an item that is not there yet.
    fn summarize_insert(&mut self, place: &[u8], one: Fingerprint) -> Result<(), IndexError> {
        let own = level_of(&one);
        // What lies between the anchor that covers the place on the level below and the place.
        let mut between = Fingerprint::EMPTY;
        let mut covered_from = Bytes::copy_from_slice(place);
        for level in 1..=LEVEL_MAX {
            let covering = self.covering(level, place)?;
            if level > own {
                let Some((anchor, sum)) = covering else {
                    break;
                };
                self.put_sum(level, &anchor, &(sum + one));
                continue;
            }
            // A new anchor cuts the covering one's span in two; the first of a level cuts everything.
            let (anchor, sum) = covering.unwrap_or((Bytes::new(), self.state.total));
            between += self.sum_of(level - 1, &anchor, &covered_from)?;
            covered_from = anchor.clone();
            self.put_sum(level, &anchor, &between);
            self.put_sum(level, place, &(sum - between + one));
        }
        Ok(())
    }

    /// The sum of the rows of a level from one place, included, to another.
    fn sum_of(&self, level: u8, from: &[u8], to: &[u8]) -> Result<Fingerprint, IndexError> {
        let keys = &self.set.keys;
        let end = if level == 0 { keys.item(to) } else { keys.summary(level, to) };
        let mut sum = Fingerprint::EMPTY;
        for row in self.rows.scan(keys.level_from(level, from).before(end))? {
            let (key, value) = row?;
            sum += match level {
                0 => Fingerprint::of(&self.set.shape.key, &id_at(&key)?),
                _ => decode_sum(&value)?,
            };
        }
        Ok(sum)
    }

    /// Updates the rows of all levels for an item that is still there.
    fn summarize_remove(&mut self, place: &[u8], one: Fingerprint) -> Result<(), IndexError> {
        let own = level_of(&one);
        for level in 1..=own {
            let key = self.set.keys.summary(level, place);
            let (Some(row), Some((anchor, sum))) = (self.rows.get(&key)?, self.covering(level, place)?) else {
                return Err(IndexError::Corrupt("a level lacks a row of an anchor"));
            };
            let behind = self.set.keys.level(level).after(key.clone());
            if anchor.is_empty() && self.rows.first(behind, Direction::Forward)?.is_none() {
                // It was the only anchor of the level.
                self.rows.delete(self.set.keys.summary(level, &anchor));
            } else {
                self.put_sum(level, &anchor, &(sum + decode_sum(&row)? - one));
            }
            self.rows.delete(key);
        }
        for level in own + 1..=LEVEL_MAX {
            let Some((anchor, sum)) = self.covering(level, place)? else {
                break;
            };
            self.put_sum(level, &anchor, &(sum - one));
        }
        Ok(())
    }
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("ops", &self.ops.len()).finish_non_exhaustive()
    }
}
