//! Who asks, and who answers.

use std::time::Duration;

use super::solo::{Output, Solo, messages, syncs};
use super::world::{ENTRY, World, item, root_of};
use super::*;

fn digest(n: u64, nonce: u64) -> Message {
    Message::Digest { root: root(n), nonce }
}

fn quiet() -> AgentConfig {
    AgentConfig::default().with_entropy_intervals(0)
}

#[test]
fn s13_the_first_message_is_one_digest_of_the_root_and_it_is_short() {
    for_each_seed(0..20, |seed| {
        let mut agent = Agent::new(0_u32, namespace(), seed, AgentConfig::default());
        for peer in 1..20 {
            agent.handle(at(0), AgentInput::PeerUp { peer, rtt: None });
        }
        agent.handle(at(0), AgentInput::Lagged);
        assert_eq!((agent.poll(), agent.next_timeout()), (None, None), "nothing before the start");
        agent.handle(at(0), AgentInput::Started { root: root(7) });
        let Some(AgentOutput::Broadcast { bytes }) = agent.poll() else { panic!("no digest") };
        assert!(bytes.len() <= 256);
        assert!(matches!(solo::decode(&bytes), Message::Digest { root: told, .. } if told == root(7)));
        assert_eq!(agent.poll(), None);
    });
}

#[test]
fn s13_digests_come_again_at_jittered_intervals() {
    for_each_seed(0..10, |seed| {
        let mut solo = Solo::seeded(seed, quiet(), 3);
        let times: Vec<_> = solo.pass(Duration::from_secs(3_000)).into_iter().map(|(at, _)| at).collect();
        assert!((80..=125).contains(&times.len()), "{}", times.len());
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert!(gaps.iter().all(|gap| (15..=45).contains(&gap.as_secs())), "{gaps:?}");
        assert!(gaps.iter().min() < gaps.iter().max());
    });
}

#[test]
fn s13_a_change_is_told_when_no_other_follows_and_at_last_in_any_case() {
    let changed = |n| AgentInput::Changed { root: root(n), source: Source::Local, pushes: Vec::new() };
    let mut solo = Solo::new(quiet().with_interval(Duration::from_secs(3_600)), 2);
    solo.pass(Duration::from_secs(1));
    let since = solo.now;
    for n in 1..=5 {
        assert_eq!(solo.tell(changed(n)), []);
        assert_eq!(solo.does(Duration::from_millis(199)), []);
    }
    let told = solo.pass(Duration::from_secs(10));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, since + Duration::from_millis(4 * 199 + 200));
    assert!(
        matches!(messages(&[told[0].1.clone()])[..], [(None, Message::Digest { root: last, .. })] if last == root(5))
    );

    // One that never ends is told every two seconds.
    let since = solo.now;
    let mut told = Vec::new();
    for n in 0..100 {
        assert_eq!(solo.tell(changed(100 + n)), []);
        told.extend(solo.pass(Duration::from_millis(100)));
    }
    let times: Vec<_> = told.iter().map(|(at, _)| at.since(since).as_millis()).collect();
    assert_eq!(times.len(), 5, "{times:?}");
    assert!(times.windows(2).all(|pair| (2_000..=2_200).contains(&(pair[1] - pair[0]))), "{times:?}");
}

#[test]
fn what_was_pushed_to_us_is_not_told_by_a_digest_but_what_a_session_brought_is() {
    let mut solo = Solo::new(quiet().with_interval(Duration::from_secs(3_600)), 2);
    for (source, count) in [(Source::Pushed(Some(1)), 0), (Source::Session(1), 1)] {
        solo.tell(AgentInput::Changed { root: root(1), source, pushes: Vec::new() });
        assert_eq!(solo.does(Duration::from_secs(5)).len(), count);
    }
}

