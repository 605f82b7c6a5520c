//! Both sides full, applications that take their time, peers that fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::executor::block_on;
use futures::{AsyncWrite, AsyncWriteExt};
use syncline_core::clock::Clock as _;
use syncline_core::{SyncError, SyncProtocol as _};
use syncline_log::sync::{Encoding, Limits};
use syncline_log::{Body, Draft, LogWriter, OPERATION_LEN_MAX};
use syncline_testkit::generate::{LogExtensions, LogShape};
use syncline_testkit::net::{Conditions, Cut, Link, Sim, one_way};
use syncline_testkit::seed::Rng;

use crate::world::{SlowApp, Topic, World, clock, session};

/// Two nodes, each with a log of its own that the other lacks.
fn apart(operations: usize, body_max: usize) -> (World, crate::world::Store, crate::world::Store) {
    let world = World::new(&mut Rng::new(5), 2, 1, &LogShape { operations, body_max, ..LogShape::default() });
    let mut nth = 0;
    let one = world.node(|operations| {
        nth += 1;
        if nth == 1 { operations.len() } else { 0 }
    });
    nth = 0;
    let two = world.node(|operations| {
        nth += 1;
        if nth == 2 { operations.len() } else { 0 }
    });
    (world, one, two)
}

#[test]
fn two_peers_with_ten_times_what_the_buffers_hold_both_finish() {
    let (world, one, two) = apart(200, 200);
    for capacity in [1_usize, 100, 4_096] {
        let clock = clock();
        let tight = || Conditions::new().with_capacity(capacity).with_latency(Duration::from_millis(5));
        let apps = (SlowApp::new(&clock, Duration::ZERO), SlowApp::new(&clock, Duration::ZERO));
        let protocols = (world.protocol(&one), world.protocol(&two));
        let outcome = session(&clock, (tight(), tight()), Topic(1), protocols, apps);
        assert_eq!((&outcome.initiator, &outcome.acceptor), (&Ok(()), &Ok(())));
        assert!(outcome.sent.0 > 40_960 && outcome.sent.1 > 40_960, "ten times the largest buffer: {:?}", outcome.sent);
        assert_eq!((outcome.apps.0.headers().len(), outcome.apps.1.headers().len()), (200, 200));
    }
}

#[test]
fn a_slow_application_stalls_the_peer_and_loses_nothing() {
    let (world, one, two) = apart(5_000, 0);
    let clock = clock();
    // Each item takes longer than the idle deadline of the receiving side, which waits for itself, not for the peer.
    let limits = Limits::default().with_idle(Duration::from_secs(5));
    // The peer, whose writes are not taken meanwhile, has to be patient.
    let patient = Limits::default().with_idle(Duration::from_secs(100_000));
    let slow = SlowApp::new(&clock, Duration::from_secs(8));
    let apps = (slow, SlowApp::new(&clock, Duration::ZERO));
    let protocols = (world.protocol(&one).with_limits(limits), world.protocol(&two).with_limits(patient));
    let conditions = || Conditions::new().with_capacity(4_096);
    let outcome = session(&clock, (conditions(), conditions()), Topic(1), protocols, apps);
    assert_eq!((&outcome.initiator, &outcome.acceptor), (&Ok(()), &Ok(())));
    let expected = &world.contents(&two)[&(world.logs[1].0.public_key(), 0)];
    assert_eq!(&outcome.apps.0.headers(), expected, "5000 of 5000, in order");
}

