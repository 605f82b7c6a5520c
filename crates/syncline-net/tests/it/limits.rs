//! Each limit of a node, at the limit and beyond.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use syncline_net::memory::MemoryNetwork;
use syncline_net::transport::{Connection, Connector, Incoming, Listener};
use syncline_net::{
    BuildError, NegotiationError, Node, NodeLimits, PeerAddr, RefuseReason, SyncFailure, TransportError,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{Exchange, FOREVER, Inbox, Mood, NAME, Pair, ROOM, discard, id, memory_node, sync_items};

/// Starts syncs that wait at the acceptor until they are told to go on.
fn waiting() -> (Arc<Notify>, Arc<Exchange>) {
    let notify = Arc::new(Notify::new());
    (Arc::clone(&notify), Exchange::of(Mood::Waits(notify)))
}

fn node(network: &MemoryNetwork, seed: u8) -> Node {
    memory_node(network.endpoint(id(seed)).unwrap(), NodeLimits::default()).build().unwrap()
}

fn is_busy(failure: &SyncFailure) -> bool {
    matches!(failure, SyncFailure::Negotiation(NegotiationError::Refused(RefuseReason::Busy)))
}

/// How many of these nodes, each syncing `each` times at once, get a session; the others must be told that B is busy.
async fn sessions_granted(limits: NodeLimits, nodes: u8, each: usize) -> usize {
    let (_notify, protocol) = waiting();
    let pair = Pair::with(protocol, limits, |builder| builder);
    let mut handles = Vec::new();
    let nodes: Vec<Node> = (0..nodes).map(|at| node(&pair.network, 10 + at)).collect();
    for node in &nodes {
        for _ in 0..each {
            handles.push(node.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard()).finished());
        }
    }
    let outcomes = join_all(handles).await;
    let refused = outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(is_busy)).count();
    let granted = pair.inbox.started();
    assert_eq!(granted + refused, outcomes.len(), "{outcomes:?}");
    granted
}

#[tokio::test(start_paused = true)]
async fn sessions_in_total() {
    let limits = NodeLimits::default().with_sessions_max(5, 5);
    assert_eq!(sessions_granted(limits.clone(), 1, 5).await, 5);
    assert_eq!(sessions_granted(limits.clone(), 1, 6).await, 5);
    assert_eq!(sessions_granted(limits, 3, 2).await, 5);
}

#[tokio::test(start_paused = true)]
async fn sessions_per_peer() {
    let limits = NodeLimits::default().with_sessions_max(100, 3);
    assert_eq!(sessions_granted(limits.clone(), 2, 3).await, 6);
    assert_eq!(sessions_granted(limits, 2, 5).await, 6);
}

#[tokio::test]
async fn a_place_is_free_again_when_its_session_ends() {
    let limits = NodeLimits::default().with_sessions_max(1, 1);
    let (notify, protocol) = waiting();
    let pair = Pair::with(protocol, limits, |builder| builder);
    for _ in 0..3 {
        let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
        let before = pair.inbox.ended().len();
        pair.inbox.until(|inbox| inbox.started() == before + 1).await;
        assert!(is_busy(&sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap_err()));
        notify.notify_one();
        handle.finished().await.unwrap();
        pair.inbox.until_ended(before + 1).await;
        // The place is given back when the stream has ended, too.
        while !pair.b_is_quiet() {
            tokio::task::yield_now().await;
        }
    }
}

impl Pair {
    /// Whether B runs nothing but its listener and one connection.
    fn b_is_quiet(&self) -> bool {
        self.b.task_count() <= 2
    }
}

async fn connect(network: &MemoryNetwork, seed: u8, to: &PeerAddr) -> (Arc<dyn Connection>, impl Sized) {
    let endpoint = network.endpoint(id(seed)).unwrap();
    (endpoint.connect(to).await.unwrap(), endpoint)
}

/// Lets the node act on what came in. Time is paused, so this takes as many turns as there is work.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn connections_in_total() {
    let limits = NodeLimits::default().with_connections_max(3, 3);
    let pair = Pair::with(Exchange::new(vec![]), limits, |builder| builder);
    let mut held = Vec::new();
    for seed in 10..13 {
        held.push(connect(&pair.network, seed, &pair.to_b).await);
    }
    settle().await;
    assert!(held.iter().all(|(connection, _)| connection.error().is_none()));
    let (beyond, _endpoint) = connect(&pair.network, 13, &pair.to_b).await;
    tokio::time::timeout(FOREVER, beyond.closed()).await.unwrap();
    // One that goes makes room.
    held.pop();
    settle().await;
    let (next, _endpoint) = connect(&pair.network, 14, &pair.to_b).await;
    settle().await;
    assert!(next.error().is_none());
}

