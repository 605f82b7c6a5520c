//! Nodes over QUIC, on real sockets on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use syncline_core::SyncError;
use syncline_core::session::{FailureCause, SessionLimits};
use syncline_net::quic::{QuicConfig, QuicEndpoint};
use syncline_net::{
    Access, ConnectError, Identity, NegotiationError, Node, NodeLimits, PeerAddr, RefuseReason, SyncFailure,
    TransportError,
};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

use crate::lifecycle::PanicsAtEnd;
use crate::support::{Exchange, FOREVER, Inbox, Mood, ROOM, Room, discard, id, items, key, sync_items};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Limits that no machine is too slow for.
fn patient() -> NodeLimits {
    let session = SessionLimits::default().with_handshake(FOREVER).with_idle(FOREVER);
    NodeLimits::default()
        .with_connect_timeout(FOREVER)
        .with_handshake_timeout(FOREVER)
        .with_negotiation_timeout(FOREVER)
        .with_close_timeout(FOREVER)
        .with_shutdown_timeout(FOREVER)
        .with_session(session)
}

fn dialler(seed: u8, config: QuicConfig) -> Node {
    let endpoint = QuicEndpoint::bind(&key(seed), loopback(), config).unwrap();
    Node::builder().endpoint(endpoint).limits(patient()).build().unwrap()
}

fn acceptor(
    addr: SocketAddr,
    config: QuicConfig,
    limits: NodeLimits,
    offered: Arc<Exchange>,
) -> (Node, PeerAddr, Arc<Inbox>) {
    let endpoint = QuicEndpoint::bind(&key(2), addr, config).unwrap();
    let addr = endpoint.peer_addr().unwrap();
    let inbox = Inbox::new();
    let node = Node::builder().endpoint(endpoint).limits(limits).register(offered, inbox.handler()).build().unwrap();
    (node, addr, inbox)
}

#[tokio::test]
async fn data_goes_both_ways_and_both_know_the_other() {
    let (b, addr, inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(items(2, 300)));
    let a = dialler(1, QuicConfig::default());
    for round in 1..=3 {
        let (_, received) = sync_items(&a, &addr, Exchange::new(items(1, 200))).await.unwrap();
        assert_eq!(received, items(2, 300));
        let ended = inbox.until_ended(round).await;
        assert_eq!(ended[round - 1].session.peer().remote(), Identity::Key(id(1)));
        assert_eq!(ended[round - 1].outcome.as_ref().unwrap().items_received(), 200);
    }
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn much_goes_both_ways_at_once() {
    let much = vec![vec![5; 1 << 20]; 16];
    let (_b, addr, inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(much.clone()));
    let a = dialler(1, QuicConfig::default());
    assert_eq!(sync_items(&a, &addr, Exchange::new(much)).await.unwrap().1.len(), 16);
    assert!(inbox.until_ended(1).await[0].outcome.is_ok());
}

#[tokio::test]
async fn the_wrong_peer_gets_no_byte_of_a_protocol() {
    let (_b, addr, inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(vec![]));
    let a = dialler(1, QuicConfig::default());
    let wrong = PeerAddr::new(id(3), addr.host(), addr.port()).unwrap();
    let failure = sync_items(&a, &wrong, Exchange::new(vec![])).await.unwrap_err();
    assert!(
        matches!(failure, SyncFailure::Connect(ConnectError::WrongPeer { expected, found }) if expected == id(3) && found == id(2)),
        "{failure:?}"
    );
    assert_eq!(inbox.started(), 0);
    sync_items(&a, &addr, Exchange::new(vec![])).await.unwrap();
}

#[tokio::test]
async fn who_is_not_let_in_learns_just_that() {
    let config = QuicConfig::default().with_allow(|peer| Access::allow_if(*peer == id(1)));
    let (_b, addr, inbox) = acceptor(loopback(), config, patient(), Exchange::new(vec![]));
    sync_items(&dialler(1, QuicConfig::default()), &addr, Exchange::new(vec![])).await.unwrap();
    let failure = sync_items(&dialler(3, QuicConfig::default()), &addr, Exchange::new(vec![])).await.unwrap_err();
    assert!(
        matches!(
            failure,
            SyncFailure::Transport(TransportError::Refused) | SyncFailure::Connect(ConnectError::Refused)
        ),
        "{failure:?}"
    );
    assert_eq!(inbox.started(), 1);
}

#[tokio::test]
async fn refusals_arrive() {
    let (_b, addr, _inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(vec![]));
    let a = dialler(1, QuicConfig::default());
    for _ in 0..20 {
        let unknown = Arc::new(Exchange { name: "unknown/1", items: vec![], mood: Mood::Well });
        let failure = sync_items(&a, &addr, unknown).await.unwrap_err();
        assert!(
            matches!(failure, SyncFailure::Negotiation(NegotiationError::Refused(RefuseReason::UnknownProtocol))),
            "{failure:?}"
        );
    }
}

/// The classic mistake: whoever ends first closes the connection under the other's last bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_bytes_arrive_though_a_side_shuts_down_at_once() {
    for round in 0..20 {
        let (b, addr, inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(items(2, 40)));
        let a = dialler(1, QuicConfig::default());
        let sync = sync_items(&a, &addr, Exchange::new(items(1, 40)));
        if round % 2 == 0 {
            sync.await.unwrap();
            a.shutdown().await;
            let ended = inbox.until_ended(1).await;
            assert!(ended[0].outcome.is_ok(), "round {round}: {ended:?}");
            b.shutdown().await;
        } else {
            // The acceptor's shutdown comes while the session runs.
            let shutdown = async {
                inbox.until(|inbox| inbox.started() == 1).await;
                b.shutdown().await
            };
            let (outcome, report) = futures::future::join(sync, shutdown).await;
            assert_eq!(outcome.unwrap().1, items(2, 40), "round {round}");
            assert_eq!(report.sessions_cut_off(), 0);
            assert!(inbox.ended()[0].outcome.is_ok(), "round {round}");
            a.shutdown().await;
        }
    }
}

