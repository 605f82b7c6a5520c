//! What two nodes can do together, over each transport.

use std::sync::Arc;
use std::time::Duration;

use syncline_core::session::{FailureCause, Phase};
use syncline_core::{FromSync, SyncError};
use syncline_net::tcp::{TcpConnector, TcpListener};
use syncline_net::transport::Connector;
use syncline_net::{
    Access, DynProtocol, Identity, NegotiationError, Node, NodeLimits, PeerAddr, RefuseReason, SyncFailure, app_channel,
};

use crate::support::{Exchange, FOREVER, Inbox, Mood, NAME, Pair, ROOM, Room, discard, id, items, sync_items};

/// Builds a node that offers `offered` over TCP, and one to dial with.
async fn tcp_pair(offered: Arc<Exchange>, inbox: &Arc<Inbox>) -> (Node, Node, PeerAddr) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.peer_addr().unwrap();
    let b = Node::builder().listener(listener).register(offered, inbox.handler()).build().unwrap();
    let a = Node::builder().connector(Arc::new(TcpConnector::new())).build().unwrap();
    (a, b, addr)
}

#[tokio::test]
async fn data_goes_both_ways_in_memory() {
    let pair = Pair::new(Exchange::new(items(2, 50)));
    let (report, received) = sync_items(&pair.a, &pair.to_b, Exchange::new(items(1, 40))).await.unwrap();
    assert_eq!(received, items(2, 50));
    assert_eq!(report.items_received(), 50);
    let ended = pair.inbox.until_ended(1).await;
    let accepted = ended[0].outcome.as_ref().unwrap();
    assert_eq!(accepted.items_received(), 40);
    assert_eq!((accepted.bytes_sent(), accepted.bytes_received()), (report.bytes_received(), report.bytes_sent()));
    assert_eq!(ended[0].session.peer().remote(), Identity::Key(id(1)));
    assert_eq!(ended[0].session.peer().protocol(), NAME);
    assert_eq!(ended[0].session.progress().latest().phase, Phase::Done);
}

#[tokio::test]
async fn data_goes_both_ways_over_tcp_to_anonymous_peers() {
    let inbox = Inbox::new();
    let (a, b, addr) = tcp_pair(Exchange::new(items(2, 300)), &inbox).await;
    for round in 1..=3 {
        let (_, received) = sync_items(&a, &addr, Exchange::new(items(1, 200))).await.unwrap();
        assert_eq!(received, items(2, 300));
        let ended = inbox.until_ended(round).await;
        assert!(
            ended.iter().all(|ended| ended.outcome.is_ok() && ended.session.peer().peer_id().is_none()),
            "{ended:?}"
        );
    }
    b.shutdown().await;
    a.shutdown().await;
}

/// Both sides have many times more to send than the transport's buffers hold.
#[tokio::test]
async fn full_buffers_on_both_sides_do_not_block() {
    let much = vec![vec![5; 1 << 20]; 12];
    let inbox = Inbox::new();
    let (a, _b, addr) = tcp_pair(Exchange::new(much.clone()), &inbox).await;
    let (report, received) = sync_items(&a, &addr, Exchange::new(much.clone())).await.unwrap();
    assert_eq!((received.len(), report.items_received()), (12, 12));
    assert!(inbox.until_ended(1).await[0].outcome.is_ok());
}

#[tokio::test]
async fn an_address_with_a_key_is_never_dialled_by_a_transport_that_proves_none() {
    let inbox = Inbox::new();
    let (a, _b, addr) = tcp_pair(Exchange::new(vec![]), &inbox).await;
    let with_key = PeerAddr::new(id(2), addr.host(), addr.port()).unwrap();
    let failure = sync_items(&a, &with_key, Exchange::new(vec![])).await.unwrap_err();
    assert!(matches!(failure, SyncFailure::Connect(syncline_net::ConnectError::Unproven { .. })), "{failure:?}");
    // The connector says so itself, before anybody is dialled.
    let nobody = PeerAddr::new(id(2), "127.0.0.1", 1).unwrap();
    let dialled = TcpConnector::new().connect(&nobody).await;
    assert!(matches!(dialled, Err(syncline_net::ConnectError::Unproven { .. })), "{dialled:?}");
    assert_eq!(inbox.started(), 0);
}

#[tokio::test]
async fn progress_is_seen_and_ends_with_the_session() {
    let pair = Pair::new(Exchange::new(items(2, 5)));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(items(1, 5)), ROOM, discard());
    let mut progress = handle.progress();
    assert_eq!(progress.latest().phase, Phase::Handshake);
    handle.finished().await.unwrap();
    let mut last = progress.latest();
    while let Some(next) = progress.changed().await {
        last = next;
    }
    assert_eq!((last.phase, last.items_received), (Phase::Done, 5));
}

