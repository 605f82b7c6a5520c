//! Sessions that are lopsided, long, or with peers that are set up differently.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::executor::block_on;
use futures::{AsyncReadExt, AsyncWriteExt};
use syncline_core::cbor::Writer as Cbor;
use syncline_core::clock::{Clock as _, ManualClock};
use syncline_log::sync::v2::Limits;
use syncline_log::{LogStore as _, NewOperation, SeqNum};
use syncline_testkit::generate::{Author, Step, encoded};
use syncline_testkit::net::{Conditions, Link, Sim};

use crate::world::{App, Node, Protocol, World, accept, clock, initiate, run_for, session};

fn live(node: &Node, seed: u8, clock: &ManualClock) -> Protocol {
    node.protocol(seed).with_live(true).with_timer(Arc::new(clock.clone()))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The author of the n-th log, at its end or at its start.
fn author(world: &World, nth: usize, at_end: bool) -> Author {
    let (key, log_id, operations) = &world.logs[nth];
    match operations.last().filter(|_| at_end) {
        Some(last) => {
            let tip = syncline_log::store::Tip { seq_num: last.header.seq_num, hash: last.hash };
            Author::at(key.clone(), *log_id, tip)
        }
        None => Author::new(key.clone(), *log_id),
    }
}

fn write(author: &mut Author, node: &Node, body: impl Into<Vec<u8>>) {
    let operation = encoded(&author.write(Step::body(body.into())));
    block_on(node.store.append(vec![NewOperation::next(author.log_id(), operation)])).unwrap();
}

#[test]
fn a_log_that_a_peer_pruned_by_itself_does_not_end_live_sessions() {
    let world = World::pair(6, 50);
    let (one, two) = (world.empty(), world.full());
    let (key, log_id, _) = &world.logs[0];
    block_on(two.store.prune(key.public_key(), *log_id, SeqNum::new(3))).unwrap();
    let clock = clock();
    let mut ended = 0;
    for seed in 0..3 {
        let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
        let mut sim = Sim::new(&clock);
        let initiator = sim.spawn("one", initiate(Arc::new(live(&one, seed, &clock)), a, App::new(&clock)));
        sim.spawn("two", accept(Arc::new(live(&two, 9 + seed, &clock)), b, App::new(&clock)));
        run_for(&mut sim, seconds(100));
        ended += usize::from(initiator.take().is_some());
    }
    assert!(ended <= 1, "{ended} of 3 live sessions in a row ended, and so will all that follow");
}

#[test]
fn a_log_that_was_deleted_on_both_sides_and_made_anew_is_pushed() {
    let world = World::pair(10, 50);
    let (one, two) = (world.full(), world.full());
    let (key, log_id, _) = &world.logs[0];
    let clock = clock();
    let app = App::new(&clock);
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    sim.spawn("one", initiate(Arc::new(live(&one, 1, &clock)), a, App::new(&clock)));
    sim.spawn("two", accept(Arc::new(live(&two, 2, &clock)), b, app.clone()));
    run_for(&mut sim, seconds(5));
    for node in [&one, &two] {
        block_on(node.store.delete_log(key.public_key(), *log_id)).unwrap();
    }
    run_for(&mut sim, seconds(5));
    let mut author = author(&world, 0, false);
    for _ in 0..3 {
        write(&mut author, &one, "anew");
    }
    run_for(&mut sim, seconds(300));
    assert_eq!(app.hashes().len(), 3);
}

#[test]
fn a_log_that_grows_fast_does_not_starve_the_others() {
    for stays in [true, false] {
        let world = World::pair(1, 0);
        let (one, two) = (world.empty(), world.empty());
        // Authors are sent in the order of their keys.
        let mut order = [0, 1];
        order.sort_by_key(|nth| world.logs[*nth].0.public_key());
        let (mut hot, mut quiet) = (author(&world, order[0], false), author(&world, order[1], false));
        write(&mut quiet, &one, "something else");
        for _ in 0..200 {
            write(&mut hot, &one, vec![0; 100]);
        }
        let clock = clock();
        let slow = || Conditions::new().with_latency(Duration::from_millis(50)).with_capacity(2_000);
        let Link { a, b, .. } = Link::new(&clock, slow(), slow());
        let app = App::new(&clock);
        let mut sim = Sim::new(&clock);
        let small = Limits::default().with_page_bytes(1_000).with_window_bytes(1_000);
        let ours = live(&one, 1, &clock).with_limits(small).with_live(stays);
        let session = sim.spawn("one", initiate(Arc::new(ours), a, App::new(&clock)));
        sim.spawn("two", accept(Arc::new(live(&two, 2, &clock).with_live(stays)), b, app.clone()));
        for _ in 0..600 {
            for _ in 0..20 {
                write(&mut hot, &one, vec![0; 100]);
            }
            run_for(&mut sim, Duration::from_millis(100));
        }
        let came = app.operations();
        // A session that does not stay sends what there was when it began.
        assert!(if stays { came.len() > 500 } else { session.take().is_some_and(|ended| ended.is_ok()) });
        assert!(
            came.iter().any(|operation| operation.public_key() == quiet.public_key()),
            "live {stays}: {} operations of the one came, none of the other",
            came.len(),
        );
    }
}

#[test]
fn an_operation_that_is_too_long_for_a_peer_does_not_hold_up_other_logs() {
    let world = World::pair(1, 0);
    let (one, two) = (world.empty(), world.empty());
    let mut order = [0, 1];
    order.sort_by_key(|nth| world.logs[*nth].0.public_key());
    // As 16 MiB are with the defaults.
    write(&mut author(&world, order[0], false), &one, vec![0; 2_000]);
    write(&mut author(&world, order[1], false), &one, "short");
    for seed in 0..5 {
        let limits = Limits::default().with_frame_len_max(1_000);
        let _ = session(Default::default(), one.protocol(seed), two.protocol(10 + seed).with_limits(limits));
    }
    assert!(two.count() >= 1, "the long one without its body, or at least the other");
}

#[test]
fn a_body_beyond_the_limit_is_not_taken_from_a_peer_that_sends_it_nevertheless() {
    let world = World::pair(1, 0);
    let node = world.empty();
    let mut author = author(&world, 0, false);
    let operation = encoded(&author.write(Step::body(vec![7; 5_000])));
    let mut out = BytesMut::new();
    let mut cbor = Cbor::new(&mut out);
    cbor.array(10).unsigned(0).unsigned(2).unsigned(2).unsigned(0).bool(false).null().bytes(&[1; 16]);
    cbor.bytes(&[1]).bytes(&[0; 16]).unsigned(1);
    cbor.array(4).unsigned(7).bytes(author.public_key().as_bytes()).unsigned(author.log_id()).unsigned(0);
    cbor.array(2).bytes(operation.header_bytes()).bytes(&vec![7; 5_000]);
    cbor.array(1).unsigned(9);
    let clock = clock();
    let Link { mut a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let limits = Limits::default().with_body_len_max(100);
    let app = App::new(&clock);
    let protocol = node.protocol(3).with_limits(limits).with_timer(Arc::new(clock.clone()));
    sim.spawn("node", accept(Arc::new(protocol), b, app.clone()));
    sim.spawn("peer", async move {
        let _ = a.tx.write_all(&out).await;
        let _ = a.tx.flush().await;
        let _ = a.tx.close().await;
        let _ = a.rx.read_to_end(&mut Vec::new()).await;
    });
    sim.run().unwrap();
    assert_eq!(node.count(), 1, "{:?}", node.verdicts());
    assert!(node.contents().values().flatten().all(|(_, has_body)| !has_body), "50 times as long as the limit");
}

#[test]
fn a_slow_application_stalls_the_peer_and_does_not_end_the_session() {
    let world = World::pair(3, 10);
    let (one, two) = (world.node_with(0), world.empty());
    let clock = clock();
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let session = sim.spawn("one", initiate(Arc::new(live(&one, 1, &clock)), a, App::new(&clock)));
    let app = App::new(&clock).with_delay(seconds(30));
    sim.spawn("two", accept(Arc::new(live(&two, 2, &clock)), b, app));
    run_for(&mut sim, seconds(300));
    assert_eq!(session.take(), None, "it stays open");
}

#[test]
fn no_keep_alive_time_makes_a_session_busy() {
    let world = World::pair(3, 10);
    let (one, two) = (world.full(), world.full());
    let clock = clock();
    let Link { a, b, a_to_b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let ours = live(&one, 1, &clock).with_limits(Limits::default().with_keep_alive(Duration::ZERO));
    sim.spawn("one", initiate(Arc::new(ours), a, App::new(&clock)));
    sim.spawn("two", accept(Arc::new(live(&two, 2, &clock)), b, App::new(&clock)));
    let started = clock.now();
    for _ in 0..10_000 {
        let _ = sim.step_until(started + seconds(1));
    }
    assert!(a_to_b.written() < 10_000, "{} bytes within {:?}", a_to_b.written(), clock.now().since(started));
}

#[test]
fn an_application_that_is_busy_most_of_the_time_does_not_end_a_live_session() {
    let world = World::pair(1, 10);
    let (one, two) = (world.node_with(0), world.empty());
    let clock = clock();
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let session = sim.spawn("one", initiate(Arc::new(live(&one, 1, &clock)), a, App::new(&clock)));
    let app = App::new(&clock).with_delay(Duration::from_millis(800));
    sim.spawn("two", accept(Arc::new(live(&two, 2, &clock)), b, app));
    let mut author = author(&world, 0, true);
    for _ in 0..300 {
        run_for(&mut sim, seconds(1));
        write(&mut author, &one, "one a second");
    }
    assert_eq!(session.take(), None, "it stays open");
}
