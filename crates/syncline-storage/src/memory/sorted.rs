//! Entries in the order of their keys, and a search that reads few keys.

use bytes::Bytes;

use super::node::CAPACITY;

/// What has a key that never changes.
pub(super) trait Keyed {
    fn key(&self) -> &[u8];
}

impl Keyed for Bytes {
    fn key(&self) -> &[u8] {
        self
    }
}

/// Entries in ascending order of their keys, no two with the same one; as many as a node has.
///
/// Each key lies somewhere of its own, so that a binary search over the keys waits for memory at every step. Therefore what
/// tells the keys of a node apart is kept close together: the *head* of a key is the sixteen bytes behind a prefix that all
/// keys have in common, as a number, with zeros behind the end of the key. A lesser head is that of a lesser key; only keys
/// whose heads are equal are compared themselves.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    entries: Vec<T>,
    heads: Vec<u128>,
    prefix: Prefix,
}

/// What all keys begin with. They may have more in common: what it is good for is told by the heads.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    len: u8,
    /// In the node itself, and so not of any length.
    bytes: [u8; Self::MAX],
}

impl Prefix {
    const MAX: usize = 63;
    const EMPTY: Self = Self { len: 0, bytes: [0; Self::MAX] };

    /// The bytes, or the first of them if there are too many.
    fn new(common: &[u8]) -> Self {
        let mut prefix = Self::EMPTY;
        for (to, byte) in prefix.bytes.iter_mut().zip(common) {
            *to = *byte;
            prefix.len += 1;
        }
        prefix
    }

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), heads: Vec::new(), prefix: Prefix::EMPTY }
    }
}

/// With room for one more than fits, since a copy is made to be changed.
impl<T: Clone> Clone for Sorted<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::with_room(self.prefix);
        copy.entries.extend_from_slice(&self.entries);
        copy.heads.extend_from_slice(&self.heads);
        copy
    }
}

impl<T> Sorted<T> {
    fn with_room(prefix: Prefix) -> Self {
        Self { entries: Vec::with_capacity(CAPACITY + 1), heads: Vec::with_capacity(CAPACITY + 1), prefix }
    }
}

impl<T: Keyed> Sorted<T> {
    /// One entry alone.
    pub(super) fn one(entry: T) -> Self {
        let mut sorted = Self::default();
        sorted.insert(0, entry);
        sorted
    }

    pub(super) fn entries(&self) -> &[T] {
        &self.entries
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at a place, to change anything but its key.
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.entries.get_mut(at)
    }

    /// Where a key is, or where it would have to be inserted.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let prefix = self.prefix.as_bytes();
        let Some(rest) = key.strip_prefix(prefix) else {
            // All keys lie on the same side of it.
            return Err(if key < prefix { 0 } else { self.entries.len() });
        };
        let head = head(rest);
        let first = self.heads.partition_point(|other| *other < head);
        let (_, not_less) = self.heads.split_at(first);
        let equal = not_less.iter().take_while(|other| **other == head).count();
        let equal = self.entries.get(first..first + equal).unwrap_or_default();
        let found = equal.binary_search_by(|entry| entry.key().cmp(key));
        found.map(|at| first + at).map_err(|at| first + at)
    }

    /// Inserts an entry where [`search`](Self::search) says.
    pub(super) fn insert(&mut self, at: usize, entry: T) {
        let common = common(self.prefix.as_bytes(), entry.key());
        if common < self.prefix.len() {
            self.set_prefix(common);
        }
        let head = head_of(&entry, self.prefix.len());
        let tie = self.heads.get(at) == Some(&head) || at > 0 && self.heads.get(at - 1) == Some(&head);
        self.heads.insert(at, head);
        self.entries.insert(at, entry);
        if tie {
            self.sharpen();
        }
    }

    /// A place to split at: of those about the middle the one between the keys that have least in common.
    pub(super) fn middle(&self) -> usize {
        let len = self.heads.len();
        let apart = |at: &usize| match (self.heads.get(at - 1), self.heads.get(*at)) {
            (Some(one), Some(next)) => (one ^ next).leading_zeros(),
            _ => u128::BITS,
        };
        (len / 3..=2 * len / 3)
            .filter(|at| *at > 0)
            .min_by_key(|at| (apart(at), at.abs_diff(len / 2)))
            .unwrap_or(len / 2)
    }

    pub(super) fn push(&mut self, entry: T) {
        self.insert(self.entries.len(), entry);
    }

    pub(super) fn remove(&mut self, at: usize) -> T {
        self.heads.remove(at);
        self.entries.remove(at)
    }

    /// Takes away the entries from a place on.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self::with_room(self.prefix);
        right.entries.extend(self.entries.drain(at..));
        right.heads.extend(self.heads.drain(at..));
        self.sharpen_if_tied();
        right.sharpen_if_tied();
        right
    }

    /// Puts entries with greater keys behind these.
    pub(super) fn append(&mut self, mut more: Self) {
        let common = common(self.prefix.as_bytes(), more.prefix.as_bytes());
        self.set_prefix(common);
        more.set_prefix(common);
        self.heads.append(&mut more.heads);
        self.entries.append(&mut more.entries);
    }

    fn sharpen_if_tied(&mut self) {
        if !self.heads.is_sorted_by(|one, next| one < next) {
            self.sharpen();
        }
    }

    /// Takes as the prefix all that the keys have in common by now.
    fn sharpen(&mut self) {
        if let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) {
            let common = common(first.key(), last.key());
            self.set_prefix(common);
        }
    }

    /// Lets the prefix be so many bytes, which all keys have in common.
    fn set_prefix(&mut self, len: usize) {
        let len = len.min(Prefix::MAX);
        if len == self.prefix.len() {
            return;
        }
        let first = self.entries.first().map_or(&[][..], Keyed::key);
        self.prefix = Prefix::new(first.get(..len).unwrap_or(first));
        for (head, entry) in self.heads.iter_mut().zip(&self.entries) {
            *head = head_of(entry, len);
        }
    }

    /// Whether all is as it has to be.
    #[cfg(test)]
    pub(super) fn is_sound(&self) -> bool {
        let heads = self.entries.iter().map(|entry| head_of(entry, self.prefix.len()));
        self.entries.is_sorted_by(|a, b| a.key() < b.key())
            && self.entries.iter().all(|entry| entry.key().starts_with(self.prefix.as_bytes()))
            && self.heads.iter().copied().eq(heads)
    }
}

fn head_of(entry: &impl Keyed, prefix: usize) -> u128 {
    head(entry.key().get(prefix..).unwrap_or_default())
}

/// The first sixteen bytes as a number that is ordered as they are.
fn head(bytes: &[u8]) -> u128 {
    match bytes.first_chunk() {
        Some(bytes) => u128::from_be_bytes(*bytes),
        None => {
            let mut chunk = [0; 16];
            chunk.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
            u128::from_be_bytes(chunk)
        }
    }
}

/// How many bytes two keys have in common at the beginning.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
