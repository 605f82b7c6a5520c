use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::Deserialize;
use serde_bytes::ByteBuf;

use super::super::samples;
use super::*;

fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DeterministicError> {
    from_deterministic(bytes, FrameLimits::default())
}

/// Whether bytes are refused although they hold the value, and only for their form.
#[track_caller]
fn assert_refused<T: Serialize + DeserializeOwned + std::fmt::Debug>(bytes: &[u8]) {
    let outcome = read::<T>(bytes);
    assert!(
        matches!(outcome, Err(DeterministicError::NotDeterministic | DeterministicError::DuplicateKey)),
        "{bytes:x?}: {outcome:?}"
    );
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    key: String,
    value: ByteBuf,
    n: u64,
    score: f64,
    tags: Vec<i64>,
    more: BTreeMap<String, Option<bool>>,
}

fn entry() -> impl Strategy<Value = Entry> {
    let more = prop::collection::btree_map("[a-z]{0,4}", prop::option::of(any::<bool>()), 0..5);
    let value = prop::collection::vec(any::<u8>(), 0..30).prop_map(ByteBuf::from);
    ("\\PC{0,10}", value, any::<u64>(), any::<f64>(), prop::collection::vec(any::<i64>(), 0..5), more)
        .prop_map(|(key, value, n, score, tags, more)| Entry { key, value, n, score, tags, more })
}

/// All other ways to write an item that is written deterministically, one change each.
fn respelled(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut others = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (first, rest) = (bytes[at], &bytes[at + 1..]);
        let (major, info) = (first >> 5, first & 0x1f);
        let width = if (24..=27).contains(&info) { 1 << (info - 24) } else { 0 };
        let argument =
            rest[..width].iter().fold(u64::from(info) * u64::from(width == 0), |n, b| (n << 8) | u64::from(*b));
        let mut replace = |item: &[u8], end: usize| others.push([&bytes[..at], item, &bytes[end..]].concat());
        if major < 7 {
            for extra in 1..=4 {
                let longer = samples::head(major, argument, extra);
                if longer.len() > 1 + width {
                    replace(&longer, at + 1 + width);
                }
            }
        }
        let content = at + 1 + width;
        let content_len = if matches!(major, 2 | 3) { argument as usize } else { 0 };
        match (major, info) {
            (2 | 3, _) => {
                let chunk = &bytes[at..content + content_len];
                let indefinite = [&[(major << 5) | 31][..], chunk, &[0xff]].concat();
                replace(&indefinite, content + content_len);
            }
            (7, 25) => {
                let number = half(u16::from_be_bytes([rest[0], rest[1]]));
                replace(&[&[0xfa][..], &(number as f32).to_be_bytes()].concat(), content);
                replace(&[&[0xfb][..], &number.to_be_bytes()].concat(), content);
            }
            (7, 26) => {
                let number = f32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
                replace(&[&[0xfb][..], &f64::from(number).to_be_bytes()].concat(), content);
            }
            _ => {}
        }
        at = content + content_len;
    }
    others
}

/// A number of 16 bits (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(entry in entry()) {
        let bytes = to_deterministic(&entry).unwrap();
        let again: Entry = read(&bytes).unwrap();
        prop_assert_eq!(to_deterministic(&again).unwrap(), bytes);
        prop_assert!(again == entry || entry.score.is_nan());
    }

    #[test]
    fn any_other_way_to_write_a_value_is_refused(entry in entry()) {
        let bytes = to_deterministic(&entry).unwrap();
        let others = respelled(&bytes);
        let mut same_value = 0;
        for other in others {
            let outcome = read::<Entry>(&other);
            // Even a lenient decoder wants the names of fields in one piece.
            let Ok(lenient) = ciborium::from_reader::<Entry, _>(&other[..]) else {
                prop_assert!(outcome.is_err(), "{:x?}: {:?}", other, outcome);
                continue;
            };
            same_value += 1;
            prop_assert_eq!(to_deterministic(&lenient).unwrap(), &bytes[..]);
            prop_assert!(matches!(outcome, Err(DeterministicError::NotDeterministic)), "{:x?}: {:?}", other, outcome);
        }
        prop_assert!(same_value > 20, "only {} other ways were tried", same_value);
    }

    #[test]
    fn any_changed_byte_is_refused_or_another_value(
        entry in entry(), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
    ) {
        let bytes = to_deterministic(&entry).unwrap();
        let mut other = bytes;
        let at = at.index(other.len());
        other[at] ^= flip;
        if let Ok(read) = read::<Entry>(&other) {
            prop_assert_eq!(to_deterministic(&read).unwrap(), other);
        }
    }

    #[test]
    fn bytes_after_the_value_and_missing_ones_are_refused(entry in entry(), cut in any::<prop::sample::Index>()) {
        let mut bytes = to_deterministic(&entry).unwrap();
        let cut = read::<Entry>(&bytes[..cut.index(bytes.len())]);
        prop_assert!(matches!(cut, Err(DeterministicError::Truncated)), "{:?}", cut);
        bytes.push(0xf6);
        let longer = read::<Entry>(&bytes);
        prop_assert!(matches!(longer, Err(DeterministicError::Trailing { count: 1 })), "{:?}", longer);
    }

    #[test]
    fn integers_of_any_size_have_one_form(number in any::<i128>(), shift in 0..127_u32) {
        for number in [number >> shift, (number >> shift).wrapping_neg()] {
            let bytes = to_deterministic(&number).unwrap();
            prop_assert_eq!(read::<i128>(&bytes).unwrap(), number);
            let is_short = (-(1 << 64)..1 << 64).contains(&number);
            prop_assert_eq!(bytes[0] >> 5 < 2, is_short, "{}: {:x?}", number, &bytes);
            if !is_short {
                prop_assert!(bytes[2] != 0, "a leading zero: {:x?}", bytes);
            }
        }
    }

    #[test]
    fn floats_have_one_form(number in any::<f64>()) {
        let bytes = to_deterministic(&number).unwrap();
        let again: f64 = read(&bytes).unwrap();
        prop_assert!(again.to_bits() == number.to_bits() || again.is_nan() && number.is_nan());
        // The shortest of the three.
        let as_f32 = number as f32;
        if f64::from(as_f32) != number && !number.is_nan() {
            prop_assert_eq!(bytes.len(), 9);
        }
    }
}

