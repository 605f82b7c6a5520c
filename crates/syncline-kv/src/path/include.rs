//! Whether what one pattern has is in others.

use super::scan::Caps;
use super::search::Search;
use super::{Key, Pattern};

/// Whether all keys of one pattern are in others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inclusion {
    /// They are.
    Included,
    /// They are not.
    NotIncluded {
        /// A shortest key of the one that is in none of the others.
        witness: Key,
    },
    /// The [`Budget`] did not suffice to tell. To be taken as not included.
    TooComplex,
}

impl Inclusion {
    /// Whether it is certain that all keys are included.
    #[must_use]
    pub fn is_included(&self) -> bool {
        matches!(self, Self::Included)
    }
}

/// How much an inclusion search may cost.
///
/// Time and memory are bounded by it and by the lengths of the patterns, whatever they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// How many states of the search are kept. 20 000 unless set.
    ///
    /// For each of them the search may also look at [`WORK_PER_STATE`](Self::WORK_PER_STATE) positions in the patterns,
    /// on average, and keep [`PLACES_PER_STATE`](Self::PLACES_PER_STATE).
    pub states: usize,
}

impl Budget {
    /// How many positions in the patterns the search looks at for each state, on average.
    pub const WORK_PER_STATE: usize = 1_000;
    /// How many positions in the patterns it keeps for each state, on average.
    pub const PLACES_PER_STATE: usize = 64;

    /// A budget of so many states.
    #[must_use]
    pub fn with_states(states: usize) -> Self {
        Self { states }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::with_states(20_000)
    }
}

/// Whether each key of `wanted` is in at least one of `held`.
///
/// The answer is exact for the keys that there are: a path that is longer than a [`Key`] may be, or has more segments,
/// or a segment `..`, is no key and does not escape. Several patterns can include together what none includes alone:
/// `/*a*` and `/*/**/a` include `/**/a`.
///
/// The question is hard in general (for regular expressions it is PSPACE-complete), so the search has a budget; the
/// patterns that people write take few states. Whoever grants must take [`TooComplex`](Inclusion::TooComplex) as a no.
///
/// The search is that of De Wulf, Doyen, Henzinger and Raskin, "Antichains: A New Algorithm for Checking Universality
/// of Finite Automata", CAV 2006.
#[must_use]
pub fn union_includes(held: &[Pattern], wanted: &Pattern, budget: Budget) -> Inclusion {
    if held.contains(wanted) {
        return Inclusion::Included;
    }
    if let Some(key) = wanted.as_key() {
        let included = held.iter().any(|pattern| pattern.matches(&key));
        return if included { Inclusion::Included } else { Inclusion::NotIncluded { witness: key } };
    }
    let near = held.iter().filter(|pattern| may_overlap(pattern, wanted));
    Search::new(near, wanted, Caps::KEY, budget).run()
}

/// Whether the literal beginnings of the patterns allow for a common key. Spares the search most of a large pool.
fn may_overlap(one: &Pattern, other: &Pattern) -> bool {
    let (one, other) = (one.literal_prefix(), other.literal_prefix());
    one.starts_with(other) || other.starts_with(one)
}
