//! Keys and patterns.

use std::collections::BTreeMap;

use syncline_kv::path::{Budget, Inclusion, Key, Pattern, union_includes};

use super::file::{Inclusions, Matches, Overlap, Paths, RefusedText, name_of};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// In the order of their bytes.
fn keys() -> Vec<String> {
    let mut keys = texts(&["/a", "/a%b", "/a-b", "/a.b", "/a/b", "/a/b/c", "/a0", "/aB", "/a_b", "/ab", "/~:@+=,%..."]);
    keys.push("/x".repeat(32));
    keys.sort_unstable();
    keys
}

fn refused(text: &str, times: usize, error: fn(&str) -> String) -> RefusedText {
    RefusedText { text: text.to_owned(), times, error: error(&text.repeat(times)) }
}

fn key_error(text: &str) -> String {
    format!("{:?}", Key::new(text).expect_err("no key"))
}

fn pattern_error(text: &str) -> String {
    format!("{:?}", Pattern::new(text).expect_err("no pattern"))
}

fn refused_keys() -> Vec<RefusedText> {
    let mut all = Vec::new();
    for text in ["", "a", "/", "//a", "/a/", "/a//b", "/.", "/a/../b", "/a b", "/a*", "/ä", "/a\u{0}", "/a?"] {
        all.push(refused(text, 1, key_error));
    }
    all.push(refused("/x", 33, key_error));
    all.push(refused("/0123456789abcde", 65, key_error));
    all.push(RefusedText {
        text: format!("/{}", "y".repeat(256)),
        times: 1,
        error: key_error(&format!("/{}", "y".repeat(256))),
    });
    all
}

fn refused_patterns() -> Vec<RefusedText> {
    let mut all = Vec::new();
    for text in
        ["", "*", "/", "/a/", "/a**", "/***", "/a/**b/c", "/..", "/[a]", "/a?", "/{a,b}", "/\\*", "/*a*b*c*d*e*f*g*h*i"]
    {
        all.push(refused(text, 1, pattern_error));
    }
    all.push(refused("/**", 5, pattern_error));
    all
}

fn matches() -> Vec<Matches> {
    let cases: [(&str, &[&str], &[&str]); 10] = [
        ("/a/b", &["/a/b"], &["/a", "/a/b/c", "/A/b"]),
        ("/sta*", &["/sta", "/state"], &["/st", "/sta/te", "/a/sta"]),
        ("/*", &["/a", "/a.b"], &["/a/b"]),
        ("/a*b*c", &["/abc", "/axxbyyc", "/abcbc"], &["/ab", "/acb"]),
        ("/**", &["/a", "/a/b/c"], &[]),
        ("/a/**", &["/a/b", "/a/b/c"], &["/a", "/ab", "/ab/c"]),
        ("/a/**/b", &["/a/b", "/a/x/b", "/a/x/y/b", "/a/b/b"], &["/a", "/a/b/c", "/b"]),
        ("/**/b", &["/b", "/a/b"], &["/a", "/b/a"]),
        ("/my/**/sta*", &["/my/sta", "/my/key/state", "/my/a/b/sta"], &["/my/key/state/x", "/your/state"]),
        ("/a/**/*", &["/a/b", "/a/b/c"], &["/a"]),
    ];
    let vector = |(pattern, has, has_not): (&str, &[&str], &[&str])| Matches {
        pattern: pattern.to_owned(),
        has: texts(has),
        has_not: texts(has_not),
    };
    cases.into_iter().map(vector).collect()
}

fn inclusions() -> Vec<Inclusions> {
    let cases: [(&[&str], &str); 14] = [
        (&["/a/**"], "/a/b"),
        (&["/a/**"], "/a"),
        (&["/a/**"], "/a/**/*"),
        (&["/a/**/*"], "/a/**"),
        (&["/a/**"], "/**"),
        (&["/a/*"], "/a/**"),
        (&["/my/**/sta*"], "/my/key/state"),
        (&["/my/**/sta*"], "/my/*/sta*e"),
        (&["/*/b"], "/a/*"),
        (&["/*a*", "/*/**/a"], "/**/a"),
        (&["/a*", "/b*"], "/*"),
        (&["/a/**", "/a"], "/a/**"),
        (&["/**/x/**"], "/a/x/*"),
        (&[], "/a"),
    ];
    let vector = |(held, wanted): (&[&str], &str)| Inclusions {
        held: texts(held),
        wanted: wanted.to_owned(),
        witness: witness(&texts(held), wanted),
    };
    cases.into_iter().map(vector).collect()
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).expect("a pattern")
}

