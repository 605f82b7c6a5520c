//! Tests of keys, patterns and what is decided about them.

mod caps;
mod inclusion;
mod matching;
mod model;
mod overlap;
mod pairs;
mod rng;
mod stress;
mod text;

use super::{Key, Pattern};

fn key(text: &str) -> Key {
    Key::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| pattern(text)).collect()
}
