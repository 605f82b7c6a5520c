//! Stores that change while a session reads from them.

use std::time::Duration;

use futures::executor::block_on;
use std::sync::Arc;
use syncline_core::SyncProtocol as _;
use syncline_core::clock::Clock as _;
use syncline_core::clock::Timer as _;
use syncline_log::SeqNum;
use syncline_log::store::LogStore as _;
use syncline_log::sync::Limits;
use syncline_testkit::generate::{LogShape, new_operations};
use syncline_testkit::net::{Conditions, Link, Sim};
use syncline_testkit::seed::Rng;

use crate::world::{SlowApp, Topic, World, append, clock};

#[test]
fn what_is_pruned_or_appended_during_a_session_does_not_break_it() {
    let shape = LogShape { operations: 300, body_max: 100, ..LogShape::default() };
    let world = World::new(&mut Rng::new(6), 1, 1, &shape);
    let (key, log_id, operations) = &world.logs[0];
    let store = world.node(|operations| operations.len() - 50);
    let clock = clock();
    let limits = Limits::default().with_page_bytes(1_000).with_window_bytes(1_000);
    let sender = Arc::new(world.protocol(&store).with_limits(limits));
    let receiver = Arc::new(world.protocol(&world.node(|_| 0)));
    let slow = Conditions::new().with_bandwidth(10_000).with_capacity(1_000);
    let Link { mut a, mut b, .. } = Link::new(&clock, slow.clone(), slow);
    let (mut ours, mut theirs) = (SlowApp::new(&clock, Duration::ZERO), SlowApp::new(&clock, Duration::ZERO));
    let mut sim = Sim::new(&clock);
    let one = sim.spawn("receiver", async {
        let (tx, rx) = (Box::new(&mut a.tx as _), Box::new(&mut a.rx as _));
        receiver.initiate(Topic(1), tx, rx, Box::new(&mut ours as _)).await
    });
    let two = sim.spawn("sender", async {
        let (tx, rx) = (Box::new(&mut b.tx as _), Box::new(&mut b.rx as _));
        sender.accept(tx, rx, Box::new(&mut theirs as _)).await
    });
    let housekeeping = async {
        clock.sleep_until(clock.now() + Duration::from_secs(2)).await;
        store.prune(key.public_key(), *log_id, SeqNum::new(200)).await.unwrap();
        append(&store, new_operations(&operations[250..]));
    };
    sim.spawn("housekeeping", housekeeping);
    sim.run().unwrap();
    assert_eq!((one.take().unwrap(), two.take().unwrap()), (Ok(()), Ok(())));
    drop(sim);
    let all: Vec<_> = operations.iter().map(|operation| operation.hash).collect();
    let received = ours.headers();
    assert!(received.len() < 250, "some were gone when their turn came");
    let places: Vec<usize> = received.iter().map(|hash| all.iter().position(|one| one == hash).unwrap()).collect();
    assert!(places.is_sorted(), "in order");
    assert_eq!(places.last(), Some(&249), "the session covers what was there when it started");
    assert!(block_on(store.tip(key.public_key(), *log_id)).unwrap().is_some());
}
