//! The vectors of `docs/spec/storage.md`.

use std::fmt::Debug;

use syncline_storage::KeyCodec;

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/storage.md");

struct Vector {
    ty: String,
    value: String,
    bytes: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let text = std::fs::read_to_string(SPEC).unwrap();
    let table = text.split("| type | value | bytes |\n|---|---|---|\n").nth(1).unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(|row| {
        let [ty, value, bytes] = <[String; 3]>::try_from(cells(row)).unwrap();
        Vector { ty, value, bytes: unhex(&bytes) }
    })
    .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn agree<K: KeyCodec + PartialEq + Debug>(key: &K, vector: &Vector) {
    let mut out = Vec::new();
    key.encode(&mut out);
    assert_eq!(out, vector.bytes, "{} {}", vector.ty, vector.value);
    assert_eq!(&K::decode_all(&vector.bytes).unwrap(), key);
}

fn check(vector: &Vector) {
    let value = &vector.value[..];
    match &vector.ty[..] {
        "u8" => agree(&value.parse::<u8>().unwrap(), vector),
        "u16" => agree(&value.parse::<u16>().unwrap(), vector),
        "u64" => agree(&value.parse::<u64>().unwrap(), vector),
        "i16" => agree(&value.parse::<i16>().unwrap(), vector),
        "bool" => agree(&value.parse::<bool>().unwrap(), vector),
        "bytes" if value == "(empty)" => agree(&Vec::new(), vector),
        "bytes" => agree(&unhex(value), vector),
        "text" => agree(&value.to_owned(), vector),
        "option u8" if value == "none" => agree(&None::<u8>, vector),
        "option u8" => agree(&Some(value.parse::<u8>().unwrap()), vector),
        "(text, u16)" => {
            let (text, number) = value.split_once(", ").unwrap();
            agree(&(text.to_owned(), number.parse::<u16>().unwrap()), vector);
        }
        other => panic!("the specification has a type without a test: {other}"),
    }
}

#[test]
fn keys_are_encoded_as_specified() {
    let vectors = vectors();
    assert!(vectors.len() >= 25, "only {} vectors", vectors.len());
    vectors.iter().for_each(check);
    for pair in vectors.windows(2) {
        if pair[0].ty == pair[1].ty {
            assert!(pair[0].bytes < pair[1].bytes, "{} {}", pair[1].ty, pair[1].value);
        }
    }
}
