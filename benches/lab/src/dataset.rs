//! What the contestants sync: operations of signed logs, or signed entries of a key-value store, in a form that belongs to
//! none of them.

pub(crate) mod kv;

use p2panda_core::{Body, Hash, Header, PrivateKey};
use serde::{Deserialize, Serialize};

/// The header extensions of all operations here: the log that they belong to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Extensions {
    /// The log.
    #[serde(rename = "l")]
    pub log: u64,
}

/// The topic of all sessions here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Topic(pub u64);

impl Topic {
    /// The only one.
    pub const ALL: Self = Self(1);
}

/// What kind of data is synced. A contestant knows one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Logs of operations, each of which is kept.
    #[default]
    Log,
    /// Keys with values, of which the newest is kept, and the grants that allow them.
    Kv,
}

/// One signed operation, or one signed item of a key-value store.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The encoded header, as p2panda-core 0.3 makes it; or the encoded item, which has no body.
    pub header: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

/// One log of one author, or one key or grant of a key-value store.
#[derive(Clone, Debug)]
pub struct Log {
    /// The author's public key.
    pub author: [u8; 32],
    /// Which of the author's logs, or of all keys and grants.
    pub id: u64,
    /// Its operations, oldest first. Those of a key are its entries, of which only the newest counts.
    pub operations: Vec<Operation>,
}

/// All logs of the topic.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What they are.
    pub kind: Kind,
    /// The logs, by author and id.
    pub logs: Vec<Log>,
}

impl Dataset {
    /// `authors` x `logs` x `operations`, each operation with a body of this many bytes. The same data on every run.
    #[must_use]
    pub fn new(authors: u64, logs: u64, operations: u64, body: usize) -> Self {
        let mut noise = Noise::new();
        let mut all = Vec::new();
        for author in 0..authors {
            let mut secret = [3; 32];
            secret[..8].copy_from_slice(&author.to_le_bytes());
            let key = PrivateKey::from_bytes(&secret);
            for id in 0..logs {
                all.push(write(&key, id, operations, body, &mut noise));
            }
        }
        Self { kind: Kind::Log, logs: all }
    }

    /// Keys of many services. The same data on every run.
    pub(crate) fn kv(shape: kv::Shape) -> Self {
        kv::dataset(shape)
    }

    /// All operations.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.logs.iter().flat_map(|log| &log.operations)
    }

    /// Operations, and bytes of their headers and bodies.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        let bytes = self.operations().map(|operation| (operation.header.len() + operation.body.len()) as u64);
        (self.operations().count() as u64, bytes.sum())
    }
}

/// What a node holds of a dataset: of each log the oldest operations, up to some number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings(Vec<usize>);

impl Holdings {
    /// Everything.
    #[must_use]
    pub fn all(dataset: &Dataset) -> Self {
        Self(dataset.logs.iter().map(|log| log.operations.len()).collect())
    }

    /// Nothing.
    #[must_use]
    pub fn none(dataset: &Dataset) -> Self {
        Self(vec![0; dataset.logs.len()])
    }

    /// Everything but this many of the newest operations of the logs `among`, taken from one log after the other in turn.
    #[must_use]
    pub fn all_but(dataset: &Dataset, lacks: u64, among: std::ops::Range<usize>) -> Self {
        let mut held = Self::all(dataset);
        let mut left = lacks;
        while left > 0 {
            let before = left;
            for height in held.0[among.clone()].iter_mut().filter(|height| **height > 0) {
                if left > 0 {
                    *height -= 1;
                    left -= 1;
                }
            }
            assert!(left < before, "no more can be lacking than there is");
        }
        held
    }