#[test]
fn lost_messages_lead_to_digests() {
    let mut solo = Solo::new(quiet(), 2);
    assert_eq!(solo.tell(AgentInput::Lagged), [], "not that soon after the first");
    assert_eq!(solo.tell(AgentInput::Lagged), []);
    let told = solo.pass(Duration::from_secs(5));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, at(1_200));
    assert_eq!(solo.tell(AgentInput::Lagged).len(), 1);

    for input in [AgentInput::Reconnected { peer: 2 }, AgentInput::PeerUp { peer: 9, rtt: None }] {
        let mut outputs = solo.tell(input);
        outputs.extend(solo.does(Duration::from_millis(250)));
        assert!(matches!(messages(&outputs)[..], [(Some(2 | 9), Message::Digest { .. })]), "{outputs:?}");
    }
    // What is known already is no reason.
    let rtt = Some(Duration::from_secs(1));
    assert_eq!(solo.tell(AgentInput::PeerUp { peer: 9, rtt }), []);
    assert_eq!(solo.tell(AgentInput::Reconnected { peer: 77 }), []);
    assert_eq!(solo.does(Duration::from_millis(250)), []);
}

#[test]
fn s14_who_differs_answers_the_asker_with_its_own_root_and_who_is_equal_keeps_silent() {
    for_each_seed(0..50, |seed| {
        // Nothing is pushed, and nobody else asks meanwhile.
        let config = quiet().with_eager(false).with_sessions_max(0).with_interval(Duration::from_secs(1_000_000));
        let mut world = World::new(5, seed, &config);
        let same = item(ENTRY, 1, 50);
        for id in [0, 1, 2] {
            world.node(id).items.insert(same.clone());
        }
        world.node(4).items.insert(item(ENTRY, 2, 50));
        world.start();
        world.pass(Duration::from_secs(60));
        world.log.clear();
        world.tell(0, AgentInput::Lagged);
        world.pass(Duration::from_secs(2));
        let (mut asked, mut answers) = (None, Vec::new());
        for (_, by, output) in &world.log {
            match output {
                AgentOutput::Broadcast { bytes } => {
                    let Message::Digest { nonce, .. } = solo::decode(bytes) else { panic!("no digest") };
                    assert_eq!((*by, asked.replace((nonce, bytes.len()))), (0, None));
                }
                AgentOutput::Send { to: 0, bytes } => {
                    let Message::Reply { root, nonce } = solo::decode(bytes) else { panic!("no reply") };
                    assert_eq!(Some((nonce, bytes.len())), asked, "the asker's nonce, and no longer than it asked");
                    answers.push((*by, root));
                }
                other => panic!("{by} does {other:?}"),
            }
        }
        answers.sort_by_key(|(by, _)| *by);
        let theirs = [3, 4].map(|id| (id, root_of(&world.node(id).items)));
        assert_eq!(answers, theirs);
    });
}

#[test]
fn who_has_become_equal_before_it_answers_does_not() {
    let mut solo = Solo::new(quiet().with_reply_delay_max(Duration::from_secs(1)), 2);
    assert_eq!(solo.hear(Some(1), &digest(5, 1)), []);
    solo.tell(AgentInput::Changed { root: root(5), source: Source::Pushed(Some(2)), pushes: Vec::new() });
    assert_eq!(solo.does(Duration::from_secs(2)), []);
    assert_eq!(solo.agent.stats().replies_sent, 0);
}

#[test]
fn enough_answers_of_others_make_ours_needless_and_one_member_is_one() {
    let config = quiet().with_reply_delay_max(Duration::from_secs(5)).with_replies_seen_max(3);
    let overheard = |solo: &mut Solo, from| solo.hear(Some(from), &Message::Reply { root: root(9), nonce: 1 });
    let mut solo = Solo::new(config.clone(), 9);
    solo.hear(Some(1), &digest(5, 1));
    for from in [2, 3, 3, 3, 2] {
        overheard(&mut solo, from);
    }
    solo.pass(Duration::from_secs(5));
    assert_eq!(solo.agent.stats().replies_sent, 1);

    let mut solo = Solo::new(config, 9);
    solo.hear(Some(1), &digest(5, 1));
    for from in [2, 3, 4] {
        assert_eq!(overheard(&mut solo, from), []);
    }
    solo.pass(Duration::from_secs(5));
    let stats = solo.agent.stats();
    assert_eq!((stats.replies_sent, stats.replies_suppressed, stats.unsolicited), (0, 1, 0));
}

