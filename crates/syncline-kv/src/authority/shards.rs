//! Maps that are copied cheaply.

use std::array;
use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_crypto::PublicKey;

use crate::item::{GrantId, RevocationId};

/// A key that begins with a byte by which the map is split.
pub(super) trait Leading: Ord + Clone {
    fn leading(&self) -> u8;
}

macro_rules! leading {
    ($($key:ty),+) => {$(
        impl Leading for $key {
            fn leading(&self) -> u8 {
                let [first, ..] = self.as_bytes();
                *first
            }
        }
    )+};
}

leading!(GrantId, RevocationId, PublicKey);

/// An ordered map in 256 parts, by the first byte of the key. A copy shares the parts until one of the two changes them.
///
/// So readers keep a copy while a writer changes few entries, at the cost of copying these entries' parts. Keys are hashes or
/// the like; should somebody choose them so that they begin alike, copying costs as much as for a map in one part.
#[derive(Clone)]
pub(super) struct Shards<K, V> {
    parts: Box<[Arc<BTreeMap<K, V>>; 256]>,
    len: usize,
}

impl<K: Leading, V: Clone> Shards<K, V> {
    pub(super) fn new() -> Self {
        let empty = Arc::new(BTreeMap::new());
        Self { parts: Box::new(array::from_fn(|_| Arc::clone(&empty))), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.parts[usize::from(key.leading())].get(key)
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.part_mut(key).get_mut(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.part_mut(&key).insert(key, value).is_none() {
            self.len += 1;
        }
    }

    pub(super) fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if !self.contains_key(&key) {
            self.len += 1;
        }
        self.part_mut(&key).entry(key).or_default()
    }

    /// All entries by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// All entries by key. Copies every part that is shared.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.parts.iter_mut().filter(|part| !part.is_empty()).flat_map(|part| Arc::make_mut(part).iter_mut())
    }

    fn part_mut(&mut self, key: &K) -> &mut BTreeMap<K, V> {
        Arc::make_mut(&mut self.parts[usize::from(key.leading())])
    }
}
