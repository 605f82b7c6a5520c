//! Comparing the rows of a stored set with its items, and making them anew.

use bytes::Bytes;
use syncline_storage::{Batch, Direction, Scan, Snapshot};

use super::{
    StoredSet,
    layout::{ITEMS, LEVEL_MAX, PAGES, PARTS, STATE, SUMMARY, decode_sum, encode_sum, item_at, place_of_item},
    segments::{Segment, Segments},
    state::{PAGE, State},
};
use crate::{Fingerprint, IndexError, Item, LtHash, Sketch, Symbol, tree::check_key};

/// What the items amount to.
struct Derived {
    segments: Segments,
    accumulator: LtHash,
    sketch: Sketch,
}

impl StoredSet {
    /// Reads all items of the set and shows them with the rows that each of them ends.
    fn derive(
        &self,
        snapshot: &dyn Snapshot,
        mut visit: impl FnMut(&Item, Vec<Segment>) -> Result<(), IndexError>,
    ) -> Result<Derived, IndexError> {
        let key = &self.shape.key;
        let (mut segments, mut accumulator) = (Segments::new(), LtHash::new());
        let mut sketch = Sketch::new(key, self.shape.len);
        for row in snapshot.scan(self.keys.table(ITEMS), Direction::Forward)? {
            let (row, value) = row?;
            let place = self.keys.place(0, &row);
            let item = item_at(&place)?;
            if !value.is_empty() || check_key(&item.key).is_err() {
                return Err(IndexError::Corrupt("the row of an item is not one"));
            }
            accumulator.add(key, &item.id);
            sketch.insert(&item.id);
            let ended = segments.push(&place, Fingerprint::of(key, &item.id));
            visit(&item, ended)?;
        }
        Ok(Derived { segments, accumulator, sketch })
    }

    /// Compares every row with the items: the levels, the index by id, the total, the accumulator and all symbols. Reads
    /// everything once, in memory that does not depend on how many items there are.
    ///
    /// The rows of the items are what the others are compared with. An item that is gone from them, or was never put there,
    /// is noticed by all the others.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](IndexError::Corrupt) if something does not agree, with the first thing found; [`rebuild`](Self::rebuild) the
    /// set then. [`Storage`](IndexError::Storage).
    pub fn check(&self, snapshot: &dyn Snapshot) -> Result<(), IndexError> {
        let mut levels = Levels::new(self, snapshot)?;
        let mut parts = 0u64;
        let derived = self.derive(snapshot, |item, ended| {
            if snapshot.get(&self.keys.part(item))?.is_none_or(|value| !value.is_empty()) {
                return Err(IndexError::Corrupt("an item lacks its row in the index by id"));
            }
            parts += 1;
            ended.into_iter().try_for_each(|segment| levels.expect(&segment))
        })?;
        let total = derived.segments.total;
        derived.segments.finish().into_iter().try_for_each(|segment| levels.expect(&segment))?;
        levels.finish()?;
        if count(snapshot.scan(self.keys.table(PARTS), Direction::Forward)?)? != parts {
            return Err(IndexError::Corrupt("the index by id has a row without an item"));
        }
        let row = snapshot.get(&self.keys.state())?;
        let state = self.decode_state(row.as_deref())?;
        if state.total != total {
            return Err(IndexError::Corrupt("the total is wrong"));
        }
        if state.accumulator != derived.accumulator {
            return Err(IndexError::Corrupt("the accumulator is wrong"));
        }
        let read = |page: u64| Ok(snapshot.get(&self.keys.page(page as u16))?);
        if state.symbols(&self.shape, 0, usize::MAX, read)? != derived.sketch.symbols(0, usize::MAX) {
            return Err(IndexError::Corrupt("a symbol is wrong"));
        }
        self.check_for_strays(snapshot)
    }

    /// Whether the tables with few rows have one that nobody reads.
    fn check_for_strays(&self, snapshot: &dyn Snapshot) -> Result<(), IndexError> {
        let states = count(snapshot.scan(self.keys.table(STATE), Direction::Forward)?)?;
        let known = u64::from(snapshot.get(&self.keys.state())?.is_some());
        let pages = count(snapshot.scan(self.keys.table(PAGES), Direction::Forward)?)?;
        let mut known_pages = 0;
        for page in 0..self.shape.pages() {
            known_pages += u64::from(snapshot.get(&self.keys.page(page as u16))?.is_some());
        }
        if (states, pages) == (known, known_pages) { Ok(()) } else { Err(IndexError::Corrupt("a row has no use")) }
    }

