//! Where operations are, by hash.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use syncline_crypto::Hash;

use crate::SeqNum;

/// The number of a log in the store.
pub(super) type LogNumber = usize;

/// A log, and a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) log: LogNumber,
    pub(super) seq_num: SeqNum,
}

/// Finds operations by hash. One operation may be in several logs, if the application put it there; usually it is in one.
#[derive(Debug, Default)]
pub(super) struct Index {
    // Never iterated over: the order of a hash map is nobody's business.
    places: HashMap<Hash, Place>,
    /// Further places of operations that have one in `places`.
    more: HashMap<Hash, Vec<Place>>,
}

impl Index {
    pub(super) fn insert(&mut self, hash: Hash, place: Place) {
        match self.places.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(_) => self.more.entry(hash).or_default().push(place),
        }
    }

    /// Removes the place in one log.
    pub(super) fn remove(&mut self, hash: &Hash, log: LogNumber) {
        if !self.more.is_empty()
            && let Some(others) = self.more.get_mut(hash)
        {
            if let Some(at) = others.iter().position(|place| place.log == log) {
                others.swap_remove(at);
            } else if let Some(other) = others.pop() {
                self.places.insert(*hash, other);
            }
            if others.is_empty() {
                self.more.remove(hash);
            }
        } else {
            self.places.remove(hash);
        }
    }

    pub(super) fn find(&self, hash: &Hash) -> Option<Place> {
        self.places.get(hash).copied()
    }

    pub(super) fn find_all(&self, hash: &Hash) -> Vec<Place> {
        let more = self.more.get(hash).into_iter().flatten();
        self.find(hash).into_iter().chain(more.copied()).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len() + self.more.values().map(Vec::len).sum::<usize>()
    }
}