fn witness(held: &[String], wanted: &str) -> Option<String> {
    let held: Vec<Pattern> = held.iter().map(|text| pattern(text)).collect();
    match union_includes(&held, &pattern(wanted), Budget::default()) {
        Inclusion::Included => None,
        Inclusion::NotIncluded { witness } => Some(witness.to_string()),
        other => panic!("{other:?}"),
    }
}

fn overlaps() -> Vec<Overlap> {
    let pairs = [("/a/**", "/**/b"), ("/a*", "/*b"), ("/a", "/b"), ("/a/*", "/a/*/*"), ("/**/x", "/y/**")];
    let vector = |(one, other): (&str, &str)| Overlap {
        one: one.to_owned(),
        other: other.to_owned(),
        common: pattern(one).overlaps(&pattern(other)).map(|key| key.to_string()),
    };
    pairs.into_iter().map(vector).collect()
}

fn subtrees() -> BTreeMap<String, Option<String>> {
    let patterns = ["/**", "/a/**", "/a/b/**", "/a/**/**", "/a/**/*", "/a/*/**", "/a/*", "/a", "/a*/**", "/**/a"];
    patterns.into_iter().map(|text| (text.to_owned(), subtree(text))).collect()
}

fn subtree(text: &str) -> Option<String> {
    pattern(text).as_subtree().map(|subtree| subtree.to_string())
}

pub(crate) fn made() -> Paths {
    Paths {
        keys: keys(),
        refused_keys: refused_keys(),
        refused_patterns: refused_patterns(),
        matches: matches(),
        inclusions: inclusions(),
        overlaps: overlaps(),
        subtrees: subtrees(),
    }
}

pub(crate) fn check(paths: &Paths) {
    assert!(paths.keys.is_sorted() && paths.keys.len() >= 10);
    for text in &paths.keys {
        assert_eq!(Key::new(text).expect("a key").as_str(), text);
    }
    for vector in &paths.refused_keys {
        let error = Key::new(&vector.text.repeat(vector.times)).expect_err("no key");
        assert_eq!(format!("{error:?}"), vector.error, "{:?}", vector.text);
        assert!(!name_of(&error).is_empty());
    }
    for vector in &paths.refused_patterns {
        let error = Pattern::new(&vector.text.repeat(vector.times)).expect_err("no pattern");
        assert_eq!(format!("{error:?}"), vector.error, "{:?}", vector.text);
    }
    for vector in &paths.matches {
        let has = |key: &String| pattern(&vector.pattern).matches(&Key::new(key).expect("a key"));
        assert!(vector.has.iter().all(has), "{}", vector.pattern);
        assert!(!vector.has_not.iter().any(has), "{}", vector.pattern);
    }
    for vector in &paths.inclusions {
        let found = witness(&vector.held, &vector.wanted);
        let len = |witness: &Option<String>| witness.as_ref().map(String::len);
        assert_eq!(len(&found), len(&vector.witness), "{:?} {}", vector.held, vector.wanted);
        let Some(witness) = &vector.witness else { continue };
        let key = Key::new(witness).expect("a key");
        assert!(pattern(&vector.wanted).matches(&key));
        assert!(!vector.held.iter().any(|held| pattern(held).matches(&key)));
    }
    for vector in &paths.overlaps {
        let found = pattern(&vector.one).overlaps(&pattern(&vector.other));
        assert_eq!(found.is_some(), vector.common.is_some(), "{} {}", vector.one, vector.other);
    }
    for (text, path) in &paths.subtrees {
        assert_eq!(&subtree(text), path, "{text}");
    }
}