/// A transport that resets what is dropped shows whether a stream was closed in order.
#[tokio::test]
async fn the_last_bytes_arrive_though_the_session_failed_or_its_handler_panicked() {
    let (_b, to_b, _inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(vec![]));
    let endpoint = QuicEndpoint::bind(&key(3), loopback(), QuicConfig::default()).unwrap();
    let to_c = endpoint.peer_addr().unwrap();
    let _c = Node::builder().endpoint(endpoint).register(Exchange::new(items(3, 9)), PanicsAtEnd).build().unwrap();
    let a = dialler(1, QuicConfig::default());
    for _ in 0..20 {
        for peer in [&to_b, &to_c] {
            // The acceptor says no and returns at once.
            let handle = a.sync(peer, Exchange::new(vec![]), Room(8), discard());
            let SyncFailure::Session(failure) = handle.finished().await.unwrap_err() else { panic!("no session") };
            let expected = SyncError::UnexpectedBehaviour("the peer does not know the room".into());
            assert_eq!(failure.cause, FailureCause::Protocol(expected));
        }
        assert_eq!(sync_items(&a, &to_c, Exchange::new(vec![])).await.unwrap().1, items(3, 9));
    }
}

async fn two_hundred_at_once(config: QuicConfig) {
    let limits = patient().with_sessions_max(200, 200).with_streams_per_connection_max(200);
    let (b, addr, inbox) = acceptor(loopback(), config.clone(), limits, Exchange::new(items(2, 30)));
    let a = dialler(1, config);
    let syncs = (0..200).map(|at| {
        let (a, addr) = (a.clone(), addr.clone());
        tokio::spawn(async move { sync_items(&a, &addr, Exchange::new(items(at as u8, 20))).await })
    });
    for sync in join_all(syncs.collect::<Vec<_>>()).await {
        assert_eq!(sync.unwrap().unwrap().1, items(2, 30));
    }
    let ended = inbox.until_ended(200).await;
    assert!(ended.iter().all(|ended| ended.outcome.is_ok()));
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_at_once() {
    two_hundred_at_once(QuicConfig::default().with_streams_max(256)).await;
}

/// With fewer streams than sessions the others wait for their turn at the dialler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_on_sixteen_streams() {
    two_hundred_at_once(QuicConfig::default().with_streams_max(16)).await;
}

