use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use syncline_crypto::{Ed25519, Hash, SigningKey};

use super::*;
use crate::validate::{self, Invalid};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn header() -> Header {
    Header::new(key().public_key())
}

/// A header of 175 bytes with every optional field but the extensions.
fn second() -> Operation {
    let mut header = header();
    header.seq_num = SeqNum::new(1);
    header.backlink = Some(Hash::digest(b"first"));
    header.timestamp = 100;
    Operation::sign(header, Some(Body::new("Hello, Sloth!")), &key()).unwrap()
}

fn encoded() -> EncodedOperation {
    EncodedOperation::from_operation(&second()).unwrap()
}

fn decode(bytes: impl Into<Bytes>) -> Result<EncodedOperation, DecodeError> {
    EncodedOperation::decode(bytes.into(), None)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tagged {
    tag: String,
    #[serde(default, skip_serializing_if = "PruneFlag::is_not_set")]
    prune: PruneFlag,
}

mod canonical;
mod typed;
