//! Several protocols for one sync: the first that the peer knows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use syncline_core::FromSync;
use syncline_net::memory::MemoryNetwork;
use syncline_net::tcp::{TcpConnector, TcpListener};
use syncline_net::{
    Access, DynProtocol, NegotiationError, Node, NodeBuilder, NodeLimits, PeerAddr, RefuseReason, Schedule,
    SyncFailure, SyncOutcome, app_channel,
};

use crate::support::{Exchange, FOREVER, Inbox, Mood, Pair, ROOM, Room, discard, id, items, memory_node};

const NEW: &str = "exchange/2";
const OLD: &str = "exchange/1";

fn speaking(name: &'static str, items: Vec<Vec<u8>>) -> Arc<Exchange> {
    Arc::new(Exchange { name, items, mood: Mood::Well })
}

/// What a node offers when it syncs, in order.
fn protocols(names: &[&'static str], items: &[Vec<u8>]) -> Vec<Arc<DynProtocol<Room>>> {
    names.iter().map(|name| speaking(name, items.to_vec()) as Arc<DynProtocol<Room>>).collect()
}

fn offering(mut builder: NodeBuilder, names: &[&'static str], inbox: &Arc<Inbox>) -> NodeBuilder {
    for name in names {
        builder = builder.register(speaking(name, items(2, 30)), inbox.handler());
    }
    builder
}

/// Syncs with several protocols, and gives the items that came.
async fn sync(node: &Node, peer: &PeerAddr, names: &[&'static str]) -> (SyncOutcome, Vec<Vec<u8>>) {
    let (app_tx, app_rx) = app_channel(4);
    let handle = node.sync_any(peer, protocols(names, &items(1, 20)), ROOM, app_tx);
    let collect = app_rx.filter_map(|item| async move {
        match item {
            FromSync::Data { header, .. } => Some(header),
            FromSync::HandshakeSuccess(_) => None,
        }
    });
    let both = futures::future::join(handle.outcome(), collect.collect::<Vec<_>>());
    tokio::time::timeout(FOREVER, both).await.expect("the sync never ended")
}

fn is_refused(outcome: &SyncOutcome, reason: RefuseReason) -> bool {
    matches!(&outcome.result, Err(SyncFailure::Negotiation(NegotiationError::Refused(found))) if *found == reason)
}

/// All that two nodes may have, and what they then run.
const CASES: [(&[&str], &[&str], Option<&str>); 10] = [
    (&[NEW, OLD], &[NEW, OLD], Some(NEW)),
    (&[NEW, OLD], &[NEW], Some(NEW)),
    (&[NEW, OLD], &[OLD], Some(OLD)),
    (&[NEW, OLD], &[], None),
    (&[OLD, NEW], &[NEW, OLD], Some(OLD)),
    (&[NEW], &[NEW, OLD], Some(NEW)),
    (&[OLD], &[NEW, OLD], Some(OLD)),
    (&[NEW], &[OLD], None),
    (&[OLD], &[NEW], None),
    (&["exchange/3", NEW, "other/1", OLD], &[OLD], Some(OLD)),
];

async fn assert_case(a: &Node, to_b: &PeerAddr, inbox: &Arc<Inbox>, ours: &[&'static str], expected: Option<&str>) {
    let (outcome, received) = sync(a, to_b, ours).await;
    assert_eq!(outcome.protocol, expected, "{ours:?}");
    match expected {
        Some(name) => {
            assert_eq!(outcome.result.unwrap().items_received(), 30);
            assert_eq!(received, items(2, 30), "everything is delivered");
            let ended = inbox.until_ended(1).await;
            assert_eq!(ended[0].session.peer().protocol(), name);
            assert_eq!(ended[0].outcome.as_ref().unwrap().items_received(), 20);
        }
        None => {
            assert!(is_refused(&outcome, RefuseReason::UnknownProtocol), "{outcome:?}");
            assert_eq!((received.len(), inbox.started()), (0, 0));
        }
    }
    assert_eq!(inbox.started(), usize::from(expected.is_some()), "one session and no more");
}

#[tokio::test]
async fn the_first_that_both_have_runs_in_memory() {
    for (ours, theirs, expected) in CASES {
        let network = MemoryNetwork::default();
        let (end_a, end_b) = (network.endpoint(id(1)).unwrap(), network.endpoint(id(2)).unwrap());
        let (to_b, inbox) = (end_b.addr().clone(), Inbox::new());
        let a = memory_node(end_a, NodeLimits::default()).build().unwrap();
        // There is room for one connection: all offers are on the same.
        let limits = NodeLimits::default().with_connections_max(1, 1);
        let _b = offering(memory_node(end_b, limits), theirs, &inbox).build().unwrap();
        assert_case(&a, &to_b, &inbox, ours, expected).await;
    }
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn the_first_that_both_have_runs_over_quic() {
    use syncline_net::quic::{QuicConfig, QuicEndpoint};

    let loopback = "127.0.0.1:0".parse().unwrap();
    // One stream at a time: that of a refused offer must be given back.
    let config = QuicConfig::default().with_streams_max(1);
    for (ours, theirs, expected) in CASES {
        let end_b = QuicEndpoint::bind(&crate::support::key(2), loopback, config.clone()).unwrap();
        let (to_b, inbox) = (end_b.peer_addr().unwrap(), Inbox::new());
        let limits = NodeLimits::default().with_connections_max(1, 1);
        let b = offering(Node::builder().endpoint(end_b).limits(limits), theirs, &inbox).build().unwrap();
        let end_a = QuicEndpoint::bind(&crate::support::key(1), loopback, config.clone()).unwrap();
        let a = Node::builder().endpoint(end_a).build().unwrap();
        assert_case(&a, &to_b, &inbox, ours, expected).await;
        a.shutdown().await;
        b.shutdown().await;
    }
}

/// A connection of one stream: each offer dials.
#[tokio::test]
async fn the_first_that_both_have_runs_over_tcp() {
    for (ours, theirs, expected) in CASES {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (to_b, inbox) = (listener.peer_addr().unwrap(), Inbox::new());
        let _b = offering(Node::builder().listener(listener), theirs, &inbox).build().unwrap();
        let a = Node::builder().connector(Arc::new(TcpConnector::new())).build().unwrap();
        assert_case(&a, &to_b, &inbox, ours, expected).await;
    }
}

/// A node that notes the names of all offers, and refuses one of them.
fn noting(offers: &Arc<Mutex<Vec<String>>>, denied: Option<&'static str>) -> impl FnOnce(NodeBuilder) -> NodeBuilder {
    let offers = Arc::clone(offers);
    move |builder| {
        builder.register(speaking(OLD, items(2, 30)), Inbox::new().handler()).access(move |peer| {
            offers.lock().unwrap().push(peer.protocol().to_owned());
            Access::allow_if(Some(peer.protocol()) != denied)
        })
    }
}

#[tokio::test]
async fn a_name_that_the_peer_does_not_know_costs_a_round_trip_once() {
    let offers = Arc::default();
    let pair = Pair::with(Exchange::new(vec![]), NodeLimits::default(), noting(&offers, None));
    for _ in 0..3 {
        assert_eq!(sync(&pair.a, &pair.to_b, &[NEW, OLD]).await.0.protocol, Some(OLD));
    }
    assert_eq!(*offers.lock().unwrap(), [NEW, OLD, OLD, OLD]);
    // Who asks for nothing else gets the peer's own answer.
    assert!(is_refused(&sync(&pair.a, &pair.to_b, &[NEW]).await.0, RefuseReason::UnknownProtocol));
    assert_eq!(offers.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_peer_that_comes_back_with_more_is_asked_for_it() {
    let network = MemoryNetwork::default();
    let a = memory_node(network.endpoint(id(1)).unwrap(), NodeLimits::default()).build().unwrap();
    for (theirs, expected) in [([OLD].as_slice(), OLD), (&[NEW, OLD], NEW), (&[OLD], OLD)] {
        let end_b = network.endpoint(id(2)).unwrap();
        let to_b = end_b.addr().clone();
        let b = offering(memory_node(end_b, NodeLimits::default()), theirs, &Inbox::new()).build().unwrap();
        for _ in 0..2 {
            assert_eq!(sync(&a, &to_b, &[NEW, OLD]).await.0.protocol, Some(expected));
        }
        b.shutdown().await;
    }
}

#[tokio::test]
async fn another_refusal_is_the_end_of_it() {
    // Forbidden, and that for the first name only.
    let offers = Arc::default();
    let pair = Pair::with(Exchange::new(vec![]), NodeLimits::default(), noting(&offers, Some(NEW)));
    let (outcome, _) = sync(&pair.a, &pair.to_b, &[NEW, OLD]).await;
    assert!(is_refused(&outcome, RefuseReason::Forbidden), "{outcome:?}");
    assert_eq!((outcome.protocol, offers.lock().unwrap().len()), (None, 1));

    // Busy.
    let notify = Arc::<tokio::sync::Notify>::default();
    let limits = NodeLimits::default().with_sessions_max(1, 1);
    let more = |builder: NodeBuilder| builder.register(speaking(OLD, vec![]), Inbox::new().handler());
    let pair = Pair::with(Exchange::of(Mood::Waits(Arc::clone(&notify))), limits, more);
    let first = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    let (outcome, _) = sync(&pair.a, &pair.to_b, &[crate::support::NAME, OLD]).await;
    assert!(is_refused(&outcome, RefuseReason::Busy), "{outcome:?}");
    // Also after a fallback.
    let (outcome, _) = sync(&pair.a, &pair.to_b, &[NEW, OLD]).await;
    assert!(is_refused(&outcome, RefuseReason::Busy), "{outcome:?}");
    notify.notify_one();
    first.finished().await.unwrap();
}

#[tokio::test]
async fn a_session_that_fails_is_not_tried_again_by_another_protocol() {
    let inbox = Inbox::new();
    let pair =
        Pair::with(Exchange::new(vec![]), NodeLimits::default(), |builder| offering(builder, &[NEW, OLD], &inbox));
    let unknown = pair.a.sync_any(&pair.to_b, protocols(&[NEW, OLD], &[]), Room(8), discard());
    let outcome = unknown.outcome().await;
    assert_eq!(outcome.protocol, Some(NEW), "it ran, and failed");
    assert!(matches!(outcome.result, Err(SyncFailure::Session(_))));
    let ended = inbox.until_ended(1).await;
    assert_eq!((inbox.started(), ended[0].session.peer().protocol()), (1, NEW));
}

#[tokio::test]
async fn there_must_be_something_to_offer() {
    let pair = Pair::new(Exchange::new(vec![]));
    let (outcome, _) = sync(&pair.a, &pair.to_b, &[]).await;
    assert!(matches!(&outcome.result, Err(SyncFailure::NoProtocol)), "{outcome:?}");
    assert!(!outcome.result.unwrap_err().is_retryable());
    let (outcome, _) = sync(&pair.a, &pair.to_b, &[OLD, "no name"]).await;
    assert!(matches!(outcome.result, Err(SyncFailure::ProtocolName(_))), "{outcome:?}");
}

#[tokio::test]
async fn what_was_agreed_on_is_known_while_the_session_runs() {
    let notify = Arc::<tokio::sync::Notify>::default();
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::clone(&notify))));
    let ours = protocols(&[NEW, crate::support::NAME], &[]);
    let handle = pair.a.sync_any(&pair.to_b, ours, ROOM, discard());
    assert_eq!(handle.agreed(), None);
    let mut progress = handle.progress();
    while progress.latest().phase == syncline_core::session::Phase::Handshake {
        tokio::time::timeout(FOREVER, progress.changed()).await.unwrap().unwrap();
    }
    assert_eq!(handle.agreed(), Some(crate::support::NAME));
    notify.notify_one();
    handle.finished().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_round_takes_the_best_that_the_peer_has_then() {
    let network = MemoryNetwork::default();
    let a = memory_node(network.endpoint(id(1)).unwrap(), NodeLimits::default()).build().unwrap();
    let start = |theirs: &'static [&'static str]| {
        let end_b = network.endpoint(id(2)).unwrap();
        let to_b = end_b.addr().clone();
        (offering(memory_node(end_b, NodeLimits::default()), theirs, &Inbox::new()).build().unwrap(), to_b)
    };
    let (b, to_b) = start(&[OLD]);
    let schedule = Schedule::new(Duration::from_secs(60), 1);
    let mut rounds = a.keep_in_sync_any(&to_b, protocols(&[NEW, OLD], &[]), ROOM, schedule, discard);
    for count in 1..=2 {
        let status = rounds.changed().await.unwrap();
        assert_eq!((status.succeeded, status.protocol), (count, Some(OLD)));
    }
    b.shutdown().await;
    assert_eq!(rounds.changed().await.unwrap().protocol, Some(OLD), "the last one that ran");
    let (_b, _) = start(&[NEW, OLD]);
    let mut status = rounds.status();
    while status.succeeded == 2 {
        status = rounds.changed().await.unwrap();
    }
    assert_eq!(status.protocol, Some(NEW));
}
