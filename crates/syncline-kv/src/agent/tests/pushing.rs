//! Items that travel at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::solo::{Output, Solo, messages};
use super::world::{ENTRY, FORGED, GRANT, REVOCATION, Weather, World, item};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn quiet() -> AgentConfig {
    AgentConfig::default().with_entropy_intervals(0).with_interval(Duration::from_secs(100_000))
}

fn changed(n: u64, source: Source<u32>, pushes: Vec<Push>) -> AgentInput<u32> {
    AgentInput::Changed { root: root(n), source, pushes }
}

fn entry(bytes: &Bytes) -> Push {
    Push::new(PushKind::Entry, bytes.clone())
}

/// What items each member is sent whole, in order.
fn pushed(outputs: &[Output]) -> BTreeMap<u32, Vec<Bytes>> {
    let mut pushed: BTreeMap<u32, Vec<Bytes>> = BTreeMap::new();
    for (to, message) in messages(outputs) {
        if let (Some(to), Message::Push(items)) = (to, message) {
            pushed.entry(to).or_default().extend(items);
        }
    }
    pushed
}

#[test]
fn s3_a_push_reaches_everybody_within_two_intervals_without_a_session() {
    for_each_seed(0..100, |seed| {
        let config = AgentConfig::default();
        let mut world = World::new(10, seed, &config);
        world.start();
        world.pass(SECOND * 5);
        assert_eq!(world.sessions, 0);
        let since = world.now;
        let new = item(ENTRY, seed, 300);
        world.put(u32::try_from(seed % 10).unwrap(), &new);
        world.pass(config.interval() * 2);
        for id in 0..10 {
            let came = world.node(id).came.get(&new).copied();
            let took = came.unwrap_or_else(|| panic!("{id} lacks it")).since(since);
            assert!(took <= Duration::from_millis(21 * 9), "{id} after {took:?}");
        }
        // Sessions with random members come later than that, if at all.
        let asked: Vec<_> =
            world.log.iter().filter(|(_, _, output)| matches!(output, AgentOutput::Sync { .. })).collect();
        assert!(asked.iter().all(|(at, ..)| *at >= since + config.interval()), "{asked:?}");
        assert!(world.nodes.iter().all(|node| node.agent.stats().replies_sent == 0));
    });
}

#[test]
fn s3_with_thirty_percent_lost_all_become_equal() {
    for_each_seed(0..20, |seed| {
        let mut world = World::new(10, seed, &AgentConfig::default());
        world.weather = Weather { loss_percent: 30, double_percent: 10 };
        world.start();
        for n in 0..60 {
            let len = if n % 3 == 0 { 5_000 } else { 200 };
            world.put(u32::try_from(n % 10).unwrap(), &item(ENTRY, n, len));
            world.pass(Duration::from_millis(500));
        }
        world.converge(SECOND * 120);
        assert_eq!(world.node(0).items.len(), 60);
    });
}

#[test]
fn s12_revocations_reach_fifty_nodes_with_a_fifth_lost() {
    for_each_seed(0..4, |seed| {
        let config = AgentConfig::default();
        let mut world = World::new(50, seed, &config);
        world.weather.loss_percent = 20;
        world.start();
        let revocation = item(REVOCATION, 1, 200);
        world.put(7, &revocation);
        world.pass(SECOND);
        let at_once = (0..50).filter(|id| world.has(*id, &revocation)).count();
        assert!(at_once >= 45, "{at_once} by pushes");
        world.converge(config.interval() * 3);
    });
}

#[test]
fn s11_without_eager_pushes_nothing_is_pushed_and_digests_do_it() {
    for_each_seed(0..10, |seed| {
        let mut world = World::new(6, seed, &AgentConfig::default().with_eager(false));
        world.start();
        world.pass(SECOND);
        world.put(0, &item(REVOCATION, 1, 100));
        world.pass(Duration::from_millis(150));
        assert!((1..6).all(|id| world.node(id).items.is_empty()), "nobody knows before it is asked for");
        world.converge(SECOND * 60);
        assert!(world.nodes.iter().all(|node| node.agent.stats().pushes_sent == 0));
        assert!(world.sessions > 0);
    });
}

