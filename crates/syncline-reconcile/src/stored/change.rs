//! Changes of a stored set.

use std::fmt;

use bytes::Bytes;
use syncline_storage::{Batch, Snapshot};

use super::{
    StoredSet,
    layout::{LEVEL_MAX, id_at, level_of, place_of_item},
    level::{Level, Stored},
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
    /// All rows but those of the summary.
    rows: Overlay<'a>,
    /// From level 1.
    levels: Vec<Level>,
    /// The row of the state as it was.
    before: Option<Bytes>,
    state: State,
    ops: Vec<Op>,
}

impl<'a> Change<'a> {
    pub(super) fn new(set: &'a StoredSet, snapshot: &'a dyn Snapshot) -> Result<Self, IndexError> {
        let before = snapshot.get(&set.keys.state())?;
        let state = set.decode_state(before.as_deref())?;
        let levels = (1..=LEVEL_MAX).map(|_| Level::default()).collect();
        Ok(Self { set, rows: Overlay::new(snapshot), levels, before, state, ops: Vec::new() })
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
        if !self.rows.put_new(self.set.keys.item(&place), Bytes::new())? {
            return Err(IndexError::Duplicate);
        }
        let one = Fingerprint::of(&self.set.shape.key, &item.id);
        self.summarize_insert(&place, one)?;
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
                let mut row = Vec::with_capacity(symbols.len() * Symbol::LEN);
                symbols.iter().for_each(|symbol| row.extend_from_slice(&symbol.to_bytes()));
                self.rows.put(key, row.into());
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
        for (level, number) in self.levels.into_iter().zip(1..) {
            level.write(keys, number, batch);
        }
        Ok(())
    }

    /// Updates the rows of all levels for an item whose own row is there already.
    fn summarize_insert(&mut self, place: &[u8], one: Fingerprint) -> Result<(), IndexError> {
        let own = level_of(&one);
        // What lies between the anchor that covers the place on the level below and the place.
        let mut between = Fingerprint::EMPTY;
        let mut covered_from = Bytes::new();
        for number in 1..=LEVEL_MAX {
            let stored = self.stored(number);
            let Some(level) = self.levels.get_mut(usize::from(number) - 1) else {
                break;
            };
            let covering = level.covering(stored, place)?;
            if number > own {
                let Some((_, sum)) = covering else {
                    break;
                };
                *sum += one;
                continue;
            }
            // A new anchor cuts the covering one's span in two; the first of a level cuts everything.
            let covering = covering.map(|(anchor, sum)| (anchor.clone(), *sum));
            let (anchor, sum) = covering.unwrap_or((Bytes::new(), self.state.total));
            between += match number {
                1 => self.sum_of_items(&anchor, place)?,
                _ => self.sum_of(number - 1, &anchor, &covered_from)?,
            };
            if let Some(level) = self.levels.get_mut(usize::from(number) - 1) {
                level.split(&anchor, between, Bytes::copy_from_slice(place), sum - between + one);
            }
            covered_from = anchor;
        }
        Ok(())
    }

    fn stored(&self, level: u8) -> Stored<'a> {
        Stored { keys: &self.set.keys, snapshot: self.rows.snapshot(), level }
    }

    /// The sum of the rows of a level, from one place, included, to another.
    fn sum_of(&self, level: u8, from: &[u8], to: &[u8]) -> Result<Fingerprint, IndexError> {
        match self.levels.get(usize::from(level) - 1) {
            Some(rows) => rows.sum(self.stored(level), from, to),
            None => Ok(Fingerprint::EMPTY),
        }
    }

    /// The sum of the items from one place, included, to another.
    fn sum_of_items(&self, from: &[u8], to: &[u8]) -> Result<Fingerprint, IndexError> {
        let keys = &self.set.keys;
        let mut sum = Fingerprint::EMPTY;
        self.rows.for_each(keys.level_from(0, from).before(keys.item(to)), |key| {
            sum += Fingerprint::of(&self.set.shape.key, &id_at(key)?);
            Ok::<_, IndexError>(())
        })?;
        Ok(sum)
    }

    /// Updates the rows of all levels for an item that goes.
    fn summarize_remove(&mut self, place: &[u8], one: Fingerprint) -> Result<(), IndexError> {
        let own = level_of(&one);
        for number in 1..=LEVEL_MAX {
            let stored = self.stored(number);
            let Some(level) = self.levels.get_mut(usize::from(number) - 1) else {
                break;
            };
            if number > own {
                let Some((_, sum)) = level.covering(stored, place)? else {
                    break;
                };
                *sum -= one;
                continue;
            }
            let row = level.get(stored, place)?;
            let (Some(row), Some((anchor, sum))) = (row, level.covering(stored, place)?) else {
                return Err(IndexError::Corrupt("a level lacks a row of an anchor"));
            };
            *sum += row;
            *sum -= one;
            let is_head = anchor.is_empty();
            if is_head && !level.has_behind(stored, place)? {
                // It was the only anchor of the level.
                level.remove(&[]);
            }
            level.remove(place);
        }
        Ok(())
    }
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("ops", &self.ops.len()).finish_non_exhaustive()
    }
}
