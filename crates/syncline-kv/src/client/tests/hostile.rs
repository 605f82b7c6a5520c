//! What peers must not do, and what it costs when they do it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use syncline_core::SyncError;
use syncline_core::clock::{Clock, Hlc};
use syncline_crypto::{PublicKey, SigningKey};

use super::peer::{Peer, clock, hello, key, namespace, root, server, tree};
use crate::client::wire::{KNOW_MAX, Message, Refusal, Scope, VERSION};
use crate::client::{Client, ClientConfig, Dirtiness, Value, WatchLimits};
use crate::item::{Entry, GrantDraft, GrantId, NamespaceId, Ops, Quota, Reads};
use crate::path::{Pattern, Subtree};

fn subscribe(id: u64, path: &str) -> Message {
    Message::Subscribe { id, scope: Scope::Key(key(path)), deletions: false }
}

fn grant(namespace: NamespaceId, audience: PublicKey) -> GrantDraft {
    GrantDraft {
        namespace,
        parent: None,
        issuer: root().public_key(),
        audience,
        pattern: Pattern::new("/**").unwrap(),
        ops: Ops::Write,
        depth: 0,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: Hlc::from_bits(1),
    }
}

fn is_unexpected(outcome: Option<Result<(), SyncError>>) -> bool {
    matches!(outcome, Some(Err(SyncError::UnexpectedBehaviour(_))))
}

fn is_invalid(outcome: Option<Result<(), SyncError>>) -> bool {
    matches!(outcome, Some(Err(SyncError::InvalidEncoding(_))))
}

fn small() -> WatchLimits {
    WatchLimits { subscriptions: 2, known_grants: 3, request_len: 100, ..WatchLimits::default() }
}

#[test]
fn a_server_refuses_what_a_client_must_not_say() {
    let tree = tree(Reads::Public);
    let (id, clock) = (tree.id(), clock());
    let grants = |count: u8| Message::Know((0..count).map(|byte| GrantId::from_bytes([byte; 32])).collect());
    let cases: [(&str, Vec<Message>); 9] = [
        ("no hello", vec![subscribe(0, "/x")]),
        ("two hellos", vec![hello(id), hello(id)]),
        ("an id out of turn", vec![hello(id), subscribe(1, "/x")]),
        ("an id twice", vec![hello(id), subscribe(0, "/x"), subscribe(0, "/x")]),
        ("an end of what never began", vec![hello(id), Message::Unsubscribe(0)]),
        ("too many", vec![hello(id), subscribe(0, "/x"), subscribe(1, "/x"), subscribe(2, "/x")]),
        ("too many grants", vec![hello(id), grants(2), grants(2)]),
        ("what a server says", vec![hello(id), Message::Live(0)]),
        ("a value", vec![hello(id), Message::Absent { id: 0, key: key("/x") }]),
    ];
    for (why, messages) in cases {
        let mut peer = Peer::of_server(server(&tree, &clock, small()), 1 << 20);
        peer.send(&messages);
        assert!(is_unexpected(peer.outcome()), "{why}");
    }
    let at_the_limit = [hello(id), grants(2), grants(1), subscribe(0, "/x"), subscribe(1, "/x")];
    let mut peer = Peer::of_server(server(&tree, &clock, small()), 1 << 20);
    peer.send(&at_the_limit);
    assert_eq!(peer.outcome(), None);
    peer.send(&[Message::Unsubscribe(0), Message::Unsubscribe(0), subscribe(2, "/y"), Message::Bye]);
    assert_eq!(peer.outcome(), Some(Ok(())));
}