#[test]
fn a_peer_that_falls_silent_is_given_up_on_either_side_at_any_point() {
    let (world, one, two) = apart(3, 20);
    for at in (0..700).step_by(7) {
        for forward in [true, false] {
            let clock = clock();
            let stall = Conditions::new().with_cut(at, Cut::Stall);
            let conditions = if forward { (stall, Conditions::new()) } else { (Conditions::new(), stall) };
            let apps = (SlowApp::new(&clock, Duration::ZERO), SlowApp::new(&clock, Duration::ZERO));
            let protocols = (world.protocol(&one), world.protocol(&two));
            let outcome = session(&clock, conditions, Topic(1), protocols, apps);
            for result in [&outcome.initiator, &outcome.acceptor] {
                assert!(matches!(result, Ok(()) | Err(SyncError::UnexpectedBehaviour(_))), "{result:?}");
            }
        }
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let (world, one, _) = apart(50, 100);
    let clock = clock();
    let protocol = Arc::new(world.protocol(&one).with_timer(Arc::new(clock.clone())));
    let Link { mut a, b, .. } = Link::new(&clock, Conditions::new().with_capacity(10), Conditions::new());
    let started = clock.now();
    let mut app = SlowApp::new(&clock, Duration::ZERO);
    let mut sim = Sim::new(&clock);
    let result = sim.spawn("initiator", async {
        let (tx, rx) = (Box::new(&mut a.tx as _), Box::new(&mut a.rx as _));
        protocol.initiate(Topic(1), tx, rx, Box::new(&mut app as _)).await
    });
    sim.run().expect("it ends");
    assert!(matches!(result.take().unwrap(), Err(SyncError::UnexpectedBehaviour(_))));
    assert_eq!(clock.now().since(started), Limits::default().handshake());
    drop(b);
}

#[test]
fn an_application_that_is_gone_is_our_own_fault() {
    let (world, one, two) = apart(3, 20);
    let clock = clock();
    let (sink, receiver) = futures::channel::mpsc::channel(1);
    drop(receiver);
    let gone = futures::SinkExt::sink_map_err(sink, |_| SyncError::Critical("channel closed".into()));
    let apps = (gone, SlowApp::new(&clock, Duration::ZERO));
    let protocols = (world.protocol(&one), world.protocol(&two));
    let outcome = session(&clock, Default::default(), Topic(1), protocols, apps);
    assert!(matches!(outcome.initiator, Err(SyncError::Critical(_))));
    assert!(matches!(outcome.acceptor, Err(SyncError::UnexpectedBehaviour(_))));
}

#[test]
fn the_largest_operation_that_is_published_reaches_a_peer_in_either_encoding() {
    let (world, _, empty) = apart(1, 0);
    let store = world.node(|_| 0);
    let (key, log_id, _) = &world.logs[0];
    // Bytes above 23 take two bytes each as integers: the worst case.
    let body = Body::new(vec![0xff; OPERATION_LEN_MAX - 300]);
    let draft = Draft::new(Some(body), Some(LogExtensions { log_id: *log_id, ..LogExtensions::default() }));
    block_on(LogWriter::new(Arc::clone(&store), Arc::new(key.clone())).publish(*log_id, [draft]))
        .expect("it is allowed");
    for encoding in [Encoding::Bytes, Encoding::Integers] {
        let clock = clock();
        let apps = (SlowApp::new(&clock, Duration::ZERO), SlowApp::new(&clock, Duration::ZERO));
        let protocols = (world.protocol(&empty), world.protocol(&store).with_encoding(encoding));
        let outcome = session(&clock, Default::default(), Topic(1), protocols, apps);
        assert_eq!((&outcome.initiator, &outcome.acceptor), (&Ok(()), &Ok(())), "{encoding:?}");
        assert_eq!(outcome.apps.0.headers().len(), 1);
    }
}

/// A writer that takes everything and gets nothing flushed, as a buffer before a peer that stopped reading.
struct NeverFlushed;

impl AsyncWrite for NeverFlushed {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn a_last_flush_that_never_ends_is_given_up() {
    let (world, one, _) = apart(1, 20);
    let clock = clock();
    let protocol = Arc::new(world.protocol(&one).with_timer(Arc::new(clock.clone())));
    let (mut peer, mut rx, _) = one_way(&clock, Conditions::new());
    // `Have` of topic 1 without authors, then `Done`: all that a peer has to say.
    let all = b"\xa2\x64type\x64Have\x65value\x82\x01\x80\xa1\x64type\x64Done";
    let mut app = SlowApp::new(&clock, Duration::ZERO);
    let mut tx = NeverFlushed;
    let mut sim = Sim::new(&clock);
    sim.spawn("peer", async {
        peer.write_all(all).await?;
        peer.flush().await
    });
    let result = sim.spawn("acceptor", async {
        protocol.accept(Box::new(&mut tx as _), Box::new(&mut rx as _), Box::new(&mut app as _)).await
    });
    sim.run().expect("it ends");
    assert!(matches!(result.take().unwrap(), Err(SyncError::UnexpectedBehaviour(_))));
}
