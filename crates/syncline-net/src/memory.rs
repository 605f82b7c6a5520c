//! Peers in one process: a network of pipes, for tests, simulations and examples.
//!
//! Endpoints know each other by key alone; a connection's identity is true by construction. Nothing here needs a
//! runtime or reads a clock, so it works under paused time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::pipe::{PipeCutter, PipeOptions};
use crate::transport::{BiStream, Connection, Connector, Incoming, Listener};
use crate::{ConnectError, Identity, PeerAddr, PeerId, TransportError};

/// Connections that wait to be accepted at an endpoint; further diallers wait.
const BACKLOG: usize = 64;

/// Streams of a connection that wait to be accepted; further openers wait.
const STREAM_BACKLOG: usize = 64;

/// A network within this process. Clones are the same network.
///
/// ```
/// use std::sync::Arc;
/// use syncline_crypto::SigningKey;
/// use syncline_net::memory::MemoryNetwork;
/// use syncline_net::transport::Connector;
///
/// # futures::executor::block_on(async {
/// let network = MemoryNetwork::default();
/// let alice = network.endpoint(SigningKey::from_bytes(&[1; 32]).public_key())?;
/// let bob = network.endpoint(SigningKey::from_bytes(&[2; 32]).public_key())?;
/// let connection = alice.connect(bob.addr()).await?;
/// assert_eq!(connection.remote().peer_id(), bob.addr().peer_id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    options: PipeOptions,
    endpoints: Mutex<BTreeMap<PeerId, mpsc::Sender<Arc<MemoryConnection>>>>,
    links: Mutex<Vec<Weak<Link>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks can panic halfway through a change, so a poisoned value is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryNetwork {
    /// A network whose streams are such pipes.
    #[must_use]
    pub fn new(options: PipeOptions) -> Self {
        Self { shared: Arc::new(Shared { options, ..Shared::default() }) }
    }

    /// Adds a peer.
    ///
    /// # Errors
    ///
    /// [`EndpointTaken`] while an endpoint of this key lives.
    pub fn endpoint(&self, id: PeerId) -> Result<Arc<MemoryEndpoint>, EndpointTaken> {
        let (tx, rx) = mpsc::channel(BACKLOG);
        let mut endpoints = lock(&self.shared.endpoints);
        endpoints.retain(|_, endpoint| !endpoint.is_closed());
        if endpoints.contains_key(&id) {
            return Err(EndpointTaken { id });
        }
        endpoints.insert(id, tx);
        let addr = PeerAddr::in_memory(id);
        Ok(Arc::new(MemoryEndpoint {
            id,
            addr,
            shared: Arc::clone(&self.shared),
            incoming: AsyncMutex::new(rx),
            stopped: CancellationToken::new(),
            links: Mutex::default(),
        }))
    }

    /// Cuts all connections that exist, as a failing network does. New ones can be made at once.
    pub fn cut_all(&self) {
        let links = std::mem::take(&mut *lock(&self.shared.links));
        for link in links.iter().filter_map(Weak::upgrade) {
            link.close(true);
        }
    }
}

/// The network has a peer with this key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("an endpoint for {id} exists")]
#[non_exhaustive]
pub struct EndpointTaken {
    /// The key.
    pub id: PeerId,
}

/// One peer of a [`MemoryNetwork`]: a listener and a connector.
#[derive(Debug)]
pub struct MemoryEndpoint {
    id: PeerId,
    addr: PeerAddr,
    shared: Arc<Shared>,
    incoming: AsyncMutex<mpsc::Receiver<Arc<MemoryConnection>>>,
    stopped: CancellationToken,
    links: Mutex<Vec<Weak<Link>>>,
}

impl MemoryEndpoint {
    /// The address to dial.
    #[must_use]
    pub fn addr(&self) -> &PeerAddr {
        &self.addr
    }

    fn keep(links: &Mutex<Vec<Weak<Link>>>, link: &Arc<Link>) {
        let mut links = lock(links);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    fn close_all(&self) {
        self.stop();
        let links = std::mem::take(&mut *lock(&self.links));
        for link in links.iter().filter_map(Weak::upgrade) {
            link.close(false);
        }
    }
}

#[async_trait]
impl Listener for MemoryEndpoint {
    async fn accept(&self) -> Result<Incoming, TransportError> {
        let mut incoming = self.incoming.lock().await;
        let next = tokio::select! {
            biased;
            () = self.stopped.cancelled() => None,
            next = incoming.recv() => next,
        };
        let connection = next.ok_or(TransportError::Closed)?;
        Self::keep(&self.links, &connection.link);
        Ok(Incoming::ready(connection))
    }

    fn stop(&self) {
        let mut endpoints = lock(&self.shared.endpoints);
        // Once only: afterwards the key may be another endpoint's.
        if !self.stopped.is_cancelled() {
            self.stopped.cancel();
            endpoints.remove(&self.id);
        }
    }