#[test]
fn bytes_that_are_no_messages_end_a_session() {
    let (tree, clock) = (tree(Reads::Public), clock());
    // The last but one claims more bytes than a request may have, the last one is a message in another way.
    for bytes in [&b"\xff"[..], b"\x82\x18\x1f\x00", b"\x82\x05\x59\xff\xff", b"\x9f\x0f\xff"] {
        let mut peer = Peer::of_server(server(&tree, &clock, small()), 1 << 20);
        peer.send_bytes(bytes);
        assert!(is_invalid(peer.outcome()), "{bytes:?}");
    }
    let client = Client::new(namespace(Reads::Public), ClientConfig::default(), Arc::new(clock.clone()));
    for bytes in [&b"\xff"[..], b"\x82\x18\x1f\x00", b"\x82\x06\x5a\xff\xff\xff\xff", b"\x9f\x0f\xff"] {
        let mut peer = Peer::of_client(&client);
        peer.send_bytes(bytes);
        assert!(is_invalid(peer.outcome()), "{bytes:?}");
    }
    let too_many = Message::Know(vec![GrantId::from_bytes([0; 32]); KNOW_MAX + 1]);
    let mut peer = Peer::of_server(server(&tree, &clock, WatchLimits::default()), 1 << 20);
    peer.send(&[hello(tree.id()), too_many]);
    assert!(is_invalid(peer.outcome()));
}

#[test]
fn whoever_asks_for_something_else_is_told_so() {
    let (tree, clock) = (tree(Reads::Public), clock());
    let other = Message::Hello { version_min: 2, version_max: 9, namespace: tree.id() };
    let elsewhere = hello(NamespaceId::from_bytes([9; 32]));
    for (message, why) in [(other, Refusal::Version), (elsewhere, Refusal::Namespace)] {
        let mut peer = Peer::of_server(server(&tree, &clock, small()), 1 << 20);
        peer.send(&[message, subscribe(0, "/x")]);
        assert_eq!(peer.receive(), [Message::Refuse(why)]);
        assert_eq!(peer.outcome(), None);
        clock.advance(Duration::from_secs(10));
        assert!(is_unexpected(peer.outcome()));
    }
}

#[test]
fn all_that_a_stranger_gets_is_that_it_may_not_read() {
    let (tree, clock) = (tree(Reads::Granted), clock());
    tree.put(clock.now(), &root(), &key("/x"), &b"secret"[..]).unwrap();
    let writer = SigningKey::from_bytes(&[5; 32]).public_key();
    let grant = tree.grant(clock.now(), &root(), grant(tree.id(), writer)).unwrap();
    tree.revoke(clock.now(), &root(), grant.id()).unwrap();
    let mut peer = Peer::of_server(server(&tree, &clock, WatchLimits::default()), 1 << 20);
    let below = Message::Subscribe { id: 2, scope: Scope::Below(Subtree::all()), deletions: true };
    let know = Message::Know(vec![grant.id()]);
    peer.send(&[hello(tree.id()), know, subscribe(0, "/x"), subscribe(1, "/not/there"), below]);
    let denied = [Message::Denied(0), Message::Denied(1), Message::Denied(2)];
    let welcome = Message::Welcome { version: VERSION, age: None };
    assert_eq!(peer.receive(), [&[welcome][..], &denied].concat());
    tree.put(clock.now(), &root(), &key("/x"), &b"another"[..]).unwrap();
    assert_eq!(peer.receive(), []);
    clock.advance(Duration::from_secs(10));
    assert_eq!(peer.receive(), [Message::Fresh(None)]);
}

