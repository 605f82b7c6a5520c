//! Tests of the ranges.

mod hostile;

use crate::play::{NaiveSet, assert_exact, only_in, play};
use crate::testing::{Rng, for_each_seed, id, item};
use crate::{Bound, Item, Limits, Need, Nonce, RangeConfig, RangeReconciler, ReconcileError, Reconciler, Span};

pub(super) fn pair(config: RangeConfig) -> [RangeReconciler; 2] {
    [1, 2].map(|byte| RangeReconciler::new(config, Nonce::from_bytes([byte; 16])))
}

fn with_runs(salted_runs: u8) -> RangeConfig {
    RangeConfig { limits: Limits { salted_runs, ..Limits::DEFAULT }, ..RangeConfig::DEFAULT }
}

fn some_sets(rng: &mut Rng, sum_mask: u64) -> [NaiveSet; 2] {
    let (common, ours, theirs) = (rng.below(400), rng.below(60), rng.below(60));
    [
        NaiveSet::with((0..common + ours).map(item), sum_mask, 0),
        NaiveSet::with((0..common).chain(10_000..10_000 + theirs).map(item), sum_mask, 0),
    ]
}

#[test]
fn sets_whose_sums_collide_are_reconciled() {
    for_each_seed(60, |rng| {
        let mask = [0, 1, 0xff][rng.below(3) as usize];
        let [one, other] = some_sets(rng, mask);
        let [mut opener, mut responder] = pair(with_runs(1));
        let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
        assert_exact(played, &one, &other);
    });
}

#[test]
fn short_ids_and_fingerprints_may_collide() {
    for_each_seed(60, |rng| {
        let mask = [0, u64::MAX][rng.below(2) as usize];
        let [one, other] = some_sets(rng, mask);
        let (fingerprint, short) = [(8, 1), (1, 6), (1, 1), (1, 2)][rng.below(4) as usize];
        let [mut opener, mut responder] = pair(with_runs(100)).map(|side| side.with_widths(fingerprint, short));
        let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
        assert_exact(played, &one, &other);
    });
}

#[test]
fn sums_that_collide_are_not_believed() {
    let all = NaiveSet::new((0..1_000).map(item)).items;
    let without = |at: usize| NaiveSet::with(all.iter().filter(|item| **item != all[at]).cloned(), 0, 0);
    let (one, other) = (without(520), without(521));
    let [mut opener, mut responder] = pair(with_runs(0));
    let failed = play((&mut opener, &one), (&mut responder, &other));
    assert!(matches!(failed, Err(ReconcileError::Inconsistent)), "{failed:?}");
    assert!(!opener.is_done() && !responder.is_done());
}

#[test]
fn a_part_of_a_set_is_reconciled_and_nothing_else() {
    for_each_seed(80, |rng| {
        let mask = [0, u64::MAX][rng.below(2) as usize];
        let [one, other] = some_sets(rng, mask);
        let mut bounds = [(); 2].map(|()| crate::testing::some_bound(&one.items, rng));
        bounds.sort();
        let [from, to] = bounds;
        let span = Span { from, to: Some(to).filter(|_| rng.below(3) > 0) };
        let inside = |set: &NaiveSet| NaiveSet::new(crate::testing::items_of(set, &span));
        let [mut opener, mut responder] = pair(with_runs(1)).map(|side| side.over(span.clone()));
        let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
        assert_exact(played, &inside(&one), &inside(&other));
    });
}

#[test]
fn a_prefix_of_keys_is_a_span() {
    let under = |prefix: &str, n: u64| Item::new(format!("{prefix}/{n:03}"), id(n));
    let one = NaiveSet::new((0..50).map(|n| under("a", n)).chain((50..90).map(|n| under("b", n))));
    let other = NaiveSet::new((0..49).map(|n| under("a", n)));
    let span = Span {
        from: Bound { key: b"a/".to_vec(), id_prefix: Vec::new() },
        to: Some(Bound { key: b"a0".to_vec(), id_prefix: Vec::new() }),
    };
    let [mut opener, mut responder] = pair(RangeConfig::DEFAULT).map(|side| side.over(span.clone()));
    let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
    assert_eq!(played.have, [vec![under("a", 49)], Vec::new()]);
}

