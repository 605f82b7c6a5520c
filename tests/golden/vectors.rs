//! `docs/spec/vectors/operation.json`: made with the original, read here by both.

use std::path::PathBuf;

use bytes::Bytes;
use p2panda_core_03 as core;
use serde::{Deserialize, Serialize};
use syncline_crypto::{Ed25519, SigningKey};
use syncline_log::{EncodedOperation, PruneFlag, validate};

use crate::case::Case;

const FILE: &str = include_str!("../../docs/spec/vectors/operation.json");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vectors {
    about: String,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

/// Numbers are text, since many readers of JSON have no integers of 64 bits. Bytes are hex.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Accepted {
    name: String,
    secret_key: String,
    public_key: String,
    version: String,
    payload_size: String,
    payload_hash: Option<String>,
    timestamp: String,
    seq_num: String,
    backlink: Option<String>,
    previous: Vec<String>,
    /// As CBOR.
    extensions: Option<String>,
    body: Option<String>,
    /// What is signed.
    signed: String,
    signature: String,
    header: String,
    hash: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Refused {
    name: String,
    header: String,
    /// The name of our error.
    reason: String,
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Chat {
    #[serde(rename = "p")]
    prune: PruneFlag,
    log_id: String,
}

/// What the original makes of a case.
fn accepted<E: core::Extensions>(name: &str, case: Case<E>) -> Accepted {
    let key = core::PrivateKey::from_bytes(&case.secret);
    let body = case.body.as_deref().map(core::Body::new);
    let mut header = core::Header {
        version: case.version,
        public_key: key.public_key(),
        signature: None,
        payload_size: body.as_ref().map_or(0, core::Body::size),
        payload_hash: body.as_ref().map(core::Body::hash),
        timestamp: case.timestamp,
        seq_num: case.seq_num,
        backlink: case.link().map(core::Hash::from_bytes),
        previous: case.previous.iter().copied().map(core::Hash::from_bytes).collect(),
        extensions: case.extensions,
    };
    let signed = header.to_bytes();
    header.sign(&key);
    let extensions = header.extensions.as_ref().map(|ext| core::cbor::encode_cbor(ext).unwrap());
    Accepted {
        name: name.to_owned(),
        secret_key: hex(case.secret),
        public_key: hex(header.public_key.as_bytes()),
        version: header.version.to_string(),
        payload_size: header.payload_size.to_string(),
        payload_hash: header.payload_hash.map(|hash| hex(hash.as_bytes())),
        timestamp: header.timestamp.to_string(),
        seq_num: header.seq_num.to_string(),
        backlink: header.backlink.map(|hash| hex(hash.as_bytes())),
        previous: header.previous.iter().map(|hash| hex(hash.as_bytes())).collect(),
        extensions: extensions.map(hex),
        body: case.body.map(hex),
        signed: hex(signed),
        signature: hex(header.signature.unwrap().to_bytes()),
        header: hex(header.to_bytes()),
        hash: hex(header.hash().as_bytes()),
    }
}

/// Headers of every shape, all that was observed of the original among them.
fn all_accepted() -> Vec<Accepted> {
    let body = || Some(b"Hello, Sloth!".to_vec());
    let first = accepted("first operation with a body", Case::<()> { body: body(), ..Case::new() });
    let hash: [u8; 32] = unhex(&first.hash).try_into().unwrap();
    let second = Case::<()> { body: body(), timestamp: 100, seq_num: 1, backlink: hash, ..Case::new() };
    let chat = Chat { prune: PruneFlag::new(true), log_id: "chat".into() };
    let extended = Case::<()> { timestamp: 1_700_000_000_000_000, previous: vec![hash], ..Case::new() };
    let extended = extended.with_extensions(Some(chat));
    let greatest = Case::<()> {
        secret: [0xff; 32],
        timestamp: u64::MAX,
        seq_num: u64::MAX,
        backlink: [0xff; 32],
        previous: vec![[0xff; 32]; 24],
        ..Case::new()
    };
    let mut all = vec![
        first,
        accepted("second operation", second),
        accepted("first operation without a body", Case::<()>::new()),
        accepted("extensions that are null", Case::<()>::new().with_extensions(Some(()))),
        accepted("extensions of a chat with the prune flag, previous", extended),
        accepted("greatest numbers, 24 previous", greatest),
    ];
    for number in [23, 24, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000] {
        let case = Case::<()> { timestamp: number, seq_num: number, backlink: hash, ..Case::new() };
        all.push(accepted(&format!("numbers of {number}"), case));
    }
    all
}

/// Changes of the second operation, 175 bytes: `89 01 5820(key) 5840(signature) 0d 5820(payload hash) 1864 01
/// 5820(backlink) 80`.
fn all_refused(second: &Accepted) -> Vec<Refused> {
    let bytes = unhex(&second.header);
    assert_eq!(bytes.len(), 175);
    let change = |name: &str, range: std::ops::Range<usize>, with: &[u8], reason: &str| {
        let mut bytes = bytes.clone();
        bytes.splice(range, with.iter().copied());
        Refused { name: name.to_owned(), header: hex(bytes), reason: reason.to_owned() }
    };
    let mut identity = [0; 32];
    identity[0] = 1;
    let unsigned =
        Refused { name: "not signed".into(), header: second.signed.clone(), reason: "MissingSignature".into() };
    vec![
        change("no bytes", 0..175, &[], "Truncated"),
        change("cut by a byte", 174..175, &[], "Truncated"),
        change("a byte behind", 175..175, &[0], "Trailing"),
        change("array of indefinite length", 0..1, &[0x9f], "NotCanonical"),
        change("array head of two bytes", 0..1, &[0x98, 0x09], "NotCanonical"),
        change("a map", 0..1, &[0xa9], "Type"),
        change("version head of two bytes", 1..2, &[0x18, 0x01], "NotCanonical"),
        change("timestamp head of three bytes", 137..139, &[0x19, 0x00, 0x64], "NotCanonical"),
        change("key head of three bytes", 2..4, &[0x59, 0x00, 0x20], "NotCanonical"),
        change("key of indefinite length", 2..4, &[0x5f, 0x58, 0x20], "NotCanonical"),
        change("key as text", 2..3, &[0x78], "Type"),
        change("key of 31 bytes", 2..5, &[0x58, 0x1f], "Length"),
        change("key of small order", 4..36, &identity, "PublicKey"),
        change("one item too few", 0..1, &[0x88], "ItemCount"),
        change("one item too many", 0..1, &[0x8b], "ItemCount"),
        change("extensions are announced and missing", 0..1, &[0x8a], "Truncated"),
        change("no payload size, but a hash", 102..103, &[0], "Type"),
        change("payload size, but no hash", 103..137, &[], "Type"),
        change("place 0 with a backlink", 139..140, &[0], "Type"),
        change("place 1 without a backlink", 140..174, &[], "Type"),
        change("previous of indefinite length", 174..175, &[0x9f, 0xff], "NotCanonical"),
        change("previous claims 2^64-1", 174..175, &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255], "Truncated"),
        unsigned,
    ]
}

fn made_with_the_original() -> Vectors {
    let accepted = all_accepted();
    let refused = all_refused(&accepted[1]);
    let about = "Operations as p2panda-core 0.3.1 makes them, and headers that are none. See operation.md. Bytes are \
                 hex, numbers are text.";
    Vectors { about: about.to_owned(), accepted, refused }
}

fn as_text(vectors: &Vectors) -> String {
    serde_json::to_string_pretty(vectors).unwrap() + "\n"
}

fn read() -> Vectors {
    serde_json::from_str(FILE).unwrap()
}

#[test]
fn the_file_is_what_the_original_makes() {
    assert!(as_text(&made_with_the_original()) == FILE, "docs/spec/vectors/operation.json: see `writes_the_file`");
}

#[test]
#[ignore = "writes docs/spec/vectors/operation.json; run with `cargo test --test golden -- --ignored`"]
fn writes_the_file() {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "docs", "spec", "vectors", "operation.json"].iter().collect();
    std::fs::write(path, as_text(&made_with_the_original())).unwrap();
}

