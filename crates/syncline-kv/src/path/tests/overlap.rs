//! Overlaps, case by case and against brute force.

use super::model::{self, keys_of};
use super::rng::for_each_seed;
use super::{key, pattern};
use crate::path::Pattern;

#[test]
fn table() {
    for (one, other, expected) in [
        ("/a", "/a", Some("/a")),
        ("/a", "/b", None),
        ("/a", "/a/**", None),
        ("/a/**", "/**/b", Some("/a/b")),
        ("/a/**", "/b/**", None),
        ("/a/**", "/*", None),
        ("/**", "/**", Some("/q")),
        ("/**/a", "/b/**", Some("/b/a")),
        ("/a*", "/*b", Some("/ab")),
        ("/a*b", "/b*a", None),
        ("/*a*", "/*b*", Some("/ab")),
        ("/aa*", "/a*ba", Some("/aaba")),
        ("/*/x", "/y/*", Some("/y/x")),
        ("/my/**/sta*", "/my/key/*", Some("/my/key/sta")),
        ("/a/**/b/**/c", "/**/x/**/y/*", Some("/a/x/b/y/c")),
    ] {
        let found = pattern(one).overlaps(&pattern(other));
        let back = pattern(other).overlaps(&pattern(one));
        assert_eq!(found.is_some(), expected.is_some(), "{one} and {other}: {found:?}");
        assert_eq!(back.is_some(), expected.is_some(), "{other} and {one}: {back:?}");
        for found in [found, back].into_iter().flatten() {
            let expected = expected.expect("checked above");
            assert!(pattern(one).matches(&found) && pattern(other).matches(&found), "{found} of {one} and {other}");
            assert_eq!(found.as_str().len(), expected.len(), "{found} is not as short as {expected}");
        }
    }
    assert_eq!(pattern("/my/**/sta*").overlaps(&Pattern::literal(&key("/my/state"))), Some(key("/my/state")));
}

#[test]
fn against_brute_force() {
    for_each_seed(4, |rng| {
        let universe = model::universe(&["a", "b"], 2, 4);
        let patterns: Vec<_> = (0..60).map(|_| rng.pattern(3, 3, &["a", "b", "*", "*"])).collect();
        let keys: Vec<_> = patterns.iter().map(|pattern| keys_of(pattern, &universe)).collect();
        for (one, one_keys) in patterns.iter().zip(&keys) {
            for (other, other_keys) in patterns.iter().zip(&keys) {
                match one.overlaps(other) {
                    Some(found) => {
                        assert!(model::matches(one, &found), "{found} is not in {one}");
                        assert!(model::matches(other, &found), "{found} is not in {other}");
                    }
                    None => {
                        let common = one_keys.iter().zip(other_keys).any(|(one, other)| one & other != 0);
                        assert!(!common, "{one} and {other} overlap");
                    }
                }
            }
        }
    });
}
