//! CBOR (RFC 8949) as sync protocols use it: framing, limits, deterministic encoding.
//!
//! CBOR items delimit themselves, so a stream of items needs no length prefix. [`FrameScanner`] finds where an item
//! ends and looks at each byte once, however the stream is cut into chunks; it refuses what exceeds [`FrameLimits`] as
//! soon as that is claimed, not when it has arrived. [`CborCodec`], [`into_cbor_sink`] and [`into_cbor_stream`] put serde
//! types on top of it.
//!
//! What is signed or hashed must have one encoding only: [`to_deterministic`] and [`from_deterministic`] write and accept
//! only that one (RFC 8949 §4.2.1).
//!
//! [`Reader`] and [`Writer`] code items by hand, where serde would cost too much or know too little.
//!
//! | limit | default | where |
//! |---|---|---|
//! | bytes of an item | 1 MiB; 16 MiB where bodies travel | [`FrameLimits::with_len_max`] |
//! | nesting of arrays, maps and tags | 64 | [`FrameLimits::and_depth_max`] |
//! | nesting that [`Reader::skip`] follows | 128 | [`Reader::DEPTH_MAX`] |

mod codec;
mod deterministic;
mod framed;
mod reader;
#[cfg(test)]
mod samples;
mod scanner;
mod writer;

pub use codec::CborCodec;
pub use deterministic::{CborError, DeterministicError, from_deterministic, to_deterministic};
pub use framed::{into_cbor_sink, into_cbor_sink_with, into_cbor_stream, into_cbor_stream_with};
pub use reader::{Kind, ReadError, Reader};
pub use scanner::{FrameError, FrameLimits, FrameScanner};
pub use writer::Writer;

/// Major types of RFC 8949 §3.1, in the upper three bits of an item's first byte.
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const NEGATIVE: u8 = 1;
    pub(super) const BYTES: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const ARRAY: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
    pub(super) const SIMPLE: u8 = 7;
}

/// The argument's width that announces an item of indefinite length, or a break.
const INDEFINITE: u8 = 31;

/// The byte that ends an item of indefinite length.
const BREAK: u8 = 0xff;

/// An item's first byte and argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    major: u8,
    /// The low five bits of the first byte.
    info: u8,
    /// The argument: a value, a length or a count. Zero if `info` is [`INDEFINITE`].
    argument: u64,
    /// Bytes that the head takes, 1 to 9.
    len: usize,
}

/// Why a head could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadError {
    /// More bytes are needed.
    Incomplete,
    /// The five low bits are 28, 29 or 30, which RFC 8949 reserves, or 31 where there is no indefinite form.
    Reserved,
}

impl Head {
    fn is_break(self) -> bool {
        self.major == major::SIMPLE && self.info == INDEFINITE
    }

    fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let (&first, rest) = bytes.split_first().ok_or(HeadError::Incomplete)?;
        let (major, info) = (first >> 5, first & 0x1f);
        let width = match info {
            // An integer or a tag has no indefinite form (RFC 8949 §3.2).
            INDEFINITE if matches!(major, major::UNSIGNED | major::NEGATIVE | major::TAG) => {
                return Err(HeadError::Reserved);
            }
            0..=23 => return Ok(Self { major, info, argument: u64::from(info), len: 1 }),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            INDEFINITE => return Ok(Self { major, info, argument: 0, len: 1 }),
            _ => return Err(HeadError::Reserved),
        };
        let bytes = rest.get(..width).ok_or(HeadError::Incomplete)?;
        let argument = bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        Ok(Self { major, info, argument, len: 1 + width })
    }
}
