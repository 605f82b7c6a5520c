//! Peers that are silent, slow, broken or lie. Time is paused: deadlines pass without waiting.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use syncline_core::session::{Deadline, FailureCause, SessionLimits};
use syncline_net::memory::MemoryEndpoint;
use syncline_net::transport::{BiStream, BoxReader, BoxWriter, Connection, Connector, Listener};
use syncline_net::{NegotiationError, NodeLimits, RefuseReason, SyncFailure};
use tokio::time::Instant;

use crate::support::{Exchange, FOREVER, Inbox, Mood, NAME, Pair, ROOM, discard, id, items, memory_node, sync_items};

/// A peer without a node: it says what the test lets it say.
async fn raw_peer(pair: &Pair, seed: u8) -> (Arc<MemoryEndpoint>, Arc<dyn Connection>) {
    let endpoint = pair.network.endpoint(id(seed)).unwrap();
    let connection = endpoint.connect(&pair.to_b).await.unwrap();
    (endpoint, connection)
}

async fn raw_stream(connection: &Arc<dyn Connection>) -> (BoxWriter, BoxReader) {
    connection.open().await.unwrap().into_split()
}

fn offer(name: &str) -> Vec<u8> {
    [b"SYNL\x01", &[name.len() as u8][..], name.as_bytes()].concat()
}

