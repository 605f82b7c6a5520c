//! QUIC (RFC 9000) with TLS 1.3 in which each side proves its Ed25519 key and the other pins it.
//!
//! A peer is its key: no certificate authority, no host name, no expiry takes part. Keys travel as raw public keys
//! (RFC 7250). Whoever answers with another key than the one dialled is refused during the handshake, before this side
//! shows its own key and before any byte of a protocol. The accepting side learns the dialler's key from the handshake
//! and may [refuse](QuicConfig::with_allow) it there. Both name `syncline/1` in ALPN.
//!
//! Sessions are not resumed and there is no early data: what arrives was sent by who proved the key, now.

mod config;
mod connection;
mod runtime;
mod spki;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::select_ok;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ConnectionError, Endpoint, EndpointConfig, ServerConfig, TransportConfig};
use syncline_crypto::SigningKey;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::transport::{Connection, Connector, Incoming, Listener};
use crate::{ConnectError, PeerAddr, PeerAddrError, PeerId, TransportError};

pub use config::QuicConfig;
use connection::{CODE, ConnectionOrKey, handshake, is_refusal};
use runtime::TrackedRuntime;
use tls::TlsIdentity;

/// How long [`close`](Listener::close) waits for connections to end.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// The addresses of a host name that are tried, all at the same time.
const ADDRESSES_MAX: usize = 8;

/// TLS wants a name in its configuration; it is neither sent nor checked.
const UNUSED_SERVER_NAME: &str = "syncline";

/// A UDP socket that accepts and dials, under one key.
///
/// ```
/// use syncline_crypto::SigningKey;
/// use syncline_net::quic::{QuicConfig, QuicEndpoint};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let key = SigningKey::from_bytes(&[7; 32]);
/// let endpoint = QuicEndpoint::bind(&key, "127.0.0.1:0".parse()?, QuicConfig::default())?;
/// assert_eq!(endpoint.peer_addr()?.peer_id(), Some(&key.public_key()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct QuicEndpoint {
    id: PeerId,
    local: SocketAddr,
    identity: TlsIdentity,
    /// Gone once it was closed: what drives the socket ends when the last handle does.
    endpoint: Mutex<Option<Endpoint>>,
    stopped: CancellationToken,
    /// What drives the socket and the connections.
    tasks: TaskTracker,
    dialling: Arc<TransportConfig>,
    unvalidated: Arc<AtomicUsize>,
    unvalidated_max: usize,
}

impl QuicEndpoint {
    /// Binds a socket at `addr`; port 0 lets the system choose. The key is copied and wiped with the endpoint.
    ///
    /// # Errors
    ///
    /// As the operating system's; [`InvalidInput`](io::ErrorKind::InvalidInput) outside a tokio runtime.
    pub fn bind(key: &SigningKey, addr: SocketAddr, config: QuicConfig) -> io::Result<Arc<Self>> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a QUIC endpoint needs a tokio runtime"));
        }
        let identity = TlsIdentity::new(key.clone());
        let tls = identity.server(config.allow.clone()).map_err(io::Error::other)?;
        let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut server = ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(config.transport(config.streams_max)).max_incoming(config.backlog);

        let socket = std::net::UdpSocket::bind(addr)?;
        let tasks = TaskTracker::new();
        let runtime = Arc::new(TrackedRuntime { tasks: tasks.clone() });
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime)?;
        Ok(Arc::new(Self {
            id: key.public_key(),
            local: endpoint.local_addr()?,
            identity,
            endpoint: Mutex::new(Some(endpoint)),
            stopped: CancellationToken::new(),
            tasks,
            // Who accepted a connection opens no streams on it.
            dialling: config.transport(0),
            unvalidated: Arc::default(),
            unvalidated_max: config.unvalidated_handshakes_max,
        }))
    }

    /// The key that this endpoint proves.
    #[must_use]
    pub fn peer_id(&self) -> &PeerId {
        &self.id
    }

    /// Where the socket is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The address to dial, for an endpoint that is bound to a specific address and not behind a translation.
    ///
    /// # Errors
    ///
    /// None in practice: a bound socket has a port.
    pub fn peer_addr(&self) -> Result<PeerAddr, PeerAddrError> {
        PeerAddr::at(self.id, self.local)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Endpoint>> {
        // Only whole values are put in or taken out.
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        self.slot().clone()
    }

    /// The addresses of a host that this socket can send to.
    async fn resolve(&self, peer: &PeerAddr) -> Result<Vec<SocketAddr>, ConnectError> {
        let found = tokio::net::lookup_host((peer.host(), peer.port())).await.map_err(ConnectError::unreachable)?;
        let found: Vec<_> = found.filter(|addr| addr.is_ipv4() == self.local.is_ipv4()).take(ADDRESSES_MAX).collect();
        if found.is_empty() {
            return Err(ConnectError::unreachable(io::ErrorKind::AddrNotAvailable.into()));
        }
        Ok(found)
    }

    async fn dial(&self, addr: SocketAddr, expected: PeerId) -> Result<Arc<dyn Connection>, ConnectError> {
        let endpoint = self.endpoint().ok_or(ConnectError::Closed)?;
        let found = Arc::new(OnceLock::new());
        let tls = self.identity.client(expected, Arc::clone(&found)).map_err(ConnectError::handshake)?;
        let tls = QuicClientConfig::try_from(tls).map_err(ConnectError::handshake)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::clone(&self.dialling));
        let connecting = endpoint.connect_with(config, addr, UNUSED_SERVER_NAME).map_err(|err| match err {
            quinn::ConnectError::EndpointStopping => ConnectError::Closed,
            err => ConnectError::unreachable(io::Error::new(io::ErrorKind::InvalidInput, err)),
        })?;
        match handshake(connecting).await {
            Ok(connection) if connection.peer() == expected => Ok(Arc::new(connection)),
            Ok(connection) => Err(ConnectError::WrongPeer { expected, found: connection.peer() }),
            Err(ConnectionOrKey::Key(err)) => Err(err),
            Err(ConnectionOrKey::Connection(err)) => Err(match found.get() {
                Some(found) if *found != expected => ConnectError::WrongPeer { expected, found: *found },
                _ => dial_failed(err),
            }),
        }
    }
}

