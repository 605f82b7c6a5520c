use ciborium::Value;
use proptest::prelude::*;

use super::super::{FrameLimits, FrameScanner, from_deterministic};
use super::*;

fn written(write: impl FnOnce(&mut Writer<'_>)) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut Writer::new(&mut out));
    out
}

#[test]
fn heads_are_the_shortest_at_every_border() {
    for (value, len) in [
        (0, 1),
        (23, 1),
        (24, 2),
        (0xff, 2),
        (0x100, 3),
        (0xffff, 3),
        (0x1_0000, 5),
        (0xffff_ffff, 5),
        (0x1_0000_0000, 9),
        (u64::MAX, 9),
    ] {
        let bytes = written(|writer| _ = writer.unsigned(value));
        assert_eq!(bytes.len(), len, "{value}");
        assert_eq!(from_deterministic::<u64>(&bytes, FrameLimits::default()).unwrap(), value);
    }
}

#[test]
fn bytes_as_integers_are_what_serde_writes_for_a_list() {
    let all: Vec<u8> = (0..=255).collect();
    let mut expected = Vec::new();
    ciborium::into_writer(&all, &mut expected).unwrap();
    assert_eq!(written(|writer| _ = writer.byte_integers(&all))[..], expected);
}

/// Writes a value by hand. Floats, tags and negative numbers are not among what the writer offers.
fn write(writer: &mut Writer<'_>, value: &Value) {
    match value {
        Value::Integer(number) => _ = writer.unsigned(u64::try_from(*number).unwrap()),
        Value::Bytes(bytes) => _ = writer.bytes(bytes),
        Value::Text(text) => _ = writer.text(text),
        Value::Bool(value) => _ = writer.bool(*value),
        Value::Array(items) => {
            writer.array(items.len() as u64);
            items.iter().for_each(|item| write(writer, item));
        }
        Value::Map(entries) => {
            writer.map(entries.len() as u64);
            for (key, value) in entries {
                write(writer, key);
                write(writer, value);
            }
        }
        _ => _ = writer.null(),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::from),
        (0..300_u64).prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        "\\PC{0,40}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 64, 30, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner), 0..30).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn writes_what_ciborium_writes(value in value()) {
        let mut expected = Vec::new();
        ciborium::into_writer(&value, &mut expected).unwrap();
        let bytes = written(|writer| write(writer, &value));
        prop_assert_eq!(&bytes[..], &expected[..]);
        let scanned = FrameScanner::new(FrameLimits::default()).scan(&bytes);
        prop_assert_eq!(scanned, Ok(Some(bytes.len())));
    }
}
