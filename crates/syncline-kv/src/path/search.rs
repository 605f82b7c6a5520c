//! The search for a key that escapes: the automaton of what is wanted, together with the determinised one of what is
//! held.

use std::rc::Rc;

use super::include::{Budget, Inclusion};
use super::nfa::{Automaton, Edge, Places};
use super::scan::{self, Caps};
use super::segment::Dots;
use super::{Key, Pattern};

/// One state: what has been read of a key, as far as it matters.
struct State {
    /// Where the wanted pattern is: one place, since one way to match is enough.
    wanted: usize,
    /// Where the held patterns are: all places, since none of them may match.
    held: Rc<Places>,
    used: Used,
    /// The state before the last byte.
    parent: usize,
    /// The last byte.
    byte: u8,
}

/// What was used up of a key's limits.
#[derive(Clone, Copy)]
struct Used {
    len: usize,
    segments: usize,
    /// Of the last segment.
    segment_len: usize,
    dots: Dots,
}

impl Used {
    /// After one more byte; none if no key goes on so.
    fn then(self, byte: u8, caps: Caps) -> Option<Self> {
        let next = if byte == b'/' {
            Self { len: self.len + 1, segments: self.segments + 1, segment_len: 0, dots: Dots::None }
        } else {
            Self { len: self.len + 1, segment_len: self.segment_len + 1, dots: self.dots.then(byte), ..self }
        };
        let complete = byte != b'/' || self.dots == Dots::Name;
        let within = next.len <= caps.len && next.segments <= caps.segments && next.segment_len <= caps.segment_len;
        (complete && within).then_some(next)
    }

    /// Whether whatever can follow on the other can follow on this one.
    fn allows_more_than(self, other: Self) -> bool {
        self.len <= other.len
            && self.segments <= other.segments
            && self.segment_len <= other.segment_len
            && (self.dots == Dots::Name || self.dots == other.dots)
    }
}

/// Why a search ends before it has seen all states.
enum Stop {
    Escape(Key),
    Spent,
}

pub(super) struct Search {
    wanted: Automaton,
    held: Automaton,
    /// One byte for each that patterns can tell apart.
    alphabet: Rc<[u8]>,
    /// In the order of their lengths, so that the first key that escapes is a shortest one.
    states: Vec<State>,
    /// For each place of the wanted pattern, the states there.
    by_place: Vec<Vec<usize>>,
    caps: Caps,
    budget: Budget,
    work: usize,
    places: usize,
}