/// Noted down from runs of the original before this project had any code.
#[test]
fn the_observed_values_are_among_them() {
    let all = read().accepted;
    let observed = [
        (0, 140, "6c8c48182e49d4a18e6e8ce6cfa7e0ae8b0e11bbb71ee3e4bdc866b2b40cde42"),
        (1, 175, "b73ccc3b935b87a63e96334f4fac59e773dfd6d218b0a57f7427b19a98b68ca5"),
    ];
    for (at, len, hash) in observed {
        assert_eq!((all[at].header.len() / 2, all[at].hash.as_str()), (len, hash));
    }
    assert_eq!(
        all[0].header,
        "88015820ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c5840c7bb0d75f7f9058a24272602d1e6f505ee383089\
         cf56497d7eec190071da296da7360a795d6c6a2926eae66adf6e650c15e5be8d449ffd4d0c5dd49d5d5c75070d5820bf7f440de32bfc9b3194b0\
         02a2d9afab312cb5d74771d3c31d80c0a9058aa08e000080"
    );
    assert_eq!(
        all[2].header,
        "87015820ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c58405112121db364b7c0e0ade09c1c2c2c6f8fe02fd0\
         2a410043607ff9f82b07d42ebdf7ffb4b631718aecc3dcedc8ce2f1e00ea94355c44939c9ed523c86cfb350500000080"
    );
    assert!(all[3].header.len() == 2 * 107 && all[3].header.ends_with("00000080f6"));
    let tail = "0a001b00060a24181e4000008158206c8c48182e49d4a18e6e8ce6cfa7e0ae8b0e11bbb71ee3e4bdc866b2b40cde42a26170f5666c6f67\
                5f69646463686174";
    assert!(all[4].header.len() == 2 * 164 && all[4].header.ends_with(tail), "{}", all[4].header);
}

