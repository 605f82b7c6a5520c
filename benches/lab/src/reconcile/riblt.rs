//! riblt 0.1: one side streams coded symbols until the other can decode them. The crate has the symbols; the stream is this
//! file's: 16 symbols, then an eighth more each time, each with the sum of 32 bytes, 8 bytes of hash and the count as a
//! varint; and a byte to stop it.
//!
//! The sets are not held as symbols: each session encodes its set anew, as the crate does it.

use std::fmt;

use riblt::{CodedSymbol, RatelessIBLT, Symbol, UnmanagedRatelessIBLT};

use super::{Algorithm, Case, Exchange, Peers, Sets, Tells};

pub(super) struct Riblt;

impl Algorithm for Riblt {
    fn name(&self) -> &'static str {
        "riblt"
    }

    fn tells(&self) -> Tells {
        Tells::One
    }

    fn refuses(&self, case: &Case) -> Option<&'static str> {
        if case.d > 10_000 {
            Some("its decoder takes time in proportion to the square of the difference")
        } else if case.n > 1_000_000 {
            Some("it encodes the whole set for each session")
        } else {
            None
        }
    }

    fn peers<'a>(&self, sets: &'a Sets) -> Box<dyn Peers + 'a> {
        let ids = |entries: &[super::Entry]| entries.iter().map(|entry| Id(entry.id)).collect();
        Box::new(Lists { here: ids(&sets.here), there: ids(&sets.there) })
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Id([u8; 32]);

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id ")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn unhex(text: &str) -> Result<[u8; 32], String> {
    let mut id = [0; 32];
    for (at, byte) in id.iter_mut().enumerate() {
        let digits = text.get(2 * at..2 * at + 2).ok_or("an id is too short")?;
        *byte = u8::from_str_radix(digits, 16).map_err(|err| err.to_string())?;
    }
    Ok(id)
}

impl Symbol for Id {
    const BYTE_ARRAY_LENGTH: usize = 32;

    fn encode_to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn decode_from_bytes(bytes: &Vec<u8>) -> Self {
        Self(bytes.as_slice().try_into().expect("32 bytes"))
    }
}

struct Lists {
    here: Vec<Id>,
    there: Vec<Id>,
}

fn len(symbol: &CodedSymbol<Id>) -> usize {
    let zigzag = (symbol.count << 1) ^ (symbol.count >> 63);
    let bits = 64 - (zigzag as u64).leading_zeros() as usize;
    32 + 8 + bits.div_ceil(7).max(1)
}

/// More symbols than this for each difference, and something is wrong.
const SYMBOLS_MAX: usize = 1 << 17;

impl Peers for Lists {
    fn reconcile(&mut self) -> Result<Exchange, String> {
        let mut here = RatelessIBLT::new(self.here.clone());
        let mut there = RatelessIBLT::new(self.there.clone());
        let mut exchange = Exchange::default();
        exchange.send(true, 1);
        let mut bytes = 0;
        let mut received = UnmanagedRatelessIBLT::new();
        let mut batch = 16;
        loop {
            for _ in 0..batch {
                let symbol = there.get_coded_symbol(received.coded_symbols.len());
                bytes += len(&symbol);
                received.add_coded_symbol(&symbol);
            }
            if received.coded_symbols.len() > SYMBOLS_MAX {
                return Err("it does not decode".into());
            }
            let count = received.coded_symbols.len();
            let own: Vec<_> = (0..count).map(|at| here.get_coded_symbol(at)).collect();
            let own = UnmanagedRatelessIBLT { coded_symbols: own };
            let mut difference = own.collapse(&received);
            let peeled = difference.peel_all_symbols();
            if difference.is_empty() {
                for peeled in peeled {
                    // The crate does not export the type, so its variants cannot be matched on.
                    let text = format!("{peeled:?}");
                    match text.split_once("(Id ") {
                        Some(("Local", id)) => exchange.only_here.push(unhex(id)?),
                        Some(("Remote", id)) => exchange.only_there.push(unhex(id)?),
                        _ => {}
                    }
                }
                break;
            }
            batch = (count / 8).max(16);
        }
        exchange.send(false, bytes);
        exchange.send(true, 1);
        Ok(exchange)
    }
}