impl Search {
    pub(super) fn new<'a>(
        held: impl IntoIterator<Item = &'a Pattern>,
        wanted: &Pattern,
        caps: Caps,
        budget: Budget,
    ) -> Self {
        let (wanted, held) = (Automaton::new([wanted]), Automaton::new(held));
        let alphabet = alphabet(wanted.literals().chain(held.literals()));
        let by_place = vec![Vec::new(); wanted.len()];
        Self { wanted, held, alphabet, states: Vec::new(), by_place, caps, budget, work: 0, places: 0 }
    }

    pub(super) fn run(mut self) -> Inclusion {
        match self.explore() {
            Ok(()) => Inclusion::Included,
            Err(Stop::Escape(witness)) => Inclusion::NotIncluded { witness },
            Err(Stop::Spent) => Inclusion::TooComplex,
        }
    }

    fn explore(&mut self) -> Result<(), Stop> {
        let held: Rc<Places> = self.held.starts().collect();
        let used = Used { len: 0, segments: 0, segment_len: 0, dots: Dots::Name };
        for wanted in self.wanted.starts().collect::<Vec<_>>() {
            self.visit(State { wanted, held: held.clone(), used, parent: 0, byte: 0 })?;
        }
        let mut number = 0;
        while let Some(state) = self.states.get(number) {
            let (place, used, held) = (state.wanted, state.used, state.held.clone());
            let slash: Vec<_> = self.wanted.slash(place).collect();
            self.read(number, used, &held, b'/', &slash)?;
            let edges: Vec<Edge> = self.wanted.edges(place).collect();
            for &byte in self.alphabet.clone().iter() {
                let next: Vec<_> = edges.iter().filter_map(|edge| edge.follow(byte)).collect();
                self.read(number, used, &held, byte, &next)?;
            }
            number += 1;
        }
        Ok(())
    }

    /// Goes on with one byte from the state `parent`, to those places of the wanted pattern.
    fn read(&mut self, parent: usize, used: Used, held: &Places, byte: u8, places: &[usize]) -> Result<(), Stop> {
        let Some(used) = used.then(byte, self.caps) else { return Ok(()) };
        if places.is_empty() {
            return Ok(());
        }
        self.spend(held.len())?;
        let held: Rc<Places> = self.held.step(held, byte).into();
        for &wanted in places {
            self.visit(State { wanted, held: held.clone(), used, parent, byte })?;
        }
        Ok(())
    }

    /// Keeps the state, unless nothing can escape from it that does not escape from another one.
    fn visit(&mut self, state: State) -> Result<(), Stop> {
        let accepts = self.wanted.accepts(state.wanted) && state.used.dots == Dots::Name;
        if accepts && !state.held.iter().any(|&at| self.held.accepts(at)) {
            return Err(self.spell(&state).map_or(Stop::Spent, Stop::Escape));
        }
        if state.held.iter().any(|&at| self.held.accepts_all(at)) || self.is_known(&state)? {
            return Ok(());
        }
        self.places += state.held.len();
        let places_max = self.budget.states.saturating_mul(Budget::PLACES_PER_STATE);
        if self.states.len() >= self.budget.states || self.places > places_max {
            return Err(Stop::Spent);
        }
        if let Some(states) = self.by_place.get_mut(state.wanted) {
            states.push(self.states.len());
        }
        self.states.push(state);
        Ok(())
    }

    /// Whether there is a state from which all escapes that escapes from this one.
    fn is_known(&mut self, state: &State) -> Result<bool, Stop> {
        let mut work = 0;
        let others = self.by_place.get(state.wanted).into_iter().flatten();
        let known = others.filter_map(|&other| self.states.get(other)).any(|other| {
            work += 1 + other.held.len();
            other.used.allows_more_than(state.used) && self.held.covers(&state.held, &other.held)
        });
        self.spend(work)?;
        Ok(known)
    }

    fn spend(&mut self, positions: usize) -> Result<(), Stop> {
        self.work = self.work.saturating_add(1 + positions);
        let work_max = self.budget.states.saturating_mul(Budget::WORK_PER_STATE);
        if self.work > work_max { Err(Stop::Spent) } else { Ok(()) }
    }

    /// The key that leads to the state.
    fn spell(&self, state: &State) -> Option<Key> {
        let mut bytes = vec![state.byte];
        let mut before = self.states.get(state.parent)?;
        while before.used.len > 0 {
            bytes.push(before.byte);
            before = self.states.get(before.parent)?;
        }
        bytes.reverse();
        Key::new(std::str::from_utf8(&bytes).ok()?).ok()
    }
}

/// These bytes, and first, if there is one, a byte that stands for all others: a letter, so that witnesses are easy to
/// read.
fn alphabet(literals: impl Iterator<Item = u8>) -> Rc<[u8]> {
    let mut literals: Vec<u8> = literals.collect();
    literals.sort_unstable();
    literals.dedup();
    // A dot comes last: unlike another byte it can make a segment that no key may have.
    let letters =
        b"qxzwvkj".iter().copied().chain(b'a'..=b'z').chain(b'A'..=b'Z').chain(b'0'..=b'9').chain(*b"-_~:@+=,%.");
    let other = letters.into_iter().find(|byte| scan::is_allowed(*byte) && !literals.contains(byte));
    other.into_iter().chain(literals.iter().copied()).collect()
}