/// Everything until the end or an error, which is what a reset looks like.
async fn read_all(mut rx: BoxReader) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let whole =
        tokio::time::timeout(FOREVER, rx.read_to_end(&mut bytes)).await.expect("the node never ended the stream");
    (bytes, whole.is_ok())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_nothing_or_half_is_ended_in_time() {
    let pair = Pair::new(Exchange::new(vec![]));
    let (_endpoint, connection) = raw_peer(&pair, 9).await;
    let whole = offer(NAME);
    for len in 0..whole.len() {
        let start = Instant::now();
        let (mut tx, rx) = raw_stream(&connection).await;
        tx.write_all(&whole[..len]).await.unwrap();
        assert_eq!(read_all(rx).await.0, b"", "after {len} bytes");
        assert_eq!(start.elapsed(), Duration::from_secs(10), "after {len} bytes");
    }
    assert_eq!(pair.inbox.started(), 0);
    // The node has not suffered.
    sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed_in_time() {
    let pair = Pair::new(Exchange::new(vec![]));
    let start = Instant::now();
    let (_endpoint, connection) = raw_peer(&pair, 9).await;
    tokio::time::timeout(FOREVER, connection.closed()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_session_of_silence_meets_its_deadlines() {
    let pair = Pair::new(Exchange::new(vec![]));
    let (_endpoint, connection) = raw_peer(&pair, 9).await;
    for (said, deadline, after) in [(&b""[..], "Handshake", 10), (&[0, 0, 0, 0, 0, 0, 0, 7], "Idle", 30)] {
        let start = Instant::now();
        let (mut tx, rx) = raw_stream(&connection).await;
        tx.write_all(&offer(NAME)).await.unwrap();
        tx.write_all(said).await.unwrap();
        let (_, whole) = read_all(rx).await;
        assert_eq!(start.elapsed(), Duration::from_secs(after));
        let ended = pair.inbox.ended();
        let failure = ended.last().unwrap().outcome.as_ref().unwrap_err();
        assert!(failure.contains(&format!("Deadline({deadline})")), "{failure}");
        // In memory a broken-off stream is an early end; others reset.
        assert!(whole);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_is_cut_off() {
    let pair = Pair::new(Exchange::new(vec![vec![0; 1 << 20]; 4]));
    let (_endpoint, connection) = raw_peer(&pair, 9).await;
    let (mut tx, rx) = raw_stream(&connection).await;
    tx.write_all(&offer(NAME)).await.unwrap();
    tx.write_all(&7u64.to_be_bytes()).await.unwrap();
    let ended = pair.inbox.until_ended(1).await;
    assert!(ended[0].outcome.as_ref().unwrap_err().contains("Deadline(Idle)"));
    drop(rx);
}

#[tokio::test(start_paused = true)]
async fn malformed_offers_are_answered_or_dropped_and_cost_nothing() {
    let pair = Pair::new(Exchange::new(vec![]));
    let (_endpoint, connection) = raw_peer(&pair, 9).await;
    let absurd = [b"SYNL\x01\xff", &[b'a'; 255][..]].concat();
    let cases: [(&[u8], &[u8]); 8] = [
        (b"SYNL\x01\x00", &[1, 5]),
        (b"SYNL\x01\x41aaaa", &[1, 5]),
        (&absurd, &[1, 5]),
        (b"SYNL\x01\x03a b", &[1, 5]),
        (b"SYNL\x01\x02\xff\xff", &[1, 5]),
        (b"SYNL\x02\x01a", &[1, 4]),
        (b"SYNL\x01\x01a", &[1, 1]),
        (b"GET / HTTP/1.1\r\n", b""),
    ];
    for (said, answer) in cases {
        let (mut tx, rx) = raw_stream(&connection).await;
        // The node may be done before all is written.
        let _ = tx.write_all(said).await;
        assert_eq!(read_all(rx).await.0, answer, "{said:?}");
    }
    assert_eq!(pair.inbox.started(), 0);
}

type Expected = fn(&NegotiationError) -> bool;

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_nonsense_or_nothing_fails_the_sync() {
    let cases: [(&[u8], Expected); 5] = [
        (b"", |err| matches!(err, NegotiationError::TimedOut { after } if after.as_secs() == 10)),
        (b"\x01", |err| matches!(err, NegotiationError::TimedOut { .. })),
        (b"HTTP/1.1 400", |err| matches!(err, NegotiationError::Version { version: b'H' })),
        (b"\x01\x02", |err| matches!(err, NegotiationError::Refused(RefuseReason::Busy))),
        (b"\x01\xee", |err| matches!(err, NegotiationError::Refused(RefuseReason::Other(0xee)))),
    ];
    for (answer, expected) in cases {
        let pair = Pair::new(Exchange::new(vec![]));
        let endpoint = pair.network.endpoint(id(9)).unwrap();
        let handle = pair.a.sync(endpoint.addr(), Exchange::new(vec![]), ROOM, discard());
        let connection = endpoint.accept().await.unwrap().establish().await.unwrap();
        let (mut tx, rx) = connection.accept().await.unwrap().into_split();
        tx.write_all(answer).await.unwrap();
        let failure = handle.finished().await.unwrap_err();
        assert!(matches!(&failure, SyncFailure::Negotiation(err) if expected(err)), "{answer:?}: {failure:?}");
        assert!(failure.is_retryable());
        // Nothing but the offer was said.
        assert_eq!(read_all(rx).await.0, offer(NAME));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_fails_both_sides_and_the_next_sync_works() {
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::default())));
    let handle = pair.a.sync(&pair.to_b, Exchange::new(vec![]), ROOM, discard());
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.network.cut_all();
    let failure = handle.finished().await.unwrap_err();
    assert!(matches!(&failure, SyncFailure::Session(failure) if failure.cause.is_peer_fault()), "{failure:?}");
    assert!(failure.is_retryable());
    pair.b.shutdown().await;

    let endpoint = pair.network.endpoint(id(2)).unwrap();
    let inbox = Inbox::new();
    let b = memory_node(endpoint, NodeLimits::default()).register(Exchange::new(items(2, 3)), inbox.handler());
    let _b = b.build().unwrap();
    assert_eq!(sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap().1, items(2, 3));
}

#[tokio::test(start_paused = true)]
async fn trailing_bytes_are_ignored_up_to_a_limit() {
    let pair = Pair::new(Exchange::new(vec![]));
    let (_endpoint, connection) = raw_peer(&pair, 9).await;
    for trailing in [0, 1, 1_000, 1 << 20] {
        let (mut tx, rx) = raw_stream(&connection).await;
        let session = [&offer(NAME)[..], &7u64.to_be_bytes(), &u32::MAX.to_be_bytes(), b"D"].concat();
        tx.write_all(&session).await.unwrap();
        // Beyond the limit the node reads no more, and the write fails.
        let taken = tx.write_all(&vec![0; trailing]).await.is_ok();
        assert_eq!(taken, trailing <= 1_000, "{trailing} bytes");
        let _ = tx.close().await;
        let mut expected = vec![1, 0, 1];
        expected.extend_from_slice(&u32::MAX.to_be_bytes());
        expected.push(b'D');
        assert_eq!(read_all(rx).await, (expected, true));
    }
    let ended = pair.inbox.until_ended(4).await;
    assert!(ended.iter().all(|ended| ended.outcome.is_ok()), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_streams_waits_and_others_are_served() {
    let limits = NodeLimits::default().with_streams_per_connection_max(4);
    let pair = Pair::with(Exchange::new(vec![]), limits, |builder| builder);
    let (_endpoint, connection) = raw_peer(&pair, 9).await;
    let mut streams: Vec<BiStream> = Vec::new();
    // The network in memory queues some; the node takes four at a time.
    while let Ok(stream) = tokio::time::timeout(Duration::from_secs(1), connection.open()).await {
        streams.push(stream.unwrap());
    }
    assert!(streams.len() >= 4 && streams.len() < 200, "{}", streams.len());
    assert!(pair.b.task_count() < 20, "{}", pair.b.task_count());
    sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_session_limits_of_the_node_hold() {
    let session = SessionLimits::default().with_bytes_received_max(10_000);
    let pair = Pair::with(Exchange::new(vec![]), NodeLimits::default().with_session(session), |builder| builder);
    let failure = sync_items(&pair.a, &pair.to_b, Exchange::new(vec![vec![0; 20_000]])).await.unwrap_err();
    assert!(matches!(failure, SyncFailure::Session(_)), "{failure:?}");
    assert!(pair.inbox.until_ended(1).await[0].outcome.as_ref().unwrap_err().contains("Budget(BytesReceived)"));
}

#[tokio::test(start_paused = true)]
async fn the_initiator_has_deadlines_too() {
    let pair = Pair::with(Exchange::of(Mood::Waits(Arc::default())), NodeLimits::default(), |builder| builder);
    let start = Instant::now();
    let failure = sync_items(&pair.a, &pair.to_b, Exchange::new(vec![])).await.unwrap_err();
    let SyncFailure::Session(failure) = failure else { panic!("{failure:?}") };
    assert_eq!(failure.cause, FailureCause::Deadline(Deadline::Idle));
    assert_eq!(start.elapsed(), Duration::from_secs(30));
}
