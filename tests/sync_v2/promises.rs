//! What the protocol promises when nothing goes wrong.

use std::sync::Arc;
use std::time::Duration;

use syncline_log::sync::v2::{Intake, Limits};
use syncline_testkit::generate::LogShape;
use syncline_testkit::net::{Conditions, Link, Sim};
use syncline_testkit::seed::{self, Rng};

use crate::world::{App, World, accept, clock, initiate, run_for, session, session_with};

fn random_conditions(rng: &mut Rng) -> Conditions {
    Conditions::new()
        .with_latency(Duration::from_millis(rng.below(300)))
        .with_capacity(1 + rng.index(5_000))
        .with_random_chunks(rng.next_u64())
}

#[test]
fn equal_peers_finish_in_one_round_trip_of_256_bytes() {
    for (authors, logs, operations) in [(1, 1, 0), (1, 1, 3), (20, 20, 1)] {
        let shape = LogShape { operations, body_max: 50, ..LogShape::default() };
        let world = World::new(&mut Rng::new(7), authors, logs, &shape);
        let (one, two) = (world.full(), world.full());
        for _ in 0..2 {
            let clock = clock();
            let slow = || Conditions::new().with_latency(Duration::from_millis(100));
            let apps = (App::new(&clock), App::new(&clock));
            let started = syncline_core::clock::Clock::now(&clock);
            let outcome = session_with(&clock, (slow(), slow()), one.protocol(1), two.protocol(2), apps);
            outcome.assert_ok();
            let bytes = outcome.sent.0 + outcome.sent.1;
            assert!(bytes <= 256, "{bytes} bytes for {} logs", world.logs.len());
            let took = syncline_core::clock::Clock::now(&clock).since(started);
            assert_eq!(took, Duration::from_millis(200), "one round trip");
        }
    }
}

fn both_end_up_with_everything(seed: u64) {
    let mut rng = Rng::new(seed);
    let shape = LogShape { operations: rng.index(20), body_max: 300, prunes_per_mille: 50, previous_max: 2 };
    let (authors, logs) = (1 + rng.index(4), 1 + rng.below(4));
    let world = World::new(&mut rng, authors, logs, &shape);
    let one = world.node(|_, operations| rng.index(operations.len() + 1));
    let two = world.node(|_, operations| rng.index(operations.len() + 1));
    let before = (one.count(), two.count());
    let outcome = session((random_conditions(&mut rng), random_conditions(&mut rng)), one.protocol(1), two.protocol(2));
    outcome.assert_ok();
    assert_eq!(one.contents(), two.contents());
    for (node, app, before) in [(&one, &outcome.apps.0, before.0), (&two, &outcome.apps.1, before.1)] {
        let stored = node.verdicts().iter().filter(|verdict| *verdict == "Stored").count();
        assert_eq!((stored, node.verdicts().len()), (app.hashes().len(), app.hashes().len()), "each came once");
        assert!(node.count() <= before + stored);
        let operations = app.operations();
        for (nth, operation) in operations.iter().enumerate() {
            let later = &operations[nth + 1..];
            assert!(
                later
                    .iter()
                    .all(|later| later.backlink() != Some(operation.hash()) || later.seq_num() > operation.seq_num())
            );
        }
    }
    let again = session(Default::default(), one.protocol(3), two.protocol(4));
    again.assert_ok();
    assert!(again.sent.0 + again.sent.1 <= 256, "nothing was left");
}

#[test]
fn whatever_they_hold_both_end_up_with_everything_once_and_in_order() {
    seed::for_each_seed(0..300, both_end_up_with_everything);
}

