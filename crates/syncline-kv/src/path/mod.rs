//! Keys, patterns over keys, and subtrees.
//!
//! A [`Key`] is a path such as `/my/key/state`. A [`Pattern`] is a glob over keys, `/my/**/sta*`: grants are given for
//! patterns. A [`Subtree`] is what is below a path, a contiguous range of keys: it is what is read and synced.
//!
//! Three questions about patterns have exact answers: whether one has a key ([`Pattern::matches`], linear), whether
//! several include another one ([`union_includes`], with a key that escapes if not, and a budget), and whether two
//! overlap ([`Pattern::overlaps`], quadratic). All three take patterns from strangers.

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
