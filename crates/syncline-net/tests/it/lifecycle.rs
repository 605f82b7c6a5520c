//! Panics, shutdown, and that nothing is left over.

use std::sync::Arc;
use std::time::Duration;

use syncline_core::session::FailureCause;
use syncline_net::memory::MemoryNetwork;
use syncline_net::tcp::{TcpConnector, TcpListener};
use syncline_net::{AcceptedSession, AppSink, NodeLimits, Schedule, SessionHandler, SyncFailure};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{Exchange, FOREVER, Inbox, Mood, Pair, ROOM, Room, discard, id, items, memory_node, sync_items};

/// Waits until the runtime has no task, not even one of a transport.
async fn until_no_task_is_left() {
    let wait = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(FOREVER, wait).await.expect("tasks are left");
}

#[tokio::test]
async fn a_panicking_protocol_fails_its_session_and_the_node_lives_on() {
    let well = Arc::new(Exchange { name: "well/1", items: items(2, 3), mood: Mood::Well });
    let inbox = Inbox::new();
    let pair = Pair::with(Exchange::of(Mood::Panics), NodeLimits::default(), |builder| {
        builder.register(Arc::clone(&well), inbox.handler())
    });
    for round in 1..=3 {
        let failure = sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap_err();
        assert!(matches!(&failure, SyncFailure::Session(failure) if failure.cause.is_peer_fault()), "{failure:?}");
        let ended = pair.inbox.until_ended(round).await;
        assert_eq!(ended[round - 1].outcome.as_ref().unwrap_err(), "Panicked");
    }
    assert_eq!(sync_items(&pair.a, &pair.to_b, Arc::clone(&well)).await.unwrap().1, items(2, 3));
    // The same on the side that starts.
    let panics = Arc::new(Exchange { name: "well/1", items: vec![], mood: Mood::Panics });
    assert!(matches!(sync_items(&pair.a, &pair.to_b, panics).await, Err(SyncFailure::Panicked)));
    sync_items(&pair.a, &pair.to_b, well).await.unwrap();
}

struct PanicsAtStart;

impl SessionHandler<Room> for PanicsAtStart {
    fn start(&self, _: &AcceptedSession) -> AppSink<Room> {
        panic!("on purpose");
    }
}

pub(crate) struct PanicsAtEnd;

impl SessionHandler<Room> for PanicsAtEnd {
    fn start(&self, _: &AcceptedSession) -> AppSink<Room> {
        discard()
    }

    fn ended(&self, _: &AcceptedSession, _: &Result<syncline_core::session::SessionReport, SyncFailure>) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_panicking_handler_or_factory_fails_its_session_and_the_node_lives_on() {
    let named = |name| Arc::new(Exchange { name, items: items(2, 3), mood: Mood::Well });
    let pair = Pair::with(Exchange::new(items(2, 3)), NodeLimits::default(), |builder| {
        builder
            .register(named("start/1"), PanicsAtStart)
            .register(named("end/1"), PanicsAtEnd)
            .register_factory::<Room>("factory/1", |_| panic!("on purpose"), PanicsAtEnd)
    });
    for _ in 0..2 {
        for name in ["start/1", "factory/1"] {
            assert!(matches!(sync_items(&pair.a, &pair.to_b, named(name)).await, Err(SyncFailure::Session(_))));
        }
        // The session was over when the handler panicked: the peer must not notice.
        assert_eq!(sync_items(&pair.a, &pair.to_b, named("end/1")).await.unwrap().1, items(2, 3));
        assert_eq!(sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap().1, items(2, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_sessions_finish() {
    let notify = Arc::new(Notify::new());
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::clone(&notify))));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(items(1, 5)), ROOM, discard());
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    let b = pair.b.clone();
    let shutdown = tokio::spawn(async move { b.shutdown().await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!shutdown.is_finished());
    notify.notify_one();
    handle.finished().await.unwrap();
    assert_eq!(shutdown.await.unwrap().sessions_cut_off(), 0);
    assert!(pair.inbox.ended()[0].outcome.is_ok());
    assert_eq!(pair.b.task_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_off_what_does_not_finish_in_time() {
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::default())));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    let start = Instant::now();
    assert_eq!(pair.b.shutdown().await.sessions_cut_off(), 1);
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert!(pair.inbox.ended()[0].outcome.as_ref().unwrap_err().contains("Cancelled"));
    assert!(handle.finished().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_side_that_started_a_sync_shuts_down_in_the_same_way() {
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::default())));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    assert_eq!(pair.a.shutdown().await.sessions_cut_off(), 1);
    let failure = handle.finished().await.unwrap_err();
    assert!(
        matches!(&failure, SyncFailure::Session(failure) if failure.cause == FailureCause::Cancelled),
        "{failure:?}"
    );
    // A stopped node starts nothing.
    let late = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    assert!(matches!(late.finished().await, Err(SyncFailure::ShutDown)));
    let mut late =
        pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, Schedule::new(Duration::from_secs(1), 1), discard);
    assert!(late.changed().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_who_says_nothing() {
    let pair = Pair::new(Exchange::new(vec![]));
    let endpoint = pair.network.endpoint(id(9)).unwrap();
    let connection = syncline_net::transport::Connector::connect(&*endpoint, &pair.to_b).await.unwrap();
    let _stream = connection.open().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    pair.b.shutdown().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(connection.error().is_some());
}

#[tokio::test(start_paused = true)]
async fn two_shutdowns_at_the_same_time_both_return() {
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::default())));
    let _handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    let (one, two) = futures::future::join(pair.b.shutdown(), pair.b.shutdown()).await;
    assert_eq!((one.sessions_cut_off(), two.sessions_cut_off()), (1, 1));
}