#[test]
fn many_logs_of_which_few_differ_cost_what_differs() {
    let shape = LogShape { operations: 2, body_max: 0, ..LogShape::default() };
    let world = World::new(&mut Rng::new(7), 10, 200, &shape);
    let one = world.node(|nth, operations| operations.len() - usize::from(nth % 500 == 3));
    let two = world.node(|nth, operations| operations.len() - usize::from(nth % 500 == 4));
    let outcome = session(Default::default(), one.protocol(1), two.protocol(2));
    outcome.assert_ok();
    assert_eq!(one.contents(), two.contents());
    assert_eq!((outcome.apps.0.hashes().len(), outcome.apps.1.hashes().len()), (4, 4));
    let bytes = outcome.sent.0 + outcome.sent.1;
    assert!(bytes < 12_000, "{bytes} bytes for eight differences among 2000 logs");
}

#[test]
fn what_travels_is_little_more_than_what_is_sent() {
    let world = World::pair(2_000, 100);
    let (one, two) = (world.full(), world.empty());
    let outcome = session(Default::default(), two.protocol(1), one.protocol(2));
    outcome.assert_ok();
    let raw: usize = outcome
        .apps
        .0
        .operations()
        .iter()
        .map(|operation| operation.header_bytes().len() + operation.body().map_or(0, |body| body.len()))
        .sum();
    let bytes = outcome.sent.0 + outcome.sent.1;
    assert!(bytes as f64 <= 1.05 * raw as f64, "{bytes} bytes for {raw}");
}

#[test]
fn two_peers_with_ten_times_what_the_buffers_hold_both_finish() {
    let world = World::pair(400, 200);
    for capacity in [1_usize, 100, 4_096] {
        let tight = || Conditions::new().with_capacity(capacity).with_latency(Duration::from_millis(5));
        let (one, two) = (world.node_with(0), world.node_with(1));
        let outcome = session((tight(), tight()), one.protocol(1), two.protocol(2));
        outcome.assert_ok();
        assert!(outcome.sent.0 > 40_960 && outcome.sent.1 > 40_960, "ten times the buffer: {:?}", outcome.sent);
        assert_eq!(one.contents(), two.contents());
    }
}

#[test]
fn a_slow_application_loses_nothing() {
    let world = World::pair(1_000, 100);
    let (one, two) = (world.empty(), world.full());
    let clock = clock();
    let slow = App::new(&clock).with_delay(Duration::from_secs(1));
    let apps = (slow, App::new(&clock));
    let conditions = || Conditions::new().with_capacity(4_096);
    let outcome = session_with(&clock, (conditions(), conditions()), one.protocol(1), two.protocol(2), apps);
    outcome.assert_ok();
    assert_eq!(outcome.apps.0.hashes().len(), 2_000);
}

#[test]
fn an_application_that_stands_still_holds_up_the_peers_store_within_the_window() {
    let world = World::pair(5_000, 100);
    let (one, two) = (world.empty(), world.full());
    let clock = clock();
    let limits = || Limits::default().with_window_bytes(10_000).with_page_bytes(10_000).with_batch_bytes_max(10_000);
    let stuck = App::new(&clock).with_delay(Duration::from_secs(1_000_000));
    let conditions = || Conditions::new().with_capacity(10_000);
    let Link { a, b, b_to_a, .. } = Link::new(&clock, conditions(), conditions());
    let mut sim = Sim::new(&clock);
    sim.spawn("initiator", initiate(Arc::new(one.protocol(1).with_limits(limits())), a, stuck));
    sim.spawn("acceptor", accept(Arc::new(two.protocol(2).with_limits(limits())), b, App::new(&clock)));
    run_for(&mut sim, Duration::from_secs(1_000));
    // What the stream holds, a page that waits, a batch that is stored and one that waits, and what was read at once.
    assert!(b_to_a.written() < 5 * 10_000 + 65_536, "{} of some 1.4 million", b_to_a.written());
    assert!(one.count() > 0 && one.count() < 200, "{} operations of 10000 were stored", one.count());
}

#[test]
fn an_application_that_wants_to_do_it_itself_gets_what_comes() {
    let world = World::pair(300, 100);
    let (one, two) = (world.empty(), world.full());
    let outcome = session(Default::default(), one.protocol(1).with_intake(Intake::Forward), two.protocol(2));
    outcome.assert_ok();
    assert_eq!((outcome.apps.0.hashes().len(), one.count()), (600, 0));
}
