//! Sessions that stay open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use syncline_core::SyncError;
use syncline_core::clock::{Clock as _, ManualClock};
use syncline_core::session::{Session, SessionLimits};
use syncline_crypto::Hash;
use syncline_log::sync::v2::Limits;
use syncline_log::{LogStore as _, NewOperation};
use syncline_testkit::generate::{Author, LogExtensions, LogShape, Step, encoded};
use syncline_testkit::net::{Conditions, Cut, Link, Sim};
use syncline_testkit::seed::{self, Rng};

use crate::world::{App, Node, Protocol, Topic, World, accept, clock, initiate, run_for, sleep};

fn live(node: &Node, seed: u8, clock: &ManualClock) -> Protocol {
    node.protocol(seed).with_live(true).with_timer(Arc::new(clock.clone()))
}

/// Writes into the n-th log of a world, at one node.
struct Writer {
    author: Author,
    node: Node,
    written: Vec<Hash>,
}

impl Writer {
    fn new(world: &World, nth: usize, node: &Node) -> Self {
        let (key, log_id, operations) = &world.logs[nth];
        let tip =
            operations.last().map(|last| syncline_log::store::Tip { seq_num: last.header.seq_num, hash: last.hash });
        let author = match tip {
            Some(tip) => Author::at(key.clone(), *log_id, tip),
            None => Author::new(key.clone(), *log_id),
        };
        Self { author, node: node.clone(), written: Vec::new() }
    }