#[tokio::test]
async fn no_task_is_left_after_shutdowns() {
    let pair = Pair::new(Exchange::new(items(2, 3)));
    sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap();
    let schedule = Schedule::new(Duration::from_secs(3600), 1);
    let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, schedule, discard);
    rounds.changed().await.unwrap();
    pair.a.shutdown().await;
    pair.b.shutdown().await;
    assert_eq!((pair.a.task_count(), pair.b.task_count()), (0, 0));
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_node_breaks_off_everything() {
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::default())));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    let clone = pair.a.clone();
    drop(pair.a);
    tokio::task::yield_now().await;
    assert!(clone.task_count() > 0, "a clone keeps the node");
    let start = Instant::now();
    drop(clone);
    let failure = handle.finished().await.unwrap_err();
    assert!(
        matches!(&failure, SyncFailure::Session(failure) if failure.cause == FailureCause::Cancelled),
        "{failure:?}"
    );
    drop(pair.b);
    assert!(pair.inbox.until_ended(1).await[0].outcome.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
    until_no_task_is_left().await;
}

#[tokio::test]
async fn a_tcp_port_is_free_after_shutdown() {
    let inbox = Inbox::new();
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (addr, peer) = (listener.local_addr(), listener.peer_addr().unwrap());
    let b = syncline_net::Node::builder().listener(listener.clone());
    let b = b.register(Exchange::new(vec![]), inbox.handler()).build().unwrap();
    b.shutdown().await;
    until_no_task_is_left().await;
    let a = syncline_net::Node::builder().connector(Arc::new(TcpConnector::new())).build().unwrap();
    let failure = sync_items(&a, &peer, Exchange::new(vec![])).await.unwrap_err();
    assert!(matches!(&failure, SyncFailure::Connect(err) if err.is_retryable()), "{failure:?}");
    TcpListener::bind(addr).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_connector_can_only_be_dialled() {
    let network = MemoryNetwork::default();
    let endpoint = network.endpoint(id(1)).unwrap();
    let node = syncline_net::Node::builder().listener(endpoint.clone()).build().unwrap();
    let failure = sync_items(&node, endpoint.addr(), Exchange::new(vec![])).await.unwrap_err();
    assert!(matches!(failure, SyncFailure::Connect(syncline_net::ConnectError::NoConnector)), "{failure:?}");
    drop(memory_node(network.endpoint(id(2)).unwrap(), NodeLimits::default()));
}

#[test]
fn handles_can_move_between_threads() {
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<syncline_net::Node>();
    assert_send_sync::<syncline_net::SyncHandle>();
    assert_send_sync::<syncline_net::KeepInSync>();
    assert_send_sync::<SyncFailure>();
    assert_send_sync::<AcceptedSession>();
}
