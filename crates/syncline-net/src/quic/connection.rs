use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite};
use quinn::{ConnectionError, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;

use super::tls;
use crate::transport::{BiStream, Connection};
use crate::{ConnectError, Identity, PeerId, TransportError};

/// The code with which connections are closed in order and streams are broken off. It carries no meaning.
pub(super) const CODE: VarInt = VarInt::from_u32(0);

/// QUIC's error codes for alerts of TLS: the alert in the low byte (RFC 9001, 4.8).
const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;

/// QUIC's code for a refused connection (RFC 9000, 20.1).
const CONNECTION_REFUSED: u64 = 0x02;

#[derive(Debug)]
pub(super) struct QuicConnection {
    inner: quinn::Connection,
    remote: PeerId,
}

impl QuicConnection {
    /// Takes over a connection whose handshake is complete.
    pub(super) fn new(inner: quinn::Connection) -> Result<Self, ConnectError> {
        let chain = inner.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
        let (key, others) = match chain.as_deref().map(Vec::as_slice) {
            Some([key, others @ ..]) => (key.as_ref(), others.len()),
            _ => (&[][..], 0),
        };
        match tls::peer_key(key, others) {
            Ok(remote) => Ok(Self { inner, remote }),
            Err(err) => {
                inner.close(CODE, b"");
                Err(ConnectError::handshake(err))
            }
        }
    }

    pub(super) fn peer(&self) -> PeerId {
        self.remote
    }
}

/// How a connection ended.
pub(super) fn ended(err: ConnectionError) -> TransportError {
    match &err {
        ConnectionError::LocallyClosed | ConnectionError::ApplicationClosed(_) => TransportError::Closed,
        ConnectionError::ConnectionClosed(close) if is_refusal(close.error_code.into()) => TransportError::Refused,
        _ => TransportError::lost(err),
    }
}

/// Whether the peer ended a connection because of who we are, or because it has no room.
pub(super) fn is_refusal(code: u64) -> bool {
    code == CONNECTION_REFUSED || CRYPTO_ERRORS.contains(&code)
}

#[async_trait]
impl Connection for QuicConnection {
    fn remote(&self) -> Identity {
        Identity::Key(self.remote)
    }

    async fn open(&self) -> Result<BiStream, TransportError> {
        let (tx, rx) = self.inner.open_bi().await.map_err(ended)?;
        Ok(QuicWriter::stream(tx, rx))
    }

    async fn accept(&self) -> Result<BiStream, TransportError> {
        let (tx, rx) = self.inner.accept_bi().await.map_err(ended)?;
        Ok(QuicWriter::stream(tx, rx))
    }

    fn error(&self) -> Option<TransportError> {
        self.inner.close_reason().map(ended)
    }

    async fn closed(&self) {
        self.inner.closed().await;
    }

    fn close(&self) {
        self.inner.close(CODE, b"");
    }
}

/// Sends. Closing waits until the peer has acknowledged all bytes; dropping without closing resets the stream, where
/// quinn would finish it and a cut stream would look like a complete one.
struct QuicWriter {
    inner: SendStream,
    acknowledged: Option<BoxFuture<'static, io::Result<()>>>,
    /// Closing has come to its end; whoever closes again is told that it is closed.
    is_closed: bool,
}

impl QuicWriter {
    fn stream(tx: SendStream, rx: RecvStream) -> BiStream {
        BiStream::new(Self { inner: tx, acknowledged: None, is_closed: false }, QuicReader { inner: rx })
    }
}

impl AsyncWrite for QuicWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.acknowledged.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes).map_err(Into::into)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // quinn sends what it has as soon as it may.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_closed {
            return Poll::Ready(Ok(()));
        }
        if self.acknowledged.is_none() {
            // Fails only for a stream that was closed before, and this one was not.
            let _ = self.inner.finish();
            let stopped = self.inner.stopped();
            self.acknowledged = Some(Box::pin(async move {
                match stopped.await {
                    // All acknowledged, or the peer wants no more of it.
                    Ok(_) => Ok(()),
                    Err(err) => Err(io::Error::from(quinn::WriteError::from(err))),
                }
            }));
        }
        let closed = match self.acknowledged.as_mut() {
            Some(acknowledged) => acknowledged.as_mut().poll(cx),
            None => Poll::Ready(Ok(())),
        };
        self.is_closed = closed.is_ready();
        closed
    }
}

impl Drop for QuicWriter {
    fn drop(&mut self) {
        if self.acknowledged.is_none() {
            // Fails only where the stream has ended already.
            let _ = self.inner.reset(CODE);
        }
    }
}

struct QuicReader {
    inner: RecvStream,
}

impl AsyncRead for QuicReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buffer).map_err(Into::into)
    }
}

/// Waits for a handshake and tells who is there.
pub(super) async fn handshake(mut connecting: quinn::Connecting) -> Result<QuicConnection, ConnectionOrKey> {
    let connection = poll_fn(|cx| Pin::new(&mut connecting).poll(cx)).await.map_err(ConnectionOrKey::Connection)?;
    QuicConnection::new(connection).map_err(ConnectionOrKey::Key)
}

/// Why a handshake gave no peer.
pub(super) enum ConnectionOrKey {
    Connection(ConnectionError),
    Key(ConnectError),
}
