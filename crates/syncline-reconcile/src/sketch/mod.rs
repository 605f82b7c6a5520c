//! The first symbols of a set's rateless sketch, kept up to date.

mod decoder;
mod estimate;
mod mapping;
mod symbol;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub use self::{
    decoder::{DecodeError, Decoder, Difference, Side},
    estimate::estimate_difference,
    symbol::Symbol,
};
pub(crate) use self::{mapping::Mapping, symbol::SymbolKey};
use crate::{IdPart, IndexError, ItemId, SetKey};

/// Symbols that are copied together when a shared sketch changes.
const PAGE: usize = 64;

/// The first symbols of the rateless sketch of a set (Yang, Gilad, Alizadeh: "Practical rateless set reconciliation",
/// SIGCOMM 2024). The symbols of one set less those of another are those of the items in which they differ, and a
/// [`Decoder`] finds these from about 1.4 symbols each, however large the sets are.
///
/// An item is in every symbol `i` with a probability of about `2 / i`: a change touches 16 symbols of 4 096 and 18 of 16 384
/// on average. What the symbols are does not depend on the order of the changes. A clone shares the symbols until they
/// change, 64 at a time.
///
/// As in an [`LtHash`](crate::LtHash), an item that was added must not be added again, nor one removed that is not there.
/// Unlike one, it proves nothing: parts of ids are combined with exclusive or, and who knows the key can choose items that
/// cancel each other.
///
/// ```
/// use syncline_reconcile::{Decoder, ItemId, SetKey, Side, Sketch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SetKey::from_bytes([7; 32]);
/// let ids: Vec<ItemId> = (0..100).map(|n| ItemId::from_bytes([n; 32])).collect();
/// let (mut ours, mut theirs) = (Sketch::new(&key, 64), Sketch::new(&key, 64));
/// ids[..99].iter().for_each(|id| ours.insert(id));
/// ids[1..].iter().for_each(|id| theirs.insert(id));
///
/// let mut decoder = Decoder::new(&key, 64);
/// assert!(decoder.extend(&ours.minus(&theirs).symbols(0, 16))?);
/// let mut found: Vec<_> = decoder.differences().collect();
/// found.sort();
/// assert_eq!((found[0].side, found[0].part), (Side::Ours, ids[0].part()));
/// assert_eq!((found[1].side, found[1].part), (Side::Theirs, ids[99].part()));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Sketch {
    key: SymbolKey,
    len: usize,
    pages: Arc<Vec<Arc<[Symbol; PAGE]>>>,
}

impl Sketch {
    /// Symbols unless one says otherwise: enough for about 11 000 differences, in 512 KiB.
    pub const DEFAULT_LEN: usize = 16_384;

    /// The first `len` symbols of the empty set.
    #[must_use]
    pub fn new(key: &SetKey, len: usize) -> Self {
        let page = Arc::new([Symbol::EMPTY; PAGE]);
        Self { key: SymbolKey::new(key), len, pages: Arc::new(vec![page; len.div_ceil(PAGE)]) }
    }

    /// How many symbols there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no symbols.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an item that is not there.
    pub fn insert(&mut self, id: &ItemId) {
        self.change(&id.part(), Symbol::plus);
    }

    /// Takes out an item that is there.
    pub fn remove(&mut self, id: &ItemId) {
        self.change(&id.part(), Symbol::minus);
    }

    /// The symbols `from..to`, as far as they are there.
    #[must_use]
    pub fn symbols(&self, from: usize, to: usize) -> Vec<Symbol> {
        let to = to.min(self.len);
        let skipped = from / PAGE;
        let pages = self.pages.iter().skip(skipped).flat_map(|page| page.iter());
        pages.skip(from % PAGE).take(to.saturating_sub(from)).copied().collect()
    }

    /// The sketch of the union of two sets that have nothing in common, as far as both reach.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, Symbol::plus)
    }

    /// The sketch of the difference, as far as both reach; see [`Symbol::minus`].
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.zip(other, Symbol::minus)
    }

    /// All symbols, 28 bytes each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.symbols(0, self.len).iter().flat_map(Symbol::to_bytes).collect()
    }

    /// The way back.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] if the bytes are no whole number of symbols.
    pub fn from_bytes(key: &SetKey, bytes: &[u8]) -> Result<Self, IndexError> {
        Ok(Self::from_symbols(SymbolKey::new(key), &Symbol::all_from_bytes(bytes)?))
    }

    fn from_symbols(key: SymbolKey, symbols: &[Symbol]) -> Self {
        let page = |chunk: &[Symbol]| {
            let mut page = [Symbol::EMPTY; PAGE];
            for (to, from) in page.iter_mut().zip(chunk) {
                *to = *from;
            }
            Arc::new(page)
        };
        Self { key, len: symbols.len(), pages: Arc::new(symbols.chunks(PAGE).map(page).collect()) }
    }

    fn zip(&self, other: &Self, op: impl Fn(&Symbol, &Symbol) -> Symbol) -> Self {
        let len = self.len.min(other.len);
        let (ours, theirs) = (self.symbols(0, len), other.symbols(0, len));
        let symbols: Vec<Symbol> = ours.iter().zip(&theirs).map(|(a, b)| op(a, b)).collect();
        Self::from_symbols(self.key.clone(), &symbols)
    }

    fn change(&mut self, part: &IdPart, op: impl Fn(&Symbol, &Symbol) -> Symbol) {
        let (item, seed) = self.key.hash(part);
        let mut mapping = Mapping::new(seed);
        let pages = Arc::make_mut(&mut self.pages);
        while mapping.peek() < self.len {
            let at = mapping.peek();
            if let Some(page) = pages.get_mut(at / PAGE) {
                let symbol = &mut Arc::make_mut(page)[at % PAGE];
                *symbol = op(symbol, &item);
            }
            mapping.advance();
        }
    }
}

/// Whether all symbols are equal.
impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.pages == other.pages
    }
}

impl Eq for Sketch {}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sketch").field("len", &self.len).finish_non_exhaustive()
    }
}
