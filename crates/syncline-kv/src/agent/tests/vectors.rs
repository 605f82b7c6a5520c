//! `docs/spec/vectors/kv-gossip.json`: messages, byte by byte.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/kv-gossip.json");

fn file() -> Value {
    serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Bytes {
    let text = value.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    (0..text.len() / 2).map(byte).collect::<Vec<_>>().into()
}

fn hash(value: &Value) -> Hash {
    value.as_str().unwrap().parse().unwrap()
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string()).parse().unwrap()
}

fn message(file: &Value, vector: &Value) -> Message {
    let root = || Root::new(hash(&file["fingerprint"]), number(&vector["count"]));
    match vector["kind"].as_str().unwrap() {
        "digest" => Message::Digest { root: root(), nonce: number(&vector["nonce"]) },
        "reply" => Message::Reply { root: root(), nonce: number(&vector["nonce"]) },
        "push" => Message::Push(vector["items"].as_array().unwrap().iter().map(bytes).collect()),
        "part" => Message::Part {
            item: hash(&file["item"]),
            index: number(&vector["index"]),
            count: number(&vector["count"]),
            bytes: bytes(&vector["bytes"]),
        },
        other => panic!("no kind {other}"),
    }
}

#[test]
fn messages_are_as_published() {
    let file = file();
    let namespace = hash(&file["namespace"]);
    let vectors = file["messages"].as_array().unwrap();
    assert!(vectors.len() >= 9);
    for vector in vectors {
        let (message, published) = (message(&file, vector), bytes(&vector["hex"]));
        assert_eq!(message.encode(&namespace), published, "{}", vector["name"]);
        assert_eq!(Message::decode(&namespace, &published), Ok(message), "{}", vector["name"]);
    }
    assert_eq!(hash(&file["item"]), Hash::digest(b"abc"), "what the parts are of");
}

#[test]
fn what_is_published_as_malformed_is_refused() {
    let file = file();
    let namespace = hash(&file["namespace"]);
    let vectors = file["malformed"].as_array().unwrap();
    assert!(vectors.len() >= 20);
    for vector in vectors {
        let error = Message::decode(&namespace, &bytes(&vector["hex"])).unwrap_err();
        assert_eq!(format!("{error:?}"), vector["error"].as_str().unwrap(), "{}", vector["why"]);
    }
}

fn any_message() -> impl Strategy<Value = Message> {
    let told = (any::<[u8; 32]>(), any::<u64>(), any::<u64>());
    let some = || proptest::collection::vec(any::<u8>(), 1..100).prop_map(Bytes::from);
    prop_oneof![
        told.prop_map(|(fingerprint, count, nonce)| {
            Message::Digest { root: Root::new(Hash::from_bytes(fingerprint), count), nonce }
        }),
        told.prop_map(|(fingerprint, count, nonce)| {
            Message::Reply { root: Root::new(Hash::from_bytes(fingerprint), count), nonce }
        }),
        proptest::collection::vec(some(), 1..10).prop_map(Message::Push),
        (any::<[u8; 32]>(), 2..=u16::MAX, any::<u16>(), some()).prop_map(|(item, count, index, bytes)| {
            Message::Part { item: Hash::from_bytes(item), index: index % count, count, bytes }
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in any_message()) {
        let bytes = message.encode(&namespace());
        prop_assert_eq!(Message::decode(&namespace(), &bytes), Ok(message));
    }

    #[test]
    fn what_is_read_is_what_would_be_written(
        kind in 0_u8..6,
        tail in proptest::collection::vec(0_u8..4, 0..80),
    ) {
        let mut bytes = vec![1, kind];
        bytes.extend(namespace().as_bytes());
        bytes.extend(tail);
        let bytes = Bytes::from(bytes);
        if let Ok(message) = Message::decode(&namespace(), &bytes) {
            prop_assert_eq!(message.encode(&namespace()), bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&namespace(), &Bytes::from(bytes));
    }
}