/// All of them at the same time for certain: each waits until all have begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_are_open_at_the_same_time() {
    let notify = Arc::new(tokio::sync::Notify::new());
    let limits = patient().with_sessions_max(200, 200).with_streams_per_connection_max(200);
    let config = QuicConfig::default().with_streams_max(200);
    let (b, addr, inbox) = acceptor(loopback(), config, limits, Exchange::of(Mood::Waits(Arc::clone(&notify))));
    let a = dialler(1, QuicConfig::default());
    let handles: Vec<_> = (0..200).map(|_| a.sync(&addr, Exchange::new(items(1, 2)), ROOM, discard())).collect();
    inbox.until(|inbox| inbox.started() == 200).await;
    assert_eq!(inbox.ended().len(), 0);
    for count in 1..=200 {
        notify.notify_one();
        // A permit is not counted twice: each waits to be taken.
        inbox.until_ended(count).await;
    }
    for handle in handles {
        handle.finished().await.unwrap();
    }
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_peer_that_restarts_is_dialled_again() {
    let (b, addr, _inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(items(2, 3)));
    let a = dialler(1, QuicConfig::default());
    sync_items(&a, &addr, Exchange::new(vec![])).await.unwrap();
    b.shutdown().await;
    let socket = SocketAddr::new(addr.host().parse().unwrap(), addr.port());
    let (_b, again, _inbox) = acceptor(socket, QuicConfig::default(), patient(), Exchange::new(items(3, 4)));
    assert_eq!(again, addr);
    assert_eq!(sync_items(&a, &addr, Exchange::new(vec![])).await.unwrap().1, items(3, 4));
}

#[tokio::test]
async fn two_peers_may_dial_each_other_at_the_same_time() {
    let build = |seed| {
        let endpoint = QuicEndpoint::bind(&key(seed), loopback(), QuicConfig::default()).unwrap();
        let addr = endpoint.peer_addr().unwrap();
        let builder = Node::builder().endpoint(endpoint).limits(patient());
        (builder.register(Exchange::new(items(seed, 10)), Inbox::new().handler()).build().unwrap(), addr)
    };
    let ((a, to_a), (b, to_b)) = (build(1), build(2));
    let (protocol_a, protocol_b) = (Exchange::new(items(1, 10)), Exchange::new(items(2, 10)));
    let (from_b, from_a) =
        futures::future::join(sync_items(&a, &to_b, protocol_a), sync_items(&b, &to_a, protocol_b)).await;
    assert_eq!((from_b.unwrap().1, from_a.unwrap().1), (items(2, 10), items(1, 10)));
}

#[tokio::test]
async fn no_task_is_left_after_shutdowns() {
    let (b, addr, _inbox) = acceptor(loopback(), QuicConfig::default(), patient(), Exchange::new(vec![]));
    let a = dialler(1, QuicConfig::default());
    sync_items(&a, &addr, Exchange::new(vec![])).await.unwrap();
    a.shutdown().await;
    b.shutdown().await;
    assert_eq!((a.task_count(), b.task_count()), (0, 0));
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "not even the transport's");
    // The port is free.
    let socket = SocketAddr::new(addr.host().parse().unwrap(), addr.port());
    std::net::UdpSocket::bind(socket).unwrap();
}

/// Passes datagrams on in both directions, until it is cut.
async fn wire(to: SocketAddr) -> (SocketAddr, Arc<AtomicBool>, tokio::task::JoinHandle<()>) {
    let (near, far) = (UdpSocket::bind(loopback()).await.unwrap(), UdpSocket::bind(loopback()).await.unwrap());
    far.connect(to).await.unwrap();
    let addr = near.local_addr().unwrap();
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    let task = tokio::spawn(async move {
        let mut client = None;
        let (mut out, mut back) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                // Errors are those of sockets whose peer is gone, as on any wire.
                Ok((len, from)) = near.recv_from(&mut out) => {
                    client = Some(from);
                    if !is_cut.load(Ordering::SeqCst) {
                        let _ = far.send(&out[..len]).await;
                    }
                }
                Ok(len) = far.recv(&mut back) => {
                    if let Some(client) = client && !is_cut.load(Ordering::SeqCst) {
                        let _ = near.send_to(&back[..len], client).await;
                    }
                }
            }
        }
    });
    (addr, cut, task)
}

