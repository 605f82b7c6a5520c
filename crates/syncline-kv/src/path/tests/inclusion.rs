//! Inclusion, case by case.

use super::{pattern, patterns};
use crate::path::{Budget, Inclusion, union_includes};

/// `wanted`, `held`, and a key that escapes, if one does.
const CASES: &[(&str, &str, Option<&str>)] = &[
    ("/a", "/a", None),
    ("/a", "/b", Some("/a")),
    ("/a", "/a/**", Some("/a")),
    ("/a/b", "/a/**", None),
    ("/a/*", "/a/**", None),
    ("/a/**", "/a/*", Some("/a/q/q")),
    ("/**/*", "/**", None),
    ("/**", "/**/*", None),
    ("/**/**", "/**", None),
    ("/**", "/**/**", None),
    ("/**/**/**/**", "/**", None),
    ("/**", "/**/**/**/**", None),
    ("/*/**", "/**", None),
    ("/**", "/*/**", Some("/q")),
    ("/**/*/*", "/*/**", None),
    ("/*/**", "/**/*/*", None),
    ("/a/**/b", "/a/*/b", Some("/a/b")),
    ("/a/*/b", "/a/**/b", None),
    ("/my/**/sta*", "/my/**", None),
    ("/my/**", "/my/**/sta*", Some("/my/q")),
    ("/sta*", "/s*a*", None),
    ("/s*a*", "/sta*", Some("/sa")),
    ("/*a*", "/*", None),
    ("/a*b*", "/a*", None),
    ("/a*", "/a*b*", Some("/a")),
    ("/a/*b*", "/a/b*", Some("/a/qb")),
    ("/**/a", "/**/*", None),
    ("/**/a*", "/**/*", None),
    ("/a/*/c", "/a/*", Some("/a/q/c")),
    ("/a/b/*", "/a/**", None),
    ("/**", "/a/**", Some("/q")),
    ("/b/x", "/a/**", Some("/b/x")),
    ("/*/x", "/a/**", Some("/q/x")),
    ("/*", "/a*", Some("/q")),
    ("/*aa*", "/*a*a*", None),
    ("/*a*a*", "/*aa*", Some("/aqa")),
    ("/a/**/c", "/**/b", Some("/a/c")),
    ("/**/a/**", "/**/a", Some("/a/q")),
    ("/q*", "/qx*", Some("/q")),
];

#[test]
fn table() {
    for &(wanted, held, escapes) in CASES {
        let found = pattern(held).includes(&pattern(wanted));
        match (escapes, &found) {
            (None, Inclusion::Included) => {}
            (Some(expected), Inclusion::NotIncluded { witness }) => {
                assert_eq!(witness.as_str(), expected, "{wanted} in {held}");
                assert!(pattern(wanted).matches(witness) && !pattern(held).matches(witness));
            }
            _ => panic!("{wanted} in {held}: {found:?}"),
        }
    }
}

#[test]
fn unions_include_what_none_includes_alone() {
    for (wanted, held) in [
        ("/**/a", &["/*a*", "/*/**/a"][..]),
        ("/**", &["/*", "/*/**"]),
        ("/a/**", &["/a/*", "/a/*/*", "/a/*/*/**"]),
        ("/*", &["/a*", "/*"]),
        ("/**/x/**", &["/x/**", "/*/x/**", "/*/*/**/x/**"]),
    ] {
        let (wanted, held) = (pattern(wanted), patterns(held));
        assert_eq!(union_includes(&held, &wanted, Budget::default()), Inclusion::Included, "{wanted:?} in {held:?}");
        for alone in held.iter().filter(|alone| **alone != wanted) {
            let rest: Vec<_> = held.iter().filter(|other| *other != alone && **other != wanted).cloned().collect();
            let found = union_includes(&rest, &wanted, Budget::default());
            assert!(matches!(found, Inclusion::NotIncluded { .. }), "{wanted:?} in {rest:?}: {found:?}");
        }
    }
}

#[test]
fn nothing_held_includes_nothing() {
    let Inclusion::NotIncluded { witness } = union_includes(&[], &pattern("/a/*b/**"), Budget::default()) else {
        panic!("included in nothing")
    };
    assert_eq!(witness.as_str(), "/a/b/q");
}

#[test]
fn the_byte_for_all_others_is_one_that_no_pattern_has() {
    for (wanted, held, witness) in [
        ("/*", "/q*", "/x"),
        ("/*", "/q*x*", "/z"),
        ("/*", "/.*", "/q"),
        // Every byte but the dot is a literal of the patterns: "/." would be no key.
        ("/*", "/qwertyuiopasdfghjklzxcvbnmQWERTYUIOPASDFGHJKLZXCVBNM0123456789-_~:@+=,%", "/%"),
    ] {
        let found = pattern(held).includes(&pattern(wanted));
        assert_eq!(found, Inclusion::NotIncluded { witness: super::key(witness) }, "{wanted} in {held}");
    }
}

/// One pattern for each byte, so that only a segment of dots could escape.
#[test]
fn dots_alone_do_not_escape() {
    let bytes = "qwertyuiopasdfghjklzxcvbnmQWERTYUIOPASDFGHJKLZXCVBNM0123456789-_~:@+=,%";
    let mut held: Vec<_> = bytes.chars().map(|byte| pattern(&format!("/*{byte}*"))).collect();
    let found = union_includes(&held, &pattern("/*"), Budget::default());
    assert_eq!(found, Inclusion::NotIncluded { witness: super::key("/...") });
    held.push(pattern("/*...*"));
    assert_eq!(union_includes(&held, &pattern("/*"), Budget::default()), Inclusion::Included);
}
