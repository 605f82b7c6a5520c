use syncline_crypto::{Ed25519, SigningKey};

use super::*;
use crate::{Body, Operation};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn at(seq_num: u64, backlink: Option<Hash>) -> EncodedOperation {
    let mut header = Header::<()>::new(key().public_key());
    header.seq_num = SeqNum::new(seq_num);
    header.backlink = backlink.or((seq_num > 0).then(|| Hash::digest(b"before")));
    let operation = Operation::sign(header, Some(Body::new("body")), &key()).unwrap();
    EncodedOperation::from_operation(&operation).unwrap()
}

fn tip(seq_num: u64) -> Tip {
    Tip { seq_num: SeqNum::new(seq_num), hash: Hash::digest(b"before") }
}

#[test]
fn a_valid_operation() {
    assert_eq!(super::operation(&at(0, None), &Ed25519), Ok(()));
    assert_eq!(super::header(&at(1, None).header::<()>().unwrap(), &Ed25519), Ok(()));
}

#[test]
fn versions() {
    let header = Header::<()> { version: 2, ..Header::new(key().public_key()) };
    let operation = Operation::sign(header, None, &key()).unwrap();
    assert_eq!(super::header(&operation.header, &Ed25519), Err(Invalid::Version { found: 2 }));
    let encoded = EncodedOperation::from_operation(&operation).unwrap();
    assert_eq!(super::operation(&encoded, &Ed25519), Err(Invalid::Version { found: 2 }));
    assert_eq!(encoded.verify(&Ed25519), Ok(()));
}

#[test]
fn signatures() {
    let mut header = at(0, None).header::<()>().unwrap();
    header.timestamp = 1;
    let encoded = EncodedOperation::encode(&header, None).unwrap();
    assert_eq!(super::operation(&encoded, &Ed25519), Err(Invalid::Signature(VerifyError::Mismatch)));
    assert_eq!(super::header(&header, &Ed25519), Err(Invalid::Signature(VerifyError::Mismatch)));
    header.signature = None;
    assert_eq!(super::header(&header, &Ed25519), Err(Invalid::MissingSignature));
}

#[test]
fn bodies() {
    let other = at(0, None).with_body(Some("Body".into()));
    assert!(matches!(super::operation(&other, &Ed25519), Err(Invalid::PayloadHash { .. })));
    let longer = at(0, None).with_body(Some("bodys".into()));
    assert_eq!(super::operation(&longer, &Ed25519), Err(Invalid::PayloadSize { expected: 4, found: 5 }));
    assert_eq!(super::operation(&at(0, None).with_body(None), &Ed25519), Ok(()));
}

#[test]
fn fields_that_go_together() {
    let check = |change: fn(&mut Header)| {
        let mut header = Header::<()>::new(key().public_key());
        change(&mut header);
        header.sign(&key()).unwrap();
        super::header(&header, &Ed25519)
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert_eq!(check(|header| header.payload_size = 1), Err(Invalid::PayloadInfo));
    assert_eq!(check(|header| header.payload_hash = Some(Hash::digest(b""))), Err(Invalid::PayloadInfo));
    assert_eq!(check(|header| header.seq_num = SeqNum::new(1)), Err(Invalid::BacklinkMissing));
    assert_eq!(check(|header| header.backlink = Some(Hash::digest(b""))), Err(Invalid::BacklinkAtStart));
}

#[test]
fn authors() {
    let other = SigningKey::from_bytes(&[8; 32]).public_key();
    let found = key().public_key();
    assert_eq!(author(&at(0, None), found), Ok(()));
    assert_eq!(author(&at(0, None), other), Err(Invalid::Author { expected: other, found }));
}

#[test]
fn links_in_an_empty_log() {
    for any in [Link::Next, Link::Prunes, Link::MayStart] {
        assert_eq!(link(None, &at(0, None), any), Ok(()));
    }
    let gap = Invalid::SequenceGap { expected: SeqNum::ZERO, found: SeqNum::new(3) };
    assert_eq!(link(None, &at(3, None), Link::Next), Err(gap));
    assert_eq!(link(None, &at(3, None), Link::Prunes), Ok(()));
    assert_eq!(link(None, &at(3, None), Link::MayStart), Ok(()));
}

#[test]
fn links_behind_a_tip() {
    for any in [Link::Next, Link::MayStart] {
        assert_eq!(link(Some(tip(4)), &at(5, None), any), Ok(()));
        let gap = Invalid::SequenceGap { expected: SeqNum::new(5), found: SeqNum::new(6) };
        assert_eq!(link(Some(tip(4)), &at(6, None), any), Err(gap));
        let found = Hash::digest(b"other");
        let mismatch = Invalid::BacklinkMismatch { expected: tip(4).hash, found };
        assert_eq!(link(Some(tip(4)), &at(5, Some(found)), any), Err(mismatch));
    }
    assert_eq!(link(Some(tip(4)), &at(9, Some(Hash::digest(b"other"))), Link::Prunes), Ok(()));
    for any in [Link::Next, Link::Prunes, Link::MayStart] {
        for found in [0, 4] {
            let past = Invalid::SequencePast { height: SeqNum::new(4), found: SeqNum::new(found) };
            assert_eq!(link(Some(tip(4)), &at(found, None), any), Err(past));
        }
        let past = Invalid::SequencePast { height: SeqNum::MAX, found: SeqNum::MAX };
        assert_eq!(link(Some(tip(u64::MAX)), &at(u64::MAX, None), any), Err(past));
    }
}