/// Nobody says that the connection is gone: packets just stop. Both sides find out by the silence.
#[tokio::test]
async fn a_cut_wire_fails_both_sides_after_a_silence() {
    let config = QuicConfig::default().with_idle_timeout(Duration::from_secs(10), Duration::from_millis(500));
    let waits = || Mood::Waits(Arc::default());
    let (b, addr, inbox) = acceptor(loopback(), config.clone(), patient(), Exchange::of(waits()));
    let (near, cut, wire) = wire(SocketAddr::new(addr.host().parse().unwrap(), addr.port())).await;
    let a = dialler(1, config.clone());
    let through_wire = PeerAddr::at(id(2), near).unwrap();
    let handle = a.sync(&through_wire, Exchange::new(vec![]), ROOM, discard());
    inbox.until(|inbox| inbox.started() == 1).await;
    cut.store(true, Ordering::SeqCst);
    let failure = tokio::time::timeout(FOREVER, handle.finished()).await.unwrap().unwrap_err();
    assert!(failure.is_retryable(), "{failure:?}");
    wire.abort();
    drop((a, b));

    // The other way round: the dialler waits in its own code, and the acceptor reads.
    let (_b, addr, inbox) = acceptor(loopback(), config.clone(), patient(), Exchange::new(vec![]));
    let (near, cut, wire) = self::wire(SocketAddr::new(addr.host().parse().unwrap(), addr.port())).await;
    let a = dialler(1, config);
    let handle = a.sync(&PeerAddr::at(id(2), near).unwrap(), Exchange::of(waits()), ROOM, discard());
    inbox.until(|inbox| inbox.started() == 1).await;
    cut.store(true, Ordering::SeqCst);
    let ended = inbox.until_ended(1).await;
    assert!(ended[0].outcome.as_ref().unwrap_err().contains("Protocol(UnexpectedBehaviour"), "{ended:?}");
    handle.cancel();
    wire.abort();
}

/// Connections whose handshake stops in the middle are given up, and hold up nobody.
#[tokio::test]
async fn half_a_handshake_holds_up_nobody() {
    let limits = patient().with_handshake_timeout(Duration::from_millis(300)).with_connections_max(1, 1);
    let (b, addr, _inbox) = acceptor(loopback(), QuicConfig::default(), limits, Exchange::new(items(2, 3)));
    let socket = SocketAddr::new(addr.host().parse().unwrap(), addr.port());
    // A wire that passes the first flight and nothing after it: the dialler never hears an answer.
    let (near, far) = (UdpSocket::bind(loopback()).await.unwrap(), UdpSocket::bind(loopback()).await.unwrap());
    let half = dialler(9, QuicConfig::default());
    let handle =
        half.sync(&PeerAddr::at(id(2), near.local_addr().unwrap()).unwrap(), Exchange::new(vec![]), ROOM, discard());
    let mut flight = vec![0; 65_536];
    let len = near.recv(&mut flight).await.unwrap();
    // Until it holds the only place: listener and connection.
    while b.task_count() < 2 {
        far.send_to(&flight[..len], socket).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let a = dialler(1, QuicConfig::default());
    let wait = async {
        loop {
            match sync_items(&a, &addr, Exchange::new(vec![])).await {
                Ok((_, received)) => return received,
                Err(failure) => assert!(failure.is_retryable(), "{failure:?}"),
            }
        }
    };
    assert_eq!(tokio::time::timeout(FOREVER, wait).await.unwrap(), items(2, 3));
    handle.cancel();
    assert!(handle.finished().await.is_err());
}
