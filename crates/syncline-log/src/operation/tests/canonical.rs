//! Which bytes are a header.

use syncline_core::cbor::Writer;

use super::*;

/// Where each field of [`encoded`] begins: header, version, key, signature, size, hash, timestamp, number, backlink,
/// previous, end.
const STARTS: [(Field, usize); 10] = [
    (Field::Header, 0),
    (Field::Version, 1),
    (Field::PublicKey, 2),
    (Field::Signature, 36),
    (Field::PayloadSize, 102),
    (Field::PayloadHash, 103),
    (Field::Timestamp, 137),
    (Field::SeqNum, 139),
    (Field::Backlink, 140),
    (Field::Previous, 174),
];

fn field_at(at: usize) -> Field {
    STARTS.iter().rev().find(|(_, start)| *start <= at).unwrap().0
}

/// The header with other bytes in the place of some.
fn replaced(range: std::ops::Range<usize>, with: &[u8]) -> Vec<u8> {
    let mut bytes = encoded().header_bytes().to_vec();
    bytes.splice(range, with.iter().copied());
    bytes
}

#[test]
fn every_truncation_is_told_by_its_field() {
    let bytes = encoded().header_bytes().clone();
    assert_eq!(bytes.len(), 175);
    for len in 0..bytes.len() {
        let err = decode(bytes.slice(..len)).unwrap_err();
        let DecodeError::Truncated { field } = err else { panic!("cut at {len}: {err:?}") };
        assert_eq!(field, field_at(len), "cut at {len}");
    }
}

#[test]
fn bytes_behind_the_header_are_refused() {
    for count in 1..4 {
        let bytes = replaced(175..175, &[0; 4][..count]);
        assert!(matches!(decode(bytes), Err(DecodeError::Trailing { count: found }) if found == count));
    }
}

#[test]
fn other_types_are_refused() {
    // Text where bytes belong, and the reverse of integers and arrays.
    for (field, start) in STARTS {
        let old = encoded().header_bytes()[start];
        for major in 0..8 {
            let first = (old & 0x1f) | (major << 5);
            if first == old {
                continue;
            }
            let err = decode(replaced(start..start + 1, &[first])).unwrap_err();
            match err {
                DecodeError::MissingSignature => assert_eq!((field, major), (Field::Signature, 0)),
                DecodeError::Type { field: found } => assert_eq!(found, field),
                err => panic!("type {major} as {field}: {err:?}"),
            }
        }
    }
}

#[test]
fn longer_heads_are_refused() {
    for (field, start) in STARTS {
        let bytes = encoded().header_bytes().clone();
        let (major, info) = (bytes[start] & 0xe0, bytes[start] & 0x1f);
        let (argument, len) = if info == 24 { (u64::from(bytes[start + 1]), 2) } else { (u64::from(info), 1) };
        let wide = argument.to_be_bytes();
        let heads = [(24, &wide[7..]), (25, &wide[6..]), (26, &wide[4..]), (27, &wide[..])];
        for (info, argument) in heads.into_iter().filter(|(head, _)| *head > info) {
            let head = [&[major | info], argument].concat();
            let err = decode(replaced(start..start + len, &head)).unwrap_err();
            assert!(matches!(err, DecodeError::NotCanonical { field: found } if found == field), "{field}: {err:?}");
        }
        // Reserved, and of indefinite length.
        for info in [28, 29, 30, 31] {
            let err = decode(replaced(start..start + len, &[major | info])).unwrap_err();
            assert!(matches!(err, DecodeError::NotCanonical { field: found } if found == field), "{field}: {err:?}");
        }
    }
}

#[test]
fn shortest_heads_are_accepted_at_every_width() {
    for timestamp in [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let operation = Operation::sign(Header { timestamp, ..header() }, None, &key()).unwrap();
        let bytes = operation.header.to_bytes().unwrap();
        assert_eq!(decode(bytes).unwrap().timestamp(), timestamp);
    }
}

#[test]
fn lengths_of_keys_signatures_and_hashes_are_fixed() {
    for (field, start, expected) in [
        (Field::PublicKey, 2, 32),
        (Field::Signature, 36, 64),
        (Field::PayloadHash, 103, 32),
        (Field::Backlink, 140, 32),
    ] {
        for found in [0, 31, 33, 63, 65, 255_u8] {
            let head = if found < 24 { vec![0x40 | found] } else { vec![0x58, found] };
            let err = decode(replaced(start..start + 2, &head)).unwrap_err();
            assert!(
                matches!(err, DecodeError::Length { field: f, expected: e, found: n }
                    if f == field && e == expected && n == u64::from(found)),
                "{field}: {err:?}"
            );
        }
    }
}

