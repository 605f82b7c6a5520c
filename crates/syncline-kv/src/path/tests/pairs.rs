//! Inclusion against brute force: random pairs and unions of small patterns.

use super::model::{self, Keys};
use super::rng::{Rng, for_each_seed};
use crate::path::scan::Caps;
use crate::path::search::Search;
use crate::path::{Budget, Inclusion, Key, Pattern, union_includes};

const BYTES: &[&str] = &["a", "b", "*", "*"];

/// Patterns, all keys of a universe, and which of them each pattern has.
struct Sample {
    universe: Vec<Key>,
    patterns: Vec<(Pattern, Keys)>,
}

impl Sample {
    fn new(rng: &mut Rng, count: usize) -> Self {
        let mut universe = model::universe(&["a", "b", "q"], 2, 3);
        universe.extend(model::universe(&["a", "q"], 1, 6));
        let patterns = (0..count).map(|_| {
            let pattern = rng.pattern(4, 4, BYTES);
            let keys = model::keys_of(&pattern, &universe);
            (pattern, keys)
        });
        Self { patterns: patterns.collect(), universe }
    }

    /// Checks the answer against the universe and the witness against the naive matcher. Returns it.
    fn check(&self, held: &[usize], wanted: usize) -> Inclusion {
        let (wanted, keys) = &self.patterns[wanted];
        let held: Vec<_> = held.iter().map(|&number| &self.patterns[number]).collect();
        let held_patterns: Vec<_> = held.iter().map(|(pattern, _)| pattern.clone()).collect();
        let found = union_includes(&held_patterns, wanted, Budget::default());
        let escapes = keys.iter().enumerate().find_map(|(word, keys)| {
            let left = held.iter().fold(*keys, |left, (_, keys)| left & !keys[word]);
            (left != 0).then(|| word * 64 + left.trailing_zeros() as usize)
        });
        match (&found, escapes) {
            (Inclusion::NotIncluded { witness }, _) => {
                assert!(model::matches(wanted, witness), "{witness} is not in {wanted}");
                let held = held_patterns.iter().find(|held| model::matches(held, witness));
                assert_eq!(held, None, "{witness} of {wanted} is held");
            }
            (Inclusion::Included, None) => {}
            (_, Some(escapes)) => {
                panic!("{} of {wanted} is not in {held_patterns:?}: {found:?}", self.universe[escapes])
            }
            (Inclusion::TooComplex, None) => panic!("too complex: {wanted} in {held_patterns:?}"),
        }
        found
    }
}

#[test]
fn pairs() {
    let (mut pairs, mut included) = (0, 0);
    for_each_seed(3, |rng| {
        let sample = Sample::new(rng, 190);
        let count = sample.patterns.len();
        for (held, wanted) in (0..count).flat_map(|held| (0..count).map(move |wanted| (held, wanted))) {
            pairs += 1;
            included += usize::from(sample.check(&[held], wanted).is_included());
        }
    });
    println!("{pairs} pairs, {included} of them included");
    assert!(included > pairs / 50);
}

#[test]
fn unions() {
    let (mut unions, mut only_together) = (0, 0);
    for_each_seed(3, |rng| {
        let sample = Sample::new(rng, 150);
        for _ in 0..34_000 {
            let [one, other, third, wanted] = [(); 4].map(|()| rng.below(sample.patterns.len()));
            let held = &[one, other, third][rng.below(2)..];
            unions += 1;
            if sample.check(held, wanted).is_included() {
                let alone = held.iter().any(|held| sample.check(&[*held], wanted).is_included());
                only_together += usize::from(!alone);
            }
        }
    });
    println!("{unions} unions, {only_together} of them include only together");
    assert!(only_together > 0 || std::env::var_os("SEED").is_some());
}

/// An oracle that is exact for keys of any length.
#[test]
fn pairs_and_unions_against_subsets() {
    for_each_seed(20, |rng| {
        for _ in 0..100 {
            let held: Vec<_> = (0..=rng.below(3)).map(|_| rng.pattern(3, 3, BYTES)).collect();
            let wanted = rng.pattern(3, 3, BYTES);
            let found = union_includes(&held, &wanted, Budget::default());
            match (&found, model::escaping(&held, &wanted, b"/qab")) {
                (Inclusion::Included, None) => {}
                (Inclusion::NotIncluded { witness }, Some(escaping)) => {
                    assert_eq!(witness.as_str().len(), escaping.as_str().len(), "{witness} is not a shortest one");
                }
                (_, escaping) => panic!("{wanted} in {held:?}: {found:?}, but {escaping:?}"),
            }
        }
    });
}

#[test]
fn inclusion_is_reflexive_and_transitive() {
    for_each_seed(6, |rng| {
        let patterns: Vec<_> = (0..40).map(|_| rng.pattern(3, 3, BYTES)).collect();
        let table: Vec<Vec<bool>> = patterns
            .iter()
            .map(|held| patterns.iter().map(|wanted| held.includes(wanted).is_included()).collect())
            .collect();
        for (a, row) in table.iter().enumerate() {
            assert!(row[a], "{:?}", patterns[a]);
            // Not by comparing texts.
            let search = Search::new(&patterns[a..=a], &patterns[a], Caps::KEY, Budget::default());
            assert_eq!(search.run(), Inclusion::Included, "{:?}", patterns[a]);
            for b in (0..row.len()).filter(|&b| row[b]) {
                for c in (0..row.len()).filter(|&c| table[b][c]) {
                    assert!(row[c], "{:?} has {:?}, which has {:?}", patterns[a], patterns[b], patterns[c]);
                }
            }
        }
    });
}
