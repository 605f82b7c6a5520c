//! One symbol of a sketch.

use std::fmt;

use crate::{IdPart, IndexError, SetKey, siphash::siphash128};

const SYMBOL_DOMAIN: &[u8] = b"syncline/reconcile/symbol/v1";

/// Hashes the parts of ids for the symbols of one set. Keyed, so that who does not know the key of the set cannot make
/// items that cancel each other.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SymbolKey([u64; 2]);

impl SymbolKey {
    pub(crate) fn new(key: &SetKey) -> Self {
        let hash = blake3::keyed_hash(key.as_bytes(), SYMBOL_DOMAIN);
        let (words, _) = hash.as_bytes().as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        Self([words.next().unwrap_or_default(), words.next().unwrap_or_default()])
    }

    /// What the symbols hold of an item, and the seed of which symbols these are.
    pub(crate) fn hash(&self, part: &IdPart) -> (Symbol, u64) {
        let [check, seed] = siphash128(self.0, part.as_bytes());
        (Symbol { part: u128::from_le_bytes(*part.as_bytes()), check, count: 1 }, seed)
    }
}

impl fmt::Debug for SymbolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymbolKey(..)")
    }
}

/// A symbol of a sketch: of the items that it covers, the exclusive or of the [parts](IdPart) of their ids, that of keyed
/// checks of these parts, and how many there are.
///
/// As bytes, 28 of them: the part (16), the check (8, least significant byte first), the count (4, likewise). The first 24
/// have to be carried whole; of the count a peer can guess the most, since a symbol's share in a set of known size is
/// [known](Self::expected_count). The count wraps at 2^32, which leaves differences below 2^31 intact.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Symbol {
    pub(super) part: u128,
    pub(super) check: u64,
    pub(super) count: u32,
}

impl Symbol {
    /// Bytes of a symbol with its count.
    pub const LEN: usize = 28;
    /// The symbol that covers nothing.
    pub const EMPTY: Self = Self { part: 0, check: 0, count: 0 };

    /// A symbol of its fields.
    #[must_use]
    pub const fn new(part: [u8; IdPart::LEN], check: u64, count: u32) -> Self {
        Self { part: u128::from_le_bytes(part), check, count }
    }

    /// The exclusive or of the parts of ids.
    #[must_use]
    pub const fn part(&self) -> [u8; IdPart::LEN] {
        self.part.to_le_bytes()
    }

    /// The exclusive or of the checks.
    #[must_use]
    pub const fn check(&self) -> u64 {
        self.check
    }

    /// How many items it covers, modulo 2^32. In a difference of symbols: those of the one less those of the other.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether it covers nothing, as far as can be seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// How many items the symbol at `index` covers on average in a set of `len`, modulo 2^32. The actual number is normally
    /// within a few square roots of it, so that the difference of the two is shorter to send. It is the same on all machines.
    #[must_use]
    pub fn expected_count(index: usize, len: u64) -> u32 {
        // 1 - ((i + 1/2) / (i + 3/2))^2 is 8 (i + 1) / (2 i + 3)^2; see the mapping. In integers, so as to be the same anywhere.
        if index == 0 {
            return len as u32;
        }
        let index = index as u128;
        let root = 2 * index + 3;
        // Neither factor is over 2^67 and 2^64.
        (u128::from(len).saturating_mul(8 * (index + 1)) / root.saturating_mul(root)) as u32
    }

    /// What is in this symbol and not in the other, and the other way round with counts below zero.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            part: self.part ^ other.part,
            check: self.check ^ other.check,
            count: self.count.wrapping_sub(other.count),
        }
    }

    /// What is in either.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            part: self.part ^ other.part,
            check: self.check ^ other.check,
            count: self.count.wrapping_add(other.count),
        }
    }

    /// The bytes, as described above.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.part());
        bytes[16..24].copy_from_slice(&self.check.to_le_bytes());
        bytes[24..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// The way back; all bytes are a symbol.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut this = Self::default();
        let (mut part, mut check, mut count) = ([0; 16], [0; 8], [0; 4]);
        part.copy_from_slice(&bytes[..16]);
        check.copy_from_slice(&bytes[16..24]);
        count.copy_from_slice(&bytes[24..]);
        this.part = u128::from_le_bytes(part);
        this.check = u64::from_le_bytes(check);
        this.count = u32::from_le_bytes(count);
        this
    }

    /// The symbols of a sequence of bytes.
    pub(crate) fn all_from_bytes(bytes: &[u8]) -> Result<Vec<Self>, IndexError> {
        let (symbols, rest) = bytes.as_chunks::<{ Self::LEN }>();
        if !rest.is_empty() {
            return Err(IndexError::Corrupt("symbols are cut short"));
        }
        Ok(symbols.iter().map(Self::from_bytes).collect())
    }

    /// The count of a difference.
    pub(super) fn balance(&self) -> i32 {
        self.count.cast_signed()
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({:032x}, {:016x}, {})", self.part.swap_bytes(), self.check, self.balance())
    }
}
