//! What is longer than a key may be is no key, and does not escape.

use super::rng::for_each_seed;
use super::{key, model, pattern, patterns};
use crate::path::overlap::common_key;
use crate::path::scan::{Caps, is_allowed};
use crate::path::search::Search;
use crate::path::{Budget, Inclusion, Key, Pattern, union_includes};

fn escape(held: &[Pattern], wanted: &Pattern) -> Option<Key> {
    match union_includes(held, wanted, Budget::default()) {
        Inclusion::Included => None,
        Inclusion::NotIncluded { witness } => {
            assert!(wanted.matches(&witness) && !held.iter().any(|held| held.matches(&witness)));
            Some(witness)
        }
        Inclusion::TooComplex => panic!("too complex: {wanted:?} in {held:?}"),
    }
}

#[test]
fn no_key_has_more_segments() {
    let stars = |count| "/*".repeat(count);
    let max = Key::SEGMENTS_MAX;
    let deepest = pattern(&(stars(max - 1) + "/**"));
    assert_eq!(escape(&[pattern(&stars(max))], &deepest), None);
    let deep = pattern(&(stars(max - 2) + "/**"));
    assert_eq!(escape(&[pattern(&stars(max))], &deep), Some(key(&"/q".repeat(max - 1))));
    assert_eq!(escape(&patterns(&[&stars(max), &stars(max - 1)]), &deep), None);
    // One pattern for each depth.
    let mut held: Vec<_> = (0..max).map(|depth| pattern(&(stars(depth) + "/a"))).collect();
    assert_eq!(escape(&held, &pattern("/**/a")), None);
    held.remove(20);
    assert_eq!(escape(&held, &pattern("/**/a")), Some(key(&("/q".repeat(20) + "/a"))));
}

#[test]
fn a_pattern_below_the_deepest_key_has_none() {
    let deepest = key(&"/a".repeat(Key::SEGMENTS_MAX));
    let below = crate::path::Subtree::below(&deepest).pattern();
    assert_eq!(escape(&[], &below), None);
    assert_eq!(below.overlaps(&Pattern::all()), None);
    assert_eq!(Pattern::new(below.as_str()).as_ref(), Ok(&below));
}

#[test]
fn no_key_has_longer_segments() {
    let half = "a".repeat(Key::SEGMENT_LEN_MAX / 2);
    let (shortest, both) = (pattern(&format!("/{half}{half}")), pattern(&format!("/{half}*{half}")));
    // There is room for one byte.
    assert_eq!(escape(&[], &both), Some(key(&format!("/{half}{half}"))));
    assert_eq!(escape(std::slice::from_ref(&shortest), &both), Some(key(&format!("/{half}q{half}"))));
    // But not for two.
    let one_more =
        (0..=u8::MAX).filter(|byte| is_allowed(*byte)).map(|byte| format!("/{half}{}{half}", char::from(byte)));
    let mut held: Vec<_> = one_more.map(|text| pattern(&text)).chain([shortest]).collect();
    assert_eq!(escape(&held, &both), None);
    let gap = held.remove(9);
    assert_eq!(escape(&held, &both), gap.as_key());
}

#[test]
fn no_key_is_longer() {
    let segment = "a".repeat(Key::SEGMENT_LEN_MAX);
    let three = format!("/{segment}/{segment}/{segment}");
    let fixed = "b".repeat(Key::LEN_MAX - three.len() - 3);
    // Room for one byte and its slash.
    let wanted = pattern(&format!("{three}/{fixed}/**"));
    assert_eq!(wanted.as_str().len(), Key::LEN_MAX + 1);
    assert_eq!(escape(&[], &wanted), Some(key(&format!("{three}/{fixed}/q"))));
    assert_eq!(escape(&patterns(&["/**/q"]), &wanted), Some(key(&format!("{three}/{fixed}/x"))));
    assert_eq!(escape(&patterns(&[&format!("{three}/{fixed}/*")]), &wanted), None);
    assert_eq!(escape(&patterns(&["/**/*b/*"]), &wanted), None);
    // Room for a slash.
    let below = pattern(&format!("{three}/{fixed}b/**"));
    assert_eq!(escape(&[], &below), None);
}