#[test]
fn the_bytes_of_known_values() {
    // RFC 8949, appendix A.
    for (number, bytes) in [
        (0.0, &[0xf9, 0, 0][..]),
        (-0.0, &[0xf9, 0x80, 0]),
        (1.5, &[0xf9, 0x3e, 0]),
        (65504.0, &[0xf9, 0x7b, 0xff]),
        (100_000.0, &[0xfa, 0x47, 0xc3, 0x50, 0]),
        (5.960_464_477_539_063e-8, &[0xf9, 0, 1]),
        (1.1, &[0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]),
        (f64::INFINITY, &[0xf9, 0x7c, 0]),
        (f64::NEG_INFINITY, &[0xf9, 0xfc, 0]),
        (f64::NAN, &[0xf9, 0x7e, 0]),
        (-f64::NAN, &[0xf9, 0x7e, 0]),
        (f64::from_bits(0x7ff0_0000_0000_0001), &[0xf9, 0x7e, 0]),
        (f64::from_bits(0x7ff8_0000_0000_0007), &[0xf9, 0x7e, 0]),
    ] {
        assert_eq!(to_deterministic(&number).unwrap(), bytes, "{number}");
    }
    assert_eq!(to_deterministic(&f32::NAN).unwrap(), [0xf9, 0x7e, 0]);
    assert_eq!(to_deterministic(&u64::MAX).unwrap(), [&[0x1b][..], &[0xff; 8]].concat());
    assert_eq!(to_deterministic(&-(1_i128 << 64)).unwrap(), [&[0x3b][..], &[0xff; 8]].concat());
    assert_eq!(to_deterministic(&(1_u128 << 64)).unwrap(), [&[0xc2, 0x49, 1][..], &[0; 8]].concat());
    assert_eq!(to_deterministic(&(-1 - (1_i128 << 64))).unwrap(), [&[0xc3, 0x49, 1][..], &[0; 8]].concat());
}

#[test]
fn every_nan_but_the_plain_one_is_refused() {
    assert!(read::<f64>(&[0xf9, 0x7e, 0]).unwrap().is_nan());
    for bytes in [
        &[0xf9, 0x7e, 1][..],
        &[0xf9, 0x7c, 1],
        &[0xf9, 0xfe, 0],
        &[0xfa, 0x7f, 0xc0, 0, 0],
        &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
        &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1],
    ] {
        assert_refused::<f64>(bytes);
    }
}

