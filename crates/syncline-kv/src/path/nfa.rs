//! Patterns as automata, several in one.
//!
//! An automaton reads a key byte by byte. Its positions are what a pattern expects next, or that it is within a segment
//! which a `**` takes up. There are no empty moves: a position at a `*` stands for the one behind it as well.

use super::pattern::{DEEP, Pattern};

/// What a position expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This byte of a segment.
    Literal(u8),
    /// Any bytes of a segment. Never follows itself.
    Star,
    /// Nothing more of this segment. Each pattern begins with one, which ends what is before its first segment.
    End,
    /// The rest of a segment that a `**` takes up.
    Deep,
    /// Nothing more at all. No key gets there.
    Stop,
}

#[derive(Debug)]
struct Position {
    token: Token,
    /// Which pattern it belongs to.
    pattern: usize,
    /// The position that its segment begins with.
    segment: usize,
}

/// Positions that an automaton is in at once: ascending, and none that another one [dominates](Automaton::dominates).
pub(super) type Places = [usize];

/// What a position can read next, and where that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// This byte.
    Byte(u8, usize),
    /// Any byte of a segment.
    Any(usize),
}

/// An automaton for the keys of any of its patterns.
///
/// It relies on its input being keys: a `*` that is a whole segment would take up an empty one.
#[derive(Debug)]
pub(super) struct Automaton {
    positions: Vec<Position>,
    /// For each pattern: its first position, and the one from which on there are only `**`.
    patterns: Vec<(usize, usize)>,
}

