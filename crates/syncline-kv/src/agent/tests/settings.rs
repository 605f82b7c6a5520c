//! Settings that make no sense.

use std::time::Duration;

use super::hostile::samples;
use super::solo::Solo;
use super::world::item;
use super::*;

/// All durations and numbers are this small, or this large.
fn extreme(time: Duration, count: usize, rate: Rate) -> AgentConfig {
    let small = u16::try_from(count.min(9)).unwrap();
    AgentConfig::default()
        .with_interval(time)
        .with_debounce(time)
        .with_debounce_max(time)
        .with_broadcast_gap(time)
        .with_reply_delay_max(time)
        .with_reply_window(time)
        .with_session_gap(time)
        .with_retry_min(time)
        .with_retry_max(time)
        .with_session_max(time)
        .with_session_share(time)
        .with_seen_for(time)
        .with_assembly_for(time)
        .with_jitter_percent(u8::try_from(count.min(255)).unwrap())
        .with_entropy_intervals(u32::from(small))
        .with_parts_max(small)
        .with_replies_seen_max(count)
        .with_sessions_max(count)
        .with_waiting_max(count)
        .with_push_len_max(count)
        .with_fanout(count)
        .with_flood_max(count)
        .with_push_bytes_max(count)
        .with_message_len_max(count)
        .with_receive_len_max(count)
        .with_seen_max(count)
        .with_assemblies_per_peer(count)
        .with_assembly_bytes_max(count)
        .with_peers_max(count)
        .with_direct_per_peer(rate)
        .with_direct_total(rate)
        .with_push_rate(rate)
        .with_intake_per_peer(rate)
        .with_intake_strangers(rate)
}

#[test]
fn no_setting_makes_it_panic_or_run_for_ever() {
    let most = Rate::new(u32::MAX, u32::MAX);
    let configs = [
        extreme(Duration::ZERO, 0, Rate::new(0, 0)),
        extreme(Duration::ZERO, usize::MAX, most),
        extreme(Duration::MAX, usize::MAX, most),
        extreme(Duration::MAX, 0, Rate::new(u32::MAX, 0)),
        extreme(Duration::from_millis(1), 1, Rate::new(1, 1)),
        extreme(Duration::ZERO, 2, Rate::new(0, 1)),
    ];
    for_each_seed(0..10, |seed| {
        for config in &configs {
            let mut random = Random::new(seed);
            let mut solo = Solo::seeded(seed, config.clone(), 6);
            for n in 0..200_u64 {
                let peer = 1 + u32::try_from(random.below(8)).unwrap();
                let pushes =
                    vec![Push::new(PushKind::Grant, item(1, n, 400)), Push::new(PushKind::Entry, item(0, n, 9))];
                let outcome = [Outcome::Failed, Outcome::Refused, Outcome::Completed { moved: n % 2 }][random.index(3)];
                let heard = samples(&mut random);
                solo.tell(match random.below(9) {
                    0 => AgentInput::PeerDown { peer },
                    1 => AgentInput::PeerUp { peer, rtt: None },
                    2 => AgentInput::Reconnected { peer },
                    3 => AgentInput::Lagged,
                    4 => AgentInput::Changed { root: root(n % 5), source: Source::Local, pushes },
                    5 => AgentInput::SessionAccepted { peer },
                    6 => AgentInput::SessionEnded {
                        peer,
                        side: [Side::Opened, Side::Accepted][random.index(2)],
                        outcome,
                    },
                    _ => AgentInput::Received { from: Some(peer), bytes: heard[random.index(4)].clone() },
                });
                solo.does(random.up_to(Duration::from_millis(20)));
            }
        }
    });
}
