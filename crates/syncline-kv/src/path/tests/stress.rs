//! What inclusion costs when somebody means harm.

use super::rng::for_each_seed;
use super::{pattern, patterns};
use crate::path::{Budget, Inclusion, Pattern, union_includes};

/// The smallest budget that suffices, if one below `max` does.
fn states(held: &[Pattern], wanted: &Pattern, max: usize) -> Option<usize> {
    let suffices = |states| union_includes(held, wanted, Budget::with_states(states)) != Inclusion::TooComplex;
    let (mut too_few, mut enough) = (0, max);
    if !suffices(enough) {
        return None;
    }
    while enough - too_few > 1 {
        let middle = usize::midpoint(too_few, enough);
        if suffices(middle) { enough = middle } else { too_few = middle }
    }
    Some(enough)
}

/// The k-th segment from the end begins with an `a`: as a deterministic automaton it has 2^k states.
fn kth_from_last(k: usize) -> Pattern {
    pattern(&format!("/**/a*{}", "/*".repeat(k - 1)))
}

#[test]
fn kth_from_last_takes_few_states() {
    for k in 2..=12 {
        let held = kth_from_last(k);
        for wanted in [kth_from_last(k), pattern("/**"), pattern(&format!("/**/ab{}", "/*".repeat(k - 1)))] {
            let states = states(std::slice::from_ref(&held), &wanted, 20_000);
            println!("k {k}: {wanted} takes {states:?}");
            assert!(states.is_some_and(|states| states <= 50), "{wanted} in {held}: {states:?}");
        }
    }
}

/// Found by search, for the states that they take: they have no end within the budget, but the search has one.
const TOO_COMPLEX: &[(&str, &[&str])] = &[
    (
        "/aabab*b/*ab/aabab*b/**/*aab*/abbab/*a/**/*aabb*/*a/*aab/*a*/*a/**/b*b*bb/aba*abab*/*abbab/*abaa*aaa/*aab*/aabab*b/**/*abaa*aaa/*abbab/*aab*/*aabb/*aa/aabab*b/bb/*ababab/aababb*bb/aa*/aaa",
        &[
            "/**/a*/*a*/*/*/*a*/*a*a*/*/*b/*/*/a*/a*/aa*b/*bb/aa*/a*b*bbbbb/*bb/**/*ba/*a*a/a*a*ab*b/*baa*/*b/bab/a*a/*aa/*aa*a*/**/*b*a*b*b*b/bba/*",
        ],
    ),
    (
        "/*b/aaba/**/aaa*/a*aaa*b*/**/**/aaa*/**/*bab/aaa*/*aaa*b*b/a*aaa*b*/ba/baaa*ab/baa*baa/a*aba*b*/b/*bba*/baaaa*baa/b*/aaba/a*aba*b*/*baab/*a*bb/*b/baaa",
        &[
            "/**/a*a/*/*/*/*",
            "/abb/aaaa/**",
            "/**/**/a*/b*/a*/**/*/b*",
            "/**/*ab*b*ab/*ab*b*ab/bba*",
            "/b/**/**/bba/**",
            "/**/*a*ab/**/**/*a*ab",
            "/aab*b/aab*b/*a*/b*/aaaab*/*a*/*bb*b*",
            "/**/ba*bbbbba/*a*",
            "/**/*/aaa*a*/**/a*/a*/*a*",
            "/**/bbaa/abaab*a/**/**",
        ],
    ),
];

#[test]
fn what_is_too_complex_is_not_included() {
    for (wanted, held) in TOO_COMPLEX {
        let (wanted, held) = (pattern(wanted), patterns(held));
        let found = union_includes(&held, &wanted, Budget::default());
        assert_eq!(found, Inclusion::TooComplex, "{wanted} in {held:?}");
        assert!(!found.is_included());
    }
    // Any inclusion that takes more than comparing texts, if nothing may be spent on it.
    let (wanted, held) = (pattern("/**/ab*/x"), patterns(&["/**/a*/*"]));
    let enough = states(&held, &wanted, 20_000).expect("this one is easy");
    assert_eq!(union_includes(&held, &wanted, Budget::with_states(enough)), Inclusion::Included);
    for states in 0..enough {
        assert_eq!(union_includes(&held, &wanted, Budget::with_states(states)), Inclusion::TooComplex);
    }
}

/// One state for each byte, and one to begin with.
#[test]
fn states_are_counted() {
    let (wanted, held) = (pattern("/abcdefgh*"), patterns(&["/abcdefg*"]));
    assert_eq!(states(&held, &wanted, 100), Some(10));
}

/// Few states, but many places in each.
#[test]
fn places_are_counted() {
    let held: Vec<_> = (1..=200).map(|count| pattern(&format!("/*{}a/**", "b".repeat(count)))).collect();
    let states = states(&held, &pattern("/*b/*"), 100);
    println!("{states:?} states for {} held patterns", held.len());
    assert!(states.is_some_and(|states| states >= 4 * held.len() / Budget::PLACES_PER_STATE), "{states:?}");
}

/// Patterns as long as they may be, as many wildcards as there may be.
#[test]
fn large_patterns_are_decided() {
    let mut too_complex = 0;
    for_each_seed(4, |rng| {
        for _ in 0..100 {
            let wanted = rng.pattern(30, 20, &["a", "b", "*"]);
            let held: Vec<_> = (0..3).map(|_| rng.pattern(12, 6, &["a", "b", "*", "*"])).collect();
            match union_includes(&held, &wanted, Budget::default()) {
                Inclusion::Included => {}
                Inclusion::NotIncluded { witness } => {
                    assert!(wanted.matches(&witness) && !held.iter().any(|held| held.matches(&witness)));
                }
                Inclusion::TooComplex => too_complex += 1,
            }
        }
    });
    assert_eq!(too_complex, 0);
}
