//! The messages of `p2panda-log-sync-v1`, encoded by serde and ciborium exactly as the original's definition says.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::image::{Author, Topic};

/// The logs of one author that a `Have` lists.
pub(crate) type AuthorHeights<L> = (ByteArray<32>, Vec<(L, u64)>);

/// A message with the data as arrays of integers, which is how the original writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value")]
pub(crate) enum Message<L> {
    Have(Topic, Vec<AuthorHeights<L>>),
    Data(Vec<u8>, Option<Vec<u8>>),
    Done,
}

impl<L: Serialize> Message<L> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).expect("a message can be encoded");
        bytes
    }
}

/// One author's entry in a `Have`.
pub(crate) fn heights<L>(author: Author, logs: Vec<(L, u64)>) -> AuthorHeights<L> {
    (ByteArray::new(author), logs)
}

/// A `Data` message in byte strings, which the original reads but never writes.
pub(crate) fn compact_data(header: &[u8], body: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = b"\xa2\x64type\x64Data\x65value\x82".to_vec();
    let mut item = |value: &serde_bytes::Bytes| ciborium::into_writer(value, &mut bytes).expect("bytes can be encoded");
    item(serde_bytes::Bytes::new(header));
    match body {
        Some(body) => item(serde_bytes::Bytes::new(body)),
        None => bytes.push(0xf6),
    }
    bytes
}
