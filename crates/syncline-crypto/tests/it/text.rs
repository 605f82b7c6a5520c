//! Hex, slices and serde.

use std::fmt::Debug;
use std::str::FromStr;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline_crypto::{
    Hash, Hasher, IdempotencyKey, KeyId, ParseError, PublicKey, SignRequest, Signature, SigningKey, Ticket,
};

fn cbor(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("writing to a vector");
    bytes
}

fn uncbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ciborium::de::Error<std::io::Error>> {
    ciborium::from_reader(bytes)
}

/// A CBOR array of integers, as some peers write bytes.
fn as_array(bytes: &[u8]) -> Vec<u8> {
    cbor(&bytes.to_vec())
}

fn round_trips<T>(value: T, bytes: &[u8])
where
    T: Copy + Debug + PartialEq + std::fmt::Display + FromStr + AsRef<[u8]> + Serialize + DeserializeOwned,
    T: for<'a> TryFrom<&'a [u8]>,
    <T as FromStr>::Err: Debug + PartialEq,
{
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(value.as_ref(), bytes);
    assert_eq!(value.to_string(), hex);
    assert_eq!(hex.parse(), Ok(value));
    assert_eq!(hex.to_uppercase().parse(), Ok(value));
    assert_eq!(T::try_from(bytes).ok(), Some(value));
    assert!(T::try_from(&bytes[1..]).is_err() && T::try_from(&[bytes, &[0]].concat()[..]).is_err());
    assert!(hex[1..].parse::<T>().is_err() && format!("{hex}0").parse::<T>().is_err());
    let shown = format!("{value:?}");
    assert!(shown.contains(&hex[..10]) && !shown.contains(&hex[..12]), "{shown}");

    let header = [0x58, u8::try_from(bytes.len()).expect("short")];
    let encoded = cbor(&value);
    assert_eq!(encoded, [&header[..], bytes].concat());
    assert_eq!(uncbor(&encoded).ok(), Some(value));
    assert_eq!(uncbor(&as_array(bytes)).ok(), Some(value));
    assert!(uncbor::<T>(&as_array(&bytes[1..])).is_err());
    assert!(uncbor::<T>(&as_array(&[bytes, &[0]].concat())).is_err());
    assert!(uncbor::<T>(&encoded[..encoded.len() - 1]).is_err());
    let one_less = [&[0x58, header[1] - 1][..], &bytes[1..]].concat();
    assert!(uncbor::<T>(&one_less).is_err());
    assert!(uncbor::<T>(&cbor(&hex)).is_err(), "text is no byte string");

    let json = serde_json::to_string(&value).expect("a string");
    assert_eq!(json, format!("\"{hex}\""));
    assert_eq!(serde_json::from_str(&json).ok(), Some(value));
    assert!(serde_json::from_str::<T>(&json.replace(&hex[..2], "zz")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn all_newtypes_round_trip(bytes in any::<[u8; 32]>(), more in any::<[u8; 32]>()) {
        round_trips(Hash::from_bytes(bytes), &bytes);
        round_trips(IdempotencyKey::from_bytes(bytes), &bytes);
        let both = [bytes, more].concat();
        round_trips(Signature::from_bytes(both.clone().try_into().expect("64 bytes")), &both);
        if let Ok(key) = PublicKey::from_bytes(&bytes) {
            round_trips(key, &bytes);
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,70}") {
        let _ = text.parse::<Hash>();
        let _ = text.parse::<PublicKey>();
        let _ = text.parse::<Signature>();
    }
}

/// A byte string of indefinite length is not read: one more spelling that nobody needs for a few bytes.
#[test]
fn chunked_byte_strings_are_refused() {
    let chunked = [&[0x5f, 0x50][..], &[7; 16], &[0x50], &[7; 16], &[0xff]].concat();
    assert!(uncbor::<Hash>(&chunked).is_err());
}

#[test]
fn parse_errors_say_where() {
    let good = "00".repeat(32);
    assert_eq!("00".parse::<Hash>(), Err(ParseError::TextLength { expected: 64, found: 2 }));
    let bad = format!("{}g{}", &good[..9], &good[10..]);
    assert_eq!(bad.parse::<Hash>(), Err(ParseError::Digit { position: 9 }));
    let wide = format!("{}é{}", &good[..9], &good[11..]);
    assert_eq!(wide.parse::<Hash>(), Err(ParseError::Digit { position: 9 }));
    assert_eq!(Hash::try_from(&[0; 31][..]), Err(ParseError::Length { expected: 32, found: 31 }));
    assert_eq!(format!("+{}", &good[1..]).parse::<Hash>(), Err(ParseError::Digit { position: 0 }));
}

#[test]
fn hashes_are_blake3() {
    // The first vector of the BLAKE3 specification, and the hash of "abc".
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    let abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    assert_eq!(Hash::digest(b"").to_string(), empty);
    assert_eq!(Hash::digest(b"abc").to_string(), abc);
    assert_eq!(Hasher::new().finalize().to_string(), empty);
    let mut hasher = Hasher::new();
    for byte in b"abc" {
        hasher.update(&[*byte]);
    }
    assert_eq!(hasher.finalize().to_string(), abc);
    assert_eq!(hasher.update(b"d").finalize(), Hash::digest(b"abcd"));
}

#[test]
fn order_is_that_of_the_bytes() {
    let low = Hash::from_bytes([0; 32]);
    let mut bytes = [0; 32];
    bytes[31] = 1;
    let middle = Hash::from_bytes(bytes);
    bytes[0] = 1;
    assert!(low < middle && middle < Hash::from_bytes(bytes));
}

#[test]
fn requests_and_tickets_round_trip() {
    let key = SigningKey::from_bytes(&[1; 32]).public_key();
    let request = SignRequest::new(IdempotencyKey::from_bytes([2; 32]), key, vec![3; 300])
        .with_epoch(4)
        .with_fence(5)
        .with_not_after_ms(6);
    let encoded = cbor(&request);
    assert!(
        encoded.windows(303).any(|part| part == [&[0x59, 1, 44][..], &[3; 300]].concat()),
        "message as byte string"
    );
    assert_eq!(uncbor(&encoded).ok(), Some(request.clone()));
    let json = serde_json::to_string(&request).expect("json");
    assert_eq!(serde_json::from_str(&json).ok(), Some(request));
    assert_eq!(cbor(&KeyId::new(key)), cbor(&key));

    let ticket = Ticket::new(vec![9; Ticket::MAX_LEN]).expect("the longest");
    assert_eq!(uncbor(&cbor(&ticket)).ok(), Some(ticket.clone()));
    assert_eq!(format!("{ticket:?}"), "Ticket(1024 bytes)");
    let long = serde_json::to_string(&vec![9u8; Ticket::MAX_LEN + 1]).expect("json");
    assert!(serde_json::from_str::<Ticket>(&long).is_err());
    let error = Ticket::new(vec![9; Ticket::MAX_LEN + 1]).expect_err("too long");
    assert_eq!(error.to_string(), "ticket of 1025 bytes where 1024 are the most");
}

#[test]
fn work_is_key_epoch_and_message() {
    let [key, other_key] = [1, 2].map(|n| SigningKey::from_bytes(&[n; 32]).public_key());
    let name = IdempotencyKey::from_bytes([2; 32]);
    let message = b"message".to_vec();
    let base = SignRequest::new(name, key, message.clone());
    let different = [
        base.clone(),
        SignRequest::new(name, other_key, message.clone()),
        SignRequest::new(name, key, b"messag".to_vec()),
        base.clone().with_epoch(0),
        base.clone().with_epoch(1),
    ];
    for (n, one) in different.iter().enumerate() {
        for (m, other) in different.iter().enumerate() {
            assert_eq!(one.work() == other.work(), n == m, "{one:?} {other:?}");
            assert_eq!(one.has_same_work(other), n == m);
        }
    }
    let renamed = SignRequest::new(IdempotencyKey::from_bytes([3; 32]), key, message);
    for same in [base.clone().with_fence(9), base.clone().with_not_after_ms(9), renamed] {
        assert_eq!(base.work(), same.work());
        assert!(base.has_same_work(&same));
    }
}
