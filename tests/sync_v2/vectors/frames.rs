//! What travels, taken apart by what `docs/spec/log-v2.md` says of its form, and by nothing else.

use syncline_core::cbor::{Kind, Reader};

/// A part of a message, as the tables of the specification name it.
#[derive(Clone, Copy, Debug)]
enum Part {
    Unsigned,
    Bool,
    /// An unsigned integer or null.
    Optional,
    /// A byte string of any length.
    Bytes,
    /// A byte string or null.
    BytesOrNull,
    /// A byte string, null or false.
    Payload,
    /// A byte string of so many bytes.
    Exactly(usize),
    /// A byte string, or an array of one byte string of 16 bytes.
    Topic,
    /// Whatever the application makes of it.
    LogId,
    /// An array of byte strings of 32 bytes.
    Hashes,
}

use Part::{Bool, Bytes, BytesOrNull, Exactly, Hashes, LogId, Optional, Payload, Topic, Unsigned};

/// Kinds, names and parts behind the kind.
const MESSAGES: [(&str, &[Part]); 15] = [
    ("hello", &[Unsigned, Unsigned, Unsigned, Bool, Optional, Exactly(16), Topic, Exactly(16), Optional]),
    ("welcome", &[Unsigned, Bool, Optional, Exactly(16), Bool, Exactly(16), Optional]),
    ("refuse", &[Unsigned]),
    ("proof", &[Exactly(16)]),
    ("ranges", &[Bytes]),
    ("height", &[Exactly(32), LogId, Unsigned, Exactly(32)]),
    ("heights end", &[]),
    ("log", &[Exactly(32), LogId, Unsigned]),
    ("caught up", &[]),
    ("done", &[]),
    ("ack", &[]),
    ("stop", &[Exactly(32), LogId]),
    ("ping", &[]),
    ("want", &[Hashes]),
    ("body", &[Exactly(32), BytesOrNull]),
];

/// The bytes of each message of a stream, and its name.
pub(crate) fn frames(stream: &[u8]) -> Vec<(&'static str, &[u8])> {
    let mut reader = Reader::new(stream);
    let mut frames = Vec::new();
    while !reader.is_at_end() {
        let frame = reader.skip().expect("items, one after the other");
        frames.push((name(frame), frame));
    }
    frames
}

/// The name of a message whose form is as specified.
fn name(frame: &[u8]) -> &'static str {
    let mut reader = Reader::new(frame);
    let parts = reader.array().unwrap().expect("a definite length");
    let (name, expected) = match reader.kind().unwrap() {
        Kind::Bytes => ("operation", &[Bytes, Payload][..]),
        _ => {
            let kind = reader.unsigned().expect("a kind");
            let (name, parts) = MESSAGES[usize::try_from(kind).unwrap()];
            (name, parts)
        }
    };
    assert_eq!(parts as usize, expected.len() + usize::from(name != "operation"), "{name}");
    for part in expected {
        check(&mut reader, *part);
    }
    assert!(reader.is_at_end(), "{name}");
    // The shortest heads, definite lengths: what the writer of a common library makes of it is the same.
    let value: ciborium::Value = ciborium::from_reader(frame).unwrap();
    let mut again = Vec::new();
    ciborium::into_writer(&value, &mut again).unwrap();
    assert_eq!(again, frame, "{name}");
    name
}

fn check(reader: &mut Reader<'_>, part: Part) {
    match part {
        Unsigned => _ = reader.unsigned().unwrap(),
        Bool => _ = reader.bool().unwrap(),
        Optional if reader.null() => {}
        Optional => _ = reader.unsigned().unwrap(),
        Payload | BytesOrNull if reader.null() => {}
        Payload if reader.kind().unwrap() == Kind::Simple => assert!(!reader.bool().unwrap()),
        Bytes | BytesOrNull | Payload => _ = reader.bytes().unwrap(),
        Exactly(len) => assert_eq!(reader.bytes().unwrap().len(), len),
        Topic if reader.kind().unwrap() == Kind::Array => {
            assert_eq!(reader.array().unwrap(), Some(1));
            assert_eq!(reader.bytes().unwrap().len(), 16);
        }
        Topic => _ = reader.bytes().unwrap(),
        LogId => _ = reader.skip().unwrap(),
        Hashes => {
            for _ in 0..reader.array().unwrap().unwrap() {
                assert_eq!(reader.bytes().unwrap().len(), 32);
            }
        }
    }
}
