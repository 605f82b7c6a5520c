//! What holds for every reconciler: both sides learn exactly what differs, whatever the sets.

use std::collections::BTreeSet;

use crate::play::{NaiveSet, assert_exact, only_in, play, play_until};
use crate::testing::{KEY, Rng, for_each_seed, id, item};
use crate::{
    HashReconciler, Item, MemorySet, Nonce, RangeConfig, RangeReconciler, ReconcileSet, Reconciler, SketchConfig,
    SketchReconciler,
};

type Make = fn(RangeConfig, Nonce) -> Box<dyn Reconciler>;

const KINDS: [(&str, Make); 3] = [
    ("ranges", |config, nonce| Box::new(RangeReconciler::new(config, nonce))),
    ("sketch", |config, nonce| {
        Box::new(SketchReconciler::new(SketchConfig { ranges: config, ..SketchConfig::DEFAULT }, nonce))
    }),
    ("hash", |config, nonce| Box::new(HashReconciler::new(config, nonce))),
];

fn nonce(rng: &mut Rng) -> Nonce {
    Nonce::from_bytes([rng.next().to_le_bytes(), rng.next().to_le_bytes()].concat().try_into().unwrap())
}

fn config(rng: &mut Rng) -> RangeConfig {
    let message_len_max = if rng.below(3) == 0 { 4_096 } else { 512 << 10 };
    let fan_out = [2, 4, 16, 16, 64, 256][rng.below(6) as usize];
    let leaf = [1, 8, 32, 32, 64, 512][rng.below(6) as usize];
    RangeConfig { message_len_max, fan_out, leaf, ..RangeConfig::DEFAULT }
}

fn check(opener: Make, responder: Make, one: &dyn ReconcileSet, other: &dyn ReconcileSet, rng: &mut Rng) {
    let (mut opener, mut responder) = (opener(config(rng), nonce(rng)), responder(config(rng), nonce(rng)));
    let played = play((&mut *opener, one), (&mut *responder, other)).unwrap();
    assert_exact(played, one, other);
}

/// Items under a few keys that begin alike, several under each.
fn clustered(n: u64) -> Item {
    Item::new(format!("a/{}/{}", "x".repeat((n % 5) as usize), n / 40).into_bytes(), id(n))
}

/// Items without keys.
fn bare(n: u64) -> Item {
    Item::new("", id(n))
}

/// Items whose ids begin alike.
fn alike(n: u64) -> Item {
    let mut bytes = [7; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    Item::new(vec![1; (n % 3) as usize], crate::ItemId::from_bytes(bytes))
}

fn sets(rng: &mut Rng) -> [NaiveSet; 2] {
    let make = [item as fn(u64) -> Item, clustered, bare, alike][rng.below(4) as usize];
    let size = |rng: &mut Rng| match rng.below(8) {
        0 => 0,
        1 => 1,
        2 => rng.below(20),
        3..=5 => rng.below(300),
        6 => rng.below(1_500),
        _ => rng.below(5_000),
    };
    let common = size(rng);
    let (mut one, mut other): (BTreeSet<u64>, BTreeSet<u64>) = ((0..common).collect(), (0..common).collect());
    match rng.below(5) {
        0 => {}
        1 => one.clear(),
        2 => other = other.iter().map(|n| n + 1_000_000).collect(),
        3 => one.extend((0..size(rng)).map(|n| n + 2_000_000)),
        _ => {
            for _ in 0..rng.below(40) {
                one.remove(&rng.below(common + 1));
                other.remove(&rng.below(common + 1));
                one.insert(3_000_000 + rng.below(100));
                other.insert(3_000_000 + rng.below(100));
            }
        }
    }
    let mut sets = [one, other].map(|numbers| {
        let symbols = [0, 64, 256, 1_024][rng.below(4) as usize];
        NaiveSet::with(numbers.into_iter().map(make), u64::MAX, symbols)
    });
    if rng.below(2) == 0 {
        sets.reverse();
    }
    sets
}

/// A set as it is, or in a tree.
fn in_some_way(set: NaiveSet, rng: &mut Rng) -> Box<dyn ReconcileSet> {
    if rng.below(3) == 0 {
        return Box::new(set);
    }
    let symbols = set.symbol_count();
    Box::new(MemorySet::from_items(&KEY, symbols, set.items).unwrap())
}

#[test]
fn both_sides_learn_exactly_what_differs() {
    for_each_seed(40, |rng| {
        // A tree cuts at other places than a plain list.
        let [one, other] = sets(rng).map(|set| in_some_way(set, rng));
        let (one, other) = (&*one, &*other);
        for (_, opener) in KINDS {
            check(opener, opener, one, other, rng);
        }
        // Whoever opens, a side that knows ranges only answers by ranges.
        let (_, ranges) = KINDS[0];
        check(KINDS[1].1, ranges, one, other, rng);
        check(KINDS[2].1, ranges, one, other, rng);
        check(ranges, KINDS[1].1, one, other, rng);
    });
}

#[test]
fn after_a_lost_session_the_next_one_completes() {
    for_each_seed(10, |rng| {
        let [mut one, mut other] = sets(rng);
        for (_, make) in KINDS {
            let last = rng.below(8) as usize;
            let (mut opener, mut responder) = (make(config(rng), nonce(rng)), make(config(rng), nonce(rng)));
            let played = play_until((&mut *opener, &one), (&mut *responder, &other), last).unwrap();
            // What was found so far is real, and may be transferred.
            let expected = [only_in(&one, &other), only_in(&other, &one)];
            for (have, expected) in played.have.iter().zip(&expected) {
                assert!(have.iter().all(|item| expected.contains(item)));
            }
            let [have_one, have_other] = played.have;
            let symbols = one.symbol_count();
            one = NaiveSet::with(one.items.into_iter().chain(have_other), u64::MAX, symbols);
            other = NaiveSet::with(other.items.into_iter().chain(have_one), u64::MAX, symbols);
            check(make, make, &one, &other, rng);
        }
    });
}

#[test]
fn equal_sets_take_one_round_trip_and_few_bytes() {
    for_each_seed(10, |rng| {
        let numbers = 0..[0, 1, 5_000][rng.below(3) as usize];
        let set = NaiveSet::with(numbers.map(item), u64::MAX, 256);
        for (_, make) in KINDS {
            let (mut opener, mut responder) = (make(config(rng), nonce(rng)), make(config(rng), nonce(rng)));
            let played = play((&mut *opener, &set), (&mut *responder, &set)).unwrap();
            assert_eq!(played.messages.len(), 2);
            assert!(played.bytes() <= 128, "{:?}", played.messages);
        }
    });
}

#[test]
fn nothing_is_taken_before_its_turn_or_behind_the_end() {
    let set = NaiveSet::with((0..10).map(item), u64::MAX, 64);
    for (_, make) in KINDS {
        let pair = || [1, 2].map(|byte| make(RangeConfig::DEFAULT, Nonce::from_bytes([byte; 16])));
        let [mut opener, mut responder] = pair();
        let open = opener.open(&set).unwrap().reply.unwrap();
        opener.open(&set).expect_err("it is open");
        let [mut opener, _] = pair();
        opener.open(&set).unwrap();
        let answer = responder.receive(&set, &open).unwrap().reply.unwrap();
        opener.receive(&set, &answer).unwrap();
        assert!(opener.is_done() && responder.is_done());
        opener.receive(&set, &answer).expect_err("it is done");
        responder.receive(&set, &open).expect_err("it is done");
        let [mut opener, _] = pair();
        opener.receive(&set, &answer).expect_err("it is not open");
        opener.open(&set).expect_err("it has failed");
    }
}
