//! Connections are kept and replaced, whatever the transport beneath does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use syncline_net::memory::{MemoryEndpoint, MemoryNetwork};
use syncline_net::pipe::{PipeEnd, pipe};
use syncline_net::transport::{BiStream, Connection, Connector};
use syncline_net::{ConnectError, Identity, Node, NodeLimits, PeerAddr, SyncFailure, TransportError};
use tokio::time::Instant;

use crate::support::{Exchange, Inbox, ROOM, discard, id, items, memory_node, sync_items};

/// What the next dials do instead of dialling.
#[derive(Debug)]
enum Trick {
    /// Takes as long.
    Delay(Duration),
    /// Gives a connection to a peer that never answers.
    Silent(Identity),
    Panic,
    Fail,
}

/// Counts dials, and plays tricks.
#[derive(Debug)]
struct Tricky {
    inner: Arc<MemoryEndpoint>,
    dials: AtomicUsize,
    tricks: Mutex<VecDeque<Trick>>,
}

impl Tricky {
    fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    fn play(&self, trick: Trick) {
        self.tricks.lock().unwrap().push_back(trick);
    }
}

#[async_trait]
impl Connector for Tricky {
    async fn connect(&self, peer: &PeerAddr) -> Result<Arc<dyn Connection>, ConnectError> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        let trick = self.tricks.lock().unwrap().pop_front();
        match trick {
            None => self.inner.connect(peer).await,
            Some(Trick::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                self.inner.connect(peer).await
            }
            Some(Trick::Silent(remote)) => Ok(Arc::new(Silent { remote, ends: Mutex::default() })),
            Some(Trick::Panic) => panic!("on purpose"),
            Some(Trick::Fail) => Err(ConnectError::Refused),
        }
    }

    fn multiplexes(&self) -> bool {
        true
    }

    async fn close(&self) {
        Connector::close(&*self.inner).await;
    }
}

/// A connection that looks alive and is dead.
#[derive(Debug)]
struct Silent {
    remote: Identity,
    ends: Mutex<Vec<PipeEnd>>,
}

#[async_trait]
impl Connection for Silent {
    fn remote(&self) -> Identity {
        self.remote
    }

    async fn open(&self) -> Result<BiStream, TransportError> {
        let (here, there) = pipe(1024);
        self.ends.lock().unwrap().push(there);
        let (rx, tx) = here.into_split();
        Ok(BiStream::new(tx, rx))
    }

    async fn accept(&self) -> Result<BiStream, TransportError> {
        std::future::pending().await
    }

    fn error(&self) -> Option<TransportError> {
        None
    }

    async fn closed(&self) {
        std::future::pending().await
    }

    fn close(&self) {}
}

struct World {
    network: MemoryNetwork,
    tricky: Arc<Tricky>,
    a: Node,
    b: Node,
    to_b: PeerAddr,
}

fn world() -> World {
    let network = MemoryNetwork::default();
    let (inner, end_b) = (network.endpoint(id(1)).unwrap(), network.endpoint(id(2)).unwrap());
    let tricky = Arc::new(Tricky { inner, dials: AtomicUsize::new(0), tricks: Mutex::default() });
    let to_b = end_b.addr().clone();
    let a = Node::builder().connector(Arc::clone(&tricky) as _).build().unwrap();
    World { b: offering(end_b), network, tricky, a, to_b }
}

fn offering(endpoint: Arc<MemoryEndpoint>) -> Node {
    let builder = memory_node(endpoint, NodeLimits::default());
    builder.register(Exchange::new(items(2, 3)), Inbox::new().handler()).build().unwrap()
}

async fn sync(world: &World) -> Result<usize, SyncFailure> {
    sync_items(&world.a, &world.to_b, Exchange::new(vec![])).await.map(|(_, items)| items.len())
}

