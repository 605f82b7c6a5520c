//! A stream of CBOR items as serde types.

use std::io;
use std::marker::PhantomData;

use bytes::{Buf, BufMut, BytesMut};
use futures::{AsyncRead, AsyncWrite, Sink, Stream};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{Decoder, Encoder, FramedRead, FramedWrite};
use tokio_util::compat::{FuturesAsyncReadCompatExt, FuturesAsyncWriteCompatExt};

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
/// bounded by the item's length.
///
/// # Errors
///
/// Decoding fails with [`SyncError::InvalidEncoding`] on bytes that are not CBOR, exceed a limit or do not fit `M`, and
/// with [`SyncError::UnexpectedBehaviour`] when the stream ends within an item. Encoding fails with
/// [`SyncError::Critical`] if `M` cannot be serialized or exceeds the limits that the peer is expected to have. After an
/// error the codec is of no further use.
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
        ciborium::into_writer(&item, (&mut *out).writer())
            .map_err(|err| SyncError::Critical(format!("cannot encode a message: {err}")))?;
        let (len, limit) = (out.len() - before, self.scanner.limits().len_max());
        if len > limit {
            out.truncate(before);
            return Err(SyncError::Critical(format!("a message of {len} bytes exceeds the limit of {limit}")));
        }
        Ok(())
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
            return Ok(None);
        };
        let limit = self.scanner.limits().depth_max();
        // One level more: the scanner counts containers, ciborium counts the leaf as well.
        let item = ciborium::de::from_reader_with_recursion_limit(&buffer[..len], limit.saturating_add(1))
            .map_err(|err| SyncError::InvalidEncoding(describe(&err)))?;
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

fn describe(err: &ciborium::de::Error<io::Error>) -> String {
    match err {
        ciborium::de::Error::Io(_) => "a message ended before its content".into(),
        ciborium::de::Error::Syntax(at) => format!("malformed cbor at byte {at}"),
        ciborium::de::Error::Semantic(_, what) => what.clone(),
        ciborium::de::Error::RecursionLimitExceeded => "a message nests too deep".into(),
    }
}

/// A sink that writes CBOR items to a byte stream.
///
/// # Errors
///
/// As for [`CborCodec`], and I/O errors as [`SyncError`]'s conversion sorts them.
pub fn into_cbor_sink<M>(
    tx: &mut (impl AsyncWrite + Send + Unpin + ?Sized),
) -> impl Sink<M, Error = SyncError> + Send + Unpin
where
    M: Serialize,
{
    FramedWrite::new(tx.compat_write(), CborCodec::<M>::new())
}

/// A stream of the CBOR items read from a byte stream.
///
/// # Errors
///
/// As for [`CborCodec`], and I/O errors as [`SyncError`]'s conversion sorts them. The stream ends after an error.
///
/// # Cancel safety
///
/// Bytes that were read ahead of the last item are lost when the stream is dropped.
pub fn into_cbor_stream<M>(
    rx: &mut (impl AsyncRead + Send + Unpin + ?Sized),
) -> impl Stream<Item = Result<M, SyncError>> + Send + Unpin
where
    M: for<'de> Deserialize<'de> + Serialize,
{
    FramedRead::new(rx.compat(), CborCodec::<M>::new())
}

#[cfg(test)]
mod tests;
