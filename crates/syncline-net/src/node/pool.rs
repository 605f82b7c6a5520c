//! One connection per peer, dialled when it is needed, kept while it is used, closed when it is not.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared as SharedFuture};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;

use super::offers::UnknownNames;
use super::shared::Shared;
use super::usage::{InUse, Usage};
use crate::transport::{Connection, Connector};
use crate::{ConnectError, Identity, PeerAddr, PeerId};

type Dialled = Result<Arc<dyn Connection>, ConnectError>;

/// The connections that are kept.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<Key, Slot>,
    next_generation: u64,
}

/// What tells peers apart: the key, which may be reached at several addresses, or else the address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Peer(PeerId),
    Place(PeerAddr),
}

impl Key {
    fn of(peer: &PeerAddr) -> Self {
        peer.peer_id().map_or_else(|| Self::Place(peer.clone()), |id| Self::Peer(*id))
    }
}

/// A dial that is under way or done. All who want the connection wait for the same one.
#[derive(Clone, Debug)]
struct Slot {
    generation: u64,
    dialled: SharedFuture<BoxFuture<'static, Dialled>>,
    usage: Usage,
    unknown: Arc<UnknownNames>,
}

/// A connection to open a stream on.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Arc<dyn Connection>,
    /// Whether the connection was there before, so that it may have died unnoticed.
    pub(crate) was_kept: bool,
    /// What its peer does not offer.
    pub(crate) unknown: Arc<UnknownNames>,
    generation: Option<u64>,
    _in_use: Option<InUse>,
}

impl Pool {
    // No code under the lock can panic halfway through a change, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to `peer`, kept or new. One that was kept may have died.
    pub(crate) async fn lease(shared: &Arc<Shared>, peer: &PeerAddr) -> Result<Lease, ConnectError> {
        let connector = shared.connector.as_ref().ok_or(ConnectError::NoConnector)?;
        if !connector.multiplexes() {
            let connection = connect(connector, peer, shared.limits.connect_timeout).await?;
            let unknown = Arc::default();
            return Ok(Lease { connection, was_kept: false, unknown, generation: None, _in_use: None });
        }
        let (slot, in_use, was_kept) = shared.pool.slot(shared, connector, peer);
        let connection = slot.dialled.await?;
        let (unknown, generation) = (slot.unknown, Some(slot.generation));
        Ok(Lease { connection, was_kept, unknown, generation, _in_use: Some(in_use) })
    }

    /// Gives up the connection of `lease`, which seems to be dead: the next lease dials. Others may still use it.
    pub(crate) fn discard(&self, peer: &PeerAddr, lease: Lease) {
        if let Some(generation) = lease.generation {
            self.forget(peer, generation);
        }
    }

    fn forget(&self, peer: &PeerAddr, generation: u64) {
        let key = Key::of(peer);
        let mut state = self.lock();
        if state.slots.get(&key).is_some_and(|slot| slot.generation == generation) {
            state.slots.remove(&key);
        }
    }

    /// The slot of a peer, in use from now on, and whether it was there before.
    fn slot(&self, shared: &Arc<Shared>, connector: &Arc<dyn Connector>, peer: &PeerAddr) -> (Slot, InUse, bool) {
        let key = Key::of(peer);
        let mut state = self.lock();
        if let Some(slot) = state.slots.get(&key) {
            return (slot.clone(), slot.usage.begin(), true);
        }
        let generation = state.next_generation;
        state.next_generation += 1;
        let (tx, rx) = oneshot::channel();
        let usage = Usage::new();
        let in_use = usage.begin();
        // On a task of its own: whoever waits may give up, and others go on waiting.
        let kept = Kept { peer: peer.clone(), generation, usage: usage.clone() };
        shared.spawn(kept.dial(Arc::clone(shared), Arc::clone(connector), tx));
        let dialled = async move { rx.await.unwrap_or(Err(ConnectError::Closed)) };
        let slot = Slot { generation, dialled: dialled.boxed().shared(), usage, unknown: Arc::default() };
        state.slots.insert(key, slot.clone());
        (slot, in_use, false)
    }

    /// Takes an unused connection out, so that nobody begins to use it. False if somebody has.
    fn retire(&self, kept: &Kept) -> bool {
        let key = Key::of(&kept.peer);
        let mut state = self.lock();
        // Uses begin under the lock, too.
        let unused = kept.usage.is_unused();
        if unused && state.slots.get(&key).is_some_and(|slot| slot.generation == kept.generation) {
            state.slots.remove(&key);
        }
        unused
    }
}

/// The task behind a slot.
struct Kept {
    peer: PeerAddr,
    generation: u64,
    usage: Usage,
}

impl Kept {
    async fn dial(self, shared: Arc<Shared>, connector: Arc<dyn Connector>, dialled: oneshot::Sender<Dialled>) {
        let outcome = tokio::select! {
            biased;
            () = shared.abort.cancelled() => Err(ConnectError::Closed),
            // Nobody waits for it any more, and nobody will.
            () = async { shared.stop.cancelled().await; self.usage.unused_for(Duration::ZERO).await } => {
                Err(ConnectError::Closed)
            }
            outcome = connect(&connector, &self.peer, shared.limits.connect_timeout) => outcome,
        };
        let connection = outcome.as_ref().ok().cloned();
        if connection.is_none() {
            // First, so that who asks after the failure dials anew.
            shared.pool.forget(&self.peer, self.generation);
        }
        let _ = dialled.send(outcome);
        if let Some(connection) = connection {
            self.keep(&shared, &*connection).await;
        }
    }

    /// Keeps a connection until it is dead, unused for long, or the node stops.
    async fn keep(&self, shared: &Shared, connection: &dyn Connection) {
        loop {
            tokio::select! {
                biased;
                () = connection.closed() => break,
                // Also when the node aborts: its sessions are cancelled, and must not fail by a closed connection instead.
                () = async { shared.stop.cancelled().await; self.usage.unused_for(Duration::ZERO).await } => break,
                () = self.usage.unused_for(shared.limits.connection_idle) => {
                    if shared.pool.retire(self) {
                        break;
                    }
                }
            }
        }
        shared.pool.forget(&self.peer, self.generation);
        connection.close();
        debug!(peer = %self.peer, "connection is not kept any more");
    }
}

/// Dials within the time, and checks who is there whatever the connector says.
async fn connect(
    connector: &Arc<dyn Connector>,
    peer: &PeerAddr,
    after: Duration,
) -> Result<Arc<dyn Connection>, ConnectError> {
    let connecting = AssertUnwindSafe(connector.connect(peer)).catch_unwind();
    let connection = match timeout(after, connecting).await {
        Ok(Ok(connected)) => connected?,
        Ok(Err(_)) => return Err(ConnectError::Panicked),
        Err(_) => return Err(ConnectError::TimedOut { after }),
    };
    match (peer.peer_id(), connection.remote()) {
        (None, _) => Ok(connection),
        (Some(expected), Identity::Key(found)) if *expected == found => Ok(connection),
        (Some(expected), remote) => {
            connection.close();
            let expected = *expected;
            Err(match remote {
                Identity::Key(found) => ConnectError::WrongPeer { expected, found },
                Identity::Anonymous => ConnectError::Unproven { expected },
            })
        }
    }
}
