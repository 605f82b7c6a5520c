//! A set in memory.

use std::{
    fmt,
    ops::{ControlFlow, RangeInclusive},
    sync::Arc,
};

use crate::{
    Bound, Fingerprint, IdPart, IndexError, Item, ItemId, LtHash, ReconcileSet, SetKey, Sketch, Span, SummaryIndex,
    Symbol, TreeIndex, tree::PartIndex,
};

/// A [`ReconcileSet`] in memory: a [`TreeIndex`], an index by id, an [`LtHash`] and a [`Sketch`], kept in step.
///
/// A clone costs a few reference counts and is a snapshot: reconcile with a clone while the set goes on changing. A later
/// change copies what it touches, 10 to 20 KB for the first one.
///
/// ```
/// use syncline_reconcile::{Item, ItemId, MemorySet, SetKey, SummaryIndex};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut set = MemorySet::new(&SetKey::from_bytes([7; 32]));
/// let item = Item::new("a/b", ItemId::from_bytes([1; 32]));
/// set.insert(&item)?;
/// assert!(set.insert(&item).is_err());
///
/// let snapshot = set.clone();
/// assert!(set.remove(&item));
/// assert_eq!((snapshot.len()?, set.len()?), (1, 0));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemorySet {
    pub(crate) index: TreeIndex,
    pub(crate) parts: PartIndex,
    accumulator: Arc<LtHash>,
    sketch: Sketch,
}

impl MemorySet {
    /// An empty set with [`Sketch::DEFAULT_LEN`] symbols.
    #[must_use]
    pub fn new(key: &SetKey) -> Self {
        Self::with_symbols(key, Sketch::DEFAULT_LEN)
    }

    /// An empty set that keeps so many symbols; with none it is reconciled by ranges alone.
    #[must_use]
    pub fn with_symbols(key: &SetKey, symbols: usize) -> Self {
        Self {
            index: TreeIndex::new(key),
            parts: PartIndex::new(),
            accumulator: Arc::default(),
            sketch: Sketch::new(key, symbols),
        }
    }

    /// A set of items that come in any order; faster than one by one.
    ///
    /// # Errors
    ///
    /// [`Duplicate`](IndexError::Duplicate), [`KeyTooLong`](IndexError::KeyTooLong).
    pub fn from_items(key: &SetKey, symbols: usize, mut items: Vec<Item>) -> Result<Self, IndexError> {
        items.sort_unstable();
        let mut set = Self::with_symbols(key, symbols);
        let accumulator = Arc::make_mut(&mut set.accumulator);
        for item in &items {
            accumulator.add(key, &item.id);
            set.sketch.insert(&item.id);
        }
        set.parts = PartIndex::of(&items);
        set.index = TreeIndex::from_sorted(key, items)?;
        Ok(set)
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// [`Duplicate`](IndexError::Duplicate) if it is there, [`KeyTooLong`](IndexError::KeyTooLong). Then nothing has changed.
    pub fn insert(&mut self, item: &Item) -> Result<(), IndexError> {
        self.index.insert(item)?;
        self.parts.insert(&item.key, &item.id);
        Arc::make_mut(&mut self.accumulator).add(self.index.set_key(), &item.id);
        self.sketch.insert(&item.id);
        Ok(())
    }

    /// Removes an item. Says whether it was there.
    pub fn remove(&mut self, item: &Item) -> bool {
        if !self.index.remove(item) {
            return false;
        }
        self.parts.remove(&item.key, &item.id, &self.index);
        Arc::make_mut(&mut self.accumulator).remove(self.index.set_key(), &item.id);
        self.sketch.remove(&item.id);
        true
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &TreeIndex {
        &self.index
    }

    /// The sketch.
    #[must_use]
    pub fn sketch(&self) -> &Sketch {
        &self.sketch
    }
}

impl SummaryIndex for MemorySet {
    fn len(&self) -> Result<u64, IndexError> {
        self.index.len()
    }

    fn fingerprint(&self, span: &Span) -> Result<Fingerprint, IndexError> {
        self.index.fingerprint(span)
    }

    fn fingerprints_before(&self, bounds: &[Bound]) -> Result<Vec<Fingerprint>, IndexError> {
        self.index.fingerprints_before(bounds)
    }

    fn rank(&self, bound: &Bound) -> Result<u64, IndexError> {
        self.index.rank(bound)
    }

    fn select(&self, rank: u64) -> Result<Option<Item>, IndexError> {
        self.index.select(rank)
    }

    fn cuts(&self, ranks: &[RangeInclusive<u64>]) -> Result<Vec<(Bound, Fingerprint)>, IndexError> {
        self.index.cuts(ranks)
    }

    fn items(&self, span: &Span, visit: &mut dyn FnMut(&[u8], &ItemId) -> ControlFlow<()>) -> Result<(), IndexError> {
        self.index.items(span, visit)
    }
}

impl ReconcileSet for MemorySet {
    fn set_key(&self) -> &SetKey {
        self.index.set_key()
    }

    fn accumulator(&self) -> Result<LtHash, IndexError> {
        Ok((*self.accumulator).clone())
    }

    fn symbol_count(&self) -> usize {
        self.sketch.len()
    }

    fn symbols(&self, from: usize, to: usize) -> Result<Vec<Symbol>, IndexError> {
        Ok(self.sketch.symbols(from, to))
    }

    fn contains(&self, key: &[u8], id: &ItemId) -> Result<bool, IndexError> {
        Ok(self.index.contains(key, id))
    }

    fn find(&self, part: &IdPart) -> Result<Option<Item>, IndexError> {
        Ok(self.parts.find(part, &self.index))
    }

    fn find_all(&self, parts: &[IdPart]) -> Result<Vec<Option<Item>>, IndexError> {
        if parts.is_sorted() {
            return Ok(self.parts.find_all(parts, &self.index));
        }
        parts.iter().map(|part| self.find(part)).collect()
    }
}

impl fmt::Debug for MemorySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySet").field("index", &self.index).field("sketch", &self.sketch).finish_non_exhaustive()
    }
}