    async fn close(&self) {
        self.close_all();
    }
}

#[async_trait]
impl Connector for MemoryEndpoint {
    async fn connect(&self, peer: &PeerAddr) -> Result<Arc<dyn Connection>, ConnectError> {
        let id = *peer.peer_id().ok_or(ConnectError::KeyRequired)?;
        if self.stopped.is_cancelled() {
            return Err(ConnectError::Closed);
        }
        let nobody = || ConnectError::unreachable(io::ErrorKind::ConnectionRefused.into());
        let endpoint = lock(&self.shared.endpoints).get(&id).cloned().ok_or_else(nobody)?;
        let (here, there) = MemoryConnection::pair(self.addr.identity(), peer.identity(), self.shared.options);
        Self::keep(&self.links, &here.link);
        Self::keep(&self.shared.links, &here.link);
        endpoint.send(there).await.map_err(|_| nobody())?;
        Ok(here)
    }

    fn multiplexes(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.close_all();
    }
}

impl Drop for MemoryEndpoint {
    fn drop(&mut self) {
        self.close_all();
    }
}

/// One side of a connection.
#[derive(Debug)]
struct MemoryConnection {
    remote: Identity,
    options: PipeOptions,
    link: Arc<Link>,
    outgoing: mpsc::Sender<BiStream>,
    incoming: AsyncMutex<mpsc::Receiver<BiStream>>,
}

/// What both sides share.
#[derive(Debug)]
struct Link {
    closed: CancellationToken,
    state: Mutex<LinkState>,
}

#[derive(Debug, Default)]
struct LinkState {
    streams: Vec<PipeCutter>,
    lost: bool,
}

impl Link {
    fn close(&self, lost: bool) {
        let streams = {
            let mut state = lock(&self.state);
            if !self.closed.is_cancelled() {
                state.lost = lost;
            }
            std::mem::take(&mut state.streams)
        };
        self.closed.cancel();
        streams.iter().for_each(PipeCutter::cut);
    }

    fn error(&self) -> Option<TransportError> {
        let lost = lock(&self.state).lost;
        self.closed.is_cancelled().then(|| match lost {
            true => TransportError::lost(io::Error::from(io::ErrorKind::ConnectionReset)),
            false => TransportError::Closed,
        })
    }

    fn ended(&self) -> TransportError {
        self.error().unwrap_or(TransportError::Closed)
    }
}

impl MemoryConnection {
    fn pair(dialler: Identity, acceptor: Identity, options: PipeOptions) -> (Arc<Self>, Arc<Self>) {
        let link = Arc::new(Link { closed: CancellationToken::new(), state: Mutex::default() });
        let (tx_here, rx_there) = mpsc::channel(STREAM_BACKLOG);
        let (tx_there, rx_here) = mpsc::channel(STREAM_BACKLOG);
        let side = |remote, outgoing, incoming| {
            let incoming = AsyncMutex::new(incoming);
            Arc::new(Self { remote, options, link: Arc::clone(&link), outgoing, incoming })
        };
        (side(acceptor, tx_here, rx_here), side(dialler, tx_there, rx_there))
    }
}

#[async_trait]
impl Connection for MemoryConnection {
    fn remote(&self) -> Identity {
        self.remote
    }

    async fn open(&self) -> Result<BiStream, TransportError> {
        let (here, there) = self.options.open();
        let cutter = here.cutter();
        let (rx, tx) = there.into_split();
        let send = self.outgoing.send(BiStream::new(tx, rx));
        tokio::select! {
            biased;
            () = self.link.closed.cancelled() => return Err(self.link.ended()),
            sent = send => sent.map_err(|_| self.link.ended())?,
        }
        {
            let mut state = lock(&self.link.state);
            state.streams.retain(PipeCutter::is_connected);
            state.streams.push(cutter);
        }
        // Closed in between: this stream was not among those that were cut.
        if self.link.closed.is_cancelled() {
            return Err(self.link.ended());
        }
        let (rx, tx) = here.into_split();
        Ok(BiStream::new(tx, rx))
    }

    async fn accept(&self) -> Result<BiStream, TransportError> {
        let mut incoming = self.incoming.lock().await;
        tokio::select! {
            biased;
            () = self.link.closed.cancelled() => Err(self.link.ended()),
            stream = incoming.recv() => stream.ok_or_else(|| self.link.ended()),
        }
    }

    fn error(&self) -> Option<TransportError> {
        self.link.error()
    }

    async fn closed(&self) {
        self.link.closed.cancelled().await;
    }

    fn close(&self) {
        self.link.close(false);
    }
}

impl Drop for MemoryConnection {
    fn drop(&mut self) {
        self.link.close(false);
    }
}

#[cfg(test)]
mod tests;
