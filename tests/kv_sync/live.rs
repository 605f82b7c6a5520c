//! Sessions that stay open.

use std::time::Duration;

use syncline_core::clock::Clock as _;
use syncline_crypto::Signer as _;
use syncline_kv::Item;
use syncline_kv::item::Ops;
use syncline_kv::sync::{KvQuery, KvSync, Limits};
use syncline_kv::tree::TreeLimits;
use syncline_testkit::net::{Conditions, Handle, Link, Sim, Tap};

use crate::world::{App, Node, accept, assert_same, clock, draft, initiate, namespace, open, root, run_for, signer};

type Ended = Handle<Result<(), syncline_core::SyncError>>;

/// A live session between two nodes.
fn connect(sim: &mut Sim<'_>, one: (&Node, &App), two: (&Node, &App), latency: u64) -> ((Ended, Ended), (Tap, Tap)) {
    let conditions = Conditions::new().with_latency(Duration::from_millis(latency));
    let Link { a, b, a_to_b, b_to_a } = Link::new(&one.0.clock, conditions.clone(), conditions);
    let live = |sync: &KvSync| sync.clone().with_live(true);
    let query = KvQuery::all(one.0.tree.id());
    let asks = sim.spawn("initiator", initiate(live(&one.0.sync), query, a, one.1.clone()));
    let tells = sim.spawn("acceptor", accept(live(&two.0.sync), b, two.1.clone()));
    ((asks, tells), (a_to_b, b_to_a))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_changes_is_pushed_both_ways_and_not_back() {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.put_some(&root(), "/old", 5);
    let apps = (App::new(&clock), App::new(&clock));
    let mut sim = Sim::new(&clock);
    let (ended, taps) = connect(&mut sim, (&one, &apps.0), (&two, &apps.1), 10);
    run_for(&mut sim, seconds(1));
    assert_same(&one, &two);
    one.events();
    two.events();
    for turn in 0..20 {
        let node = if turn % 3 == 0 { &one } else { &two };
        node.put(&root(), &format!("/k/{}", turn % 7), &turn.to_string());
        run_for(&mut sim, Duration::from_millis(100));
        assert_same(&one, &two);
    }
    let events = [one.events(), two.events()].concat();
    assert_eq!(events, ["Applied"; 20], "each went over once, and none came back");
    let quiet = (taps.0.written(), taps.1.written());
    run_for(&mut sim, seconds(5));
    assert_eq!((taps.0.written(), taps.1.written()), quiet, "nothing to say");
    one.put(&root(), "/last", "1");
    one.sync.finish_handle().finish();
    sim.run().expect("both sides end");
    assert_eq!((ended.0.take(), ended.1.take()), (Some(Ok(())), Some(Ok(()))));
    assert_same(&one, &two);
    let freshness = two.tree.freshness().unwrap();
    assert_eq!(freshness.peers.keys().collect::<Vec<_>>(), [&root().public_key()]);
}

#[test]
fn revocations_are_pushed_before_entries() {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let writer = signer(9);
    let grant = one.grant(draft(writer.public_key(), "/w/**", Ops::Write));
    one.put_some(&writer, "/w", 5);
    let apps = (App::new(&clock), App::new(&clock));
    let mut sim = Sim::new(&clock);
    let _session = connect(&mut sim, (&one, &apps.0), (&two, &apps.1), 10);
    run_for(&mut sim, seconds(1));
    apps.1.items.lock().unwrap().clear();
    one.put(&root(), "/a/first", "but later in the alphabet");
    one.tree.revoke(clock.now(), &root(), grant).unwrap();
    let new = one.grant(draft(writer.public_key(), "/n/**", Ops::Write));
    one.put(&writer, "/n/1", "by the new one");
    run_for(&mut sim, seconds(1));
    assert_same(&one, &two);
    assert!(!two.tree.authority().is_live_grant(grant) && two.tree.authority().is_live_grant(new));
    let came = apps.1.decoded();
    let last_system = came.iter().rposition(Item::is_system).expect("a grant and a revocation");
    let first_entry = came.iter().position(|item| !item.is_system()).expect("entries");
    assert!(last_system < first_entry, "{came:?}");
    assert_eq!(two.count_events("Waiting") + two.count_events("Revoked"), 0);
}

#[test]
fn a_third_hears_through_the_second() {
    let clock = clock();
    let nodes: Vec<Node> = (1..=4).map(|seed| Node::new(&clock, seed)).collect();
    let app = App::new(&clock);
    let mut sim = Sim::new(&clock);
    for pair in nodes.windows(2) {
        let _session = connect(&mut sim, (&pair[0], &app), (&pair[1], &app), 10);
    }
    // A ring: what goes round must come to rest.
    let _session = connect(&mut sim, (&nodes[3], &app), (&nodes[0], &app), 10);
    run_for(&mut sim, seconds(1));
    for turn in 0..12 {
        nodes[turn % 4].put(&root(), &format!("/k/{turn}"), "x");
    }
    run_for(&mut sim, seconds(2));
    for node in &nodes[1..] {
        assert_same(&nodes[0], node);
    }
    let polls = sim.polls_total();
    run_for(&mut sim, seconds(10));
    assert!(sim.polls_total() - polls < 200, "{} polls at rest", sim.polls_total() - polls);
}

#[test]
fn who_lags_behind_is_reconciled_again_in_the_same_session() {
    for turned in [false, true] {
        let clock = clock();
        let mut limits = TreeLimits::default();
        limits.watched_keys = 10;
        let tree = || open(&namespace(), limits.clone());
        let (one, two) = (Node::with_tree(&clock, 1, tree()), Node::with_tree(&clock, 2, tree()));
        one.put_some(&root(), "/old", 50);
        let app = App::new(&clock);
        let mut sim = Sim::new(&clock);
        let (ended, _) = connect(&mut sim, (&one, &app), (&two, &app), 50);
        run_for(&mut sim, seconds(1));
        let (writes, other) = if turned { (&two, &one) } else { (&one, &two) };
        for round in 0..4 {
            // At once, while nobody looks; sometimes on both sides.
            writes.put_some(&root(), &format!("/burst/{round}"), 40);
            if round % 2 == 1 {
                other.put_some(&root(), &format!("/other/{round}"), 40);
            }
            run_for(&mut sim, seconds(2));
            assert_same(&one, &two);
        }
        // And while it is being told.
        for round in 0..10 {
            writes.put_some(&root(), &format!("/more/{round}"), 15);
            other.put_some(&root(), &format!("/still/{round}"), 11);
            run_for(&mut sim, Duration::from_millis(60));
        }
        run_for(&mut sim, seconds(3));
        assert_same(&one, &two);
        other.sync.finish_handle().finish();
        sim.run().expect("both sides end");
        assert_eq!((ended.0.take(), ended.1.take()), (Some(Ok(())), Some(Ok(()))));
    }
}

#[test]
fn a_quiet_peer_is_told_that_we_are_here_and_a_dead_one_is_left() {
    let clock = clock();
    let (mut one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.sync = one.sync.with_limits(Limits::default().with_idle(seconds(30)).with_keep_alive(seconds(7)));
    let app = App::new(&clock);
    let mut sim = Sim::new(&clock);
    let (ended, taps) = connect(&mut sim, (&one, &app), (&two, &app), 10);
    run_for(&mut sim, seconds(600));
    assert!(!sim.has_ended(ended.0.id()) && !sim.has_ended(ended.1.id()), "signs of life keep it open");
    taps.1.hold(true);
    run_for(&mut sim, seconds(40));
    assert!(sim.has_ended(ended.0.id()), "nothing came for thirty seconds");
    let text = format!("{:?}", ended.0.take().unwrap());
    assert!(text.contains("idle deadline"), "{text}");
}

#[test]
fn a_session_is_live_only_if_both_sides_want_that() {
    let clock = clock();
    let (mut one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.put_some(&root(), "/a", 3);
    one.sync = one.sync.with_live(true);
    crate::world::session(&one, &two).assert_ok();
    crate::world::session(&two, &one).assert_ok();
    assert_same(&one, &two);
}

#[test]
fn without_memory_of_what_came_things_go_back_once_and_no_further() {
    let clock = clock();
    let (mut one, mut two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.sync = one.sync.with_limits(Limits::default().with_echoes_max(0));
    two.sync = two.sync.with_limits(Limits::default().with_echoes_max(0));
    let app = App::new(&clock);
    let mut sim = Sim::new(&clock);
    let _session = connect(&mut sim, (&one, &app), (&two, &app), 10);
    run_for(&mut sim, seconds(1));
    one.put(&root(), "/a", "x");
    run_for(&mut sim, seconds(5));
    assert_same(&one, &two);
    assert_eq!((two.events(), one.events()), (vec!["Applied".to_owned()], vec!["Known".to_owned()]));
}