    async fn write(&mut self, body: String) {
        let operation = encoded(&self.author.write(Step::body(body)));
        self.written.push(operation.hash());
        self.node.store.append(vec![NewOperation::next(self.author.log_id(), operation)]).await.unwrap();
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_is_appended_on_either_side_is_pushed_at_once_and_once() {
    let world = World::pair(10, 50);
    let (one, two) = (world.node_with(0), world.node_with(1));
    let clock = clock();
    let (a_app, b_app) = (App::new(&clock), App::new(&clock));
    let latency = || Conditions::new().with_latency(Duration::from_millis(50));
    let Link { a, b, a_to_b, b_to_a } = Link::new(&clock, latency(), latency());
    let (ours, theirs) = (live(&one, 1, &clock), live(&two, 2, &clock));
    let finish = ours.finish_handle();
    let mut sim = Sim::new(&clock);
    let initiator = sim.spawn("initiator", initiate(Arc::new(ours), a, a_app.clone()));
    let acceptor = sim.spawn("acceptor", accept(Arc::new(theirs), b, b_app.clone()));
    let script = {
        let (clock, a_app, b_app, world) = (clock.clone(), a_app.clone(), b_app.clone(), &world);
        let (mut left, mut right) = (Writer::new(world, 0, &one), Writer::new(world, 1, &two));
        async move {
            sleep(&clock, seconds(10)).await;
            assert_eq!((a_app.hashes().len(), b_app.hashes().len()), (10, 10), "caught up");
            for nth in 0..5 {
                left.write(format!("left {nth}")).await;
                right.write(format!("right {nth}")).await;
                let quiet = (a_to_b.written(), b_to_a.written());
                sleep(&clock, Duration::from_millis(51)).await;
                assert_eq!((a_app.hashes().len(), b_app.hashes().len()), (11 + nth, 11 + nth), "at once");
                sleep(&clock, seconds(1)).await;
                let sent = (a_to_b.written() - quiet.0, b_to_a.written() - quiet.1);
                assert!(sent.0 < 450 && sent.1 < 450, "an operation each, and no echo: {sent:?}");
            }
            finish.finish();
        }
    };
    sim.spawn("script", script);
    sim.run().unwrap();
    assert_eq!((initiator.take().unwrap(), acceptor.take().unwrap()), (Ok(()), Ok(())));
    assert_eq!(one.contents(), two.contents());
    for node in [&one, &two] {
        assert!(node.verdicts().iter().all(|verdict| verdict == "Stored"));
    }
}

#[test]
fn what_comes_from_one_peer_goes_on_to_the_next_and_not_back() {
    let world = World::pair(3, 50);
    let nodes: Vec<Node> = (0..4).map(|_| world.full()).collect();
    let clock = clock();
    let apps: Vec<App> = nodes.iter().map(|_| App::new(&clock)).collect();
    let mut sim = Sim::new(&clock);
    let mut taps = Vec::new();
    // A chain: 0 - 1 - 2 - 3.
    for nth in 0..3 {
        let Link { a, b, a_to_b, b_to_a } = Link::new(&clock, Conditions::new(), Conditions::new());
        let (left, right) = (live(&nodes[nth], 10 + nth as u8, &clock), live(&nodes[nth + 1], 20 + nth as u8, &clock));
        sim.spawn("left", initiate(Arc::new(left), a, apps[nth].clone()));
        sim.spawn("right", accept(Arc::new(right), b, apps[nth + 1].clone()));
        taps.push((a_to_b, b_to_a));
    }
    let mut writer = Writer::new(&world, 0, &nodes[0]);
    let (script_clock, script_apps) = (clock.clone(), apps.clone());
    sim.spawn("script", async move {
        sleep(&script_clock, seconds(5)).await;
        let backwards: Vec<u64> = taps.iter().map(|(_, back)| back.written()).collect();
        writer.write("news".into()).await;
        sleep(&script_clock, seconds(1)).await;
        for app in &script_apps[1..] {
            assert_eq!(app.hashes(), writer.written, "everybody has it, once");
        }
        assert!(script_apps[0].hashes().is_empty());
        let now: Vec<u64> = taps.iter().map(|(_, back)| back.written()).collect();
        assert_eq!(now, backwards, "nothing goes back");
    });
    // The sessions stay open; the script is what has to end.
    run_for(&mut sim, seconds(30));
    assert!(nodes.iter().all(|node| node.contents() == nodes[0].contents()));
}

#[test]
fn a_quiet_session_is_kept_alive_and_a_dead_peer_is_noticed() {
    let world = World::pair(3, 50);
    let (one, two) = (world.full(), world.full());
    let clock = clock();
    // Nothing gets through any more after so many bytes: two hours of pings, or so.
    let stall = Conditions::new().with_cut(1_000, Cut::Stall);
    let Link { a, b, .. } = Link::new(&clock, stall, Conditions::new());
    let started = clock.now();
    let mut sim = Sim::new(&clock);
    let initiator = sim.spawn("initiator", initiate(Arc::new(live(&one, 1, &clock)), a, App::new(&clock)));
    let acceptor = sim.spawn("acceptor", accept(Arc::new(live(&two, 2, &clock)), b, App::new(&clock)));
    sim.run().unwrap();
    assert!(matches!(acceptor.take().unwrap(), Err(SyncError::UnexpectedBehaviour(_))));
    assert!(matches!(initiator.take().unwrap(), Err(SyncError::UnexpectedBehaviour(_))));
    assert!(clock.now().since(started) > seconds(3_600), "it was kept open meanwhile");
}

#[test]
fn a_stream_that_stalls_at_any_point_is_given_up_on_both_sides() {
    let world = World::pair(3, 20);
    for stays in [true, false] {
        for at in (0..900).step_by(5) {
            for forward in [true, false] {
                let (one, two) = (world.node_with(0), world.node_with(1));
                let clock = clock();
                let stall = Conditions::new().with_cut(at, Cut::Stall);
                let (there, back) = if forward { (stall, Conditions::new()) } else { (Conditions::new(), stall) };
                let Link { a, b, .. } = Link::new(&clock, there, back);
                let mut sim = Sim::new(&clock);
                let ours = Arc::new(live(&one, 1, &clock).with_live(stays));
                let theirs = Arc::new(live(&two, 2, &clock).with_live(stays));
                let initiator = sim.spawn("initiator", initiate(ours, a, App::new(&clock)));
                let acceptor = sim.spawn("acceptor", accept(theirs, b, App::new(&clock)));
                run_for(&mut sim, seconds(2_000));
                // A live session that had enough bytes goes on for a while, on pings.
                let results = (initiator.take(), acceptor.take());
                for result in [&results.0, &results.1] {
                    let ended = matches!(result, Some(Ok(()) | Err(SyncError::UnexpectedBehaviour(_))));
                    assert!(ended || (stays && at > 600), "stalls at {at}: {result:?}");
                }
            }
        }
    }
}

#[test]
fn a_peer_that_falls_behind_is_served_from_the_store() {
    let world = World::pair(1, 0);
    let (one, two) = (world.full(), world.full());
    let clock = clock();
    let slow_app = App::new(&clock).with_delay(Duration::from_millis(200));
    let tight = || Conditions::new().with_capacity(1_000);
    let Link { a, b, a_to_b, .. } = Link::new(&clock, tight(), tight());
    // The peer takes its time with a whole batch, and is silent meanwhile.
    let patient = Limits::default().with_idle(seconds(1_000));
    let ours = live(&one, 1, &clock).with_limits(patient);
    let finish = ours.finish_handle();
    let mut sim = Sim::new(&clock);
    let initiator = sim.spawn("initiator", initiate(Arc::new(ours), a, App::new(&clock)));
    let acceptor = sim.spawn("acceptor", accept(Arc::new(live(&two, 2, &clock)), b, slow_app.clone()));
    let mut writer = Writer::new(&world, 0, &one);
    let script_clock = clock.clone();
    sim.spawn("script", async move {
        sleep(&script_clock, seconds(1)).await;
        for nth in 0..1_000 {
            writer.write(format!("{nth}")).await;
            sleep(&script_clock, Duration::from_millis(1)).await;
        }
        // 200 KB were written in a second, of which the peer took some; the rest is in the store, not in a queue.
        assert!(a_to_b.written() < 150_000, "{}", a_to_b.written());
        finish.finish();
    });
    sim.run().unwrap();
    assert_eq!((initiator.take().unwrap(), acceptor.take().unwrap()), (Ok(()), Ok(())));
    assert_eq!(slow_app.hashes().len(), 1_000);
    assert_eq!(one.contents(), two.contents());
}

#[test]
fn a_peer_that_does_not_want_to_stay_does_not_have_to() {
    let world = World::pair(3, 50);
    for (ours, theirs) in [(true, false), (false, true)] {
        let (one, two) = (world.node_with(0), world.node_with(1));
        let clock = clock();
        let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
        let mut sim = Sim::new(&clock);
        let initiator = Arc::new(live(&one, 1, &clock).with_live(ours));
        let acceptor = Arc::new(live(&two, 2, &clock).with_live(theirs));
        let initiator = sim.spawn("initiator", initiate(initiator, a, App::new(&clock)));
        let acceptor = sim.spawn("acceptor", accept(acceptor, b, App::new(&clock)));
        sim.run().unwrap();
        assert_eq!((initiator.take().unwrap(), acceptor.take().unwrap()), (Ok(()), Ok(())));
        assert_eq!(one.contents(), two.contents());
    }
}

#[test]
fn a_report_tells_the_live_phase_from_what_came_before() {
    let world = World::pair(10, 50);
    let (one, two) = (world.node_with(0), world.node_with(1));
    let clock = clock();
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let (ours, theirs) = (live(&one, 1, &clock), live(&two, 2, &clock));
    let finish = theirs.finish_handle();
    let session = Session::new(Arc::new(clock.clone()), SessionLimits::default());
    let mut sim = Sim::new(&clock);
    let app = App::new(&clock);
    let report = sim.spawn("initiator", async move {
        let (mut end, mut app) = (a, app);
        session.initiate(Arc::new(ours), Topic(1), &mut end.tx, &mut end.rx, &mut app).await
    });
    sim.spawn("acceptor", accept(Arc::new(theirs), b, App::new(&clock)));
    let (mut left, mut right) = (Writer::new(&world, 0, &one), Writer::new(&world, 1, &two));
    let script_clock = clock.clone();
    sim.spawn("script", async move {
        sleep(&script_clock, seconds(1)).await;
        left.write("one".into()).await;
        for nth in 0..3 {
            right.write(format!("{nth}")).await;
        }
        sleep(&script_clock, seconds(1)).await;
        finish.finish();
    });
    sim.run().unwrap();
    let report = report.take().unwrap().unwrap();
    let (before, after) = (report.sync_phase(), report.live_phase().expect("it went live"));
    assert_eq!((before.items_sent, before.items_received), (10, 10));
    assert_eq!((after.items_sent, after.items_received), (1, 3));
    assert!(after.bytes_sent > 100 && after.bytes_received > 300);
    assert_eq!((report.duplicates(), report.rejected()), (0, 0));
}

#[track_caller]
fn assert_in_order(app: &App) {
    let mut heights = BTreeMap::new();
    for operation in app.operations() {
        let log_id = operation.header::<LogExtensions>().unwrap().extensions.unwrap().log_id;
        let before = heights.insert((operation.public_key(), log_id), operation.seq_num());
        assert!(before.is_none_or(|before| before < operation.seq_num()), "in the order of its log");
    }
}

/// Some nodes, some of whose pairs are connected, write for a while; connections break and are made again.
fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let count = 2 + rng.index(4);
    let world = World::new(&mut rng, count, 2, &LogShape { operations: 3, body_max: 60, ..LogShape::default() });
    let nodes: Vec<Node> = (0..count).map(|_| world.node(|_, operations| rng.index(operations.len() + 1))).collect();
    // Who writes has its own logs whole.
    for (nth, (_, _, operations)) in world.logs.iter().enumerate() {
        let owner = &nodes[nth / 2];
        block_on(owner.store.append(syncline_testkit::generate::new_operations(operations))).unwrap();
    }
    let clock = clock();
    let apps: Vec<App> = nodes.iter().map(|_| App::new(&clock)).collect();
    let mut sim = Sim::new(&clock);
    let mut seeds = 0;
    for nth in 0..count {
        for other in nth + 1..count {
            // A ring, some more, and some twice.
            let times = if other == nth + 1 { 1 + rng.index(2) } else { rng.index(2) };
            for _ in 0..times {
                seeds += 2;
                let (left, right) = (live(&nodes[nth], seeds, &clock), live(&nodes[other], seeds + 1, &clock));
                let apps = (apps[nth].clone(), apps[other].clone());
                let (clock, mut rng) = (clock.clone(), Rng::new(rng.next_u64()));
                sim.spawn("connection", async move {
                    loop {
                        let mut conditions = || {
                            let conditions = Conditions::new()
                                .with_latency(Duration::from_millis(rng.below(200)))
                                .with_capacity(1 + rng.index(3_000));
                            let breaks = clock.now().as_millis() < 1_060_000 && rng.chance(1, 2);
                            if breaks { conditions.with_cut(rng.below(6_000), Cut::Close) } else { conditions }
                        };
                        let Link { a, b, .. } = Link::new(&clock, conditions(), conditions());
                        let one = initiate(Arc::new(left.clone()), a, apps.0.clone());
                        let two = accept(Arc::new(right.clone()), b, apps.1.clone());
                        let results = futures::future::join(one, two).await;
                        for result in [&results.0, &results.1] {
                            assert!(matches!(result, Ok(()) | Err(SyncError::UnexpectedBehaviour(_))), "{result:?}");
                        }
                        sleep(&clock, Duration::from_millis(100)).await;
                    }
                });
            }
        }
    }
    for nth in 0..world.logs.len() {
        let mut writer = Writer::new(&world, nth, &nodes[nth / 2]);
        let (clock, mut rng) = (clock.clone(), Rng::new(rng.next_u64()));
        sim.spawn("writer", async move {
            for number in 0..rng.index(12) {
                sleep(&clock, Duration::from_millis(rng.below(6_000))).await;
                writer.write(format!("{nth}: {number}")).await;
            }
        });
    }
    run_for(&mut sim, seconds(400));
    for (node, app) in nodes.iter().zip(&apps) {
        assert_eq!(node.contents(), nodes[0].contents(), "all have the same");
        let mut hashes = app.hashes();
        let came = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), came, "each came once");
        assert!(!node.verdicts().iter().any(|verdict| verdict.starts_with("Rejected")), "{:?}", node.verdicts());
        assert_in_order(app);
    }
}

#[test]
fn some_nodes_whose_connections_break_all_get_everything_once() {
    seed::for_each_seed(0..60, run);
}
