//! `docs/spec/vectors/kv-sync.json`: whole sessions, as both sides said them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::{Clock as _, ManualClock};
use syncline_crypto::SigningKey;
use syncline_kv::item::{GrantDraft, Ops};
use syncline_kv::sync::{Eagerness, KvQuery, KvSync};
use syncline_kv::{Item, Namespace, Tree};
use syncline_storage::MemoryDb;
use syncline_testkit::net::{Conditions, Link, Sim};

use crate::world::{App, Node, accept, below, clock, draft, initiate, run_for};

const FILE: &str = include_str!("../../docs/spec/vectors/kv-sync.json");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vectors {
    about: String,
    namespace: String,
    initiator_nonce: String,
    acceptor_nonce: String,
    sessions: Vec<Session>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    name: String,
    prefix: String,
    initiator: Side,
    acceptor: Side,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Side {
    /// Encoded items, in an order in which they can be applied.
    holds: Vec<String>,
    /// It would stay open. After a second the initiator finishes.
    live: bool,
    on_rejection: bool,
    /// Its peer has proven a key that may not read.
    hides: bool,
    /// Messages, in order. All together are what it writes.
    sends: Vec<String>,
}

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn root() -> SigningKey {
    signer(1)
}

fn namespace() -> Namespace {
    Namespace::new("test", [root().public_key()]).expect("a namespace")
}

/// A node whose signatures are real.
fn real(clock: &ManualClock, seed: u8) -> Node {
    let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace()).expect("memory opens");
    let node = Node::with_tree(clock, seed, tree);
    Node { sync: node.sync.clone().with_remote(root().public_key()), ..node }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut scanner = FrameScanner::new(FrameLimits::with_len_max(1 << 24));
    let mut frames = Vec::new();
    while let Some(len) = scanner.scan(bytes).expect("well-formed") {
        let (frame, rest) = bytes.split_at(len);
        frames.push(hex(frame));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "whole messages");
    frames
}

fn node(clock: &ManualClock, seed: u8, side: &Side) -> (Node, KvSync) {
    let node = real(clock, seed);
    let items = side.holds.iter().map(|item| Item::decode(&unhex(item)).expect("an item")).collect();
    let verdicts = node.tree.apply(clock.now(), items).expect("memory");
    assert!(verdicts.iter().all(syncline_kv::Verdict::is_stored), "{verdicts:?}");
    let eagerness = if side.on_rejection { Eagerness::OnRejection } else { Eagerness::Full };
    let mut sync = node.sync.clone().with_live(side.live).with_eagerness(eagerness);
    if side.hides {
        sync = sync.with_remote(signer(5).public_key());
    }
    (node, sync)
}

/// What both sides write.
fn run(session: &Session) -> [Vec<String>; 2] {
    let clock = clock();
    let (_one, one) = node(&clock, 1, &session.initiator);
    let (_two, two) = node(&clock, 2, &session.acceptor);
    let query = KvQuery::below(namespace().id(), below(&session.prefix));
    let Link { a, b, a_to_b, b_to_a } = Link::new(&clock, Conditions::new(), Conditions::new());
    let finish = one.finish_handle();
    let mut sim = Sim::new(&clock);
    sim.spawn("initiator", initiate(one, query, a, App::new(&clock)));
    sim.spawn("acceptor", accept(two, b, App::new(&clock)));
    run_for(&mut sim, Duration::from_secs(1));
    finish.finish();
    sim.run().expect("both sides end");
    [frames(&a_to_b.recorded()), frames(&b_to_a.recorded())]
}

/// Items of every kind: a rotation aside.
struct Stock {
    grant: Item,
    under_it: Vec<Item>,
    revocation: Item,
    by_root: Vec<Item>,
}

