//! Sorted pairs of byte strings in one piece of memory.

use std::{fmt, marker::PhantomData, ops::Range, sync::Arc};

use crate::compare::compare_pairs;

/// Where a pair is cut in two.
pub(super) trait Shape: 'static {
    /// Whether the length of the first string is stored, because that of the pair does not give it away.
    const STORED: bool = false;

    /// The length of the first string of a pair of this length, unless it is stored.
    fn head_len(len: usize) -> usize;
}

const CACHE_LINE: usize = 64;

/// The two strings may have any length.
#[derive(Debug)]
pub(super) struct Free;

impl Shape for Free {
    const STORED: bool = true;

    fn head_len(len: usize) -> usize {
        len
    }
}

/// Two strings, compared as a pair.
pub(super) type Entry<'a> = (&'a [u8], &'a [u8]);

/// Sorted entries. Each change makes a new block of exactly the bytes that are needed, so that a clone costs a reference
/// count and no room is kept for what may come.
///
/// Bytes: the number of entries; where each ends; the lengths of the first strings, if they are stored; the strings. Each
/// number has 16 bits: what is stored here is below 64 KiB in all.
pub(super) struct Packed<S> {
    bytes: Arc<[u8]>,
    shape: PhantomData<fn() -> S>,
}

impl<S: Shape> Packed<S> {
    /// Numbers per entry.
    const COLUMNS: usize = if S::STORED { 2 } else { 1 };

    pub(super) fn of(entries: &[Entry<'_>]) -> Self {
        Self::default().replace(0..0, entries)
    }

    pub(super) fn len(&self) -> usize {
        self.number(0)
    }

    pub(super) fn get(&self, at: usize) -> Entry<'_> {
        let data = self.data();
        let entry = &data[self.start(at)..self.start(at + 1)];
        let head = if S::STORED { self.number(1 + self.len() + at) } else { S::head_len(entry.len()) };
        entry.split_at(head)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> + ExactSizeIterator {
        (0..self.len()).map(|at| self.get(at))
    }

    /// How many entries satisfy `before`, which those do that stand in front.
    pub(super) fn partition_point(&self, before: impl Fn(Entry<'_>) -> bool) -> usize {
        self.partition_point_from(0, before)
    }

    /// The same if it is known of some.
    pub(super) fn partition_point_from(&self, known: usize, before: impl Fn(Entry<'_>) -> bool) -> usize {
        let (mut low, mut high) = (known, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where an entry is, or where it would have to be.
    pub(super) fn search(&self, entry: Entry<'_>) -> Result<usize, usize> {
        let at = self.partition_point(|other| compare_pairs(other, entry).is_lt());
        if at < self.len() && compare_pairs(self.get(at), entry).is_eq() { Ok(at) } else { Err(at) }
    }

    /// The same with other entries in place of some.
    pub(super) fn replace(&self, range: Range<usize>, with: &[Entry<'_>]) -> Self {
        let len = self.len() - range.len() + with.len();
        let (cut, resume) = (self.start(range.start), self.start(range.end));
        let data = self.data();
        let added: usize = with.iter().map(|(head, tail)| head.len() + tail.len()).sum();

        let mut bytes = Vec::with_capacity(2 * (1 + len * Self::COLUMNS) + data.len() - (resume - cut) + added);
        let push = |bytes: &mut Vec<u8>, number: usize| bytes.extend_from_slice(&(number as u16).to_le_bytes());
        push(&mut bytes, len);
        (0..range.start).for_each(|at| push(&mut bytes, self.start(at + 1)));
        let mut end = cut;
        for (head, tail) in with {
            end += head.len() + tail.len();
            push(&mut bytes, end);
        }
        (range.end..self.len()).for_each(|at| push(&mut bytes, self.start(at + 1) - resume + end));
        if S::STORED {
            (0..range.start).for_each(|at| push(&mut bytes, self.get(at).0.len()));
            with.iter().for_each(|(head, _)| push(&mut bytes, head.len()));
            (range.end..self.len()).for_each(|at| push(&mut bytes, self.get(at).0.len()));
        }
        bytes.extend_from_slice(&data[..cut]);
        for (head, tail) in with {
            bytes.extend_from_slice(head);
            bytes.extend_from_slice(tail);
        }
        bytes.extend_from_slice(&data[resume..]);
        Self { bytes: bytes.into(), shape: PhantomData }
    }

    /// The entries of both, those of `other` behind.
    pub(super) fn join(&self, other: &Self) -> Self {
        self.replace(self.len()..self.len(), &other.iter().collect::<Vec<_>>())
    }

    /// The entries before and from a place.
    pub(super) fn split(&self, at: usize) -> (Self, Self) {
        (self.replace(at..self.len(), &[]), self.replace(0..at, &[]))
    }

    /// Reads a byte of each cache line, so that all of them are fetched at once, and not one after the other by a search.
    pub(super) fn touch(&self) {
        std::hint::black_box(self.bytes.iter().step_by(CACHE_LINE).fold(0, |all, byte| all ^ byte));
    }

    /// Bytes that it holds, with the counts of references.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        16 + self.bytes.len()
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.number(at) }
    }

    fn data(&self) -> &[u8] {
        &self.bytes[2 * (1 + self.len() * Self::COLUMNS)..]
    }

    fn number(&self, at: usize) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[2 * at], self.bytes[2 * at + 1]]))
    }
}

impl<S> Default for Packed<S> {
    fn default() -> Self {
        Self { bytes: Arc::new([0, 0]), shape: PhantomData }
    }
}

impl<S> Clone for Packed<S> {
    fn clone(&self) -> Self {
        Self { bytes: Arc::clone(&self.bytes), shape: PhantomData }
    }
}

impl<S> fmt::Debug for Packed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.bytes.len())
    }
}
