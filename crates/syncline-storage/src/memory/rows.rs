//! The rows of a range, one way or the other.

use std::{ops::Bound, slice};

use super::{
    node::{Inner, Node, Row},
    sorted::Sorted,
};
use crate::{Direction, KeyRange};

/// Holds one position per level; rows are neither copied nor collected.
pub(super) struct Rows<'a> {
    /// The inner nodes above the leaf, each with the child that was taken.
    path: Vec<(&'a Inner, usize)>,
    leaf: slice::Iter<'a, Row>,
    direction: Direction,
    /// The bound at which to stop: the upper one forward, the lower one in reverse.
    end: Bound<Vec<u8>>,
    /// How many leaves were looked at.
    #[cfg(test)]
    pub(super) leaves: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn forward(root: &'a Node, range: &KeyRange) -> Self {
        Self::new(root, range, Direction::Forward)
    }

    pub(super) fn reverse(root: &'a Node, range: &KeyRange) -> Self {
        Self::new(root, range, Direction::Reverse)
    }

    fn new(root: &'a Node, range: &KeyRange, direction: Direction) -> Self {
        let (start, end) = match direction {
            Direction::Forward => (range.lower(), range.upper()),
            Direction::Reverse => (range.upper(), range.lower()),
        };
        let mut rows = Self {
            path: Vec::new(),
            leaf: [].iter(),
            direction,
            end: end.map(<[u8]>::to_vec),
            #[cfg(test)]
            leaves: 0,
        };
        if !range.is_empty() {
            rows.descend(root, start);
        }
        rows
    }

    /// Goes down to the leaf in which `start` falls, or to the outermost leaf if it is unbounded.
    fn descend(&mut self, mut node: &'a Node, start: Bound<&[u8]>) {
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = match (start, self.direction) {
                        (Bound::Included(key) | Bound::Excluded(key), _) => inner.child_of(key),
                        (Bound::Unbounded, Direction::Forward) => 0,
                        (Bound::Unbounded, Direction::Reverse) => inner.children.len() - 1,
                    };
                    self.path.push((inner, at));
                    node = &inner.children[at];
                }
                Node::Leaf(rows) => return self.enter(rows, start),
            }
        }
    }

    /// Cuts the leaf to the range, once, so that no row has to be compared afterwards.
    fn enter(&mut self, rows: &'a Sorted<Row>, start: Bound<&[u8]>) {
        #[cfg(test)]
        {
            self.leaves += 1;
        }
        let end = self.end.as_ref().map(|key| &key[..]);
        let (lower, upper) = match self.direction {
            Direction::Forward => (start, end),
            Direction::Reverse => (end, start),
        };
        let first = match lower {
            Bound::Included(key) => rows.search(key).unwrap_or_else(|at| at),
            Bound::Excluded(key) => rows.search(key).map_or_else(|at| at, |at| at + 1),
            Bound::Unbounded => 0,
        };
        let last = match upper {
            Bound::Included(key) => rows.search(key).map_or_else(|at| at, |at| at + 1),
            Bound::Excluded(key) => rows.search(key).unwrap_or_else(|at| at),
            Bound::Unbounded => rows.len(),
        };
        let ends_here = match self.direction {
            Direction::Forward => last < rows.len(),
            Direction::Reverse => first > 0,
        };
        if ends_here {
            self.path.clear();
        }
        self.leaf = rows.entries().get(first..last).unwrap_or_default().iter();
    }

    /// Whether no leaf behind the present one will be looked at.
    #[cfg(test)]
    pub(super) fn is_in_last_leaf(&self) -> bool {
        self.path.is_empty()
    }

    /// Goes to the next leaf; false if there is none.
    fn advance(&mut self) -> bool {
        while let Some((inner, at)) = self.path.pop() {
            let next = match self.direction {
                Direction::Forward => at.checked_add(1),
                Direction::Reverse => at.checked_sub(1),
            };
            if let Some(next) = next
                && let Some(child) = inner.children.get(next)
            {
                // What lies between the two children may show that the range ends here.
                if inner.separators.entries().get(at.min(next)).is_some_and(|separator| self.ends_at(separator)) {
                    self.path.clear();
                    return false;
                }
                self.path.push((inner, next));
                self.descend(child, Bound::Unbounded);
                return true;
            }
        }
        false
    }

    /// Whether nothing of the range lies on the other side of a separator, which is the first key that may lie behind it.
    fn ends_at(&self, separator: &[u8]) -> bool {
        match (self.direction, &self.end) {
            (Direction::Forward, Bound::Included(end)) => &end[..] < separator,
            (Direction::Forward, Bound::Excluded(end)) => &end[..] <= separator,
            (Direction::Reverse, Bound::Included(end) | Bound::Excluded(end)) => &end[..] >= separator,
            (_, Bound::Unbounded) => false,
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = &'a Row;

    fn next(&mut self) -> Option<&'a Row> {
        loop {
            let row = match self.direction {
                Direction::Forward => self.leaf.next(),
                Direction::Reverse => self.leaf.next_back(),
            };
            if row.is_some() {
                return row;
            }
            if !self.advance() {
                return None;
            }
        }
    }
}
