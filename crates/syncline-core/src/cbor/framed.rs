//! CBOR items over byte streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite, Sink, Stream};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::compat::FuturesAsyncWriteCompatExt;

use super::{CborCodec, FrameLimits};
use crate::SyncError;

/// A sink that writes CBOR items to a byte stream, of at most 1 MiB each.
///
/// Items are buffered up to about 8 KiB; flush before waiting for an answer.
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
    into_cbor_sink_with(tx, FrameLimits::default())
}

/// As [`into_cbor_sink`], with limits of one's own.
///
/// # Errors
///
/// As for [`into_cbor_sink`].
pub fn into_cbor_sink_with<M>(
    tx: &mut (impl AsyncWrite + Send + Unpin + ?Sized),
    limits: FrameLimits,
) -> impl Sink<M, Error = SyncError> + Send + Unpin
where
    M: Serialize,
{
    FramedWrite::new(tx.compat_write(), CborCodec::<M>::with_limits(limits))
}

/// A stream of the CBOR items read from a byte stream, of at most 1 MiB each.
///
/// It ends when the byte stream does, between two items.
///
/// # Errors
///
/// As for [`CborCodec`], and I/O errors as [`SyncError`]'s conversion sorts them. The stream ends after an error.
///
/// # Cancel safety
///
/// Dropping the future of `next` loses nothing. Bytes that were read ahead of the last item are lost when the stream is
/// dropped.
pub fn into_cbor_stream<M>(
    rx: &mut (impl AsyncRead + Send + Unpin + ?Sized),
) -> impl Stream<Item = Result<M, SyncError>> + Send + Unpin
where
    M: for<'de> Deserialize<'de> + Serialize,
{
    into_cbor_stream_with(rx, FrameLimits::default())
}

/// As [`into_cbor_stream`], with limits of one's own.
///
/// # Errors
///
/// As for [`into_cbor_stream`].
pub fn into_cbor_stream_with<M>(
    rx: &mut (impl AsyncRead + Send + Unpin + ?Sized),
    limits: FrameLimits,
) -> impl Stream<Item = Result<M, SyncError>> + Send + Unpin
where
    M: for<'de> Deserialize<'de> + Serialize,
{
    FramedRead::new(ScratchReader::new(rx), CborCodec::<M>::with_limits(limits))
}

/// Reads through a small buffer that is cleared once.
///
/// The usual adapter clears the whole of the caller's free space before each read, since the stream below might look at
/// it. While a frame of megabytes grows, that space is megabytes too, and reading it in small chunks would take time
/// quadratic in its length.
struct ScratchReader<'r, R: ?Sized> {
    inner: &'r mut R,
    scratch: Box<[u8]>,
}

impl<'r, R: ?Sized> ScratchReader<'r, R> {
    const SCRATCH_LEN: usize = 16 << 10;

    fn new(inner: &'r mut R) -> Self {
        Self { inner, scratch: vec![0; Self::SCRATCH_LEN].into_boxed_slice() }
    }
}

impl<R: AsyncRead + Unpin + ?Sized> tokio::io::AsyncRead for ScratchReader<'_, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, scratch } = &mut *self;
        let len = scratch.len().min(buffer.remaining());
        let free = scratch.get_mut(..len).unwrap_or_default();
        let count = ready!(Pin::new(&mut **inner).poll_read(cx, free))?;
        buffer.put_slice(free.get(..count).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