    /// Makes all rows anew from those of the items, whatever they are now. The batch replaces them as a whole; it has some
    /// 100 bytes per item and the precondition that the state is what it was.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](IndexError::Corrupt) if the row of an item is not one. [`Storage`](IndexError::Storage).
    pub fn rebuild(&self, snapshot: &dyn Snapshot) -> Result<Batch, IndexError> {
        let mut batch = Batch::new();
        match snapshot.get(&self.keys.state())? {
            Some(state) => batch.require_equals(self.keys.state(), state),
            None => batch.require_absent(self.keys.state()),
        };
        for table in [PARTS, SUMMARY, STATE, PAGES] {
            batch.delete_range(self.keys.table(table));
        }
        let put = |batch: &mut Batch, segment: Segment| {
            batch.put(self.keys.summary(segment.level, &segment.place), encode_sum(&segment.sum));
        };
        let derived = self.derive(snapshot, |item, ended| {
            batch.put(self.keys.part(item), Bytes::new());
            ended.into_iter().for_each(|segment| put(&mut batch, segment));
            Ok(())
        })?;
        let total = derived.segments.total;
        derived.segments.finish().into_iter().for_each(|segment| put(&mut batch, segment));
        for page in 0..self.shape.pages() {
            let from = PAGE * (1 + page as usize);
            let symbols = derived.sketch.symbols(from, from + PAGE);
            if symbols.iter().any(|symbol| !symbol.is_empty()) {
                let row: Bytes = symbols.iter().flat_map(Symbol::to_bytes).collect();
                batch.put(self.keys.page(page as u16), row);
            }
        }
        if total.count > 0 {
            let state = State::settled(total, derived.accumulator, derived.sketch.symbols(0, PAGE));
            batch.put(self.keys.state(), state.encode(&self.shape));
        }
        Ok(batch)
    }

    /// Deletes all rows of the set.
    pub fn clear(&self, batch: &mut Batch) {
        for table in [ITEMS, PARTS, SUMMARY, STATE, PAGES] {
            batch.delete_range(self.keys.table(table));
        }
    }

    /// Adds the row of an item and nothing else, for a [`rebuild`](Self::rebuild) after many: the set is damaged until then.
    ///
    /// # Errors
    ///
    /// [`KeyTooLong`](IndexError::KeyTooLong).
    pub fn put_item(&self, batch: &mut Batch, item: &Item) -> Result<(), IndexError> {
        check_key(&item.key)?;
        batch.put(self.keys.item(&place_of_item(item)), Bytes::new());
        Ok(())
    }
}

fn count(rows: Scan<'_>) -> Result<u64, IndexError> {
    let mut count = 0;
    for row in rows {
        row?;
        count += 1;
    }
    Ok(count)
}

/// The rows of each level, to be compared one by one.
struct Levels<'a> {
    set: &'a StoredSet,
    rows: Vec<Scan<'a>>,
    expected: u64,
    stored: u64,
}

impl<'a> Levels<'a> {
    fn new(set: &'a StoredSet, snapshot: &'a dyn Snapshot) -> Result<Self, IndexError> {
        let rows = (1..=LEVEL_MAX).map(|level| snapshot.scan(set.keys.level(level), Direction::Forward));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let stored = count(snapshot.scan(set.keys.table(SUMMARY), Direction::Forward)?)?;
        Ok(Self { set, rows, expected: 0, stored })
    }

    fn expect(&mut self, segment: &Segment) -> Result<(), IndexError> {
        self.expected += 1;
        let rows = self.rows.get_mut(usize::from(segment.level).saturating_sub(1));
        let Some((key, value)) = rows.and_then(Iterator::next).transpose()? else {
            return Err(IndexError::Corrupt("a level lacks a row"));
        };
        if self.set.keys.place(segment.level, &key) != segment.place {
            return Err(IndexError::Corrupt("a level has a row too many or lacks one"));
        }
        if decode_sum(&value)? == segment.sum { Ok(()) } else { Err(IndexError::Corrupt("a sum is wrong")) }
    }

    fn finish(&self) -> Result<(), IndexError> {
        if self.stored == self.expected { Ok(()) } else { Err(IndexError::Corrupt("a level has a row too many")) }
    }
}
