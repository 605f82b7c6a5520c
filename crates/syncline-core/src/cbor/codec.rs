//! A stream of CBOR items as serde types.

use std::io;
use std::marker::PhantomData;

use bytes::{Buf, BufMut, BytesMut};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{Decoder, Encoder};

use super::{FrameError, FrameLimits, FrameScanner};
use crate::SyncError;

impl From<FrameError> for SyncError {
    fn from(err: FrameError) -> Self {
        Self::InvalidEncoding(err.to_string())
    }
}

/// Encodes and decodes a stream of CBOR items without any other framing, as p2panda-sync does.
///
/// Decoding scans each byte once and decodes each item once, so the time is linear in the bytes however they are cut
/// into chunks. Items over the [`FrameLimits`] are refused when they are claimed. What serde allocates for an item is
/// bounded by the item's length times the size of what `M` makes of one byte: a list of 2^20 nulls takes a MiB here and
/// 2^20 values there.
///
/// Any well-formed encoding of a message is accepted; see [`from_deterministic`](super::from_deterministic) for bytes of
/// which only one form may count. Unknown fields are ignored if `M` ignores them. A tuple, however, must come as an array of
/// just its parts and of definite length: serde's decoder reads its parts and no further, and what it leaves would be lost.
///
/// # Errors
///
/// Decoding fails with [`SyncError::InvalidEncoding`] on bytes that are not CBOR, exceed a limit or do not fit `M`, and
/// with [`SyncError::UnexpectedBehaviour`] when the stream ends within an item. After that the codec is of no further use.
///
/// Encoding fails with [`SyncError::Critical`] if `M` cannot be serialized or exceeds the codec's limit on length, which
/// the peer is expected to have too. Nothing is then written, and further items can be.
#[derive(Debug)]
pub struct CborCodec<M> {
    scanner: FrameScanner,
    message: PhantomData<fn(M) -> M>,
}

impl<M> CborCodec<M> {
    /// A codec with the default limits: 1 MiB and 64 levels per item.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(FrameLimits::default())
    }

    /// A codec with other limits.
    #[must_use]
    pub fn with_limits(limits: FrameLimits) -> Self {
        Self { scanner: FrameScanner::new(limits), message: PhantomData }
    }
}

impl<M> Default for CborCodec<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for CborCodec<M> {
    /// A codec with the same limits at the start of a stream.
    fn clone(&self) -> Self {
        Self::with_limits(self.scanner.limits())
    }
}

impl<M> Encoder<M> for CborCodec<M>
where
    M: Serialize,
{
    type Error = SyncError;

    fn encode(&mut self, item: M, out: &mut BytesMut) -> Result<(), SyncError> {
        let before = out.len();
        let limit = self.scanner.limits().len_max();
        let written = ciborium::into_writer(&item, (&mut *out).writer());
        let len = out.len() - before;
        let refusal = match written {
            Err(err) => format!("cannot encode a message: {err}"),
            Ok(()) if len > limit => format!("a message of {len} bytes exceeds the limit of {limit}"),
            Ok(()) => return Ok(()),
        };
        // Half a message must not reach the peer.
        out.truncate(before);
        Err(SyncError::Critical(refusal))
    }
}

impl<M> Decoder for CborCodec<M>
where
    M: for<'de> Deserialize<'de>,
{
    type Item = M;
    type Error = SyncError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<M>, SyncError> {
        if buffer.is_empty() {
            return Ok(None);
        }
        let Some(len) = self.scanner.scan(buffer)? else {
            // Spares most of the copying while a large item grows. Not all that is claimed at once: only a multiple of what
            // has come.
            buffer.reserve(self.scanner.missing().min(GROWTH * buffer.len()));
            return Ok(None);
        };
        let mut rest = buffer.get(..len).unwrap_or_default();
        let depth_max = self.scanner.limits().depth_max();
        let item = ciborium::de::from_reader_with_recursion_limit(&mut rest, depth_max)
            .map_err(|err| SyncError::InvalidEncoding(describe(&err)))?;
        // A tuple stops after its last part, whatever follows in its array.
        if !rest.is_empty() {
            return Err(SyncError::InvalidEncoding("a message has more parts than its type".into()));
        }
        buffer.advance(len);
        Ok(Some(item))
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<M>, SyncError> {
        match self.decode(buffer)? {
            Some(item) => Ok(Some(item)),
            None if buffer.is_empty() => Ok(None),
            None => Err(SyncError::UnexpectedBehaviour("the stream ended within a message".into())),
        }
    }
}

/// How many times what has come of an item is reserved for the rest of it at most.
const GROWTH: usize = 4;

/// Serde's texts quote what the peer sent, for example an unknown variant: keep them short and printable.
const DESCRIPTION_CHARS_MAX: usize = 160;

/// What is wrong with bytes that ciborium refused.
pub(super) fn describe(err: &ciborium::de::Error<io::Error>) -> String {
    match err {
        ciborium::de::Error::Io(_) => "a message ended before its content".into(),
        ciborium::de::Error::Syntax(at) => format!("malformed cbor at byte {at}"),
        ciborium::de::Error::Semantic(_, what) => {
            what.chars().take(DESCRIPTION_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        }
        ciborium::de::Error::RecursionLimitExceeded => "a message nests too deep".into(),
    }
}

#[cfg(test)]
mod tests;
