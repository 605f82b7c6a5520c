//! Typed headers to bytes and back.

use super::*;

#[test]
fn fields_are_read_as_written() {
    let mut header = Header::new(key().public_key());
    header.seq_num = SeqNum::MAX;
    header.backlink = Some(Hash::digest(b"before"));
    header.timestamp = u64::MAX;
    header.previous = vec![Hash::digest(b"a"), Hash::digest(b"b")];
    header.extensions = Some(Tagged { tag: "t".into(), prune: PruneFlag::new(true) });
    let operation = Operation::sign(header, Some(Body::new("body")), &key()).unwrap();
    let encoded = EncodedOperation::from_operation(&operation).unwrap();

    let header = &operation.header;
    assert_eq!(encoded.version(), 1);
    assert_eq!(encoded.public_key(), header.public_key);
    assert_eq!(Some(encoded.signature()), header.signature);
    assert_eq!(encoded.payload_size(), 4);
    assert_eq!(encoded.payload_hash(), Some(Hash::digest(b"body")));
    assert_eq!(encoded.timestamp(), u64::MAX);
    assert_eq!(encoded.seq_num(), SeqNum::MAX);
    assert_eq!(encoded.backlink(), header.backlink);
    assert!(encoded.previous().eq(header.previous.iter().copied()));
    assert_eq!(encoded.previous().len(), 2);
    assert_eq!(encoded.extension_bytes().map(<[u8]>::first), Some(Some(&0xa2)));
    assert_eq!(encoded.hash(), operation.hash);
    assert_eq!(encoded.operation::<Tagged>().unwrap(), operation);
    assert_eq!(Header::<Tagged>::decode(encoded.header_bytes()).unwrap(), *header);
    assert_eq!(header.hash().unwrap(), encoded.hash());
    assert!(header.verify(&Ed25519).is_ok() && validate::operation(&encoded, &Ed25519).is_ok());
}

#[test]
fn signed_bytes_are_the_header_without_its_signature() {
    let operation = second();
    let unsigned = Header { signature: None, ..operation.header.clone() }.to_bytes().unwrap();
    assert_eq!(encoded().signed_bytes(), unsigned);
    let mut out = b"before".to_vec();
    assert_eq!(encoded().append_signed_bytes(&mut out), unsigned.len());
    assert_eq!(out[6..], unsigned);
}

#[test]
fn a_body_is_checked_against_the_header() {
    let with = |body: &'static [u8]| encoded().with_body(Some(Bytes::from_static(body)));
    assert_eq!(encoded().check_body(), Ok(()));
    assert_eq!(encoded().with_body(None).check_body(), Ok(()), "a deleted body is right");
    assert_eq!(with(b"Hello, Sloth").check_body(), Err(Invalid::PayloadSize { expected: 13, found: 12 }));
    assert_eq!(with(b"").check_body(), Err(Invalid::PayloadSize { expected: 13, found: 0 }));
    let found = Hash::digest(b"Hello, Cloth!");
    let expected = Some(Hash::digest(b"Hello, Sloth!"));
    assert_eq!(with(b"Hello, Cloth!").check_body(), Err(Invalid::PayloadHash { expected, found }));
}

#[test]
fn an_empty_body_is_none() {
    let operation = Operation::sign(header(), Some(Body::new("")), &key()).unwrap();
    assert_eq!((operation.header.payload_size, operation.header.payload_hash, &operation.body), (0, None, &None));
    let header = operation.header.to_bytes().unwrap();
    let encoded = EncodedOperation::decode(header.clone(), Some(Bytes::new())).unwrap();
    assert_eq!((encoded.body(), encoded.check_body()), (None, Ok(())));
    let encoded = EncodedOperation::decode(header, Some(Bytes::from_static(b"x"))).unwrap();
    assert_eq!(encoded.check_body(), Err(Invalid::PayloadSize { expected: 0, found: 1 }));
}

#[test]
fn headers_whose_fields_do_not_go_together_are_not_signed() {
    let mut without = header();
    without.seq_num = SeqNum::new(1);
    let mut with = header();
    with.backlink = Some(Hash::digest(b""));
    for header in [without, with] {
        let refused = Operation::sign(header, None, &key());
        assert!(matches!(refused, Err(SignHeaderError::Encode(EncodeError::Unreadable(_)))), "{refused:?}");
    }
}

#[test]
fn extensions_that_cannot_be_written_are_an_error() {
    /// What CBOR has no place for.
    #[derive(Clone, Debug, Deserialize)]
    struct Wide;

    impl Serialize for Wide {
        fn serialize<S: serde::Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }

    let header = Header { extensions: Some(Wide), ..Header::new(key().public_key()) };
    assert!(matches!(header.to_bytes(), Err(EncodeError::Extensions(_))));
    let header = Header { signature: Some(encoded().signature()), ..header };
    assert_eq!(header.verify(&Ed25519), Err(Invalid::Extensions));
}

#[test]
fn a_type_need_not_keep_all_extensions() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Older {
        tag: String,
    }

    let newer = Some(Tagged { tag: "t".into(), prune: PruneFlag::new(true) });
    let header = Header { extensions: newer, ..Header::new(key().public_key()) };
    let encoded = EncodedOperation::from_operation(&Operation::sign(header, None, &key()).unwrap()).unwrap();
    let older = encoded.operation::<Older>().unwrap();
    assert_eq!(older.header.extensions, Some(Older { tag: "t".into() }));
    assert_eq!(older.hash, encoded.hash(), "the id is of the bytes that were received");
    assert_ne!(older.header.hash().unwrap(), encoded.hash());
    assert!(encoded.verify(&Ed25519).is_ok(), "so is the signature");
    assert!(older.header.verify(&Ed25519).is_err());
}

#[test]
fn extensions_of_another_type_are_refused() {
    let header = Header { extensions: Some(7_u8), ..Header::new(key().public_key()) };
    let encoded = EncodedOperation::from_operation(&Operation::sign(header, None, &key()).unwrap()).unwrap();
    assert!(matches!(encoded.header::<String>(), Err(DecodeError::ExtensionsType(_))));
    assert_eq!(encoded.header::<u64>().unwrap().extensions, Some(7));
}

#[test]
fn debug_shows_no_content() {
    let operation = second();
    let shown = format!("{operation:?} {:?}", encoded());
    assert!(!shown.contains("Sloth") && shown.contains("13"), "{shown}");
}

#[test]
fn prune_flags_are_booleans() {
    let mut bytes = Vec::new();
    ciborium::into_writer(&PruneFlag::new(true), &mut bytes).unwrap();
    assert_eq!(bytes, [0xf5]);
    assert!(PruneFlag::from(true).is_set() && PruneFlag::default().is_not_set());
}
