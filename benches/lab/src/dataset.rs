//! What the contestants sync: operations of signed logs, in a form that belongs to none of them.

use p2panda_core::{Body, Hash, Header, PrivateKey};
use serde::{Deserialize, Serialize};

/// The header extensions of all operations here: the log that they belong to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Extensions {
    #[serde(rename = "l")]
    pub(crate) log: u64,
}

/// The topic of all sessions here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Topic(pub(crate) u64);

/// One signed operation.
pub(crate) struct Operation {
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// One log of one author.
pub(crate) struct Log {
    pub(crate) author: [u8; 32],
    pub(crate) id: u64,
    pub(crate) operations: Vec<Operation>,
}

/// All logs of the topic.
pub(crate) struct Dataset {
    pub(crate) logs: Vec<Log>,
}

impl Dataset {
    /// `authors` x `logs` x `operations`, each operation with a body of this many bytes. The same data on every run.
    pub(crate) fn new(authors: u64, logs: u64, operations: u64, body: usize) -> Self {
        let mut noise = Noise(0x243f_6a88_85a3_08d3);
        let mut all = Vec::new();
        for author in 0..authors {
            let mut secret = [3; 32];
            secret[..8].copy_from_slice(&author.to_le_bytes());
            let key = PrivateKey::from_bytes(&secret);
            for id in 0..logs {
                all.push(write(&key, id, operations, body, &mut noise));
            }
        }
        Self { logs: all }
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.logs.iter().flat_map(|log| &log.operations)
    }

    /// Operations, and bytes of their headers and bodies.
    pub(crate) fn size(&self) -> (u64, u64) {
        let bytes = self.operations().map(|operation| (operation.header.len() + operation.body.len()) as u64);
        (self.operations().count() as u64, bytes.sum())
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
