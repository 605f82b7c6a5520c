//! The replicas that one node serves.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures::sink::{self, SinkExt};
use syncline_core::clock::Clock;
use syncline_core::session::{CancelHandle, SessionReport};
use syncline_core::{FromSync, SyncError};
use syncline_kv::sync::{KvQuery, KvSync, Trees};
use syncline_kv::{NamespaceId, Tree};
use syncline_net::{
    AcceptedSession, AppSink, DynProtocol, NodeBuilder, PeerContext, PeerId, SessionHandler, SessionId, SyncFailure,
    TokioBlocking, TokioTimer,
};
use tokio::time::Instant;

use crate::gossip::outcome_of;
use crate::links::{LinkHello, LinkProtocol, Links};
use crate::{StartError, TreeGossip, random};

/// The replicas that one [`Node`](syncline_net::Node) serves, each of another namespace. Peers name the namespace in the first
/// bytes of a link or session; one that they may not read looks to them like one that is not here.
///
/// A replica of its own node needs none: [`KvNodeBuilder`](crate::KvNodeBuilder) makes it. To serve several by one socket,
/// [`register`](Self::register) it with a node, and start each replica [`on`](crate::KvNodeBuilder::on) it.
///
/// Clones are the same hub.
#[derive(Clone, Debug)]
pub struct Hub {
    replicas: Replicas,
    sync: KvSync,
    sessions: Sessions,
}

/// What a node serves of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) tree: Tree,
    pub(crate) links: Links,
    pub(crate) gossip: TreeGossip,
}

impl Hub {
    /// No replicas yet. `clock` shows wall time. With `live`, sessions stay open that a peer wants to stay open.
    ///
    /// # Errors
    ///
    /// [`StartError::Random`], [`StartError::NoRuntime`] outside a tokio runtime.
    pub fn new(clock: Arc<dyn Clock>, live: bool) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let seed = random::bytes().map_err(|err| StartError::Random(io::Error::from(err)))?;
        let replicas = Replicas::default();
        let sync = KvSync::new(replicas.clone(), clock, seed)
            .with_timer(Arc::new(TokioTimer::new()))
            .with_blocking(Arc::new(TokioBlocking::new(runtime)))
            .with_live(live);
        Ok(Self { sessions: Sessions { replicas: replicas.clone(), running: Arc::default() }, replicas, sync })
    }

    /// Has a node offer the protocols of the replicas: sessions, and links between members.
    ///
    /// The node needs [limits](syncline_net::NodeLimits::with_live_sessions) that let links stay.
    #[must_use]
    pub fn register(&self, builder: NodeBuilder) -> NodeBuilder {
        let (sync, replicas) = (self.sync.clone(), self.replicas.clone());
        let of_peer = move |peer: &PeerContext| -> Arc<DynProtocol<KvQuery>> {
            Arc::new(sync.clone().with_remote(peer.peer_id().copied()))
        };
        let link = move |peer: &PeerContext| -> Arc<DynProtocol<LinkHello>> {
            let replicas = replicas.clone();
            let find = move |id: &NamespaceId| Some(replicas.get(id)?.links);
            Arc::new(LinkProtocol::new(find, peer.peer_id().copied()))
        };
        let (finish, replicas) = (self.sync.finish_handle(), self.replicas.clone());
        builder
            .register_factory(KvSync::NAME, of_peer, self.sessions.clone())
            .register_factory(LinkProtocol::NAME, link, |_: &AcceptedSession| -> AppSink<LinkHello> {
                Box::new(sink::drain().sink_map_err(|never| -> SyncError { match never {} }))
            })
            .on_shutdown(move || {
                finish.finish();
                replicas.lock().values().for_each(|replica| replica.links.close());
            })
    }

    pub(crate) fn sync(&self) -> &KvSync {
        &self.sync
    }

    pub(crate) fn insert(&self, namespace: NamespaceId, replica: Replica) -> Result<(), StartError> {
        let mut replicas = self.replicas.lock();
        if replicas.contains_key(&namespace) {
            return Err(StartError::Duplicate);
        }
        replicas.insert(namespace, replica);
        Ok(())
    }

    pub(crate) fn remove(&self, namespace: &NamespaceId) {
        self.replicas.lock().remove(namespace);
    }

    /// Ends accepted sessions that have taken too long.
    pub(crate) fn end_late_sessions(&self, longest: Duration) {
        for running in self.sessions.lock().values() {
            if running.since.elapsed() > longest {
                running.cancel.cancel();
            }
        }
    }
}

/// The replicas by their namespaces.
#[derive(Clone, Default)]
struct Replicas {
    by_id: Arc<Mutex<BTreeMap<NamespaceId, Replica>>>,
}

impl Replicas {
    fn get(&self, namespace: &NamespaceId) -> Option<Replica> {
        self.lock().get(namespace).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NamespaceId, Replica>> {
        // Only whole replicas are put in or taken out.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trees for Replicas {
    fn tree(&self, namespace: &NamespaceId) -> Option<Tree> {
        self.get(namespace).map(|replica| replica.tree)
    }
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

/// Sessions that peers have opened.
#[derive(Clone, Debug)]
struct Sessions {
    replicas: Replicas,
    running: Arc<Mutex<BTreeMap<SessionId, Running>>>,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    cancel: CancelHandle,
    /// Whose tree it is about, once that is agreed.
    gossip: Option<TreeGossip>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Running>> {
        // Nothing in here panics half way.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agreed(&self, id: SessionId, peer: PeerId, query: &KvQuery) {
        let Some(replica) = self.replicas.get(&query.namespace) else { return };
        if let Some(running) = self.lock().get_mut(&id)
            && running.gossip.is_none()
        {
            replica.gossip.session_accepted(peer);
            running.gossip = Some(replica.gossip);
        }
    }
}

impl SessionHandler<KvQuery> for Sessions {
    fn start(&self, session: &AcceptedSession) -> AppSink<KvQuery> {
        let running = Running { since: Instant::now(), cancel: session.cancel_handle(), gossip: None };
        self.lock().insert(session.id(), running);
        let peer = session.peer().peer_id().copied();
        Box::new(AgreedSink { sessions: self.clone(), id: session.id(), peer })
    }

    fn ended(&self, session: &AcceptedSession, outcome: &Result<SessionReport, SyncFailure>) {
        let running = self.lock().remove(&session.id());
        let gossip = running.and_then(|running| running.gossip);
        if let (Some(gossip), Some(peer)) = (gossip, session.peer().peer_id()) {
            gossip.session_ended(*peer, outcome_of(outcome));
        }
    }
}

/// Notes what an accepted session is about. The items come by the tree's feed.
struct AgreedSink {
    sessions: Sessions,
    id: SessionId,
    peer: Option<PeerId>,
}

impl Sink<FromSync<KvQuery>> for AgreedSink {
    type Error = SyncError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: FromSync<KvQuery>) -> Result<(), SyncError> {
        if let (FromSync::HandshakeSuccess(query), Some(peer)) = (item, self.peer) {
            self.sessions.agreed(self.id, peer, &query);
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }
}
