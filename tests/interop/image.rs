//! What a store holds, in a form that belongs to neither contestant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::Hash;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// An author's Ed25519 public key.
pub(crate) type Author = [u8; 32];

/// What serves as a log id.
pub(crate) trait LogName:
    Clone + fmt::Debug + Ord + Hash + Send + Sync + Unpin + Serialize + DeserializeOwned + 'static
{
    fn nth(n: u64) -> Self;
}

impl LogName for u64 {
    fn nth(n: u64) -> Self {
        // Small numbers and such that need each width of a CBOR integer.
        [0, 1, 23, 24, 255, 256, 65_536, u64::MAX][(n % 8) as usize] ^ (n / 8)
    }
}

impl LogName for String {
    fn nth(n: u64) -> Self {
        match n % 4 {
            0 => String::new(),
            1 => format!("chat/{n}"),
            2 => format!("päivä-日-{n}"),
            _ => format!("{n}-").repeat(20),
        }
    }
}

/// The topic of every session here: a name and 32 bytes, which serde writes as text and as an array of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Topic(pub(crate) String, pub(crate) [u8; 4]);

/// Which logs a topic is about.
pub(crate) type Scope<L> = BTreeMap<Author, Vec<L>>;

/// Names one log.
pub(crate) type LogKey<L> = (Author, L);

/// One stored operation: the bytes as they were signed, and the body if it was not deleted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stored {
    pub(crate) header: Vec<u8>,
    pub(crate) body: Option<Vec<u8>>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = syncline_crypto::Hash::digest(&self.header);
        write!(f, "{hash} ({} B header, body {:?})", self.header.len(), self.body.as_ref().map(Vec::len))
    }
}

/// All that a store holds: logs by author and id, operations by sequence number. No log is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image<L: Ord> {
    pub(crate) logs: BTreeMap<LogKey<L>, BTreeMap<u64, Stored>>,
}

impl<L: LogName> Image<L> {
    pub(crate) fn new() -> Self {
        Self { logs: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, key: &LogKey<L>, seq: u64, operation: Stored) {
        self.logs.entry(key.clone()).or_default().insert(seq, operation);
    }

    pub(crate) fn height(&self, key: &LogKey<L>) -> Option<u64> {
        self.logs.get(key)?.keys().next_back().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.logs.values().map(BTreeMap::len).sum()
    }
}

/// Which operations carry a set prune flag.
pub(crate) type Prunes<L> = BTreeSet<(LogKey<L>, u64)>;

/// What log sync has to send to `receiver` out of `sender`: in each log of the topic all that is above its height.
pub(crate) fn missing<L: LogName>(sender: &Image<L>, receiver: &Image<L>, scope: &Scope<L>) -> Vec<(LogKey<L>, u64)> {
    let in_scope = |key: &LogKey<L>| scope.get(&key.0).is_some_and(|logs| logs.contains(&key.1));
    let mut missing = Vec::new();
    for (key, log) in sender.logs.iter().filter(|(key, _)| in_scope(key)) {
        let height = receiver.height(key);
        missing
            .extend(log.keys().filter(|seq| height.is_none_or(|height| **seq > height)).map(|seq| (key.clone(), *seq)));
    }
    missing
}

/// What becomes of `receiver` in a session with `sender`: what it holds then, and how many operations it had to refuse.
///
/// An operation with the prune flag removes all before it. One without has to be the next of its log, or the first that
/// is held.
pub(crate) fn after<L: LogName>(
    sender: &Image<L>,
    receiver: &Image<L>,
    scope: &Scope<L>,
    prunes: &Prunes<L>,
) -> (Image<L>, usize) {
    let mut image = receiver.clone();
    let mut refused = 0;
    for (key, seq) in missing(sender, receiver, scope) {
        let stored = sender.logs[&key][&seq].clone();
        if prunes.contains(&(key.clone(), seq)) {
            image.logs.remove(&key);
            image.insert(&key, seq, stored);
        } else if image.height(&key).is_none_or(|height| height + 1 == seq) {
            image.insert(&key, seq, stored);
        } else {
            refused += 1;
        }
    }
    (image, refused)
}