#[test]
fn answers_are_limited_for_each_and_for_all() {
    let config =
        quiet().with_direct_per_peer(Rate::new(1, 3)).with_direct_total(Rate::new(2, 10)).with_interval(Duration::MAX);
    let mut solo = Solo::new(config, 20);
    let flood = |solo: &mut Solo, peer: u32, count: u64| {
        let mut sent = Vec::new();
        for nonce in 0..count {
            sent.extend(solo.hear(Some(peer), &digest(5, nonce)));
            sent.extend(solo.does(Duration::from_millis(250)));
        }
        messages(&sent).len()
    };
    // 25 s: 3 at once and 1 per second.
    let sent = flood(&mut solo, 1, 100);
    assert!((26..=29).contains(&sent), "{sent}");
    solo.pass(Duration::from_secs(60));
    // 10 at once for all, whoever asks.
    let all: usize = (1..=20).map(|peer| solo.hear(Some(peer), &digest(5, 1)).len()).sum();
    let all = all + messages(&solo.does(Duration::from_millis(250))).len();
    assert_eq!(all, 10);
    // Who asks too much takes nothing from others.
    solo.pass(Duration::from_secs(60));
    flood(&mut solo, 1, 20);
    assert_eq!(flood(&mut solo, 2, 1), 1);
    assert!(solo.agent.stats().direct_limited > 80);
}

#[test]
fn who_is_no_member_gets_no_answer_and_no_session() {
    let mut solo = Solo::new(quiet(), 2);
    let nonce = solo.ask(1);
    solo.tell(AgentInput::PeerDown { peer: 2 });
    for from in [None, Some(2), Some(77)] {
        solo.hear(from, &digest(5, 1));
        solo.hear(from, &Message::Reply { root: root(5), nonce });
    }
    assert_eq!(solo.does(Duration::from_secs(10)), []);
    assert_eq!(solo.agent.stats().strangers, 6);
    assert_eq!(syncs(&solo.hear(Some(1), &Message::Reply { root: root(5), nonce })), [] as [u32; 0], "too late");
}

#[test]
fn only_answers_to_what_was_asked_lately_count() {
    let mut solo = Solo::new(quiet().with_interval(Duration::from_secs(3_600)), 4);
    let nonce = solo.ask(1);
    assert_eq!(solo.disagree(1, nonce ^ 1, 5), []);
    assert_eq!(solo.agent.peer_stats(&1).unwrap().unsolicited, 1);
    assert_eq!(solo.disagree(2, nonce, 1), [], "equal");
    assert_eq!(syncs(&solo.disagree(3, nonce, 5)), [3]);
    solo.pass(Duration::from_secs(10));
    assert_eq!(solo.disagree(4, nonce, 5), [], "too late");
}

#[test]
fn who_cannot_open_a_session_answers_after_all_so_that_the_other_does() {
    for outcome in [Outcome::Failed, Outcome::Completed { moved: 1 }] {
        let mut solo = Solo::new(quiet(), 1);
        // It disagrees, so that a session is opened; meanwhile it asks what we have.
        let nonce = solo.ask(1);
        assert_eq!(syncs(&solo.disagree(1, nonce, 2)), [1]);
        assert_eq!(solo.hear(Some(1), &digest(2, 77)), []);
        let replies = |outputs: &[Output]| {
            let replies = messages(outputs).into_iter();
            replies.filter(|(_, message)| matches!(message, Message::Reply { nonce: 77, .. })).count()
        };
        assert_eq!(replies(&solo.does(Duration::from_millis(2_000))), 0, "while it goes on");
        let mut outputs = solo.ended(1, outcome);
        outputs.extend(solo.does(Duration::from_millis(500)));
        assert_eq!(replies(&outputs), usize::from(outcome == Outcome::Failed), "{outcome:?}");
    }
}