    /// Of a key-value store everything but what `lacks` names, by its place among the logs; and but the later values if the
    /// holder `is_behind`.
    pub(crate) fn of_keys(dataset: &Dataset, lacks: impl Fn(usize) -> bool, is_behind: bool) -> Self {
        let height = |(at, log): (usize, &Log)| match (lacks(at), is_behind) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => log.operations.len(),
        };
        Self(dataset.logs.iter().enumerate().map(height).collect())
    }

    /// What is held once everything came that `other` holds.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(&here, &there)| here.max(there)).collect())
    }

    /// What a store keeps that was given all of this: of a key the newest value alone.
    pub fn kept<'a>(&'a self, dataset: &'a Dataset) -> impl Iterator<Item = &'a Operation> {
        self.logs(dataset).flat_map(|(_, held)| match dataset.kind {
            Kind::Log => held,
            Kind::Kv => &held[held.len().saturating_sub(1)..],
        })
    }

    /// The logs with the operations that are held of each.
    pub fn logs<'a>(&'a self, dataset: &'a Dataset) -> impl Iterator<Item = (&'a Log, &'a [Operation])> {
        dataset.logs.iter().zip(&self.0).map(|(log, &height)| (log, &log.operations[..height]))
    }

    /// The operations that `other` holds and this does not.
    pub fn lacking<'a>(&'a self, other: &'a Self, dataset: &'a Dataset) -> impl Iterator<Item = &'a Operation> {
        let heights = self.0.iter().zip(&other.0);
        dataset
            .logs
            .iter()
            .zip(heights)
            .flat_map(|(log, (&here, &there))| log.operations.get(here..there).unwrap_or_default())
    }
}

fn write(key: &PrivateKey, id: u64, operations: u64, body: usize, noise: &mut Noise) -> Log {
    let mut backlink = None;
    let operations = (0..operations).map(|seq_num| {
        let body = Body::from(noise.bytes(body));
        let mut header = Header {
            version: 1,
            public_key: key.public_key(),
            signature: None,
            payload_size: body.size(),
            payload_hash: Some(body.hash()),
            timestamp: 1_700_000_000_000_000 + seq_num,
            seq_num,
            backlink,
            previous: vec![],
            extensions: Some(Extensions { log: id }),
        };
        header.sign(key);
        let bytes = header.to_bytes();
        backlink = Some(Hash::new(&bytes));
        Operation { header: bytes, body: body.to_bytes() }
    });
    Log { author: *key.public_key().as_bytes(), id, operations: operations.collect() }
}

/// Xorshift: bytes that no coding shortcut fits.
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend_from_slice(&self.0.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_lacks_the_other_has() {
        let dataset = Dataset::new(2, 2, 3, 10);
        let all = Holdings::all(&dataset);
        let some = Holdings::all_but(&dataset, 5, 0..4);
        assert_eq!(some.0, [1, 2, 2, 2]);
        assert_eq!((some.lacking(&all, &dataset).count(), all.lacking(&some, &dataset).count()), (5, 0));
        let other = Holdings::all_but(&dataset, 2, 3..4);
        assert_eq!(other.0, [3, 3, 3, 1]);
        assert_eq!((some.lacking(&other, &dataset).count(), other.lacking(&some, &dataset).count()), (4, 1));
        assert_eq!(Holdings::all_but(&dataset, 12, 0..4), Holdings::none(&dataset));
    }

    #[test]
    fn of_a_key_the_newest_value_is_kept_and_lacking() {
        let dataset = Dataset::kv(kv::Shape { services: 2, keys: 3, value: 10, updated: 2 });
        assert_eq!(dataset.logs.iter().map(|log| log.operations.len()).collect::<Vec<_>>(), [1, 1, 1, 1, 2, 1, 1, 2]);
        let (all, behind) = (Holdings::all(&dataset), Holdings::of_keys(&dataset, |at| at == 2, true));
        assert_eq!((behind.lacking(&all, &dataset).count(), all.lacking(&behind, &dataset).count()), (3, 0));
        assert_eq!((behind.kept(&dataset).count(), all.kept(&dataset).count()), (7, 8));
        assert_eq!(behind.with(&all), all);
        let newest: Vec<&[u8]> = all.kept(&dataset).map(|operation| &operation.header[..]).collect();
        assert_eq!(newest[4], dataset.logs[4].operations[1].header);
    }

    #[test]
    #[should_panic(expected = "no more can be lacking")]
    fn more_than_everything_cannot_be_lacking() {
        let dataset = Dataset::new(1, 1, 3, 10);
        let _none = Holdings::all_but(&dataset, 4, 0..1);
    }
}
