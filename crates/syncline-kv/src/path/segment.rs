//! One segment of a pattern, not `**`, against one segment of a key, or another one of a pattern.

use std::collections::VecDeque;

/// Whether a segment of a pattern has a segment of a key.
///
/// Greedy: what is between two stars is best found as far left as possible. Linear, since the standard library's search
/// is: the two-way algorithm of Crochemore and Perrin, 1991.
pub(super) fn matches(glob: &str, name: &str) -> bool {
    let Some((prefix, rest)) = glob.split_once('*') else { return glob == name };
    let (middle, suffix) = rest.rsplit_once('*').map_or((None, rest), |(middle, suffix)| (Some(middle), suffix));
    let Some(mut name) = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(suffix)) else { return false };
    for literal in middle.into_iter().flat_map(|middle| middle.split('*')) {
        let Some((_, after)) = name.split_once(literal) else { return false };
        name = after;
    }
    true
}

/// A shortest segment in both, neither `.` nor `..`, but of any length; none if there is none.
pub(super) fn shortest_common(one: &str, other: &str) -> Option<String> {
    let (one_wild, other_wild) = (one.contains('*'), other.contains('*'));
    match (one_wild, other_wild) {
        (false, _) => matches(other, one).then(|| one.to_owned()),
        (_, false) => matches(one, other).then(|| other.to_owned()),
        (true, true) => Product { one: one.as_bytes(), other: other.as_bytes() }.shortest(),
    }
}

/// A segment of a key as it is read, as far as `.` and `..` are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dots {
    /// Nothing was read.
    None,
    /// `.`
    One,
    /// `..`
    Two,
    /// A segment that a key may have, whatever follows.
    Name,
}

impl Dots {
    /// After one more byte.
    pub(super) fn then(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::None, b'.') => Self::One,
            (Self::One, b'.') => Self::Two,
            _ => Self::Name,
        }
    }
}

/// A byte of some segment, if it does not matter which.
const ANY: u8 = b'q';

/// The product of two segments of patterns, both with stars.
struct Product<'a> {
    one: &'a [u8],
    other: &'a [u8],
}

/// How far both are, and what was read.
type State = (usize, usize, Dots);

impl Product<'_> {
    /// Breadth first, so the first one found is a shortest.
    fn shortest(&self) -> Option<String> {
        // For each state that was met: the state before it, and the byte between.
        let mut before: Vec<Option<(State, u8)>> = vec![None; (self.one.len() + 1) * (self.other.len() + 1) * 4];
        let begin = (0, 0, Dots::None);
        let mut queue = VecDeque::from([begin]);
        while let Some(state) = queue.pop_front() {
            let (i, j, dots) = state;
            if dots == Dots::Name && only_stars(self.one, i) && only_stars(self.other, j) {
                return self.spell(&before, state);
            }
            for (read, next_i) in edges(self.one, i) {
                for (other_read, next_j) in edges(self.other, j) {
                    let byte = match (read, other_read) {
                        (Some(byte), Some(other)) if byte != other => continue,
                        (read, other) => read.or(other).unwrap_or(ANY),
                    };
                    let next = (next_i, next_j, dots.then(byte));
                    let Some(met) = before.get_mut(self.index(next)) else { continue };
                    if met.is_none() {
                        *met = Some((state, byte));
                        queue.push_back(next);
                    }
                }
            }
        }
        None
    }

    fn index(&self, (i, j, dots): State) -> usize {
        (i * (self.other.len() + 1) + j) * 4 + dots as usize
    }

    fn spell(&self, before: &[Option<(State, u8)>], mut state: State) -> Option<String> {
        let mut bytes = Vec::new();
        while state.2 != Dots::None {
            let (earlier, byte) = before.get(self.index(state)).copied().flatten()?;
            bytes.push(byte);
            state = earlier;
        }
        bytes.reverse();
        String::from_utf8(bytes).ok()
    }
}

/// Whether the segment may end here.
fn only_stars(glob: &[u8], at: usize) -> bool {
    glob.get(at..).is_some_and(|rest| rest.iter().all(|&byte| byte == b'*'))
}

/// What can be read here, a literal or any byte, and where that leads. A star may also take up nothing.
fn edges(glob: &[u8], at: usize) -> impl Iterator<Item = (Option<u8>, usize)> + Clone {
    let literal = |at| glob.get(at).filter(|&&byte| byte != b'*').map(|&byte| (Some(byte), at + 1));
    let edges = match glob.get(at) {
        Some(b'*') => [Some((None, at)), literal(at + 1)],
        _ => [literal(at), None],
    };
    edges.into_iter().flatten()
}