#[test]
fn a_number_in_another_kind_of_number_is_refused() {
    assert!(read::<f64>(&[0x01]).is_err());
    assert_refused::<u64>(&[0xc2, 0x41, 0x07]);
    assert_refused::<u64>(&[0xc2, 0x48, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_refused::<i64>(&[0xc3, 0x41, 0x07]);
    assert_refused::<u128>(&[&[0xc2, 0x4a, 0, 1][..], &[0; 8]].concat());
    assert!(read::<u64>(&[0xf9, 0x3c, 0]).is_err());
    // Inside a tree of any values, too.
    assert_refused::<Value>(&[0x81, 0xc2, 0x41, 0x07]);
    assert_refused::<Value>(&[0x81, 0xc2, 0x40]);
}

#[test]
fn a_tag_that_the_type_does_not_keep_is_refused() {
    assert_refused::<u64>(&[0xd9, 0xd9, 0xf7, 0x07]);
    assert!(matches!(read::<Value>(&[0xd9, 0xd9, 0xf7, 0x07]), Ok(Value::Tag(55_799, _))));
}

#[test]
fn map_keys_are_sorted_by_their_bytes_whatever_the_maps_own_order() {
    let map: HashMap<i64, u8> = [(10, 0), (100, 1), (-1, 2), (1_000, 3), (0, 4)].into();
    let bytes = to_deterministic(&map).unwrap();
    assert_eq!(bytes, [0xa5, 0, 4, 0x0a, 0, 0x18, 0x64, 1, 0x19, 0x03, 0xe8, 3, 0x20, 2]);
    assert_eq!(read::<HashMap<i64, u8>>(&bytes).unwrap(), map);
    assert_refused::<HashMap<i64, u8>>(&[0xa2, 1, 0, 0, 0]);
    assert_refused::<BTreeMap<i64, u8>>(&[0xa2, 0, 0, 0, 0]);
    assert_refused::<Value>(&[0xa2, 1, 0, 0, 0]);
    assert_refused::<Value>(&[0xa2, 0, 0, 0, 0]);
    // Within a key as well.
    assert_refused::<Value>(&[0xa1, 0xa2, 1, 0, 0, 0, 0]);
}

#[test]
fn a_value_with_a_key_twice_cannot_be_written() {
    let twice = Value::Map(vec![(1.into(), 2.into()), (1.into(), 3.into())]);
    assert!(matches!(to_deterministic(&twice), Err(DeterministicError::DuplicateKey)));
    // Two spellings of one number are one key.
    let bignum = Value::Tag(2, Box::new(Value::Bytes(vec![1])));
    let twice = Value::Map(vec![(1.into(), 2.into()), (bignum, 3.into())]);
    assert!(matches!(to_deterministic(&twice), Err(DeterministicError::DuplicateKey)));
}

#[test]
fn unknown_and_missing_fields_are_refused() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Known {
        a: u8,
        #[serde(default)]
        b: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        c: Option<u8>,
    }
    assert_eq!(read::<Known>(&[0xa2, 0x61, 0x61, 1, 0x61, 0x62, 2]).unwrap(), Known { a: 1, b: 2, c: None });
    assert_refused::<Known>(&[0xa3, 0x61, 0x61, 1, 0x61, 0x62, 2, 0x61, 0x64, 0]);
    assert_refused::<Known>(&[0xa1, 0x61, 0x61, 1]);
    assert_refused::<Known>(&[0xa3, 0x61, 0x61, 1, 0x61, 0x62, 2, 0x61, 0x63, 0xf6]);
    assert!(matches!(read::<Known>(&[0xa1, 0x61, 0x62, 1]), Err(DeterministicError::Decode(_))));
    assert!(read::<Known>(&[0xa3, 0x61, 0x61, 1, 0x61, 0x61, 1, 0x61, 0x62, 2]).is_err());
}

#[test]
fn fields_of_a_struct_are_sorted_too() {
    #[derive(Serialize)]
    struct Unsorted {
        long: u8,
        b: u8,
        a: u8,
    }
    let bytes = to_deterministic(&Unsorted { long: 1, b: 2, a: 3 }).unwrap();
    assert_eq!(bytes, b"\xa3\x61a\x03\x61b\x02\x64long\x01");
}

#[test]
fn undefined_and_lists_in_place_of_bytes_are_refused() {
    assert_refused::<Option<u8>>(&[0xf7]);
    assert_refused::<ByteBuf>(&[0x82, 1, 2]);
    assert_refused::<String>(&[0x7f, 0x61, 0x61, 0xff]);
}

#[test]
fn limits_hold() {
    let limits = FrameLimits::with_len_max(3).and_depth_max(2);
    assert!(from_deterministic::<Value>(&[0x82, 1, 2], limits).is_ok());
    let outcome = from_deterministic::<Value>(&[0x83, 1, 2, 3], limits);
    assert!(matches!(outcome, Err(DeterministicError::Frame(FrameError::TooLong { .. }))), "{outcome:?}");
    assert!(from_deterministic::<Value>(&[0x81, 0x81, 1], limits).is_ok());
    let outcome = from_deterministic::<Value>(&[0x81, 0x81, 0x81], limits);
    assert!(outcome.is_err());
    let outcome = from_deterministic::<Value>(&[0x81, 0x81, 0x81, 1], FrameLimits::default().and_depth_max(2));
    assert!(matches!(outcome, Err(DeterministicError::Frame(FrameError::TooDeep { limit: 2 }))), "{outcome:?}");
    let deepest = [[0x81].repeat(64), vec![1]].concat();
    assert!(read::<Value>(&deepest).is_ok());
}

#[test]
fn errors_say_what_is_wrong_in_words() {
    use std::error::Error as _;
    let error = read::<u8>(&[0x61, 0x61]).unwrap_err();
    assert_eq!(error.to_string(), "bytes do not hold the expected value");
    assert!(
        error.source().is_some_and(|source| source.to_string().contains("expected integer")),
        "{:?}",
        error.source()
    );
}