#[test]
fn without_pushes_and_with_all_digests_lost_sessions_with_anybody_do_it() {
    for_each_seed(0..5, |seed| {
        let config = AgentConfig::default();
        let mut world = World::new(5, seed, &config);
        world.weather.loss_percent = 100;
        world.start();
        for id in 0..5 {
            world.put(id, &item(ENTRY, u64::from(id), 100));
        }
        world.converge(config.interval() * config.entropy_intervals() * 20);
    });
}

#[test]
fn nodes_that_were_cut_off_catch_up() {
    for_each_seed(0..10, |seed| {
        let mut world = World::new(6, seed, &AgentConfig::default());
        world.start();
        for id in [1, 2] {
            world.node(id).online = false;
        }
        for n in 0..20 {
            world.put(3, &item(ENTRY, n, 100));
            world.put(1, &item(ENTRY, 100 + n, 100));
            world.pass(SECOND);
        }
        for id in [1, 2] {
            world.node(id).online = true;
        }
        world.converge(SECOND * 300);
        assert_eq!(world.node(5).items.len(), 40);
    });
}

#[test]
fn few_members_all_get_it_but_not_who_sent_it() {
    let mut solo = Solo::new(quiet(), 8);
    let local = item(ENTRY, 1, 100);
    let outputs = solo.tell(changed(1, Source::Local, vec![entry(&local)]));
    assert_eq!(pushed(&outputs).into_keys().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    for (n, source) in [(2, Source::Pushed(Some(3))), (3, Source::Session(3))] {
        let outputs = solo.tell(changed(n, source, vec![entry(&item(ENTRY, n, 100))]));
        assert_eq!(pushed(&outputs).into_keys().collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7, 8]);
    }
    // Once is enough, whoever says it again.
    assert_eq!(solo.tell(changed(4, Source::Local, vec![entry(&local)])), []);
    assert_eq!(solo.hear(Some(5), &Message::Push(vec![local])), []);
}

#[test]
fn of_many_members_both_neighbours_and_some_others_get_it() {
    for_each_seed(0..50, |seed| {
        let mut solo = Solo::seeded(seed, quiet(), 9);
        let outputs = solo.tell(changed(1, Source::Local, vec![entry(&item(ENTRY, 1, 100))]));
        let targets: Vec<_> = pushed(&outputs).into_keys().collect();
        assert_eq!(targets.len(), 4);
        assert!(targets.contains(&1) && targets.contains(&9), "{targets:?}");
        let outputs = solo.tell(changed(2, Source::Pushed(Some(9)), vec![entry(&item(ENTRY, 2, 100))]));
        let targets: Vec<_> = pushed(&outputs).into_keys().collect();
        assert!(targets.len() == 4 && targets.contains(&1) && !targets.contains(&9), "{targets:?}");
    });
    for (fanout, count) in [(0, 0), (1, 1), (2, 2), (20, 9)] {
        let mut solo = Solo::new(quiet().with_fanout(fanout), 9);
        let outputs = solo.tell(changed(1, Source::Local, vec![entry(&item(ENTRY, 1, 100))]));
        assert_eq!(pushed(&outputs).len(), count);
    }
}

#[test]
fn long_entries_stay_behind_and_what_is_urgent_goes_in_parts() {
    let mut solo = Solo::new(quiet(), 1);
    let pushes = |kind, len| vec![Push::new(kind, item(ENTRY, u64::try_from(len).unwrap(), len))];
    assert_eq!(solo.tell(changed(1, Source::Local, pushes(PushKind::Entry, 1_201))), []);
    assert_eq!(solo.tell(changed(2, Source::Local, pushes(PushKind::Entry, 1_164))).len(), 1, "one message");
    assert_eq!(solo.tell(changed(3, Source::Local, pushes(PushKind::Entry, 1_165))).len(), 2, "two");
    assert_eq!(solo.tell(changed(4, Source::Local, pushes(PushKind::Entry, 1_200))).len(), 2);
    let mut other = Solo::new(quiet(), 1);
    let urgent = pushes(PushKind::Entry, 9_000).remove(0).urgent();
    let grant = pushes(PushKind::Grant, 70_000).remove(0);
    for (n, push) in [(5, urgent), (6, grant)] {
        let outputs = solo.tell(changed(n, Source::Local, vec![push.clone()]));
        let mut came = Vec::new();
        for output in outputs.into_iter().rev() {
            let AgentOutput::Send { to: 1, bytes } = output else { panic!("{output:?}") };
            assert!(bytes.len() <= 1_200);
            came.extend(other.tell(AgentInput::Received { from: Some(1), bytes }));
        }
        assert_eq!(came, [AgentOutput::Apply { from: Some(1), items: vec![push.bytes] }]);
    }
    // 64 parts of 1130 bytes are the most.
    assert_eq!(solo.tell(changed(7, Source::Local, pushes(PushKind::Grant, 64 * 1_130))).len(), 64);
    assert_eq!(solo.tell(changed(8, Source::Local, pushes(PushKind::Grant, 64 * 1_130 + 1))), []);
    assert_eq!(solo.agent.stats().pushes_dropped, 1);
}