#[test]
fn a_client_that_reads_nothing_costs_a_bounded_number_of_values() {
    let (tree, clock) = (tree(Reads::Public), clock());
    let mut peer = Peer::of_server(server(&tree, &clock, WatchLimits { window: 1, ..WatchLimits::default() }), 64);
    peer.send(&[hello(tree.id())]);
    let paths: Vec<String> = (0..10).map(|number| format!("/k/{number}")).collect();
    for (id, path) in (0..).zip(&paths) {
        peer.send(&[subscribe(id, path)]);
    }
    let mut last = Vec::new();
    for round in 0..200_u32 {
        last.clear();
        for path in &paths {
            last.push(tree.put(clock.now(), &root(), &key(path), &round.to_be_bytes()[..]).unwrap());
        }
        peer.settle();
    }
    let mut told: Vec<Option<Entry>> = vec![None; paths.len()];
    let mut values = 0;
    let messages = peer.receive();
    assert!(messages.len() <= 10 * paths.len(), "{} messages about {} keys", messages.len(), paths.len());
    for message in messages {
        if let Message::Value { id, entry } = message {
            told[usize::try_from(id).unwrap()] = Some(entry);
            values += 1;
        }
    }
    assert_eq!(told, last.into_iter().map(Some).collect::<Vec<_>>());
    assert!(values <= 3 * paths.len(), "{values} values of {} keys", paths.len());
}

#[test]
fn silent_peers_are_left() {
    let (tree, clock) = (tree(Reads::Public), clock());
    let mut mute = Peer::of_server(server(&tree, &clock, WatchLimits::default()), 1 << 20);
    let mut silent = Peer::of_server(server(&tree, &clock, WatchLimits::default()), 1 << 20);
    let client = Client::new(namespace(Reads::Public), ClientConfig::default(), Arc::new(clock.clone()));
    let (mut unwelcome, mut welcome) = (Peer::of_client(&client), Peer::of_client(&client));
    silent.send(&[hello(tree.id())]);
    welcome.send(&[Message::Welcome { version: VERSION, age: None }]);
    mute.settle();
    unwelcome.settle();
    clock.advance(Duration::from_secs(10));
    assert!(is_unexpected(mute.outcome()) && is_unexpected(unwelcome.outcome()));
    assert_eq!((silent.outcome(), welcome.outcome()), (None, None));
    for _ in 0..5 {
        clock.advance(Duration::from_secs(10));
        silent.settle();
        welcome.settle();
    }
    assert!(is_unexpected(silent.outcome()) && is_unexpected(welcome.outcome()));
}

#[test]
fn a_client_leaves_a_server_that_lies_and_shows_nothing_of_it() {
    let clock = clock();
    let client = Client::new(namespace(Reads::Public), ClientConfig::default(), Arc::new(clock.clone()));
    let subscription = client.subscribe_key("/x").unwrap();
    let tree = tree(Reads::Public);
    let honest = tree.put(clock.now(), &root(), &key("/x"), &b"x"[..]).unwrap();
    let elsewhere = tree.put(clock.now(), &root(), &key("/y"), &b"y"[..]).unwrap();
    let mut forged = honest.encoded().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let forged = Entry::decode(Bytes::from(forged)).unwrap();
    let welcome = Message::Welcome { version: VERSION, age: None };
    let value = |id, entry: &Entry| Message::Value { id, entry: entry.clone() };
    let cases: [(&str, Vec<Message>); 8] = [
        ("a forged value", vec![welcome.clone(), value(0, &forged)]),
        ("another key's", vec![welcome.clone(), value(0, &elsewhere)]),
        ("an unknown subscription", vec![welcome.clone(), value(1, &honest)]),
        ("another key is absent", vec![welcome.clone(), Message::Absent { id: 0, key: key("/y") }]),
        ("what a client says", vec![welcome.clone(), Message::Unsubscribe(0)]),
        ("two welcomes", vec![welcome.clone(), welcome.clone()]),
        ("no welcome", vec![Message::Begin(0)]),
        ("another version", vec![Message::Welcome { version: 2, age: None }]),
    ];
    for (why, messages) in cases {
        let mut peer = Peer::of_client(&client);
        for message in messages {
            peer.send(&[message]);
        }
        assert!(is_unexpected(peer.outcome()), "{why}");
        assert_eq!(subscription.value(), Value::Unknown, "{why}");
        assert_eq!(subscription.dirtiness(), Dirtiness::Disconnected, "{why}");
    }
}
