//! Bytes of messages. `docs/spec/reconcile.md` says what each means.

mod bound;
mod bytes;
mod symbols;

pub(crate) use bound::{ChildEnd, bound_len, read_child, write_bound, write_continued, write_last};
pub(crate) use bytes::{Reader, put_low, put_varint, varint_len};
pub(crate) use symbols::{SYMBOL_LEN_MAX, read_symbols, write_symbols};

/// First byte of a message.
pub(crate) mod kind {
    /// Opens a comparison by ranges.
    pub(crate) const OPEN: u8 = 0x10;
    /// Goes on with one.
    pub(crate) const NEXT: u8 = 0x20;
    /// Flag of both: the sender's nonce is there.
    pub(crate) const NONCE: u8 = 0x01;
    /// Flag of [`NEXT`]: the sender's digest of what both have in common is there.
    pub(crate) const DIGEST: u8 = 0x02;
    /// Flag of [`NEXT`]: the digests differ; compare again under another salt.
    pub(crate) const AGAIN: u8 = 0x04;
    /// All flags of [`NEXT`].
    pub(crate) const FLAGS: u8 = NONCE | DIGEST | AGAIN;
    /// Flag of [`OPEN`]: the sender keeps symbols, and how many.
    pub(crate) const OFFER: u8 = 0x02;
    /// Flag of [`OPEN`]: the sender takes symbols that it did not ask for.
    pub(crate) const STREAMED: u8 = 0x04;
    /// All flags of [`OPEN`].
    pub(crate) const OPEN_FLAGS: u8 = NONCE | OFFER | STREAMED;
    /// Symbols of a sketch. The first of a session may have the flags [`NONCE`] and [`STREAMED`].
    pub(crate) const SYMBOLS: u8 = 0x30;
    /// Asks for symbols.
    pub(crate) const REQUEST: u8 = 0x40;
    /// What the symbols led to.
    pub(crate) const FOUND: u8 = 0x50;
    /// Ids of a whole set, as far as they fit. The first of a session may have the flag [`NONCE`].
    pub(crate) const IDS: u8 = 0x70;
    /// Flag of [`IDS`]: these were the last.
    pub(crate) const LAST: u8 = 0x04;
    /// All flags of [`IDS`].
    pub(crate) const IDS_FLAGS: u8 = NONCE | DIGEST | LAST;
}
