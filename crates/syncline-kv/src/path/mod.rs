//! Keys, patterns over keys, and subtrees.

mod filter;
mod include;
mod key;
mod matching;
mod nfa;
mod overlap;
mod pattern;
mod scan;
mod search;
mod segment;
mod subtree;
mod text;

pub use filter::KeyFilter;
pub use include::{Budget, Inclusion, union_includes};
pub use key::{Key, KeyError};
pub use pattern::{Pattern, PatternError};
pub use subtree::Subtree;

#[cfg(test)]
mod tests;
