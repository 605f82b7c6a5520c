//! A stored set as it was at one time.

use std::{fmt, ops::ControlFlow, sync::Arc};

use syncline_storage::{Direction, Snapshot};

use super::{
    StoredSet,
    cursor::Cursor,
    layout::{ITEMS, LEVEL_MAX, id_at, item_at, place_of, place_of_bound},
    state::State,
};
use crate::{
    Bound, Fingerprint, IdPart, IndexError, Item, ItemId, LtHash, ReconcileSet, SetKey, Span, SummaryIndex, Symbol,
};

/// A [`StoredSet`] as a snapshot shows it: a [`ReconcileSet`].
///
/// The sum before a place costs about 16 rows for each level, of which a set of `n` items has `log16(n)`; places that come
/// together share them. The rows of the first level are those of the items, which are hashed.
///
/// An item's level is a keyed hash of its id. Who knows the key of the set and writes items can make many of level 0 that
/// stand next to each other; the spans that begin or end among them are then summed item by item.
pub struct StoredView {
    set: StoredSet,
    snapshot: Arc<dyn Snapshot>,
    state: State,
    /// The highest level in use.
    top: u8,
}

impl StoredView {
    pub(super) fn new(set: StoredSet, snapshot: Arc<dyn Snapshot>) -> Result<Self, IndexError> {
        let row = snapshot.get(&set.keys.state())?;
        let state = set.decode_state(row.as_deref())?;
        let mut top = 0;
        while top < LEVEL_MAX && snapshot.get(&set.keys.summary(top + 1, &[]))?.is_some() {
            top += 1;
        }
        Ok(Self { set, snapshot, state, top })
    }

    fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.set, &*self.snapshot, self.top)
    }

    fn before(&self, bound: &Bound) -> Result<Fingerprint, IndexError> {
        if *bound == Bound::MIN {
            return Ok(Fingerprint::EMPTY);
        }
        self.cursor().before(&place_of_bound(bound))
    }
}

impl SummaryIndex for StoredView {
    fn len(&self) -> Result<u64, IndexError> {
        Ok(self.state.total.count)
    }

    fn fingerprint(&self, span: &Span) -> Result<Fingerprint, IndexError> {
        match &span.to {
            None => Ok(self.state.total - self.before(&span.from)?),
            Some(to) if *to <= span.from => Ok(Fingerprint::EMPTY),
            Some(to) if span.from == Bound::MIN => self.before(to),
            Some(to) => {
                let mut cursor = self.cursor();
                let from = cursor.before(&place_of_bound(&span.from))?;
                Ok(cursor.before(&place_of_bound(to))? - from)
            }
        }
    }

    fn fingerprints_before(&self, bounds: &[Bound]) -> Result<Vec<Fingerprint>, IndexError> {
        if !bounds.is_sorted() {
            return Err(IndexError::Unordered);
        }
        let mut cursor = self.cursor();
        bounds.iter().map(|bound| cursor.before(&place_of_bound(bound))).collect()
    }

    fn rank(&self, bound: &Bound) -> Result<u64, IndexError> {
        Ok(self.before(bound)?.count)
    }

    fn select(&self, rank: u64) -> Result<Option<Item>, IndexError> {
        if rank >= self.state.total.count {
            return Ok(None);
        }
        self.cursor().select(rank)?.map(|place| item_at(&place)).transpose()
    }

    fn items(&self, span: &Span, visit: &mut dyn FnMut(&[u8], &ItemId) -> ControlFlow<()>) -> Result<(), IndexError> {
        let keys = &self.set.keys;
        let mut range = keys.table(ITEMS).starting_at(keys.item(&place_of_bound(&span.from)));
        if let Some(to) = &span.to {
            range = range.before(keys.item(&place_of_bound(to)));
        }
        for row in self.snapshot.scan(range, Direction::Forward)? {
            let place = keys.place(0, &row?.0);
            let item = item_at(&place)?;
            if visit(&item.key, &id_at(&place)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl ReconcileSet for StoredView {
    fn set_key(&self) -> &SetKey {
        &self.set.shape.key
    }

    fn accumulator(&self) -> Result<LtHash, IndexError> {
        Ok(self.state.accumulator.clone())
    }

    fn symbol_count(&self) -> usize {
        self.set.shape.len
    }

    fn symbols(&self, from: usize, to: usize) -> Result<Vec<Symbol>, IndexError> {
        let read = |page: u64| Ok(self.snapshot.get(&self.set.keys.page(page as u16))?);
        self.state.symbols(&self.set.shape, from, to, read)
    }

    fn contains(&self, key: &[u8], id: &ItemId) -> Result<bool, IndexError> {
        Ok(self.snapshot.get(&self.set.keys.item(&place_of(key, id.as_bytes())))?.is_some())
    }

    fn find(&self, part: &IdPart) -> Result<Option<Item>, IndexError> {
        let mut rows = self.snapshot.scan(self.set.keys.parts(part.as_bytes()), Direction::Forward)?;
        rows.next().transpose()?.map(|(key, _)| self.set.keys.item_of_part(&key)).transpose()
    }
}

impl fmt::Debug for StoredView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredView").field("len", &self.state.total.count).finish_non_exhaustive()
    }
}