#[test]
fn ours_reads_the_accepted_and_makes_them_again() {
    for vector in read().accepted {
        let body = vector.body.as_deref().map(unhex);
        let operation = EncodedOperation::decode(unhex(&vector.header).into(), body.clone().map(Bytes::from)).unwrap();
        assert_eq!(validate::operation(&operation, &Ed25519), Ok(()), "{}", vector.name);
        let optional = |hash: Option<syncline_crypto::Hash>| hash.map(|hash| hash.to_string());
        let found = Accepted {
            name: vector.name.clone(),
            secret_key: vector.secret_key.clone(),
            public_key: operation.public_key().to_string(),
            version: operation.version().to_string(),
            payload_size: operation.payload_size().to_string(),
            payload_hash: optional(operation.payload_hash()),
            timestamp: operation.timestamp().to_string(),
            seq_num: operation.seq_num().to_string(),
            backlink: optional(operation.backlink()),
            previous: operation.previous().map(|hash| hash.to_string()).collect(),
            extensions: operation.extension_bytes().map(hex),
            body: operation.body().map(hex),
            signed: hex(operation.signed_bytes()),
            signature: operation.signature().to_string(),
            header: hex(operation.header_bytes()),
            hash: operation.hash().to_string(),
        };
        assert_eq!(found, vector);

        let mut header = operation.header::<ciborium::Value>().unwrap();
        header.signature = None;
        let key = SigningKey::from_bytes(&unhex(&vector.secret_key).try_into().unwrap());
        header.sign(&key).unwrap();
        assert_eq!(hex(header.to_bytes().unwrap()), vector.header, "{}", vector.name);
    }
}

#[test]
fn ours_refuses_the_refused() {
    for vector in read().refused {
        let refused = EncodedOperation::decode(unhex(&vector.header).into(), None).unwrap_err();
        let reason = format!("{refused:?}");
        let reason = reason.split([' ', '(']).next().unwrap();
        assert_eq!(reason, vector.reason, "{}: {refused:?}", vector.name);
    }
}
