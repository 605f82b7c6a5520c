//! Members and strangers who mean ill.

use std::time::Duration;

use super::solo::{Solo, messages, syncs};
use super::world::{ENTRY, REVOCATION, World, item};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Messages that are valid, or nearly, or not at all.
fn garbage(random: &mut Random, heard: &[Bytes]) -> Bytes {
    let mut bytes = match (random.below(3), heard.get(random.index(heard.len()))) {
        (0, _) | (_, None) => (0..random.below(200)).map(|_| byte(random)).collect(),
        (_, Some(heard)) => heard.to_vec(),
    };
    for _ in 0..random.below(4) {
        let at = random.index(bytes.len());
        match random.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.push(byte(random)),
            2 => bytes.extend_from_slice(&bytes.clone()[at..]),
            _ => {
                if let Some(target) = bytes.get_mut(at) {
                    *target = byte(random);
                }
            }
        }
    }
    bytes.into()
}

fn byte(random: &mut Random) -> u8 {
    u8::try_from(random.below(256)).unwrap()
}

pub(super) fn samples(random: &mut Random) -> Vec<Bytes> {
    let hash = Hash::digest(&random.next_u64().to_be_bytes());
    let part = |index| Message::Part { item: hash, index, count: 3, bytes: Bytes::from_static(b"part") };
    let message = [
        Message::Digest { root: root(random.below(9)), nonce: random.next_u64() },
        Message::Reply { root: root(random.below(9)), nonce: random.next_u64() },
        Message::Push(vec![item(ENTRY, random.below(99), 60), item(REVOCATION, random.next_u64(), 9)]),
        part(u16::from(byte(random)) % 3),
    ];
    message.iter().map(|message| message.encode(&namespace())).collect()
}

#[test]
fn no_bytes_do_harm_and_memory_and_sessions_stay_bounded() {
    let config = || {
        AgentConfig::default()
            .with_peers_max(20)
            .with_seen_max(50)
            .with_waiting_max(5)
            .with_assembly_bytes_max(200)
            .with_assemblies_per_peer(3)
            .with_push_bytes_max(2_000)
    };
    for_each_seed(0..10, |seed| {
        let mut random = Random::new(seed);
        let mut solo = Solo::seeded(seed, config(), 12);
        let (mut open, mut heard) = (Vec::new(), samples(&mut random));
        for step in 0..3_000_u64 {
            if step % 50 == 0 {
                heard = samples(&mut random);
            }
            let from = Some(u32::try_from(random.below(16)).unwrap()).filter(|from| *from > 0);
            let bytes = garbage(&mut random, &heard);
            let mut outputs = match random.below(20) {
                0 => solo.tell(AgentInput::PeerDown { peer: from.unwrap_or(1) }),
                1 => solo.tell(AgentInput::PeerUp { peer: u32::try_from(random.below(40)).unwrap(), rtt: None }),
                2 => solo.tell(AgentInput::Changed {
                    root: root(random.below(9)),
                    source: Source::Pushed(from),
                    pushes: vec![Push::new(PushKind::Grant, item(1, random.below(50), 3_000))],
                }),
                3 if !open.is_empty() => {
                    let peer = open.swap_remove(random.index(open.len()));
                    solo.ended(peer, [Outcome::Failed, Outcome::Completed { moved: 0 }][random.index(2)])
                }
                _ => solo.tell(AgentInput::Received { from, bytes }),
            };
            outputs.extend(solo.does(random.up_to(Duration::from_millis(300))));
            for output in outputs {
                match output {
                    AgentOutput::Sync { with } => open.push(with),
                    AgentOutput::CancelSync { with } => open.retain(|peer| *peer != with),
                    AgentOutput::Broadcast { bytes } | AgentOutput::Send { bytes, .. } => {
                        heard.push(bytes.clone());
                        assert!(bytes.len() <= 1_200);
                    }
                    _ => {}
                }
            }
            heard.truncate(20);
            let agent = &solo.agent;
            assert!(open.len() <= 3, "{open:?}");
            assert!(agent.peers.len() <= 20 && agent.seen.len() <= 50);
            assert!(agent.peers.iter().filter(|(_, peer)| peer.waiting.is_some()).count() <= 5);
            let (assemblies, bytes) = agent.assemblies.held();
            assert!(assemblies <= 21 * 3 && bytes <= 200);
        }
        let stats = solo.agent.stats();
        assert!(stats.rejected > 500 && stats.items_received > 10 && stats.sessions > 0, "{stats:?}");
    });
}

#[test]
fn what_is_wrong_is_told_and_charged_to_who_sent_it() {
    let mut solo = Solo::new(AgentConfig::default().with_receive_len_max(200), 2);
    let wrong = |from, len| AgentInput::Received { from, bytes: vec![1; len].into() };
    let rejected = |from, error| vec![AgentOutput::Rejected { from, error }];
    assert_eq!(solo.tell(wrong(Some(1), 200)), rejected(Some(1), MessageError::Namespace));
    assert_eq!(solo.tell(wrong(Some(1), 201)), rejected(Some(1), MessageError::TooLong));
    assert_eq!(solo.tell(wrong(None, 0)), rejected(None, MessageError::Truncated));
    assert_eq!(solo.tell(wrong(Some(9), 1)), rejected(Some(9), MessageError::Truncated));
    assert_eq!(solo.tell(wrong(Some(0), 1)), [], "its own echo");
    assert_eq!(solo.agent.stats().rejected, 4);
    let charged = [1, 2].map(|peer| solo.agent.peer_stats(&peer).unwrap().rejected);
    assert_eq!(charged, [2, 0]);
}

