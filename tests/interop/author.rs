//! Writes and signs operations by the original's own code.

use p2panda_core_03::{Body, Hash, Header, PrivateKey};
use serde::{Deserialize, Serialize};

use crate::image::{Author, LogName, Stored};

/// Header extensions as applications use them: where the operation belongs, whether it prunes, and whatever else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "L: LogName")]
pub(crate) struct Extensions<L> {
    pub(crate) log: L,
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) prune: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<(String, Option<u8>)>,
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Vec::is_empty")]
    pub(crate) blob: Vec<u8>,
}

impl<L: LogName> Extensions<L> {
    pub(crate) fn of(log: L) -> Self {
        Self { log, prune: false, expires: None, tags: Vec::new(), blob: Vec::new() }
    }
}

/// What an operation is about, its place in a log aside.
pub(crate) struct Draft<L> {
    pub(crate) timestamp: u64,
    /// Empty means no body.
    pub(crate) body: Vec<u8>,
    pub(crate) previous: Vec<[u8; 32]>,
    pub(crate) extensions: Option<Extensions<L>>,
}

/// One author's log while it is being written.
pub(crate) struct Pen {
    key: PrivateKey,
    seq: u64,
    backlink: Option<Hash>,
}

impl Pen {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { key: PrivateKey::from_bytes(&secret), seq: 0, backlink: None }
    }

    pub(crate) fn author(&self) -> Author {
        *self.key.public_key().as_bytes()
    }

    /// Appends an operation and returns it with its hash.
    pub(crate) fn write<L: LogName>(&mut self, draft: Draft<L>) -> (Stored, [u8; 32]) {
        let body = (!draft.body.is_empty()).then(|| Body::from(draft.body));
        let mut header = Header::<Extensions<L>> {
            version: 1,
            public_key: self.key.public_key(),
            signature: None,
            payload_size: body.as_ref().map_or(0, Body::size),
            payload_hash: body.as_ref().map(Body::hash),
            timestamp: draft.timestamp,
            seq_num: self.seq,
            backlink: self.backlink,
            previous: draft.previous.into_iter().map(Hash::from_bytes).collect(),
            extensions: draft.extensions,
        };
        header.sign(&self.key);
        let hash = header.hash();
        self.seq += 1;
        self.backlink = Some(hash);
        (Stored { header: header.to_bytes(), body: body.map(|body| body.to_bytes()) }, *hash.as_bytes())
    }
}