#[tokio::test(start_paused = true)]
async fn connections_per_peer() {
    let limits = NodeLimits::default().with_connections_max(10, 2);
    let pair = Pair::with(Exchange::new(vec![]), limits, |builder| builder);
    let endpoint = pair.network.endpoint(id(10)).unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(endpoint.connect(&pair.to_b).await.unwrap());
        settle().await;
    }
    let open: Vec<bool> = held.iter().map(|connection| connection.error().is_none()).collect();
    assert_eq!(open, [true, true, false]);
    let (other, _endpoint) = connect(&pair.network, 11, &pair.to_b).await;
    settle().await;
    assert!(other.error().is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_per_connection() {
    let limits = NodeLimits::default().with_streams_per_connection_max(3);
    let (notify, protocol) = waiting();
    let pair = Pair::with(protocol, limits, |builder| builder);
    let handles: Vec<_> = (0..4).map(|_| pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard())).collect();
    settle().await;
    assert_eq!(pair.inbox.started(), 3, "the fourth waits");
    notify.notify_one();
    settle().await;
    assert_eq!(pair.inbox.started(), 4, "one has ended");
    for _ in 0..3 {
        notify.notify_one();
        settle().await;
    }
    for handle in handles {
        handle.finished().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_to_connect() {
    let network = MemoryNetwork::default();
    let a = memory_node(
        network.endpoint(id(1)).unwrap(),
        NodeLimits::default().with_connect_timeout(Duration::from_secs(3)),
    );
    let a = a.build().unwrap();
    // An endpoint that never accepts: dials wait once its backlog is full.
    let deaf = network.endpoint(id(2)).unwrap();
    let crowd = network.endpoint(id(3)).unwrap();
    let mut held = Vec::new();
    while let Ok(connection) = tokio::time::timeout(Duration::from_secs(1), crowd.connect(deaf.addr())).await {
        held.push(connection.unwrap());
    }
    let start = Instant::now();
    let failure = sync_items(&a, deaf.addr(), Exchange::new(vec![])).await.unwrap_err();
    assert!(
        matches!(failure, SyncFailure::Connect(syncline_net::ConnectError::TimedOut { after }) if after.as_secs() == 3),
        "{failure:?}"
    );
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

/// A listener with one connection, whose peer never ends its handshake.
#[derive(Debug, Default)]
struct HalfOpen {
    taken: AtomicBool,
}

#[async_trait]
impl Listener for HalfOpen {
    async fn accept(&self) -> Result<Incoming, TransportError> {
        if self.taken.swap(true, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(Incoming::new(std::future::pending()))
    }

    fn stop(&self) {}

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn the_time_for_a_handshake() {
    let limits = NodeLimits::default().with_handshake_timeout(Duration::from_secs(4)).with_connections_max(1, 1);
    let network = MemoryNetwork::default();
    let endpoint = network.endpoint(id(2)).unwrap();
    let addr = endpoint.addr().clone();
    let b = memory_node(endpoint, limits).listener(Arc::<HalfOpen>::default());
    let b = b.register(Exchange::new(vec![]), Inbox::new().handler()).build().unwrap();
    tokio::time::sleep(Duration::from_millis(3_900)).await;
    assert_eq!(b.task_count(), 3, "two listeners and what is half open");
    let a = node(&network, 1);
    assert!(sync_items(&a, &addr, Exchange::new(vec![])).await.is_err(), "the only place is taken");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(b.task_count(), 2);
    sync_items(&a, &addr, Exchange::new(vec![])).await.unwrap();
    // Nor does a shutdown wait for it.
    let start = Instant::now();
    b.shutdown().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_time_without_streams() {
    let limits = NodeLimits::default().with_connection_idle(Duration::from_secs(7));
    let (notify, protocol) = waiting();
    let pair = Pair::with(protocol, limits, |builder| builder);
    let start = Instant::now();
    // A session of 20 seconds keeps the connection, though it is longer than the idle time.
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    tokio::time::sleep(Duration::from_secs(20)).await;
    notify.notify_one();
    handle.finished().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(20));
    let before = pair.b.task_count();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(pair.b.task_count(), before.min(2));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pair.b.task_count(), 1, "only the listener is left");
}

#[tokio::test]
async fn a_node_that_could_do_nothing_is_not_built() {
    let zero = |limits: NodeLimits| Node::builder().limits(limits).build().unwrap_err();
    let default = NodeLimits::default;
    let limit = |limit| BuildError::ZeroLimit { limit };
    assert_eq!(zero(default().with_connections_max(0, 1)), limit("connections_max"));
    assert_eq!(zero(default().with_connections_max(1, 0)), limit("connections_per_peer_max"));
    assert_eq!(zero(default().with_streams_per_connection_max(0)), limit("streams_per_connection_max"));
    assert_eq!(zero(default().with_sessions_max(0, 1)), limit("sessions_max"));
    assert_eq!(zero(default().with_sessions_max(1, 0)), limit("sessions_per_peer_max"));
}

#[tokio::test]
async fn names_are_checked_when_the_node_is_built() {
    let inbox = Inbox::new();
    let named = |name| Arc::new(Exchange { name, items: vec![], mood: Mood::Well });
    let twice = Node::builder().register(named(NAME), inbox.handler()).register(named(NAME), inbox.handler());
    assert_eq!(twice.build().unwrap_err(), BuildError::DuplicateProtocol { name: NAME });
    let absurd: &'static str = "a".repeat(10_000).leak();
    let built = Node::builder().register(named(absurd), inbox.handler()).build();
    assert!(matches!(built, Err(BuildError::ProtocolName { .. })));
    // And when one is dialled with.
    let pair = Pair::new(Exchange::new(vec![]));
    let failure = sync_items(&pair.a, &pair.to_b, named(absurd)).await.unwrap_err();
    assert!(matches!(failure, SyncFailure::ProtocolName(_)), "{failure:?}");
}

#[test]
fn a_node_needs_a_runtime() {
    assert_eq!(Node::builder().build().unwrap_err(), BuildError::NoRuntime);
}
