//! Which sessions are opened.

use std::time::Duration;

use super::solo::{Output, Solo, messages, syncs};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const USEFUL: Outcome = Outcome::Completed { moved: 1 };

fn quiet() -> AgentConfig {
    AgentConfig::default().with_entropy_intervals(0).with_interval(Duration::from_secs(100_000))
}

#[test]
fn at_most_three_at_once_the_nearest_first_and_nobody_twice() {
    let mut solo = Solo::new(quiet(), 10);
    let nonce = solo.ask(1);
    let mut opened = Vec::new();
    for peer in [9, 8, 7, 2, 5, 3, 5, 2, 9] {
        opened.extend(syncs(&solo.disagree(peer, nonce, 5)));
    }
    assert_eq!(opened, [9, 8, 7], "they were the first to answer");
    for (ends, next) in [(8, 2), (9, 3), (2, 5)] {
        assert_eq!(syncs(&solo.ended(ends, USEFUL)), [next]);
    }
    for ends in [7, 3, 5] {
        assert_eq!(syncs(&solo.ended(ends, USEFUL)), [] as [u32; 0]);
    }
    assert_eq!(syncs(&solo.does(SECOND * 5)), [] as [u32; 0]);
    assert_eq!(solo.agent.stats().sessions, 6);
}

#[test]
fn the_limits_of_sessions_and_of_the_line_hold() {
    for limit in [0, 1, 5] {
        let mut solo = Solo::new(quiet().with_sessions_max(limit).with_waiting_max(2), 20);
        let nonce = solo.ask(1);
        let opened: Vec<u32> = (1..=20).rev().flat_map(|peer| syncs(&solo.disagree(peer, nonce, 5))).collect();
        assert_eq!(opened.len(), limit);
        let waiting = solo.agent.peers.iter().filter(|(_, peer)| peer.waiting.is_some()).map(|(id, _)| *id);
        assert_eq!(waiting.collect::<Vec<_>>(), [1, 2], "the nearest stay");
    }
}

#[test]
fn who_has_become_equal_is_not_dialled() {
    let mut solo = Solo::new(quiet(), 10);
    let nonce = solo.ask(1);
    for peer in 1..=6 {
        solo.disagree(peer, nonce, if peer < 6 { 5 } else { 6 });
    }
    solo.hear(Some(4), &Message::Digest { root: root(1), nonce: 1 });
    solo.tell(AgentInput::Changed { root: root(5), source: Source::Session(1), pushes: Vec::new() });
    assert_eq!(syncs(&solo.ended(1, USEFUL)), [6]);
    assert_eq!(syncs(&solo.ended(2, USEFUL)), [] as [u32; 0]);
}

