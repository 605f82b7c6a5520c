//! Symbols in a message.

use super::{Reader, put_varint};
use crate::{IdPart, ReconcileError, Symbol};

/// Bytes of the longest symbol: its part, its check, and how far its count is from what is expected.
pub(crate) const SYMBOL_LEN_MAX: usize = 16 + 8 + 5;
const SYMBOL_LEN_MIN: usize = 16 + 8 + 1;

/// Appends the symbols of a set of so many items, from the one with number `from` on.
pub(crate) fn write_symbols(out: &mut Vec<u8>, symbols: &[Symbol], from: usize, items: u64) {
    for (symbol, index) in symbols.iter().zip(from..) {
        out.extend_from_slice(&symbol.part());
        out.extend_from_slice(&symbol.check().to_le_bytes());
        let off = symbol.count().wrapping_sub(Symbol::expected_count(index, items)) as i32;
        // Small numbers of either sign become small numbers.
        put_varint(out, u64::from((off << 1 ^ off >> 31) as u32));
    }
}

/// Reads symbols to the end of the message; at most `limit` of them.
pub(crate) fn read_symbols(
    reader: &mut Reader<'_>,
    from: usize,
    items: u64,
    limit: usize,
) -> Result<Vec<Symbol>, ReconcileError> {
    let mut symbols = Vec::with_capacity(limit.min(reader.len() / SYMBOL_LEN_MIN));
    while !reader.is_empty() {
        if symbols.len() == limit {
            return Err(ReconcileError::Malformed("more symbols than asked for"));
        }
        let part: [u8; IdPart::LEN] = reader.array()?;
        let check = u64::from_le_bytes(reader.array()?);
        let off = u32::try_from(reader.varint()?).map_err(|_| ReconcileError::Malformed("a count is too large"))?;
        let off = off >> 1 ^ (off & 1).wrapping_neg();
        let expected = Symbol::expected_count(from + symbols.len(), items);
        symbols.push(Symbol::new(part, check, expected.wrapping_add(off)));
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn symbols_come_back(
            symbols in prop::collection::vec((any::<[u8; 16]>(), any::<u64>(), any::<u32>()), 0..20),
            from in 0..10_000_usize,
            items: u64,
        ) {
            let symbols: Vec<_> = symbols.into_iter().map(|(part, check, count)| Symbol::new(part, check, count)).collect();
            let mut out = Vec::new();
            write_symbols(&mut out, &symbols, from, items);
            prop_assert!(out.len() <= symbols.len() * SYMBOL_LEN_MAX);
            let read = read_symbols(&mut Reader::new(&out), from, items, symbols.len());
            prop_assert_eq!(read.expect("they are symbols"), symbols);
        }
    }
}