/// What is shorter in bytes has a segment too many; what has a segment less is longer in bytes, and is found.
#[test]
fn limits_are_traded_against_each_other() {
    let held = patterns(&["/a*/z", "/*ab*/z", "/*bc*/z", "/*c/z"]);
    let wanted = pattern("/**/*a*b*c*/z");
    for (segments, witness) in [(1, None), (2, Some("/qaqbqcq/z")), (3, Some("/q/abc/z"))] {
        let caps = Caps { segments, ..Caps::KEY };
        let found = Search::new(&held, &wanted, caps, Budget::default()).run();
        let expected = witness.map_or(Inclusion::Included, |witness| Inclusion::NotIncluded { witness: key(witness) });
        assert_eq!(found, expected, "{segments}");
    }
}

#[test]
fn overlaps_keep_the_limits() {
    let stars = |count| pattern(&"/*".repeat(count));
    let deep = pattern("/**/a/**/b");
    assert_eq!(stars(2).overlaps(&deep), Some(key("/a/b")));
    let found = stars(Key::SEGMENTS_MAX).overlaps(&deep).expect("there is room");
    assert_eq!(found.segments().count(), Key::SEGMENTS_MAX);
    assert!(deep.matches(&found));

    let (head, tail) = ("a".repeat(200), "b".repeat(100));
    assert_eq!(pattern(&format!("/{head}*")).overlaps(&pattern(&format!("/*{tail}"))), None);
    let tail = "b".repeat(55);
    let fits = format!("/{head}{tail}");
    assert_eq!(pattern(&format!("/{head}*")).overlaps(&pattern(&format!("/*{tail}"))), Some(key(&fits)));

    let many = "/".to_owned() + &"a".repeat(200);
    let (front, back) = (pattern(&(many.repeat(3) + "/**")), pattern(&("/**".to_owned() + &many.repeat(3))));
    assert!(front.overlaps(&back).is_some(), "the same three segments");
    let back = pattern(&("/**".to_owned() + &many.replace('a', "b").repeat(3)));
    assert_eq!(front.overlaps(&back), None, "1206 bytes");
    assert_eq!(pattern("/.*").overlaps(&pattern("/*.")), Some(key("/.q.")));
}

/// With limits so small that all keys can be tried, both answers are exact.
#[test]
fn all_keys_there_are() {
    let bytes = ["a", "b", "q"];
    for_each_seed(20, |rng| {
        let caps = Caps { len: 3 + rng.below(5), segments: 1 + rng.below(3), segment_len: 1 + rng.below(3) };
        let mut universe = model::universe(&bytes, caps.segment_len, caps.segments);
        universe.retain(|key| key.as_str().len() <= caps.len);
        let patterns: Vec<_> = (0..25).map(|_| rng.pattern(3, 3, &["a", "b", "*", "*"])).collect();
        let keys: Vec<_> = patterns.iter().map(|pattern| model::keys_of(pattern, &universe)).collect();
        for _ in 0..1_000 {
            let [one, other, wanted] = [(); 3].map(|()| rng.below(patterns.len()));
            let held = [patterns[one].clone(), patterns[other].clone()];
            let escapes = (0..universe.len().div_ceil(64))
                .any(|word| keys[wanted][word] & !keys[one][word] & !keys[other][word] != 0);
            let found = Search::new(&held, &patterns[wanted], caps, Budget::default()).run();
            match &found {
                Inclusion::NotIncluded { witness } => assert!(universe.contains(witness), "{witness} is no key"),
                found => assert_eq!(found, &Inclusion::Included),
            }
            assert_eq!(!found.is_included(), escapes, "{:?} in {held:?}: {found:?}", patterns[wanted]);

            let common = keys[one].iter().zip(&keys[other]).any(|(one, other)| one & other != 0);
            let found = common_key(&held[0], &held[1], caps);
            assert_eq!(found.is_some(), common, "{held:?}: {found:?}, {caps:?}");
            if let Some(found) = found {
                assert!(universe.contains(&found) && held.iter().all(|held| held.matches(&found)), "{held:?}: {found}");
            }
        }
    });
}
