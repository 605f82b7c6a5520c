//! Any text is a key, a pattern, a subtree, or an error; and what patterns say of each other agrees with the keys that they have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_kv::path::{Budget, Inclusion, Key, KeyFilter, Pattern, Subtree, union_includes};

/// Few enough that the search decides in milliseconds, or says that it cannot.
const STATES: usize = 500;

fuzz_target!(|input: (&str, [&[u8]; 4])| {
    let (raw, texts) = input;
    check_text(raw);
    let [one, other, wanted, path] = texts.map(spelled);
    for text in [&one, &other, &wanted, &path] {
        check_text(text);
    }
    let (Ok(one), Ok(other), Ok(wanted)) = (Pattern::new(&one), Pattern::new(&other), Pattern::new(&wanted)) else {
        return;
    };
    let key = Key::new(&path).ok();
    check_inclusion(&[one.clone()], &wanted, key.as_ref());
    check_inclusion(&[one.clone(), other.clone()], &wanted, key.as_ref());
    check_overlap(&one, &other, key.as_ref());
    if let Some(key) = &key {
        check_key(&wanted, key);
        let filter = KeyFilter::new([one.to_string(), format!("!{other}"), wanted.to_string()]).expect("patterns");
        assert_eq!(filter.matches(key), wanted.matches(key) || one.matches(key) && !other.matches(key));
    }
});

/// Bytes as the text of a path, so that most of them are one.
fn spelled(bytes: &[u8]) -> String {
    const LETTERS: &[&str] = &["/", "/", "a", "b", "*", "/**", ".", "q"];
    let letters = bytes.iter().map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()]);
    ["/"].into_iter().chain(letters).collect()
}

fn check_text(text: &str) {
    if let Ok(key) = Key::new(text) {
        assert_eq!(key.as_str(), text);
        assert_eq!(Pattern::new(text), Ok(Pattern::literal(&key)));
        assert!(key.parent().is_none_or(|parent| Subtree::below(&parent).contains(&key)));
    }
    if let Ok(pattern) = Pattern::new(text) {
        assert_eq!(pattern.as_str(), text);
        assert_eq!(pattern.as_key(), Key::new(text).ok());
        if let Some(subtree) = pattern.as_subtree() {
            assert!(pattern.includes(&subtree.pattern()).is_included());
            assert!(subtree.pattern().includes(&pattern).is_included());
        }
    }
    if let Ok(subtree) = text.parse::<Subtree>() {
        assert_eq!(Pattern::new(subtree.pattern().as_str()), Ok(subtree.pattern()));
    }
}

fn check_inclusion(held: &[Pattern], wanted: &Pattern, key: Option<&Key>) {
    let is_held = |key: &Key| held.iter().any(|held| held.matches(key));
    match union_includes(held, wanted, Budget::with_states(STATES)) {
        Inclusion::Included => {
            assert!(
                key.is_none_or(|key| !wanted.matches(key) || is_held(key)),
                "{key:?} of {wanted} is not in {held:?}"
            );
        }
        Inclusion::NotIncluded { witness } => {
            assert!(wanted.matches(&witness) && !is_held(&witness), "{witness} of {wanted} and {held:?}");
        }
        _ => {}
    }
}

fn check_overlap(one: &Pattern, other: &Pattern, key: Option<&Key>) {
    match one.overlaps(other) {
        Some(common) => assert!(one.matches(&common) && other.matches(&common), "{common} of {one} and {other}"),
        None => {
            assert!(key.is_none_or(|key| !(one.matches(key) && other.matches(key))), "{key:?} of {one} and {other}")
        }
    }
}

fn check_key(pattern: &Pattern, key: &Key) {
    let globs: Vec<&str> = pattern.as_str().split('/').skip(1).collect();
    let names: Vec<&str> = key.segments().collect();
    let matches = naive(
        &globs,
        &names,
        |glob, name| naive(glob.as_bytes(), name.as_bytes(), |glob, byte| glob == byte, b'*', 0),
        "**",
        1,
    );
    assert_eq!(pattern.matches(key), matches, "{pattern} and {key}");
    if matches {
        assert!(key.as_str().starts_with(pattern.literal_prefix()));
        assert!(pattern.as_subtree().is_none_or(|subtree| subtree.contains(key)));
    }
}

/// Whether parts match parts, where a wild one stands for any number of them, at the end for at least so many. By a table.
fn naive<T: PartialEq + Copy>(globs: &[T], parts: &[T], matches: impl Fn(T, T) -> bool, wild: T, last: usize) -> bool {
    // For the globs from one on: whether they match the parts from each one on.
    let mut rest: Vec<bool> = (0..=parts.len()).map(|from| from == parts.len()).collect();
    for (number, glob) in globs.iter().enumerate().rev() {
        let least = if number + 1 == globs.len() { last } else { 0 };
        rest = (0..=parts.len())
            .map(|from| {
                if *glob == wild {
                    (from + least..=parts.len()).any(|to| rest[to])
                } else {
                    from < parts.len() && matches(*glob, parts[from]) && rest[from + 1]
                }
            })
            .collect();
    }
    rest[0]
}
