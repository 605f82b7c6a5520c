use syncline_crypto::{Ed25519, SigningKey, VerifyError};

use super::*;
use crate::{Header, Operation};

/// The header of an operation whose log is its extension.
fn header(key: u8, seq_num: u64, timestamp: u64, log_id: Option<u64>) -> Header<u64> {
    let key = SigningKey::from_bytes(&[key; 32]);
    let mut header = Header::new(key.public_key());
    header.seq_num = SeqNum::new(seq_num);
    header.backlink = (seq_num > 0).then(|| Hash::digest(b"before"));
    header.timestamp = timestamp;
    header.extensions = log_id;
    Operation::sign(header, None, &key).unwrap().header
}

fn bytes(header: &Header<u64>) -> Bytes {
    header.to_bytes().unwrap()
}

fn signed(key: u8, seq_num: u64, timestamp: u64, log_id: Option<u64>) -> Bytes {
    bytes(&header(key, seq_num, timestamp, log_id))
}

fn log_id(operation: &EncodedOperation) -> Option<u64> {
    operation.header::<u64>().ok()?.extensions
}

fn check(first: Bytes, second: Bytes) -> Result<(), ForkError> {
    Fork::new(first, second)?.verify(&Ed25519, log_id)
}

#[test]
fn two_operations_at_one_place_are_a_proof() {
    let (first, second) = (signed(7, 3, 0, Some(9)), signed(7, 3, 1, Some(9)));
    let fork = Fork::new(first.clone(), second.clone()).unwrap();
    fork.verify(&Ed25519, log_id).unwrap();
    fork.verify(&Ed25519, |_| Some(())).unwrap();
    assert_eq!(fork.author(), SigningKey::from_bytes(&[7; 32]).public_key());
    assert_eq!((fork.seq_num(), fork.first(), fork.second()), (SeqNum::new(3), &first, &second));
}

#[test]
fn one_operation_is_none() {
    let header = signed(7, 3, 0, Some(9));
    assert!(matches!(check(header.clone(), header), Err(ForkError::Same { .. })));
}

#[test]
fn two_authors_are_none() {
    assert!(matches!(check(signed(7, 3, 0, Some(9)), signed(8, 3, 0, Some(9))), Err(ForkError::Authors)));
}

#[test]
fn two_places_are_none() {
    let (first, second) = (SeqNum::new(3), SeqNum::new(4));
    let refused = check(signed(7, 3, 0, Some(9)), signed(7, 4, 0, Some(9))).unwrap_err();
    assert!(matches!(refused, ForkError::SeqNums { first: f, second: s } if f == first && s == second));
}

#[test]
fn two_logs_are_none() {
    for (one, other) in [(Some(9), Some(8)), (None, Some(9)), (Some(9), None), (None, None)] {
        let refused = check(signed(7, 3, 0, one), signed(7, 3, 1, other));
        assert!(matches!(refused, Err(ForkError::Logs)), "{one:?} {other:?}: {refused:?}");
    }
}

#[test]
fn what_the_author_did_not_sign_is_none() {
    let good = header(7, 3, 0, Some(9));
    let forged = bytes(&Header { timestamp: 1, ..good.clone() });
    let good = bytes(&good);
    for refused in [check(good.clone(), forged.clone()), check(forged, good.clone())] {
        assert!(matches!(refused, Err(ForkError::Invalid(Invalid::Signature(VerifyError::Mismatch)))), "{refused:?}");
    }
    assert!(matches!(check(good.clone(), good.slice(1..)), Err(ForkError::Decode(_))));
}
