//! The contract between a [`Node`](crate::Node) and a transport: implement it to bring your own.
//!
//! A transport yields [`Connection`]s, and a connection yields [streams](BiStream) of bytes in both directions. What a
//! peer is called is the transport's part: it either proves the peer's key in a handshake, or says
//! [`Identity::Anonymous`]. It must never claim a key that was not proven, for the node's access rules rest on it.
//!
//! A protocol that shall run over a single stream, without a node, needs none of this: any
//! [`AsyncRead`] + [`AsyncWrite`] serves a [`Session`](syncline_core::session::Session).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite};

use crate::{ConnectError, Identity, PeerAddr, TransportError};

/// The reading half of a stream, in a box.
pub type BoxReader = Box<dyn AsyncRead + Send + Unpin>;

/// The writing half of a stream, in a box.
pub type BoxWriter = Box<dyn AsyncWrite + Send + Unpin>;

/// A stream of bytes in both directions: ordered, reliable, without message boundaries.
///
/// # Contract for implementers
///
/// - A failed or cut connection is an error of a kind that [`SyncError`](syncline_core::SyncError) takes for the peer's
///   doing: broken pipe, reset, aborted, not connected, timed out, unexpected end.
/// - **Closing** the writer ends its direction in order: the peer reads all that was written and then the end.
///   `poll_close` is ready when the bytes no longer need this side's care: they are acknowledged, or the transport sends
///   them even if the stream is dropped and the connection stays open. It may wait for the peer; the caller has a deadline.
/// - **Dropping** the writer without closing breaks off: the peer must see an error or an early end, and may lose what was
///   under way. Where the transport can tell the two apart, it is an error.
/// - Dropping the reader tells the peer, where the transport can, that nobody reads any more.
/// - The buffers between the two sides are bounded, and a writer waits when they are full.
/// - Both halves work at the same time, from different tasks.
pub struct BiStream {
    /// What goes to the peer.
    pub(crate) tx: BoxWriter,
    /// What comes from the peer.
    pub(crate) rx: BoxReader,
}

impl BiStream {
    /// A stream of two halves.
    pub fn new(tx: impl AsyncWrite + Send + Unpin + 'static, rx: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self { tx: Box::new(tx), rx: Box::new(rx) }
    }

    /// The writing and the reading half.
    #[must_use]
    pub fn into_split(self) -> (BoxWriter, BoxReader) {
        (self.tx, self.rx)
    }
}

impl fmt::Debug for BiStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BiStream").finish_non_exhaustive()
    }
}

/// A connection to one peer.
///
/// # Contract for implementers
///
/// - `remote` does not change.
/// - Dropping the last handle closes the connection.
#[async_trait]
pub trait Connection: Send + Sync + fmt::Debug {
    /// Who is on the other side.
    fn remote(&self) -> Identity;

    /// Opens a stream. Waits while the peer allows no further one.
    ///
    /// # Errors
    ///
    /// [`TransportError`] once the connection gives no more streams, as after the first where it can carry only one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future opens no stream, or one that is dropped at once.
    async fn open(&self) -> Result<BiStream, TransportError>;

    /// Waits for a stream that the peer opens.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when no more streams will come. Streams that came before live on as far as the connection
    /// does.
    ///
    /// # Cancel safety
    ///
    /// No stream is lost when the future is dropped.
    async fn accept(&self) -> Result<BiStream, TransportError>;

    /// Why the connection is of no further use; `None` while it can be used.
    fn error(&self) -> Option<TransportError>;

    /// Waits until [`error`](Self::error) is not `None`.
    async fn closed(&self);

    /// Breaks off. A connection that carries several streams ends all of them with an error on both sides; a stream of one
    /// that carries only one lives on with who holds it. Harmless if called again.
    fn close(&self);
}

/// A connection that somebody else wants, before its handshake.
///
/// Dropping it refuses the connection.
pub struct Incoming {
    handshake: BoxFuture<'static, Result<Arc<dyn Connection>, ConnectError>>,
}

impl Incoming {
    /// A connection whose `handshake` runs when the node has room for it. The node gives it a deadline and drops it
    /// then.
    pub fn new(handshake: impl Future<Output = Result<Arc<dyn Connection>, ConnectError>> + Send + 'static) -> Self {
        Self { handshake: Box::pin(handshake) }
    }

    /// A connection that needs no handshake.
    #[must_use]
    pub fn ready(connection: Arc<dyn Connection>) -> Self {
        Self::new(std::future::ready(Ok(connection)))
    }

    /// Runs the handshake.
    ///
    /// # Errors
    ///
    /// As the transport's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future refuses the connection.
    pub async fn establish(self) -> Result<Arc<dyn Connection>, ConnectError> {
        self.handshake.await
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}

/// Where connections come in.
#[async_trait]
pub trait Listener: Send + Sync + fmt::Debug {
    /// Waits for somebody who wants to connect. It must not wait for that peer's next byte: that is part of the
    /// handshake, which runs elsewhere, so that a silent peer holds up nobody.
    ///
    /// # Errors
    ///
    /// [`TransportError::Closed`] after [`stop`](Self::stop), and it is final. After any other error the node waits a
    /// moment and asks again.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost when the future is dropped.
    async fn accept(&self) -> Result<Incoming, TransportError>;

    /// Takes no new connection from now on. Those that exist live on.
    fn stop(&self);

    /// Closes everything, and returns when the peers were told or after a bounded time.
    async fn close(&self);
}

/// Dials peers.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// Connects to `peer`, and to nobody else.
    ///
    /// # Contract for implementers
    ///
    /// - If `peer` names a key, the peer proves that it holds it before anything of a protocol is sent; else
    ///   [`ConnectError::WrongPeer`]. A transport that cannot prove keys fails with [`ConnectError::Unproven`].
    /// - If `peer` names none, a transport that proves keys fails with [`ConnectError::KeyRequired`].
    ///
    /// The node checks the result once more against [`Connection::remote`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`]. The node has a deadline and drops the future then.
    async fn connect(&self, peer: &PeerAddr) -> Result<Arc<dyn Connection>, ConnectError>;

    /// Whether a connection carries more than one stream, so that it is worth keeping.
    fn multiplexes(&self) -> bool;

    /// Closes everything, and returns when the peers were told or after a bounded time.
    async fn close(&self);
}