impl Automaton {
    /// The automaton of these patterns. Linear in their lengths.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = &'a Pattern>) -> Self {
        let mut automaton = Self { positions: Vec::new(), patterns: Vec::new() };
        for pattern in patterns {
            automaton.add(pattern);
        }
        automaton
    }

    fn add(&mut self, pattern: &Pattern) {
        let first = self.positions.len();
        let mut tail = None;
        self.push([Token::End]);
        for segment in desugared(pattern) {
            let begin = self.positions.len();
            if segment == DEEP {
                tail = tail.or(Some(begin));
                self.push([Token::Deep]);
            } else {
                tail = None;
                let tokens = segment.bytes().map(|byte| if byte == b'*' { Token::Star } else { Token::Literal(byte) });
                self.push(tokens.chain([Token::End]));
            }
        }
        let stop = self.positions.len();
        self.push([Token::Stop]);
        self.patterns.push((first, tail.unwrap_or(stop)));
    }

    /// Adds a segment of the pattern after those that are complete.
    fn push(&mut self, tokens: impl IntoIterator<Item = Token>) {
        let (pattern, segment) = (self.patterns.len(), self.positions.len());
        self.positions.extend(tokens.into_iter().map(|token| Position { token, pattern, segment }));
    }

    /// How many positions there are.
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Where the patterns begin, before the first slash.
    pub(super) fn starts(&self) -> impl Iterator<Item = usize> {
        self.patterns.iter().map(|&(first, _)| first)
    }

    /// The bytes that some pattern has as literals, in no order, several times.
    pub(super) fn literals(&self) -> impl Iterator<Item = u8> {
        self.positions.iter().filter_map(|position| match position.token {
            Token::Literal(byte) => Some(byte),
            _ => None,
        })
    }

    fn token(&self, at: usize) -> Token {
        self.positions.get(at).map_or(Token::Stop, |position| position.token)
    }

    /// If the segment of the key may end here: where the next segment of the pattern begins.
    fn after_segment(&self, at: usize) -> Option<usize> {
        match self.token(at) {
            Token::End | Token::Deep => Some(at + 1),
            Token::Star if self.token(at + 1) == Token::End => Some(at + 2),
            Token::Star | Token::Literal(_) | Token::Stop => None,
        }
    }

    /// Where the last segments of its pattern begin, those that are `**`.
    fn tail(&self, at: usize) -> usize {
        let pattern = self.positions.get(at).and_then(|position| self.patterns.get(position.pattern));
        pattern.map_or(usize::MAX, |&(_, tail)| tail)
    }

    /// Whether a key may end here.
    pub(super) fn accepts(&self, at: usize) -> bool {
        self.after_segment(at).is_some_and(|next| next >= self.tail(at))
    }

    /// Whether every key may go on from here, however it does, and end anywhere.
    pub(super) fn accepts_all(&self, at: usize) -> bool {
        self.token(at) == Token::Deep && at >= self.tail(at)
    }

    /// Where a slash leads: into the next segment, into a `**`, behind it.
    pub(super) fn slash(&self, at: usize) -> impl Iterator<Item = usize> {
        let stays = (self.token(at) == Token::Deep).then_some(at);
        let mut next = self.after_segment(at);
        let enters = std::iter::from_fn(move || {
            let at = next?;
            next = (self.token(at) == Token::Deep).then_some(at + 1);
            (self.token(at) != Token::Stop).then_some(at)
        });
        stays.into_iter().chain(enters)
    }

    /// Where the other bytes lead.
    pub(super) fn edges(&self, at: usize) -> impl Iterator<Item = Edge> {
        let literal = |at| match self.token(at) {
            Token::Literal(byte) => Some(Edge::Byte(byte, at + 1)),
            _ => None,
        };
        let edges = match self.token(at) {
            Token::Literal(_) => [literal(at), None],
            Token::Star => [Some(Edge::Any(at)), literal(at + 1)],
            Token::Deep => [Some(Edge::Any(at)), None],
            Token::End | Token::Stop => [None, None],
        };
        edges.into_iter().flatten()
    }

    /// Where all the places lead, for a slash or another byte.
    pub(super) fn step(&self, places: &Places, byte: u8) -> Vec<usize> {
        let next = if byte == b'/' {
            places.iter().flat_map(|&at| self.slash(at)).collect()
        } else {
            let edges = places.iter().flat_map(|&at| self.edges(at));
            edges.filter_map(|edge| edge.follow(byte)).collect()
        };
        self.normal_form(next)
    }

    /// Whether whatever can follow at `less` can follow at `at` too. It may also hold where this says no.
    ///
    /// A `**` can take up what is left of all earlier segments, since each takes up whole segments; likewise a `*` what
    /// is left of its segment before it.
    fn dominates(&self, at: usize, less: usize) -> bool {
        let (Some(one), Some(other)) = (self.positions.get(at), self.positions.get(less)) else { return false };
        match one.token {
            _ if at == less => true,
            Token::Deep => one.pattern == other.pattern && less < at,
            Token::Star => one.segment == other.segment && less <= at + 1,
            Token::Literal(_) | Token::End | Token::Stop => false,
        }
    }

    fn normal_form(&self, mut places: Vec<usize>) -> Vec<usize> {
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.dedup();
        let mut kept: Vec<usize> = Vec::with_capacity(places.len());
        for at in places {
            // Of what was kept of its pattern, the last one is the only one that can be a `**`, and of its segment, a
            // `*`.
            if kept.last().is_some_and(|&last| self.dominates(last, at)) {
                continue;
            }
            kept.pop_if(|last| self.dominates(at, *last));
            kept.push(at);
        }
        kept.reverse();
        kept
    }

    /// Whether whatever can follow at `less` can follow at `places` too. It may also hold where this says no.
    pub(super) fn covers(&self, places: &Places, less: &Places) -> bool {
        let mut rest = places;
        let mut before = None;
        less.iter().all(|&at| {
            while let [first, others @ ..] = rest
                && *first < at
            {
                before = Some(*first);
                rest = others;
            }
            rest.first().copied().into_iter().chain(before).any(|place| self.dominates(place, at))
        })
    }
}

impl Edge {
    /// Where it leads, if it reads that byte.
    pub(super) fn follow(self, byte: u8) -> Option<usize> {
        match self {
            Self::Byte(expected, next) => (expected == byte).then_some(next),
            Self::Any(next) => Some(next),
        }
    }
}

/// The segments, with a `**` at the end, which is one segment or more, as one segment and then any number.
pub(super) fn desugared(pattern: &Pattern) -> impl Iterator<Item = &str> {
    let one_more = pattern.as_str().ends_with("/**");
    let count = pattern.segments().count();
    pattern.segments().enumerate().flat_map(move |(number, segment)| {
        let last = (one_more && number + 1 == count).then_some("*");
        last.into_iter().chain([segment])
    })
}
