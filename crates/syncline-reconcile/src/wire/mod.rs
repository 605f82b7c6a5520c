//! Bytes of messages. `docs/spec/reconcile.md` says what each means.

mod bound;
mod bytes;

pub(crate) use bound::{ChildEnd, bound_len, read_child, write_bound, write_continued, write_last};
pub(crate) use bytes::{Reader, put_low, put_varint, varint_len};

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
    /// Opens and answers a comparison of sketches.
    pub(crate) const SKETCH: u8 = 0x30;
    /// Opens and answers a comparison of whole hashes.
    pub(crate) const WHOLE: u8 = 0x40;
}