#[test]
fn items_share_messages_and_revocations_go_first() {
    let mut solo = Solo::new(quiet(), 1);
    let mut pushes: Vec<_> = (0..20).map(|n| entry(&item(ENTRY, n, 100))).collect();
    pushes.push(Push::new(PushKind::Revocation, item(REVOCATION, 1, 150)));
    pushes.push(Push::new(PushKind::Grant, item(GRANT, 1, 150)));
    pushes.push(Push::new(PushKind::Entry, Bytes::new()));
    let outputs = solo.tell(changed(1, Source::Local, pushes));
    assert_eq!(outputs.len(), 3, "one of the urgent, two of eleven and nine entries");
    let all = pushed(&outputs).remove(&1).unwrap();
    let kinds: Vec<_> = all.iter().map(|item| item[0]).collect();
    assert_eq!((all.len(), &kinds[..3]), (22, &[REVOCATION, GRANT, ENTRY][..]));
}

#[test]
fn pushes_keep_to_the_rate_and_what_waits_is_bounded() {
    let config = quiet().with_push_rate(Rate::new(2_000, 4_000)).with_push_bytes_max(10_000);
    let mut solo = Solo::new(config, 1);
    let pushes = (0..40).map(|n| entry(&item(ENTRY, n, 1_000))).collect();
    let at_once = solo.tell(changed(1, Source::Local, pushes));
    assert_eq!(at_once.len(), 4);
    assert_eq!(solo.agent.stats().pushes_dropped, 30);
    let later = solo.pass(SECOND * 60);
    let sent: Vec<_> = later.iter().filter(|(_, output)| matches!(output, AgentOutput::Send { .. })).collect();
    assert_eq!(sent.len(), 6);
    assert!(sent[5].0.since(at(1_000)) >= SECOND * 2, "{:?}", sent[5].0);
    assert_eq!(later.len() - sent.len(), 1, "and a digest for what was dropped");
}

#[test]
fn what_no_tree_takes_is_not_forwarded() {
    let mut world = World::new(5, 1, &quiet());
    world.start();
    world.pass(SECOND);
    let bytes = Message::Push(vec![item(FORGED, 1, 100)]).encode(&namespace());
    world.tell(0, AgentInput::Received { from: Some(3), bytes });
    world.pass(SECOND * 5);
    assert!(world.nodes.iter().all(|node| node.items.is_empty() && node.agent.stats().pushes_sent == 0));
    assert_eq!(world.node(0).agent.stats().items_received, 1);
}

#[test]
fn duplicates_are_applied_once_and_forwarded_once() {
    for_each_seed(0..10, |seed| {
        let mut world = World::new(12, seed, &AgentConfig::default());
        world.weather.double_percent = 100;
        world.start();
        world.pass(SECOND);
        let new = item(ENTRY, 1, 100);
        world.put(0, &new);
        world.pass(SECOND * 20);
        assert!(world.agrees());
        let applied = |id| {
            let by =
                |(_, by, output): &&(Timestamp, u32, Output)| *by == id && matches!(output, AgentOutput::Apply { .. });
            world.log.iter().filter(by).count()
        };
        assert!((1..12).all(|id| applied(id) == 1));
        assert!(world.nodes.iter().all(|node| node.agent.stats().pushes_sent <= 4));
    });
}