fn dial_failed(err: ConnectionError) -> ConnectError {
    match &err {
        ConnectionError::LocallyClosed => ConnectError::Closed,
        ConnectionError::ConnectionClosed(close) if is_refusal(close.error_code.into()) => ConnectError::Refused,
        ConnectionError::TimedOut => ConnectError::unreachable(io::ErrorKind::TimedOut.into()),
        ConnectionError::Reset => ConnectError::unreachable(io::ErrorKind::ConnectionReset.into()),
        _ => ConnectError::handshake(err),
    }
}

/// Counts a handshake with a peer whose address is not validated.
struct Unvalidated(Arc<AtomicUsize>);

impl Unvalidated {
    fn begin(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let mut guard = None;
        if count.fetch_add(1, Ordering::Relaxed) < max {
            guard = Some(Self(Arc::clone(count)));
        } else {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        guard
    }
}

impl Drop for Unvalidated {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Listener for QuicEndpoint {
    async fn accept(&self) -> Result<Incoming, TransportError> {
        let endpoint = self.endpoint().ok_or(TransportError::Closed)?;
        loop {
            let incoming = tokio::select! {
                biased;
                () = self.stopped.cancelled() => None,
                incoming = endpoint.accept() => incoming,
            };
            let incoming = incoming.ok_or(TransportError::Closed)?;
            let mut unvalidated = None;
            if !incoming.remote_address_validated() {
                unvalidated = Unvalidated::begin(&self.unvalidated, self.unvalidated_max);
                if unvalidated.is_none() {
                    // Always possible for an address that is not validated, by quinn's documentation.
                    let _ = incoming.retry();
                    continue;
                }
            }
            return Ok(Incoming::new(async move {
                let _unvalidated = unvalidated;
                let connecting = incoming.accept().map_err(dial_failed)?;
                match handshake(connecting).await {
                    Ok(connection) => Ok(Arc::new(connection) as Arc<dyn Connection>),
                    Err(ConnectionOrKey::Key(err)) => Err(err),
                    Err(ConnectionOrKey::Connection(err)) => Err(dial_failed(err)),
                }
            }));
        }
    }

    fn stop(&self) {
        self.stopped.cancel();
        if let Some(endpoint) = self.endpoint() {
            endpoint.set_server_config(None);
        }
    }

    async fn close(&self) {
        self.stopped.cancel();
        let endpoint = self.slot().take();
        if let Some(endpoint) = endpoint {
            endpoint.close(CODE, b"");
        }
        // A connection that was closed answers stray packets for a moment before its task ends (RFC 9000, 10.2); the
        // socket is closed by the last task.
        self.tasks.close();
        let _ = tokio::time::timeout(CLOSE_WAIT, self.tasks.wait()).await;
    }
}

#[async_trait]
impl Connector for QuicEndpoint {
    async fn connect(&self, peer: &PeerAddr) -> Result<Arc<dyn Connection>, ConnectError> {
        let expected = *peer.peer_id().ok_or(ConnectError::KeyRequired)?;
        // All at once: an address that swallows packets must not use up the time of the others.
        let dials = self.resolve(peer).await?.into_iter().map(|addr| Box::pin(self.dial(addr, expected)));
        let (connection, _) = select_ok(dials).await?;
        Ok(connection)
    }

    fn multiplexes(&self) -> bool {
        true
    }

    async fn close(&self) {
        Listener::close(self).await;
    }
}

#[cfg(test)]
mod tests;