#[tokio::test(start_paused = true)]
async fn a_slow_application_stalls_the_peer_and_loses_nothing() {
    let pair = Pair::new(Exchange::new(vec![vec![1; 50_000]; 20]));
    let (app_tx, mut app_rx) = app_channel(1);
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, app_tx);
    let mut count = 0;
    while let Some(item) = futures::StreamExt::next(&mut app_rx).await {
        count += usize::from(matches!(item, FromSync::Data { .. }));
        // Together six times the idle deadline, which does not count this side's own stalls. The peer's does: what is
        // left in the buffers when it has sent all must be taken in less, as the limit's docs say.
        tokio::time::sleep(Duration::from_secs(9)).await;
    }
    assert_eq!(count, 20);
    handle.finished().await.unwrap();
    assert!(pair.inbox.until_ended(1).await[0].outcome.is_ok());
}

#[tokio::test]
async fn refusals_say_why() {
    let pair = Pair::with(Exchange::new(vec![]), NodeLimits::default(), |builder| {
        builder.access(|peer| Access::allow_if(peer.protocol() != "forbidden/1"))
    });
    for (name, reason) in [("unknown/1", RefuseReason::UnknownProtocol), ("forbidden/1", RefuseReason::Forbidden)] {
        let protocol = Arc::new(Exchange { name, items: vec![], mood: Mood::Well });
        let failure = sync_items(&pair.a, &pair.to_b, protocol).await.unwrap_err();
        let SyncFailure::Negotiation(NegotiationError::Refused(found)) = failure else { panic!("{failure:?}") };
        assert_eq!(found, reason);
    }
    assert_eq!(pair.inbox.started(), 0);
}

#[tokio::test]
async fn an_access_rule_that_panics_denies() {
    let pair =
        Pair::with(Exchange::new(vec![]), NodeLimits::default(), |builder| builder.access(|_| panic!("on purpose")));
    let failure = sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap_err();
    assert!(
        matches!(failure, SyncFailure::Negotiation(NegotiationError::Refused(RefuseReason::Forbidden))),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_factory_knows_the_peer() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let inbox = Inbox::new();
    let pair = Pair::with(Exchange::new(vec![]), NodeLimits::default(), |builder| {
        builder.register_factory::<Room>(
            "by-peer/1",
            move |peer| {
                log.lock().unwrap().push(peer.remote());
                let items = if peer.peer_id() == Some(&id(1)) { items(9, 4) } else { vec![] };
                Arc::new(Exchange { name: "by-peer/1", items, mood: Mood::Well }) as Arc<DynProtocol<Room>>
            },
            inbox.handler(),
        )
    });
    let protocol = Arc::new(Exchange { name: "by-peer/1", items: vec![], mood: Mood::Well });
    let (_, received) = sync_items(&pair.a, &pair.to_b, protocol).await.unwrap();
    assert_eq!(received, items(9, 4));
    assert_eq!(*seen.lock().unwrap(), [Identity::Key(id(1))]);
}

#[tokio::test]
async fn a_topic_that_the_peer_does_not_know_fails_both_sides() {
    let pair = Pair::new(Exchange::new(vec![]));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), Room(8), discard());
    let failure = handle.finished().await.unwrap_err();
    // The acceptor's last words arrive although its session failed.
    let SyncFailure::Session(failure) = failure else { panic!("{failure:?}") };
    let expected = SyncError::UnexpectedBehaviour("the peer does not know the room".into());
    assert_eq!(failure.cause, FailureCause::Protocol(expected));
    assert!(pair.inbox.until_ended(1).await[0].outcome.is_err());
}

#[tokio::test]
async fn an_application_that_drops_its_channel_fails_its_session_only() {
    let pair = Pair::new(Exchange::new(items(2, 10)));
    let (app_tx, app_rx) = app_channel(1);
    drop(app_rx);
    let failure = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, app_tx).finished().await.unwrap_err();
    let SyncFailure::Session(failure) = failure else { panic!("{failure:?}") };
    assert!(matches!(failure.cause, FailureCause::Protocol(SyncError::Critical(_))));
    sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap();
}

#[tokio::test]
async fn a_sync_can_be_cancelled_wherever_it_stands() {
    let wait = Arc::default();
    let pair = Pair::new(Exchange::of(Mood::Waits(wait)));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    handle.cancel();
    assert!(matches!(handle.finished().await, Err(SyncFailure::Cancelled)));

    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    let mut progress = handle.progress();
    while progress.latest().phase == Phase::Handshake {
        tokio::time::timeout(FOREVER, progress.changed()).await.unwrap().unwrap();
    }
    handle.cancel();
    let failure = handle.finished().await.unwrap_err();
    assert!(
        matches!(&failure, SyncFailure::Session(failure) if failure.cause == FailureCause::Cancelled),
        "{failure:?}"
    );
    assert!(!failure.is_retryable());
}

/// The classic mistake: whoever ends first closes the connection under the other's last bytes.
#[tokio::test]
async fn the_last_bytes_arrive_though_a_side_shuts_down_at_once() {
    for round in 0..30 {
        let inbox = Inbox::new();
        let (a, b, addr) = tcp_pair(Exchange::new(items(2, 20)), &inbox).await;
        sync_items(&a, &addr, Exchange::new(items(1, 20))).await.unwrap();
        a.shutdown().await;
        let ended = inbox.until_ended(1).await;
        assert!(ended[0].outcome.is_ok(), "round {round}: {ended:?}");
        b.shutdown().await;
    }
}
