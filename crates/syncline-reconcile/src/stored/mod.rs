//! A set on a database.

mod audit;
mod change;
mod cursor;
mod layout;
mod level;
mod overlay;
mod segments;
mod state;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use syncline_storage::Snapshot;

pub use self::{change::Change, view::StoredView};
use self::{
    layout::Keys,
    state::{Shape, State},
};
use crate::{IndexError, SetKey, sketch::SymbolKey};

/// A set on any [`Database`](syncline_storage::Database), beside other tables and other sets. It holds no database: a
/// [`view`](Self::view) reads a snapshot, a [`change`](Self::change) writes into a batch, so that an item and the row that it
/// stands for are committed together.
///
/// The summary is a skip list that nobody has to balance: an item whose keyed hash ends in `4 l` zero bits is an anchor of
/// level `l`, and has a row there with count and sum of all items up to the next anchor of that level. So the rows depend on
/// the items alone, and not on the order in which they came. An insert into a million items writes about ten rows: the
/// item, its entry in the index by id, one row for each of five levels, the state with the accumulator and the first symbols
/// of the sketch, and a page of the others. The layout is in `docs/spec/reconcile-storage.md`.
///
/// ```
/// use syncline_reconcile::{Item, ItemId, SetKey, StoredSet, SummaryIndex};
/// use syncline_storage::{Batch, Database, Durability, MemoryDb};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = MemoryDb::new();
/// let set = StoredSet::new(b"notes", &SetKey::from_bytes([7; 32]));
///
/// let snapshot = db.snapshot()?;
/// let mut change = set.change(&*snapshot)?;
/// change.insert(&Item::new("a/b", ItemId::from_bytes([1; 32])))?;
/// let mut batch = Batch::new();
/// batch.put("note a/b", "text"); // what the item stands for
/// change.write(&mut batch)?;
/// db.commit(batch, Durability::Immediate)?;
///
/// assert_eq!(set.view(db.snapshot()?)?.len()?, 1);
/// set.check(&*db.snapshot()?)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct StoredSet {
    keys: Keys,
    shape: Shape,
}

impl StoredSet {
    /// Symbols unless one says otherwise: enough for about 2 800 differences, in 112 KiB.
    pub const DEFAULT_SYMBOLS: usize = 4_096;
    /// The most symbols that a set keeps.
    pub const SYMBOLS_MAX: usize = 1 << 20;

    /// The set with a name, of any bytes, whose items are hashed under `key`. Nothing is read or written.
    #[must_use]
    pub fn new(name: &[u8], key: &SetKey) -> Self {
        Self::with_symbols(name, key, Self::DEFAULT_SYMBOLS)
    }

    /// The same with so many symbols, at most [`SYMBOLS_MAX`](Self::SYMBOLS_MAX). It is always opened with the same number.
    #[must_use]
    pub fn with_symbols(name: &[u8], key: &SetKey, symbols: usize) -> Self {
        let len = symbols.min(Self::SYMBOLS_MAX);
        Self { keys: Keys::new(name), shape: Shape { key: *key, symbols: SymbolKey::new(key), len } }
    }

    /// The set as a snapshot shows it.
    ///
    /// # Errors
    ///
    /// [`Storage`](IndexError::Storage); [`Corrupt`](IndexError::Corrupt) if the state is damaged, or was kept under another
    /// key or with another number of symbols.
    pub fn view(&self, snapshot: impl Into<Arc<dyn Snapshot>>) -> Result<StoredView, IndexError> {
        StoredView::new(self.clone(), snapshot.into())
    }

    /// Begins changes of the set as a snapshot shows it.
    ///
    /// # Errors
    ///
    /// As [`view`](Self::view).
    pub fn change<'a>(&'a self, snapshot: &'a dyn Snapshot) -> Result<Change<'a>, IndexError> {
        Change::new(self, snapshot)
    }

    fn decode_state(&self, row: Option<&[u8]>) -> Result<State, IndexError> {
        row.map_or_else(|| Ok(State::empty(&self.shape)), |row| State::decode(&self.shape, row))
    }
}
