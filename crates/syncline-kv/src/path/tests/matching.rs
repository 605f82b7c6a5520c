//! Which keys a pattern has, and what it costs to tell.

use super::rng::for_each_seed;
use super::{key, model, pattern};
use crate::path::matching::{matches, matches_counted};
use crate::path::{Key, KeyFilter};

/// A pattern, keys that it has, keys that it has not.
const CASES: &[(&str, &[&str], &[&str])] = &[
    (
        "/my/**/sta*",
        &["/my/key/state", "/my/state", "/my/a/b/sta", "/my/sta"],
        &["/my/key/xstate", "/my/key/state/x", "/other/state", "/my/st", "/my", "/MY/state"],
    ),
    ("/my/key/state", &["/my/key/state"], &["/my/key", "/my/key/state/x", "/my/key/states", "/my/key/State"]),
    ("/a/**", &["/a/b", "/a/b/c", "/a/a"], &["/a", "/ab", "/b/a"]),
    ("/**", &["/a", "/a/b", "/a/b/c"], &[]),
    ("/**/**", &["/a", "/a/b"], &[]),
    ("/**/*", &["/a", "/a/b", "/a/b/c"], &[]),
    ("/*/**", &["/a/b", "/a/b/c"], &["/a"]),
    ("/a/**/b", &["/a/b", "/a/x/b", "/a/x/y/b", "/a/b/b"], &["/a", "/b", "/a/b/x", "/x/a/b"]),
    ("/**/x", &["/x", "/a/x", "/a/b/x", "/x/x"], &["/x/a", "/ax"]),
    ("/a/**/b/**/c", &["/a/b/c", "/a/x/b/c", "/a/b/x/c", "/a/b/b/c/c"], &["/a/c/b", "/a/b", "/a/c"]),
    ("/**/a/b/**", &["/a/b/c", "/a/a/b/c", "/a/b/a/b"], &["/a/b", "/a/x/b/c"]),
    ("/*", &["/a", "/a.b"], &["/a/b"]),
    ("/*/b", &["/a/b", "/b/b"], &["/b", "/a/c/b"]),
    ("/sta*", &["/sta", "/state"], &["/st", "/state/x", "/xsta"]),
    ("/tar*", &["/tar", "/tar.gz"], &["/t", "/ta"]),
    ("/*.rs", &["/a.rs", "/.rs", "/.rs.rs"], &["/a.rst", "/rs"]),
    ("/a*b*c", &["/abc", "/axbxc", "/abcbc", "/abbcc"], &["/ab", "/ac", "/acb", "/abcd"]),
    ("/a*a", &["/aa", "/aba", "/aaa"], &["/a", "/ab"]),
    ("/*ab*ab*", &["/abab", "/xabxabx"], &["/ab", "/aba", "/abba"]),
    ("/a-b_~:@+=,%.0", &["/a-b_~:@+=,%.0"], &["/a-b_~:@+=,%10"]),
];

#[test]
fn table() {
    for &(glob, has, has_not) in CASES {
        for name in has {
            assert!(pattern(glob).matches(&key(name)), "{glob} has {name}");
        }
        for name in has_not {
            assert!(!pattern(glob).matches(&key(name)), "{glob} does not have {name}");
        }
    }
}

#[test]
fn agrees_with_a_matcher_that_tries_everything() {
    for_each_seed(30, |rng| {
        let universe = model::universe(&["a", "b"], 3, 2);
        let deep = model::universe(&["a", "b"], 1, 6);
        for _ in 0..30 {
            let glob = rng.pattern(4, 5, &["a", "b", "*"]);
            for key in universe.iter().chain(&deep) {
                assert_eq!(glob.matches(key), model::matches(&glob, key), "{glob} and {key}");
            }
        }
    });
}

/// A pattern and a key that make one which goes back and forth take its longest; both of about `len` bytes.
fn adversarial(len: usize, segments: usize) -> Vec<(String, String)> {
    let repeat = |text: &str, count: usize| text.repeat(count.max(1));
    let in_segment = len / segments;
    let long_key = repeat(&format!("/{}", repeat("a", in_segment)), segments);
    let stars = format!("/{}b", repeat("*a", in_segment / 2));
    let literal = format!("/*{}b*", repeat("a", in_segment / 2));
    vec![
        (format!("/**{}", repeat(&stars, segments / 2)), long_key.clone()),
        (format!("/**{}", repeat(&literal, segments / 2)), long_key.clone()),
        (format!("/**{}/b", repeat(&format!("/*{}*", repeat("a", in_segment / 2)), segments / 2)), long_key.clone()),
        (format!("{}/b", repeat(&format!("/**/*{}*", repeat("a", in_segment / 2)), segments / 2)), long_key),
    ]
}

/// With as many segments as a key may have and any length, the cost is linear in the length.
#[test]
fn takes_linear_time() {
    for len in [100, 1_000, 10_000] {
        for (glob, name) in adversarial(len, Key::SEGMENTS_MAX) {
            let steps = steps(&glob, &name);
            println!("{len}: {} and {} bytes, {steps} steps", glob.len(), name.len());
            assert!(steps <= (Key::SEGMENTS_MAX + 1) * (glob.len() + name.len()));
        }
    }
}

/// With any number of segments it is at most the product of the lengths, not exponential.
#[test]
fn takes_polynomial_time_beyond_the_limits() {
    for len in [100, 1_000, 3_000] {
        for (glob, name) in adversarial(len, len / 2) {
            let steps = steps(&glob, &name);
            println!("{len}: {} and {} bytes, {steps} steps", glob.len(), name.len());
            assert!(steps <= glob.len() * name.len());
        }
    }
}

fn steps(glob: &str, name: &str) -> usize {
    let mut steps = 0;
    assert!(!matches_counted(glob, name, &mut |bytes| steps += bytes));
    steps
}

#[test]
fn a_segment_takes_up_no_slash() {
    assert!(!matches("/a*c", "/a/c"));
    assert!(!matches("/*", "/a/b"));
    assert!(!matches("/**/a*", "/ab/c"));
}

#[test]
fn filters() {
    let passes = |rules: &[&str], name: &str| KeyFilter::new(rules).unwrap().matches(&key(name));
    assert!(passes(&[], "/a"));
    assert!(passes(&["/a"], "/a"));
    assert!(!passes(&["/a"], "/b"));
    assert!(!passes(&["!/a"], "/a"));
    assert!(!passes(&["!/a"], "/b"), "no rule lets it pass");
    let rules = ["/a/**", "!/a/b/**", "/a/b/c"];
    for (name, expected) in [("/a/x", true), ("/a/b/d", false), ("/a/b/c", true), ("/x", false)] {
        assert_eq!(passes(&rules, name), expected, "{name}");
    }
    // The order decides.
    assert!(!passes(&["/a/b/c", "/a/**", "!/a/b/**"], "/a/b/c"));
    assert!(KeyFilter::new(["/a", "!!/a"]).is_err() && KeyFilter::new(["!"]).is_err());
}