#[tokio::test]
async fn one_connection_serves_all_syncs_with_a_peer() {
    let world = world();
    for _ in 0..5 {
        assert_eq!(sync(&world).await.unwrap(), 3);
    }
    for outcome in join_all((0..20).map(|_| sync(&world))).await {
        assert_eq!(outcome.unwrap(), 3);
    }
    assert_eq!(world.tricky.dials(), 1);
    // The peer is its key, wherever it is dialled.
    let elsewhere = PeerAddr::new(id(2), "elsewhere", 9).unwrap();
    sync_items(&world.a, &elsewhere, Exchange::new(vec![])).await.unwrap();
    assert_eq!(world.tricky.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn syncs_that_begin_together_share_one_dial_and_its_failure() {
    let world = world();
    world.tricky.play(Trick::Delay(Duration::from_secs(5)));
    let start = Instant::now();
    for outcome in join_all((0..20).map(|_| sync(&world))).await {
        assert_eq!(outcome.unwrap(), 3);
    }
    assert_eq!((world.tricky.dials(), start.elapsed().as_secs()), (1, 5));

    world.network.cut_all();
    world.tricky.play(Trick::Fail);
    let outcomes = join_all((0..20).map(|_| sync(&world))).await;
    let failed = outcomes.iter().filter(|outcome| matches!(outcome, Err(SyncFailure::Connect(ConnectError::Refused))));
    assert!(failed.count() > 0);
    assert_eq!(sync(&world).await.unwrap(), 3, "a failure is not kept");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_does_not_stop_the_dial_for_others() {
    let world = world();
    world.tricky.play(Trick::Delay(Duration::from_secs(5)));
    let first = world.a.sync(&world.to_b, Exchange::new(vec![]), ROOM, discard());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = world.a.sync(&world.to_b, Exchange::new(vec![]), ROOM, discard());
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.cancel();
    assert!(matches!(first.finished().await, Err(SyncFailure::Cancelled)));
    second.finished().await.unwrap();
    assert_eq!(world.tricky.dials(), 1);
}

#[tokio::test]
async fn a_dead_connection_is_replaced() {
    let mut world = world();
    sync(&world).await.unwrap();
    world.network.cut_all();
    sync(&world).await.unwrap();
    assert_eq!(world.tricky.dials(), 2);
    // The peer restarts.
    world.b.shutdown().await;
    assert!(matches!(sync(&world).await, Err(SyncFailure::Connect(ConnectError::Unreachable { .. }))));
    world.b = offering(world.network.endpoint(id(2)).unwrap());
    sync(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_unnoticed_is_replaced_once_it_was_kept() {
    let world = world();
    world.tricky.play(Trick::Silent(Identity::Key(id(2))));
    let start = Instant::now();
    // Dialled just now: the peer is silent, and to dial again would help as little.
    assert!(matches!(sync(&world).await, Err(SyncFailure::Negotiation(_))));
    assert_eq!((world.tricky.dials(), start.elapsed().as_secs()), (1, 10));
    assert_eq!(sync(&world).await.unwrap(), 3, "it was given up");
    assert_eq!(world.tricky.dials(), 2);

    // Two syncs at once: the first dialled, the second found it kept and dials again.
    world.network.cut_all();
    world.tricky.play(Trick::Silent(Identity::Key(id(2))));
    let mut outcomes = join_all([sync(&world), sync(&world)]).await.into_iter();
    assert!(outcomes.next().unwrap().is_err());
    assert_eq!(outcomes.next().unwrap().unwrap(), 3);
}

#[tokio::test]
async fn a_connector_that_lies_about_the_peer_is_found_out() {
    let world = world();
    world.tricky.play(Trick::Silent(Identity::Key(id(3))));
    let failure = sync(&world).await.unwrap_err();
    assert!(
        matches!(failure, SyncFailure::Connect(ConnectError::WrongPeer { expected, found }) if expected == id(2) && found == id(3)),
        "{failure:?}"
    );
    world.tricky.play(Trick::Silent(Identity::Anonymous));
    let failure = sync(&world).await.unwrap_err();
    assert!(
        matches!(failure, SyncFailure::Connect(ConnectError::Unproven { expected }) if expected == id(2)),
        "{failure:?}"
    );
    sync(&world).await.unwrap();
}

#[tokio::test]
async fn a_connector_that_panics_fails_its_dial_only() {
    let world = world();
    world.tricky.play(Trick::Panic);
    assert!(matches!(sync(&world).await, Err(SyncFailure::Connect(ConnectError::Panicked))));
    sync(&world).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_closed_and_made_anew() {
    let world = world();
    sync(&world).await.unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    sync(&world).await.unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!((world.tricky.dials(), world.a.task_count()), (1, 1));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.a.task_count(), 0);
    sync(&world).await.unwrap();
    assert_eq!(world.tricky.dials(), 2);
}
