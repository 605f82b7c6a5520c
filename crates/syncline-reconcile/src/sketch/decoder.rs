//! From symbols back to items.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    mapping::Mapping,
    symbol::{Symbol, SymbolKey},
};
use crate::{IdPart, SetKey};

/// Which side has an item that the other lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a difference has two sides")]
pub enum Side {
    /// The set whose symbols were subtracted from.
    Ours,
    /// The set whose symbols were subtracted.
    Theirs,
}

/// An item that one side has and the other lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a part and a side, by definition")]
pub struct Difference {
    /// Who has it.
    pub side: Side,
    /// The part of its id. Who has it finds it with [`find`](crate::ReconcileSet::find).
    pub part: IdPart,
}

/// Why symbols cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They are not the difference of two sets' symbols under this key. Somebody made them up, or the keys differ.
    #[error("the symbols are not those of a difference of sets")]
    Inconsistent,
    /// More symbols than the decoder was made for.
    #[error("more than {limit} symbols")]
    TooMany {
        /// The most it takes.
        limit: usize,
    },
}

/// Finds the items in which two sets differ from the first symbols of one less those of the other
/// ([`Symbol::minus`]), by peeling: a symbol that covers one item gives it away, and it is taken out of all others.
///
/// Some 1.4 symbols per difference are enough when there are hundreds, and up to twice as many when there are few. What was
/// not enough is continued with the symbols behind; nothing is done twice.
///
/// The symbols may be crafted. At most as many items are found as there are symbols, each once, at a cost of
/// O(log) symbols for each; whatever contradicts itself is [`Inconsistent`](DecodeError::Inconsistent). A result is a hint
/// all the same: who writes items can make some that hide each other from the symbols. Look up every part that is said to
/// be ours, and end no session because nothing was found.
#[derive(Clone, Debug)]
pub struct Decoder {
    key: SymbolKey,
    limit: usize,
    /// What is left of the symbols.
    symbols: Vec<Symbol>,
    found: Vec<Found>,
    /// Their parts, as numbers.
    seen: BTreeSet<u128>,
    complete: bool,
    failed: bool,
}

/// An item that was found, as it is in symbols that are yet to come.
#[derive(Clone, Debug)]
struct Found {
    difference: Difference,
    symbol: Symbol,
    mapping: Mapping,
}

impl Decoder {
    /// A decoder for a set's symbols that takes at most `limit` of them. It needs some 200 bytes for each.
    #[must_use]
    pub fn new(key: &SetKey, limit: usize) -> Self {
        Self {
            key: SymbolKey::new(key),
            limit,
            symbols: Vec::new(),
            found: Vec::new(),
            seen: BTreeSet::new(),
            complete: false,
            failed: false,
        }
    }

    /// Takes in the next symbols of the difference, and says whether all differences are now known. Hand over many at a
    /// time: each call looks at everything that was found before.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]. After an error, each further call gives [`Inconsistent`](DecodeError::Inconsistent).
    pub fn extend(&mut self, differences: &[Symbol]) -> Result<bool, DecodeError> {
        if self.failed {
            return Err(DecodeError::Inconsistent);
        }
        let outcome = self.take_in(differences);
        self.failed = outcome.is_err();
        self.complete = outcome? && !self.symbols.is_empty();
        Ok(self.complete)
    }

    fn take_in(&mut self, differences: &[Symbol]) -> Result<bool, DecodeError> {
        if differences.len() > self.limit - self.symbols.len() {
            return Err(DecodeError::TooMany { limit: self.limit });
        }
        let from = self.symbols.len();
        self.symbols.extend_from_slice(differences);
        for found in &mut self.found {
            take_out(&mut self.symbols, found, |_| {});
        }
        self.peel((from..self.symbols.len()).rev().collect())?;
        Ok(self.symbols.iter().all(Symbol::is_empty))
    }

    /// How many symbols were taken in.
    #[must_use]
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Whether nothing is left in the symbols.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// What was found so far, in the order in which it was. It is all there is once the decoder
    /// [is complete](Self::is_complete).
    pub fn differences(&self) -> impl ExactSizeIterator<Item = Difference> {
        self.found.iter().map(|found| found.difference)
    }

    /// Takes items out of the symbols in `queue`, and of those that have one item left because of that.
    fn peel(&mut self, mut queue: Vec<usize>) -> Result<(), DecodeError> {
        while let Some(at) = queue.pop() {
            let Some(mut found) = self.pure(at) else {
                continue;
            };
            // Each item that there really is leaves one symbol empty for good.
            if self.found.len() >= self.symbols.len() || !self.seen.insert(found.symbol.part) {
                return Err(DecodeError::Inconsistent);
            }
            let mut was_there = false;
            take_out(&mut self.symbols, &mut found, |touched| {
                was_there |= touched == at;
                queue.push(touched);
            });
            if !was_there {
                return Err(DecodeError::Inconsistent);
            }
            self.found.push(found);
        }
        Ok(())
    }

    /// The item of a symbol that covers exactly one.
    fn pure(&self, at: usize) -> Option<Found> {
        let symbol = self.symbols.get(at)?;
        let side = match symbol.balance() {
            1 => Side::Ours,
            -1 => Side::Theirs,
            _ => return None,
        };
        let part = IdPart::from_bytes(symbol.part());
        let (alone, seed) = self.key.hash(&part);
        (alone.check == symbol.check).then(|| Found {
            difference: Difference { side, part },
            symbol: *symbol,
            mapping: Mapping::new(seed),
        })
    }
}

/// Takes an item out of those of its symbols that are there and were not visited before.
fn take_out(symbols: &mut [Symbol], found: &mut Found, mut visit: impl FnMut(usize)) {
    while let Some(symbol) = symbols.get_mut(found.mapping.peek()) {
        *symbol = symbol.minus(&found.symbol);
        visit(found.mapping.peek());
        found.mapping.advance();
    }
}
