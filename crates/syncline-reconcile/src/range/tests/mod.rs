//! Tests of the ranges.

use crate::play::{NaiveSet, assert_exact, play};
use crate::testing::{for_each_seed, id, item};
use crate::{Item, Nonce, RangeConfig, RangeReconciler};

pub(crate) fn pair(config: RangeConfig) -> [RangeReconciler; 2] {
    [1, 2].map(|byte| RangeReconciler::new(config, Nonce::from_bytes([byte; 16])))
}

fn check(config: RangeConfig, one: &NaiveSet, other: &NaiveSet) {
    let [mut opener, mut responder] = pair(config);
    let played = play((&mut opener, one), (&mut responder, other)).unwrap();
    assert_exact(played, one, other);
}

#[test]
fn small() {
    for_each_seed(200, |rng| {
        let common = rng.below(300);
        let [a, b] = [rng.below(40), rng.below(40)];
        let one = NaiveSet::new((0..common + a).map(item));
        let other = NaiveSet::new((0..common).chain(10_000..10_000 + b).map(item));
        check(RangeConfig::DEFAULT, &one, &other);
        check(RangeConfig { leaf: 1, fan_out: 2, ..RangeConfig::DEFAULT }, &one, &other);
        check(RangeConfig { message_len_max: 0, ..RangeConfig::DEFAULT }, &one, &other);
    });
    let _ = (id(0), Item::new("", id(0)));
}
