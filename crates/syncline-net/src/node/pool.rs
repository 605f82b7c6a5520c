//! One connection per peer, dialled when it is needed, kept while it is used, closed when it is not.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared as SharedFuture};
use tokio::time::timeout;
use tracing::debug;

use super::shared::Shared;
use super::usage::{InUse, Usage};
use crate::transport::{Connection, Connector};
use crate::{ConnectError, Identity, PeerAddr, PeerId};

type Dial = SharedFuture<BoxFuture<'static, Result<Pooled, ConnectError>>>;

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
    dial: Dial,
}

#[derive(Clone, Debug)]
struct Pooled {
    connection: Arc<dyn Connection>,
    usage: Usage,
}

/// A connection to open a stream on.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Arc<dyn Connection>,
    /// Whether the connection was there before, so that it may have died unnoticed.
    pub(crate) was_kept: bool,
    generation: Option<u64>,
    _in_use: Option<InUse>,
}

impl Pool {
    // No code under the lock can panic halfway through a change, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to `peer`, kept or new.
    pub(crate) async fn lease(shared: &Arc<Shared>, peer: &PeerAddr) -> Result<Lease, ConnectError> {
        let connector = shared.connector.as_ref().ok_or(ConnectError::NoConnector)?;
        if !connector.multiplexes() {
            let connection = connect(connector, peer, shared.limits.connect_timeout).await?;
            return Ok(Lease { connection, was_kept: false, generation: None, _in_use: None });
        }
        loop {
            let slot = shared.pool.slot(shared, connector, peer);
            let was_kept = slot.dial.peek().is_some();
            let outcome = slot.dial.clone().await;
            let state = shared.pool.lock();
            match outcome {
                Err(err) => {
                    drop(state);
                    shared.pool.forget(peer, slot.generation);
                    return Err(err);
                }
                Ok(pooled) => {
                    // Under the lock: whoever closes unused connections must see this use, or we must see that it closed.
                    let is_current = state.slots.get(&Key::of(peer)).is_some_and(|now| now.generation == slot.generation);
                    if is_current && pooled.connection.error().is_none() {
                        let in_use = Some(pooled.usage.begin());
                        let generation = Some(slot.generation);
                        return Ok(Lease { connection: pooled.connection, was_kept, generation, _in_use: in_use });
                    }
                    drop(state);
                    shared.pool.forget(peer, slot.generation);
                    if !was_kept {
                        // It died at once: to dial again would not end.
                        return Ok(Lease { connection: pooled.connection, was_kept, generation: None, _in_use: None });
                    }
                }
            }
        }
    }

    /// Gives up the connection of `lease`, which has shown to be dead, so that the next lease dials.
    pub(crate) fn discard(&self, peer: &PeerAddr, lease: Lease) {
        if let Some(generation) = lease.generation {
            self.forget(peer, generation);
            lease.connection.close();
        }
    }

    fn forget(&self, peer: &PeerAddr, generation: u64) {
        let key = Key::of(peer);
        let mut state = self.lock();
        if state.slots.get(&key).is_some_and(|slot| slot.generation == generation) {
            state.slots.remove(&key);
        }
    }

    fn slot(&self, shared: &Arc<Shared>, connector: &Arc<dyn Connector>, peer: &PeerAddr) -> Slot {
        let mut state = self.lock();
        let generation = state.next_generation;
        let slot = state.slots.entry(Key::of(peer)).or_insert_with(|| {
            let dial = dial(Arc::clone(shared), Arc::clone(connector), peer.clone(), generation);
            Slot { generation, dial: dial.boxed().shared() }
        });
        let slot = slot.clone();
        state.next_generation = state.next_generation.max(slot.generation.saturating_add(1));
        slot
    }

    /// Takes an unused connection out, so that nobody begins to use it. False if somebody has.
    fn retire(&self, peer: &PeerAddr, generation: u64, usage: &Usage) -> bool {
        let key = Key::of(peer);
        let mut state = self.lock();
        let unused = usage.is_unused();
        if unused && state.slots.get(&key).is_some_and(|slot| slot.generation == generation) {
            state.slots.remove(&key);
        }
        unused
    }
}

/// Dials, and sets somebody to close the connection when nobody uses it any more.
async fn dial(
    shared: Arc<Shared>,
    connector: Arc<dyn Connector>,
    peer: PeerAddr,
    generation: u64,
) -> Result<Pooled, ConnectError> {
    let connection = connect(&connector, &peer, shared.limits.connect_timeout).await?;
    let pooled = Pooled { connection, usage: Usage::new() };
    shared.spawn(keep(Arc::clone(&shared), peer, generation, pooled.clone()));
    Ok(pooled)
}

/// Keeps a connection until it is dead, unused for long, or the node stops.
async fn keep(shared: Arc<Shared>, peer: PeerAddr, generation: u64, pooled: Pooled) {
    let Pooled { connection, usage } = pooled;
    let stopped = async {
        shared.stop.cancelled().await;
        usage.unused_for(Duration::ZERO).await;
    };
    let mut stopped = std::pin::pin!(stopped);
    loop {
        tokio::select! {
            () = connection.closed() => break,
            () = shared.abort.cancelled() => break,
            () = &mut stopped => break,
            () = usage.unused_for(shared.limits.connection_idle) => {
                if shared.pool.retire(&peer, generation, &usage) {
                    break;
                }
            }
        }
    }
    shared.pool.forget(&peer, generation);
    connection.close();
    debug!(peer = %peer, "connection is not kept any more");
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