#[test]
fn a_flood_of_items_stops_at_the_rate_and_leaves_others_theirs() {
    let config = AgentConfig::default()
        .with_intake_per_peer(Rate::new(1_000, 5_000))
        .with_intake_strangers(Rate::new(500, 2_000))
        .with_entropy_intervals(0);
    let mut solo = Solo::new(config, 3);
    let mut n = 0;
    let mut flood = |solo: &mut Solo, from, count: usize| {
        let mut applied = 0;
        for _ in 0..count {
            n += 1;
            applied += solo.hear(from, &Message::Push(vec![item(ENTRY, n, 464)])).len();
        }
        applied
    };
    // 500 bytes each.
    assert_eq!(flood(&mut solo, Some(1), 100), 10);
    assert_eq!(flood(&mut solo, Some(2), 10), 10);
    assert_eq!(flood(&mut solo, None, 3) + flood(&mut solo, Some(55), 3) + flood(&mut solo, Some(56), 3), 4);
    solo.pass(SECOND * 2);
    assert_eq!(flood(&mut solo, Some(1), 100), 4);
    assert_eq!(flood(&mut solo, Some(57), 100), 2);
    assert_eq!(solo.agent.peer_stats(&1).unwrap().intake_limited, 90 + 96);
}

#[test]
fn a_name_cannot_be_taken_before_its_item_comes() {
    let mut solo = Solo::new(AgentConfig::default(), 3);
    let real: Bytes = vec![7; 3_000].into();
    let part = |index: u16, bytes: &[u8]| Message::Part {
        item: Hash::digest(&real),
        index,
        count: 3,
        bytes: Bytes::copy_from_slice(bytes),
    };
    // One sender's parts are wrong; another's are right, at the same time.
    let mut came = Vec::new();
    for index in 0..3 {
        came.extend(solo.hear(Some(1), &part(index, &[8; 1_000])));
        came.extend(solo.hear(Some(2), &part(index, &[7; 1_000])));
    }
    let error = MessageError::Part { index: 2, count: 3 };
    let applied = AgentOutput::Apply { from: Some(2), items: vec![real] };
    assert_eq!(came, [AgentOutput::Rejected { from: Some(1), error }, applied]);
}

#[test]
fn all_strangers_have_one_share_of_the_memory_for_parts() {
    let mut solo = Solo::new(AgentConfig::default().with_assemblies_per_peer(3), 2);
    for n in 0..50_u32 {
        let item = Hash::digest(&n.to_be_bytes());
        let part = Message::Part { item, index: 0, count: 2, bytes: Bytes::from_static(b"part") };
        solo.hear(Some(100 + n).filter(|_| n % 2 > 0), &part);
        solo.hear(Some(1), &part);
    }
    assert_eq!(solo.agent.assemblies.held(), (6, 24));
}

#[test]
fn strangers_get_nothing_out_of_it() {
    for_each_seed(0..10, |seed| {
        let mut random = Random::new(seed);
        let mut solo = Solo::seeded(seed, AgentConfig::default().with_entropy_intervals(0), 3);
        let nonce = solo.ask(1);
        let mut outputs = Vec::new();
        for n in 0..500 {
            let from = Some(50 + u32::try_from(random.below(50)).unwrap()).filter(|_| n % 3 > 0);
            outputs.extend(solo.hear(from, &Message::Digest { root: root(n + 2), nonce: n }));
            outputs.extend(solo.hear(from, &Message::Reply { root: root(n + 2), nonce }));
            outputs.extend(solo.does(Duration::from_millis(10)));
        }
        assert_eq!(syncs(&outputs), [] as [u32; 0]);
        assert!(messages(&outputs).iter().all(|(to, _)| to.is_none()), "{outputs:?}");
        assert_eq!(solo.agent.peers.len(), 3);
    });
}

#[test]
fn liars_among_the_members_do_not_stop_the_others() {
    for_each_seed(0..5, |seed| {
        let mut random = Random::new(seed);
        let mut world = World::new(8, seed, &AgentConfig::default());
        world.start();
        // Node 7 is the adversary: its own agent is not run, and it claims a new root all the time.
        world.node(7).online = false;
        let mut asked = Vec::new();
        for n in 0..400_u64 {
            for to in 0..7 {
                let nonce = asked.get(random.index(asked.len())).copied().unwrap_or(n);
                let kind = [
                    Message::Reply { root: root(n), nonce },
                    Message::Digest { root: root(n), nonce: n },
                    Message::Push(vec![item(super::world::FORGED, n, 900)]),
                ];
                let bytes = kind[random.index(3)].encode(&namespace());
                world.tell(to, AgentInput::Received { from: Some(7), bytes });
            }
            if n % 20 == 0 {
                world.put(u32::try_from(n / 20 % 7).unwrap(), &item(ENTRY, n, 2_000));
            }
            world.pass(Duration::from_millis(100));
            asked.extend(world.log.drain(..).filter_map(|(_, _, output)| match output {
                AgentOutput::Broadcast { bytes } => match solo::decode(&bytes) {
                    Message::Digest { nonce, .. } => Some(nonce),
                    _ => None,
                },
                _ => None,
            }));
        }
        world.pass(SECOND * 30);
        let honest: Vec<_> = world.nodes.iter().take(7).map(|node| node.items.len()).collect();
        assert_eq!(honest, [20; 7]);
        let with_it: u32 = (0..7).map(|id| world.node(id).agent.peer_stats(&7).unwrap().failures).sum();
        assert!((7..=70).contains(&with_it), "{with_it} sessions in 70 s");
    });
}