fn stock() -> Stock {
    let clock = clock();
    let node = real(&clock, 9);
    let (writer, root) = (signer(9), root());
    let fields = draft(writer.public_key(), "/w/**", Ops::Write);
    let fields = GrantDraft { namespace: namespace().id(), issuer: root.public_key(), ..fields };
    let grant = node.tree.grant(clock.now(), &root, fields).expect("a root may").id();
    let put = |signer: &SigningKey, path: &str| Item::Entry(node.put(signer, path, "value"));
    let under_it = (0..2).map(|number| put(&writer, &format!("/w/{number}"))).collect();
    let by_root = (0..4).map(|number| put(&root, &format!("/r/{}/{number}", number % 2))).collect();
    node.tree.revoke(clock.now(), &root, grant).expect("a root may");
    let authority = node.tree.authority();
    Stock {
        grant: Item::Grant(authority.grant(&grant).expect("issued").as_ref().clone()),
        under_it,
        revocation: Item::Revocation(authority.revocations().next().expect("revoked").clone()),
        by_root,
    }
}

fn holding<'i>(items: impl IntoIterator<Item = &'i Item>) -> Side {
    Side { holds: items.into_iter().map(|item| hex(&item.encoded())).collect(), ..Side::default() }
}

fn made() -> Vectors {
    let Stock { grant, under_it, revocation, by_root } = stock();
    let all = || [&grant].into_iter().chain(&under_it).chain(&by_root);
    let session = |name: &str, prefix: &str, initiator, acceptor| {
        let mut session = Session { name: name.into(), prefix: prefix.into(), initiator, acceptor };
        [session.initiator.sends, session.acceptor.sends] = run(&session);
        session
    };
    let live = |side: Side| Side { live: true, ..side };
    let on_rejection = |side: Side| Side { on_rejection: true, ..side };
    let sessions = vec![
        session("equal", "", holding(all()), holding(all())),
        session("the acceptor has nothing", "", holding(all()), holding([])),
        session("the initiator has nothing", "", holding([]), holding(all())),
        session("entries differ", "", holding(&by_root[..3]), holding(&by_root[1..])),
        session(
            "both sets differ",
            "",
            holding([&grant].into_iter().chain(&under_it).chain(&by_root[..2])),
            holding([&grant, &revocation].into_iter().chain(&by_root[1..])),
        ),
        session("below a path", "/r/1", holding(&by_root[..3]), holding(&by_root[1..])),
        session(
            "on rejection",
            "",
            on_rejection(holding([&grant].into_iter().chain(&under_it))),
            holding([&grant, &revocation].into_iter().chain(&by_root[..1])),
        ),
        session("live", "", live(holding(&by_root[..1])), live(holding(&by_root[1..2]))),
        session("refused", "", holding(&by_root[..1]), Side { hides: true, ..holding(&by_root[1..2]) }),
    ];
    let nonce = |side: &Side, at: usize| side.sends[0][at..at + 32].to_owned();
    let first = &sessions[0];
    Vectors {
        about: "Sessions of syncline-kv/1. Both sides always have these nonces, and but for 'hides' have peers that are roots. \
                Bytes are hex. Each side's messages are in the order in which it sends them. See kv-sync.md."
            .into(),
        namespace: hex(&namespace().encoded()),
        // Behind two heads, two versions and the capabilities, and the head of the nonce.
        initiator_nonce: nonce(&first.initiator, 2 * 6),
        acceptor_nonce: nonce(&first.acceptor, 2 * 5),
        sessions,
    }
}

#[test]
fn sessions_are_said_as_the_vectors_have_them() {
    let vectors: Vectors = serde_json::from_str(FILE).expect("the file has this form");
    assert_eq!(Namespace::decode(&unhex(&vectors.namespace)), Ok(namespace()));
    for session in &vectors.sessions {
        let [initiator, acceptor] = run(session);
        assert_eq!(initiator, session.initiator.sends, "{}: initiator", session.name);
        assert_eq!(acceptor, session.acceptor.sends, "{}: acceptor", session.name);
        assert!(initiator[0].contains(&vectors.initiator_nonce), "{}", session.name);
        assert!(session.acceptor.hides || acceptor[0].contains(&vectors.acceptor_nonce), "{}", session.name);
    }
    assert_eq!(vectors, made(), "nothing is missing in the file");
}

#[test]
#[ignore = "writes docs/spec/vectors/kv-sync.json; run with `cargo test --test kv_sync -- --ignored writes_the_file`"]
fn writes_the_file() {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs", "spec", "vectors", "kv-sync.json"].iter().collect();
    std::fs::write(path, serde_json::to_string_pretty(&made()).unwrap() + "\n").unwrap();
}
