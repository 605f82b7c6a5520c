//! A node: offers protocols to peers, and syncs with them.

mod app;
mod builder;
mod closing;
mod context;
mod limits;
mod offers;
mod outgoing;
mod pool;
mod quota;
mod registry;
mod schedule;
mod serve;
mod shared;
mod usage;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use futures::{FutureExt, Sink};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicQuery};
use tokio::time::timeout;

use crate::PeerAddr;

pub use app::{AppReceiver, AppSink, SessionHandler, app_channel};
pub use builder::NodeBuilder;
pub use context::{AcceptedSession, Access, PeerContext, SessionId};
pub use limits::NodeLimits;
pub use outgoing::{SyncHandle, SyncOutcome};
pub use registry::DynProtocol;
pub use schedule::{KeepInSync, RoundsStatus, Schedule};

use outgoing::Request;
use schedule::Rounds;
use shared::Shared;

/// Offers protocols to peers, and syncs with them, over any [transport](crate::transport).
///
/// Each session runs on a task and a stream of its own: on the first bytes of a stream the peers agree on the protocol
/// by name, then the protocol has the stream to itself. What peers can do is [limited](NodeLimits), and a protocol or
/// handler that panics fails its own session and nothing else.
///
/// Clones are the same node. Dropping the last one breaks off everything at once; [`shutdown`](Self::shutdown) ends in
/// order. The crate's front page has an example.
#[derive(Clone, Debug)]
pub struct Node {
    shared: Arc<Shared>,
    _abort: Arc<AbortOnDrop>,
}

/// Breaks off when the last node is dropped. The tasks hold the shared part, but not this.
#[derive(Debug)]
struct AbortOnDrop(Arc<Shared>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.stop.cancel();
        self.0.abort.cancel();
    }
}

impl Node {
    /// Starts to build a node.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    fn new(shared: Arc<Shared>) -> Self {
        let abort = Arc::new(AbortOnDrop(Arc::clone(&shared)));
        Self { shared, _abort: abort }
    }

    /// Syncs `topic` with `peer` once, and returns at once: the sync runs on a task of its own.
    ///
    /// The connection to a peer is kept for further syncs where the transport can do so, and made anew when it is dead.
    /// Items go to `app_tx`, whose backpressure is passed on to the peer. `protocol` need not be registered.
    pub fn sync<T, P, A>(&self, peer: &PeerAddr, protocol: Arc<P>, topic: T, app_tx: A) -> SyncHandle
    where
        T: TopicQuery + 'static,
        P: for<'a> SyncProtocol<'a, T> + 'static,
        A: Sink<FromSync<T>, Error = SyncError> + Send + Unpin + 'static,
    {
        self.sync_dyn(peer, protocol, topic, app_tx)
    }

    /// As [`sync`](Self::sync), for a protocol whose type is erased.
    pub fn sync_dyn<T, A>(&self, peer: &PeerAddr, protocol: Arc<DynProtocol<T>>, topic: T, app_tx: A) -> SyncHandle
    where
        T: TopicQuery + 'static,
        A: Sink<FromSync<T>, Error = SyncError> + Send + Unpin + 'static,
    {
        self.sync_any(peer, [protocol], topic, app_tx)
    }

    /// As [`sync`](Self::sync), by the first of several protocols that the peer knows.
    ///
    /// They are offered in this order, each after the peer has said that it does not know the one before: a round trip for
    /// each, on the same connection where the transport carries several streams, and only in the first sync of a connection.
    /// A peer that refuses for another reason (it is busy, or does not let this node in) is not asked for the next, and
    /// neither is one whose session fails. `app_tx` is for the session that runs, whichever that is.
    ///
    /// [`SyncHandle::agreed`] and [`SyncHandle::outcome`] tell which protocol it was. Without any protocol the sync fails with
    /// [`SyncFailure::NoProtocol`](crate::SyncFailure::NoProtocol).
    ///
    /// Whoever answers decides which of the protocols runs: do not offer one that says more than may be said to such a peer.
    pub fn sync_any<T, A>(
        &self,
        peer: &PeerAddr,
        protocols: impl IntoIterator<Item = Arc<DynProtocol<T>>>,
        topic: T,
        app_tx: A,
    ) -> SyncHandle
    where
        T: TopicQuery + 'static,
        A: Sink<FromSync<T>, Error = SyncError> + Send + Unpin + 'static,
    {
        let protocols = protocols.into_iter().collect();
        Request { peer: peer.clone(), protocols, topic, app_tx }.start(&self.shared)
    }

    /// Syncs `topic` with `peer` now and then again and again as the schedule says, until it is stopped.
    ///
    /// `app` gives the sink of each round. If it panics, the round has failed.
    ///
    /// A protocol whose sessions stay open is fine: a round lasts as long as its session. When it ends in order, the next one
    /// begins after the interval; when it fails, after the delay for failures. Such sessions need
    /// [limits](NodeLimits::with_live_sessions) that let them stay.
    pub fn keep_in_sync<T, P>(
        &self,
        peer: &PeerAddr,
        protocol: Arc<P>,
        topic: T,
        schedule: Schedule,
        app: impl FnMut() -> AppSink<T> + Send + 'static,
    ) -> KeepInSync
    where
        T: TopicQuery + 'static,
        P: for<'a> SyncProtocol<'a, T> + 'static,
    {
        self.keep_in_sync_any(peer, [protocol as Arc<DynProtocol<T>>], topic, schedule, app)
    }

    /// As [`keep_in_sync`](Self::keep_in_sync), each round by the first of several protocols that the peer knows then, as in
    /// [`sync_any`](Self::sync_any).
    pub fn keep_in_sync_any<T>(
        &self,
        peer: &PeerAddr,
        protocols: impl IntoIterator<Item = Arc<DynProtocol<T>>>,
        topic: T,
        schedule: Schedule,
        app: impl FnMut() -> AppSink<T> + Send + 'static,
    ) -> KeepInSync
    where
        T: TopicQuery + 'static,
    {
        let protocols = protocols.into_iter().collect();
        Rounds { peer: peer.clone(), protocols, topic, schedule, app }.start(&self.shared)
    }

    /// Ends in order: accepts nothing new and starts nothing new; lets running sessions finish within
    /// [the time for it](NodeLimits::with_shutdown_timeout) and cancels them then; closes connections and endpoints. When
    /// it returns, no task of the node is left.
    ///
    /// Sessions that stay open finish only if somebody tells their protocols to; see
    /// [`NodeBuilder::on_shutdown`].
    ///
    /// May be called more than once, also at the same time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the node stopped, with sessions still running; calling again goes on.
    pub async fn shutdown(&self) -> ShutdownReport {
        let shared = &self.shared;
        shared.stop.cancel();
        shared.run_shutdown_hooks();
        shared.tasks.close();
        if timeout(shared.limits.shutdown_timeout, shared.tasks.wait()).await.is_err() {
            shared.abort.cancel();
            shared.tasks.wait().await;
        }
        shared.abort.cancel();
        let listeners = shared.listeners.iter().map(|listener| listener.close().boxed());
        let connector = shared.connector.iter().map(|connector| connector.close().boxed());
        join_all(listeners.chain(connector)).await;
        ShutdownReport { sessions_cut_off: shared.cut_off.load(Ordering::Relaxed) }
    }

    /// Tasks that run for this node now: listeners, connections and sessions.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.shared.tasks.len()
    }
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    sessions_cut_off: usize,
}

impl ShutdownReport {
    /// Sessions that had not finished in time and were cancelled.
    #[must_use]
    pub fn sessions_cut_off(&self) -> usize {
        self.sessions_cut_off
    }
}