#[test]
fn the_number_of_items_is_exact() {
    for items in (0..=15).filter(|items| *items != 9) {
        let err = decode(replaced(0..1, &[0x80 | items])).unwrap_err();
        match err {
            // One more than the fields take is extensions, and there are none.
            DecodeError::Truncated { field: Field::Extensions } => assert_eq!(items, 10),
            DecodeError::ItemCount { expected: 9, found } => assert_eq!(found, u64::from(items)),
            err => panic!("{items} items: {err:?}"),
        }
    }
}

#[test]
fn presence_follows_from_size_and_number() {
    // A size of 0 with a hash: the hash stands where the timestamp belongs.
    let err = decode(replaced(102..103, &[0])).unwrap_err();
    assert!(matches!(err, DecodeError::Type { field: Field::Timestamp }), "{err:?}");
    let err = decode(replaced(139..140, &[0])).unwrap_err();
    assert!(matches!(err, DecodeError::Type { field: Field::Previous }), "{err:?}");
    let err = decode(replaced(103..137, &[])).unwrap_err();
    assert!(matches!(err, DecodeError::Type { field: Field::PayloadHash }), "{err:?}");
    let err = decode(replaced(140..174, &[])).unwrap_err();
    assert!(matches!(err, DecodeError::Type { field: Field::Backlink }), "{err:?}");
}

#[test]
fn unsigned_headers_are_refused() {
    let unsigned = encoded().signed_bytes();
    assert!(matches!(decode(unsigned), Err(DecodeError::MissingSignature)));
}

#[test]
fn keys_of_small_order_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(matches!(decode(replaced(4..36, &identity)), Err(DecodeError::PublicKey(_))));
}

#[test]
fn previous_may_claim_any_number() {
    for claim in [1, 2, 23, 24, 1 << 20, u64::MAX] {
        let mut head = bytes::BytesMut::new();
        Writer::new(&mut head).array(claim);
        let err = decode(replaced(174..175, &head)).unwrap_err();
        assert!(matches!(err, DecodeError::Truncated { field: Field::Previous }), "{claim}: {err:?}");
    }
    let hash = [&[0x58, 0x20][..], &[9; 32]].concat();
    let two = [&[0x82][..], &hash, &hash].concat();
    assert_eq!(decode(replaced(174..175, &two)).unwrap().previous().count(), 2);
    let mut short = two.clone();
    short[1] = 0x18;
    assert!(matches!(decode(replaced(174..175, &short)), Err(DecodeError::Type { field: Field::Previous })));
    let mut other = two;
    other[36] = 0x1f;
    assert!(matches!(decode(replaced(174..175, &other)), Err(DecodeError::Length { field: Field::Previous, .. })));
}

#[test]
fn extensions_may_be_any_well_formed_item() {
    let with = |extensions: &[u8]| {
        let mut bytes = replaced(175..175, extensions);
        bytes[0] += 1;
        decode(bytes)
    };
    let nested = |depth: usize| [vec![0x81; depth], vec![0]].concat();
    for item in [&[0xf6][..], &[0x18, 0x00], &[0x9f, 0x01, 0xff], &[0xbf, 0x61, 0x61, 0x5f, 0xff, 0xff], &nested(128)] {
        assert_eq!(with(item).unwrap().extension_bytes(), Some(item));
    }
    for item in
        [&[0xff][..], &[0x1c], &[0x9f, 0x01], &[0x62, 0x61], &nested(129), &[0x9b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]]
    {
        assert!(matches!(with(item), Err(DecodeError::Extensions(_))), "{item:02x?}");
    }
    assert!(matches!(with(&[0x00, 0x00]), Err(DecodeError::Trailing { count: 1 })));
    assert!(matches!(with(&[]), Err(DecodeError::Truncated { field: Field::Extensions })));
}

proptest! {
    #[test]
    fn what_is_accepted_is_what_would_be_written(at in 0..175_usize, bit in 0..8_u32, cut in proptest::option::of(0..176_usize)) {
        let mut bytes = encoded().header_bytes().to_vec();
        bytes[at] ^= 1 << bit;
        bytes.truncate(cut.unwrap_or(usize::MAX));
        if let Ok(accepted) = decode(bytes.clone()) {
            let header: Header = accepted.header().unwrap();
            prop_assert_eq!(header.to_bytes().unwrap(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_written_alike(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(bytes).is_err(), "no signature has come about by chance");
    }
}