#[test]
fn roots_are_compared_again_after_a_session() {
    let mut solo = Solo::new(quiet(), 3);
    let nonce = solo.ask(1);
    solo.disagree(2, nonce, 5);
    let outputs = [solo.ended(2, USEFUL), solo.does(Duration::from_millis(250))].concat();
    let [(Some(2), Message::Digest { root: told, nonce })] = messages(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!(told, root(1));
    assert_eq!(syncs(&solo.disagree(2, nonce, 9)), [] as [u32; 0], "not at once");
    assert_eq!(syncs(&solo.does(SECOND)), [2], "but soon");
}

/// The delays before the sessions that follow on ones that end by `outcome`.
fn delays(solo: &mut Solo, outcome: Outcome, count: usize) -> Vec<Duration> {
    let mut delays = Vec::new();
    for _ in 0..count {
        let since = solo.now;
        solo.ended(1, outcome);
        let opened = loop {
            let (mut opened, mut asked) = (None, None);
            for (at, output) in solo.pass(Duration::from_secs(400)) {
                if syncs(std::slice::from_ref(&output)) == [1] {
                    opened = Some(at);
                }
                if let [(_, Message::Digest { nonce, .. })] = messages(&[output])[..] {
                    asked = Some((at, nonce));
                }
            }
            if let Some(at) = opened {
                break at;
            }
            // As if it had answered at once; time cannot go back, but what was waited for stays.
            let (_, nonce) = asked.unwrap();
            if let [1] = syncs(&solo.disagree(1, nonce, 5))[..] {
                break solo.now;
            }
        };
        delays.push(opened.since(since));
    }
    delays
}

#[test]
fn failures_are_retried_ever_later_with_jitter_up_to_a_limit() {
    for outcome in [Outcome::Failed, Outcome::Refused] {
        let mut solo = Solo::new(quiet().with_session_gap(Duration::ZERO), 3);
        let nonce = solo.ask(1);
        assert_eq!(syncs(&solo.disagree(1, nonce, 5)), [1]);
        let delays = delays(&mut solo, outcome, 14);
        for (n, delay) in delays.iter().enumerate() {
            let full = (SECOND * (1 << n)).min(Duration::from_secs(300));
            assert!(*delay <= full && *delay >= full / 2, "{n}: {delay:?}");
        }
        assert!(delays[9..].windows(2).any(|pair| pair[0] != pair[1]), "jitter");
        assert_eq!(solo.agent.peer_stats(&1).unwrap().failures, 14);
        solo.ended(1, USEFUL);
        assert_eq!(solo.agent.peer_stats(&1).unwrap().failures, 0);
    }
}

#[test]
fn sessions_without_use_are_failures() {
    let mut solo = Solo::new(quiet().with_reply_window(Duration::MAX), 3);
    let nonce = solo.ask(1);
    solo.disagree(1, nonce, 5);
    for failures in 1..=5_u32 {
        solo.ended(1, Outcome::Completed { moved: 0 });
        assert_eq!(solo.agent.peer_stats(&1).unwrap().failures, failures);
        let opened = syncs(&solo.disagree(1, nonce, 5));
        assert_eq!(opened, [] as [u32; 0], "later");
        assert_eq!(syncs(&solo.does(Duration::from_secs(300))), [1]);
    }
    // It has nothing else than we any more: that is what sessions are for.
    solo.tell(AgentInput::Changed { root: root(5), source: Source::Session(1), pushes: Vec::new() });
    solo.ended(1, Outcome::Completed { moved: 0 });
    assert_eq!(solo.agent.peer_stats(&1).unwrap().failures, 0);
}

#[test]
fn a_near_liar_does_not_keep_others_out() {
    let mut solo = Solo::new(quiet().with_sessions_max(1).with_session_gap(Duration::ZERO), 10);
    let nonce = solo.ask(1);
    let mut order = syncs(&solo.disagree(1, nonce, 100));
    for peer in [8, 9, 10] {
        order.extend(syncs(&solo.disagree(peer, nonce, 5)));
    }
    for n in 0..6 {
        // It is the nearest, has always something new, and is heard first.
        let current = *order.last().unwrap();
        let mut outputs = solo.disagree(1, nonce, 101 + n);
        outputs.extend(solo.ended(current, USEFUL));
        outputs.extend(solo.disagree(1, nonce, 201 + n));
        order.extend(syncs(&outputs));
    }
    assert_eq!(order[..5], [1, 8, 9, 10, 1][..], "{order:?}");
}

#[test]
fn sessions_end_in_time_and_sooner_if_others_wait() {
    let config = quiet().with_sessions_max(1).with_session_max(SECOND * 100).with_session_share(SECOND * 20);
    let cancels = |outputs: &[(Timestamp, Output)]| -> Vec<Output> {
        let relevant = |output: &Output| matches!(output, AgentOutput::CancelSync { .. } | AgentOutput::Sync { .. });
        outputs.iter().map(|(_, output)| output.clone()).filter(relevant).collect()
    };
    let mut solo = Solo::new(config, 3);
    let nonce = solo.ask(1);
    assert_eq!(syncs(&solo.disagree(1, nonce, 5)), [1]);
    assert_eq!(cancels(&solo.pass(SECOND * 99)), []);
    assert_eq!(cancels(&solo.pass(SECOND)), [AgentOutput::CancelSync { with: 1 }]);
    assert_eq!(solo.agent.peer_stats(&1).unwrap().failures, 1);
    // Its end comes too late to matter.
    solo.ended(1, USEFUL);
    assert_eq!(solo.agent.peer_stats(&1).unwrap().failures, 1);
    assert_eq!(cancels(&solo.pass(SECOND * 2)), [AgentOutput::Sync { with: 1 }]);

    let nonce = solo.ask(2);
    assert_eq!(syncs(&solo.disagree(2, nonce, 6)), [] as [u32; 0]);
    let done = cancels(&solo.pass(SECOND * 30));
    assert_eq!(done, [AgentOutput::CancelSync { with: 1 }, AgentOutput::Sync { with: 2 }]);
    let done = cancels(&solo.pass(SECOND * 20));
    assert_eq!(done, [AgentOutput::CancelSync { with: 2 }, AgentOutput::Sync { with: 1 }], "each its turn");
}

#[test]
fn peer_down_during_a_session_leaves_the_session_and_nothing_else() {
    let mut solo = Solo::new(quiet().with_sessions_max(1), 3);
    let nonce = solo.ask(1);
    solo.disagree(1, nonce, 5);
    solo.disagree(2, nonce, 5);
    solo.hear(Some(1), &Message::Digest { root: root(5), nonce: 1 });
    solo.tell(AgentInput::PeerDown { peer: 1 });
    solo.tell(AgentInput::PeerDown { peer: 2 });
    assert_eq!(solo.does(SECOND), []);
    assert_eq!(syncs(&solo.disagree(3, nonce, 5)), [] as [u32; 0], "the place is taken still");
    assert_eq!(syncs(&solo.ended(1, Outcome::Failed)), [3]);
    assert_eq!(syncs(&solo.does(SECOND * 400)), [] as [u32; 0], "who is gone is not retried");
    // Coming back makes nothing undone.
    solo.tell(AgentInput::PeerUp { peer: 1, rtt: None });
    assert_eq!(solo.agent.peer_stats(&1).unwrap().failures, 1);
}

#[test]
fn who_syncs_with_us_gets_neither_an_answer_nor_a_session() {
    let mut solo = Solo::new(quiet(), 3);
    let nonce = solo.ask(1);
    solo.hear(Some(1), &Message::Digest { root: root(5), nonce: 1 });
    solo.tell(AgentInput::SessionAccepted { peer: 1 });
    solo.hear(Some(1), &Message::Digest { root: root(5), nonce: 2 });
    assert_eq!(syncs(&solo.disagree(1, nonce, 5)), [] as [u32; 0]);
    assert_eq!(solo.does(SECOND), []);
    let ended = |outcome| AgentInput::SessionEnded { peer: 1, side: Side::Accepted, outcome };
    assert_eq!(syncs(&solo.tell(ended(Outcome::Failed))), [1], "it did not help");
    solo.ended(1, USEFUL);
    solo.tell(AgentInput::SessionAccepted { peer: 1 });
    solo.disagree(1, nonce, 6);
    solo.hear(Some(1), &Message::Digest { root: root(6), nonce: 3 });
    assert_eq!(syncs(&solo.tell(ended(USEFUL))), [] as [u32; 0], "it did");
    assert_eq!(solo.does(Duration::from_millis(250)).len(), 1, "the digest after our own session, and no answer");
    assert_eq!(solo.agent.stats().replies_sent, 0, "what it said before the end of the session is of no interest");
    assert_eq!(syncs(&solo.does(SECOND * 5)), [] as [u32; 0]);
}

#[test]
fn somebody_gets_a_session_now_and_then_whatever_digests_say() {
    for_each_seed(0..10, |seed| {
        let config = AgentConfig::default().with_interval(SECOND * 10).with_entropy_intervals(3);
        let mut solo = Solo::seeded(seed, config, 5);
        let mut chosen = Vec::new();
        for _ in 0..600 {
            for peer in syncs(&solo.does(SECOND)) {
                solo.ended(peer, Outcome::Completed { moved: 0 });
                chosen.push(peer);
            }
        }
        assert!((13..=40).contains(&chosen.len()), "{chosen:?}");
        let different: std::collections::BTreeSet<_> = chosen.iter().collect();
        assert!(different.len() >= 3, "{chosen:?}");
        assert_eq!(solo.agent.stats().sessions_failed, 0, "equal is no failure");
    });
    let mut never = Solo::new(AgentConfig::default().with_entropy_intervals(0), 5);
    assert_eq!(syncs(&never.does(SECOND * 3_600)), [] as [u32; 0]);
}

#[test]
fn too_many_members_are_refused_and_the_longest_gone_make_room() {
    let mut solo = Solo::new(quiet().with_peers_max(4), 4);
    solo.tell(AgentInput::PeerUp { peer: 5, rtt: None });
    assert_eq!((solo.agent.stats().peers_refused, solo.agent.peers.len()), (1, 4));
    for peer in [3, 2] {
        solo.pass(SECOND);
        solo.tell(AgentInput::PeerDown { peer });
    }
    solo.tell(AgentInput::PeerUp { peer: 5, rtt: None });
    assert!(solo.agent.peer_stats(&3).is_none() && solo.agent.peer_stats(&2).is_some());
    for peer in 100..1_000 {
        solo.tell(AgentInput::PeerUp { peer, rtt: None });
        solo.tell(AgentInput::PeerDown { peer });
    }
    assert_eq!(solo.agent.peers.len(), 4);
    solo.tell(AgentInput::PeerUp { peer: 0, rtt: None });
    assert!(solo.agent.peer_stats(&0).is_none(), "itself");
}