#[test]
fn nonces_that_were_exchanged_are_not_sent() {
    let (one, other) = (NaiveSet::new((0..500).map(item)), NaiveSet::new((3..500).map(item)));
    let [a, b] = [1, 2].map(|byte| Nonce::from_bytes([byte; 16]));
    let mut opener = RangeReconciler::with_nonces(RangeConfig::DEFAULT, a, b);
    let mut responder = RangeReconciler::with_nonces(RangeConfig::DEFAULT, b, a);
    let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
    assert_eq!(played.messages[0], 1 + 2 + 16);
    assert_exact(played, &one, &other);

    let mut opener = RangeReconciler::with_nonces(RangeConfig::DEFAULT, a, b);
    let mut responder = RangeReconciler::new(RangeConfig::DEFAULT, b);
    let failed = play((&mut opener, &one), (&mut responder, &other));
    assert!(matches!(failed, Err(ReconcileError::Malformed(_))), "{failed:?}");
}

#[test]
fn a_need_means_what_the_peer_has() {
    let (one, other) = (NaiveSet::new((0..300).map(item)), NaiveSet::new((0..310).map(item)));
    let [mut opener, mut responder] = pair(RangeConfig::DEFAULT);
    let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
    let meant = |need: &Need| only_in(&other, &one).iter().filter(|item| opener.is_meant(&one, need, &item.id)).count();
    assert_eq!(played.need[0].len(), 10);
    assert!(played.need[0].iter().all(|need| meant(need) == 1));
}

#[test]
fn messages_do_not_exceed_their_length() {
    for_each_seed(30, |rng| {
        let [one, other] = [rng.below(3_000), rng.below(3_000)]
            .map(|size| NaiveSet::new((0..size).map(|n| item(n * (1 + rng.below(2))))));
        let message_len_max = 4_096 + rng.below(10_000) as usize;
        let [mut opener, mut responder] = pair(RangeConfig { message_len_max, ..RangeConfig::DEFAULT });
        let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
        assert!(played.messages.iter().all(|len| *len <= message_len_max), "{:?}", played.messages);
        assert_exact(played, &one, &other);
    });
}

#[test]
fn the_longest_keys_fit_into_the_shortest_messages() {
    let long = |n: u64| Item::new([vec![7; Item::KEY_LEN_MAX - 8], n.to_be_bytes().to_vec()].concat(), id(n));
    let (one, other) = (NaiveSet::new((0..200).map(long)), NaiveSet::new((5..230).map(long)));
    let [mut opener, mut responder] = pair(RangeConfig { message_len_max: 0, leaf: 1, ..RangeConfig::DEFAULT });
    let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
    assert_exact(played, &one, &other);
}

/// Half a round trip for each factor of the fan-out, two for lists and answers, one to end.
#[test]
fn rounds_and_bytes_are_as_few_as_expected() {
    let bare = |n: u64| Item::new("", id(n));
    let one = NaiveSet::new((0..10_000).map(bare));
    let other = NaiveSet::new((5..10_005).map(bare));
    let [mut opener, mut responder] = pair(RangeConfig::DEFAULT);
    let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
    assert_eq!(played.messages.len(), 7);
    assert!(played.bytes() < 3_500, "{:?}", played.messages);
    assert_exact(played, &one, &other);

    // A side that has nothing is told all in one message.
    let [mut opener, mut responder] = pair(RangeConfig::DEFAULT);
    let played = play((&mut opener, &NaiveSet::new([])), (&mut responder, &one)).unwrap();
    assert_eq!(played.messages.len(), 3);
    assert!(played.bytes() < 10_000 * 6 + 200, "{:?}", played.messages);
}
