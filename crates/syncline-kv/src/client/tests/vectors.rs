//! `docs/spec/vectors/kv-watch.json`: messages, byte by byte.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::SigningKey;

use crate::client::wire::{Message, PING, Refusal, Scope, decode, encode};
use crate::item::{
    Entry, EntryDraft, EntryId, GrantDraft, GrantId, Leaves, NamespaceId, Ops, Quota, RevocationDraft,
    Value as ItemValue,
};
use crate::path::{Key, Pattern, Subtree};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/kv-watch.json");

fn file() -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap()
}

fn bytes(value: &serde_json::Value) -> Bytes {
    let text = value.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    (0..text.len() / 2).map(byte).collect::<Vec<_>>().into()
}

fn encoded(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out, message);
    out.freeze()
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

/// By the key whose secret is 32 times 1.
fn entry(value: ItemValue) -> Entry {
    let signer = SigningKey::from_bytes(&[1; 32]);
    let draft = EntryDraft {
        namespace: NamespaceId::from_bytes([7; 32]),
        key: key("/my/key"),
        value,
        stamp: Hlc::new(Timestamp::from_millis(1_000), 2),
        author: signer.public_key(),
        leaves: Leaves::new([GrantId::from_bytes([8; 32])]).unwrap(),
        previous: Some(EntryId::from_bytes([9; 32])),
    };
    draft.sign(&signer).unwrap()
}

/// The messages of the file, by name.
fn messages() -> Vec<(&'static str, Message)> {
    let signer = SigningKey::from_bytes(&[1; 32]);
    let namespace = NamespaceId::from_bytes([7; 32]);
    let grant = GrantDraft {
        namespace,
        parent: None,
        issuer: signer.public_key(),
        audience: SigningKey::from_bytes(&[2; 32]).public_key(),
        pattern: Pattern::new("/my/**").unwrap(),
        ops: Ops::ReadWrite,
        depth: 1,
        not_before: None,
        not_after: Some(Timestamp::from_millis(5_000)),
        quota: Quota::NONE,
        stamp: Hlc::from_bits(3),
    };
    let grant = grant.sign(&signer).unwrap();
    let revocation =
        RevocationDraft { namespace, grant: grant.id(), revoker: signer.public_key(), stamp: Hlc::from_bits(4) };
    let revocation = revocation.sign(&signer).unwrap();
    let (small, large) = (GrantId::from_bytes([1; 32]), GrantId::from_bytes([2; 32]));
    let below = |path: &str| Scope::Below(path.parse::<Subtree>().unwrap());
    let subscribe = |id, scope, deletions| Message::Subscribe { id, scope, deletions };
    vec![
        ("hello", Message::Hello { version_min: 1, version_max: 1, namespace }),
        ("hello with a range of versions", Message::Hello { version_min: 1, version_max: 300, namespace }),
        ("welcome by a server that synced 70 s ago", Message::Welcome { version: 1, age: Some(70_000) }),
        ("welcome by a server that never synced", Message::Welcome { version: 1, age: None }),
        ("refuse the version", Message::Refuse(Refusal::Version)),
        ("refuse the namespace", Message::Refuse(Refusal::Namespace)),
        ("subscribe to a key", subscribe(0, Scope::Key(key("/my/key")), false)),
        ("subscribe to what is below a path", subscribe(24, below("/my"), false)),
        ("subscribe to everything, holding values", subscribe(1, below(""), true)),
        ("unsubscribe", Message::Unsubscribe(24)),
        ("know nothing", Message::Know(vec![])),
        ("know two grants", Message::Know(vec![small, large])),
        ("a grant", Message::Item(grant.into())),
        ("a revocation of it", Message::Item(revocation.into())),
        ("begin", Message::Begin(0)),
        ("a value", Message::Value { id: 0, entry: entry(ItemValue::from(&b"on"[..])) }),
        ("a deletion", Message::Value { id: 256, entry: entry(ItemValue::Tombstone) }),
        ("absent", Message::Absent { id: 0, key: key("/my/key") }),
        ("live", Message::Live(0)),
        ("denied", Message::Denied(1)),
        ("changed", Message::Changed(u64::MAX)),
        ("held", Message::Held { id: 0, held: true }),
        ("held no more", Message::Held { id: 0, held: false }),
        ("fresh", Message::Fresh(Some(0))),
        ("never fresh", Message::Fresh(None)),
        ("ping", Message::Ping),
        ("bye", Message::Bye),
    ]
}

#[test]
fn messages_are_as_the_file_says() {
    let file = file();
    let listed = file["messages"].as_array().unwrap();
    let messages = messages();
    assert_eq!(listed.len(), messages.len());
    for (vector, (name, message)) in listed.iter().zip(messages) {
        assert_eq!(vector["name"], name);
        let hex = bytes(&vector["hex"]);
        assert_eq!(encoded(&message), hex, "{name}");
        assert_eq!(decode(&hex).unwrap(), message, "{name}");
    }
    assert_eq!(encoded(&Message::Ping), PING);
}

#[test]
fn malformed_messages_are_refused_as_the_file_says() {
    for vector in file()["malformed"].as_array().unwrap() {
        let found = decode(&bytes(&vector["hex"])).map_err(|err| format!("{err:?}"));
        let (why, error) = (&vector["why"], vector["error"].as_str().unwrap());
        assert!(found.as_ref().is_err_and(|found| found.starts_with(error)), "{why}: {found:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_decode_to_what_is_written_in_another_way(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(&encoded(&message)[..], &bytes[..]);
        }
    }

    #[test]
    fn a_changed_byte_never_gives_the_same_message(which in 0..27_usize, at in any::<usize>(), mask in 1..=255_u8) {
        let (_, message) = messages().swap_remove(which);
        let mut bytes = encoded(&message).to_vec();
        let at = at % bytes.len();
        bytes[at] ^= mask;
        prop_assert!(decode(&bytes).map_or(true, |found| found != message));
    }
}
