//! Naive models: a matcher that tries everything, keys one by one, and languages by partial derivatives.

use std::collections::{BTreeSet, VecDeque};

use super::key;
use crate::path::{Key, Pattern};

/// Tries everything.
pub(super) fn matches(pattern: &Pattern, key: &Key) -> bool {
    let globs: Vec<&str> = pattern.segments().collect();
    let names: Vec<&str> = key.segments().collect();
    segments_match(&globs, &names)
}

fn segments_match(globs: &[&str], names: &[&str]) -> bool {
    match globs {
        [] => names.is_empty(),
        ["**"] => !names.is_empty(),
        ["**", rest @ ..] => (0..=names.len()).any(|taken| segments_match(rest, &names[taken..])),
        [glob, rest @ ..] => {
            !names.is_empty() && bytes_match(glob.as_bytes(), names[0].as_bytes()) && segments_match(rest, &names[1..])
        }
    }
}

fn bytes_match(glob: &[u8], name: &[u8]) -> bool {
    match glob {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|taken| bytes_match(rest, &name[taken..])),
        [byte, rest @ ..] => name.first() == Some(byte) && bytes_match(rest, &name[1..]),
    }
}

/// All keys of up to `segments` segments of up to `len` bytes out of these.
pub(super) fn universe(bytes: &[&str], len: usize, segments: usize) -> Vec<Key> {
    let mut names: Vec<String> = vec![String::new()];
    let mut all_names = Vec::new();
    for _ in 0..len {
        names = names.iter().flat_map(|name| bytes.iter().map(move |byte| format!("{name}{byte}"))).collect();
        all_names.extend(names.clone());
    }
    let mut paths: Vec<String> = vec![String::new()];
    let mut keys = Vec::new();
    for _ in 0..segments {
        paths = paths.iter().flat_map(|path| all_names.iter().map(move |name| format!("{path}/{name}"))).collect();
        keys.extend(paths.iter().filter_map(|path| Key::new(path).ok()));
    }
    keys
}

/// A set of keys of a universe.
pub(super) type Keys = Vec<u64>;

/// Those of the universe that the pattern has.
pub(super) fn keys_of(pattern: &Pattern, universe: &[Key]) -> Keys {
    let word = |keys: &[Key]| {
        keys.iter().enumerate().fold(0, |word, (bit, key)| word | u64::from(pattern.matches(key)) << bit)
    };
    universe.chunks(64).map(word).collect()
}

/// Part of a pattern, as a regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Atom {
    Byte(u8),
    /// `[^/]`
    AnyOne,
    /// `[^/]*`
    AnyMany,
    /// `(/[^/]+)*`
    Deep,
}

type Residual = Vec<Atom>;

/// The pattern's segments as regular expressions, one after the other.
fn regex(pattern: &Pattern) -> Residual {
    use Atom::{AnyMany, AnyOne, Byte, Deep};
    let segments: Vec<&str> = pattern.segments().collect();
    let mut atoms = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        match *segment {
            "**" if number + 1 == segments.len() => atoms.extend([Byte(b'/'), AnyOne, AnyMany, Deep]),
            "**" => atoms.push(Deep),
            "*" => atoms.extend([Byte(b'/'), AnyOne, AnyMany]),
            glob => {
                atoms.push(Byte(b'/'));
                atoms.extend(glob.bytes().map(|byte| if byte == b'*' { AnyMany } else { Byte(byte) }));
            }
        }
    }
    atoms
}

/// What may follow after a byte.
fn derive(residual: &[Atom], byte: u8, into: &mut BTreeSet<Residual>) {
    let Some((first, rest)) = residual.split_first() else { return };
    match first {
        Atom::Byte(expected) if *expected == byte => drop(into.insert(rest.to_vec())),
        Atom::AnyOne if byte != b'/' => drop(into.insert(rest.to_vec())),
        Atom::Byte(_) | Atom::AnyOne => {}
        Atom::AnyMany => {
            derive(rest, byte, into);
            if byte != b'/' {
                into.insert(residual.to_vec());
            }
        }
        Atom::Deep => {
            derive(rest, byte, into);
            if byte == b'/' {
                into.insert([&[Atom::AnyOne, Atom::AnyMany], residual].concat());
            }
        }
    }
}

fn derive_all(residuals: &BTreeSet<Residual>, byte: u8) -> BTreeSet<Residual> {
    let mut next = BTreeSet::new();
    for residual in residuals {
        derive(residual, byte, &mut next);
    }
    next
}

fn accepts(residuals: &BTreeSet<Residual>) -> bool {
    residuals.iter().any(|residual| residual.iter().all(|atom| matches!(atom, Atom::AnyMany | Atom::Deep)))
}

/// A key in `wanted` and in none of `held`, by subsets on both sides and nothing cut short; the bytes are all that
/// matter, and without a dot. Keys may have any length.
pub(super) fn escaping(held: &[Pattern], wanted: &Pattern, bytes: &[u8]) -> Option<Key> {
    let start = (BTreeSet::from([regex(wanted)]), held.iter().map(regex).collect::<BTreeSet<_>>());
    let mut met = BTreeSet::from([start.clone()]);
    let mut queue = VecDeque::from([(start, String::new())]);
    while let Some(((wanted, held), word)) = queue.pop_front() {
        if accepts(&wanted) && !accepts(&held) {
            return Some(key(&word));
        }
        for &byte in bytes {
            let next = (derive_all(&wanted, byte), derive_all(&held, byte));
            if !next.0.is_empty() && met.insert(next.clone()) {
                queue.push_back((next, format!("{word}{}", char::from(byte))));
            }
        }
    }
    None
}
