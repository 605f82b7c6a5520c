//! Plain TCP, for trusted networks and for tests: nothing is encrypted, nobody is authenticated.
//!
//! Every peer is [`Identity::Anonymous`]. A connection carries one stream. Closing it in order shuts down the writing
//! side; a node then reads until the peer's end, so that the last bytes are not lost to a reset.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::net::{TcpListener as TokioListener, TcpStream};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::sync::CancellationToken;

use crate::transport::{BiStream, Connection, Connector, Incoming, Listener};
use crate::{ConnectError, Identity, PeerAddr, PeerAddrError, TransportError};

/// Accepts TCP connections from anybody.
#[derive(Debug)]
pub struct TcpListener {
    local: SocketAddr,
    /// Gone once it was stopped, so that the port is free.
    inner: Mutex<Option<Arc<TokioListener>>>,
    stopped: CancellationToken,
}

impl TcpListener {
    /// Listens at `addr`; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// As the operating system's.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime whose I/O driver is enabled.
    pub async fn bind(addr: SocketAddr) -> io::Result<Arc<Self>> {
        let inner = TokioListener::bind(addr).await?;
        let local = inner.local_addr()?;
        let stopped = CancellationToken::new();
        Ok(Arc::new(Self { local, inner: Mutex::new(Some(Arc::new(inner))), stopped }))
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The address to dial, for an endpoint that listens at a specific address.
    ///
    /// # Errors
    ///
    /// None in practice: a bound socket has a port.
    pub fn peer_addr(&self) -> Result<PeerAddr, PeerAddrError> {
        PeerAddr::anonymous(&self.local.ip().to_string(), self.local.port())
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Option<Arc<TokioListener>>> {
        // Only whole values are put in or taken out.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&self) -> Result<Incoming, TransportError> {
        let listener = self.inner().clone().ok_or(TransportError::Closed)?;
        let accepted = tokio::select! {
            biased;
            () = self.stopped.cancelled() => return Err(TransportError::Closed),
            accepted = listener.accept() => accepted,
        };
        let (stream, _) = accepted.map_err(TransportError::lost)?;
        Ok(Incoming::ready(TcpConnection::new(stream).map_err(TransportError::lost)?))
    }

    fn stop(&self) {
        self.stopped.cancel();
        self.inner().take();
    }

    async fn close(&self) {
        self.stop();
    }
}

/// Dials by TCP. It takes only addresses without a key, since it can prove none.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector {
    _private: (),
}

impl TcpConnector {
    /// A connector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, peer: &PeerAddr) -> Result<Arc<dyn Connection>, ConnectError> {
        if let Some(expected) = peer.peer_id() {
            return Err(ConnectError::Unproven { expected: *expected });
        }
        let stream = TcpStream::connect((peer.host(), peer.port())).await.map_err(ConnectError::unreachable)?;
        Ok(TcpConnection::new(stream).map_err(ConnectError::unreachable)?)
    }

    fn multiplexes(&self) -> bool {
        false
    }

    async fn close(&self) {}
}

/// A socket: one stream, given to who asks first.
#[derive(Debug)]
struct TcpConnection {
    stream: Mutex<Option<TcpStream>>,
    taken: CancellationToken,
}

impl TcpConnection {
    fn new(stream: TcpStream) -> io::Result<Arc<Self>> {
        stream.set_nodelay(true)?;
        Ok(Arc::new(Self { stream: Mutex::new(Some(stream)), taken: CancellationToken::new() }))
    }

    fn take(&self) -> Option<TcpStream> {
        self.taken.cancel();
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn stream(&self) -> Result<BiStream, TransportError> {
        let (rx, tx) = self.take().ok_or(TransportError::Closed)?.into_split();
        Ok(BiStream::new(tx.compat_write(), rx.compat()))
    }
}

#[async_trait]
impl Connection for TcpConnection {
    fn remote(&self) -> Identity {
        Identity::Anonymous
    }

    async fn open(&self) -> Result<BiStream, TransportError> {
        self.stream()
    }

    async fn accept(&self) -> Result<BiStream, TransportError> {
        self.stream()
    }

    fn error(&self) -> Option<TransportError> {
        self.taken.is_cancelled().then_some(TransportError::Closed)
    }

    async fn closed(&self) {
        self.taken.cancelled().await;
    }

    /// Closes a socket whose stream nobody took. A stream that was taken belongs to who took it.
    fn close(&self) {
        drop(self.take());
    }
}
