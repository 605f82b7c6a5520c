//! `docs/spec/vectors/log-v2.json`: whole sessions, as both sides said them, and single messages of them.

mod derive;
mod frames;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::cbor::Reader;
use syncline_crypto::Hash;
use syncline_log::sync::v2::{Limits, TopicKey, TopicKeys};
use syncline_log::{EncodedOperation, NewOperation};
use syncline_testkit::generate::{Author, LogExtensions, Step, encoded};
use syncline_testkit::net::{Conditions, Link, Sim};

use crate::world::{App, Node, Protocol, Topic, World, accept, clock, initiate, sleep};
use derive::{mac, nonce, session_key, summary};
use frames::frames;

const FILE: &str = include_str!("../../docs/spec/vectors/log-v2.json");
const SECRET: [u8; 32] = [3; 32];
const TOPIC: u8 = 1;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vectors {
    about: String,
    topic: String,
    topic_key: String,
    initiator_nonce: String,
    acceptor_nonce: String,
    sessions: Vec<Session>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    name: String,
    secret: bool,
    /// When the initiator finishes, if it is still open.
    seconds: u64,
    initiator: Side,
    acceptor: Side,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Side {
    holds: Vec<Held>,
    /// The longest body that it takes; no limit if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    body_len_max: Option<u64>,
    /// The operations whose bodies it asks for, instead of syncing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    fetches: Vec<String>,
    /// It would stay open.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    live: bool,
    /// It does not have the topic's key.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    lacks_key: bool,
    /// An author whose logs its topic does not cover.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    leaves_out: Option<String>,
    /// Messages, in order. All together are what it writes.
    sends: Vec<Sent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    log_id: u64,
    header: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    body: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    message: String,
    bytes: String,
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn encoded_topic(topic: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&Topic(topic), &mut bytes).unwrap();
    bytes
}

#[derive(Debug)]
struct Keys;

#[async_trait]
impl TopicKeys<Topic> for Keys {
    async fn key(&self, topic: &Topic) -> Option<TopicKey> {
        (topic.0 == TOPIC).then(|| TopicKey::from_bytes(SECRET))
    }

    async fn secret_topics(&self) -> Vec<(Topic, TopicKey)> {
        vec![(Topic(TOPIC), TopicKey::from_bytes(SECRET))]
    }
}

fn decoded(held: &Held) -> EncodedOperation {
    EncodedOperation::decode(unhex(&held.header).into(), held.body.as_deref().map(|body| unhex(body).into())).unwrap()
}

/// A node of the world that holds what the vector says.
fn node(world: &World, side: &Side) -> Node {
    let mut node = world.empty();
    node.topics.0.retain(|author, _| side.leaves_out.as_deref() != Some(&*hex(author.as_bytes())));
    node.append(side.holds.iter().map(|held| NewOperation::next(held.log_id, decoded(held))).collect());
    node
}

fn protocol(
    node: &Node,
    side: &Side,
    seed: u8,
    is_secret: bool,
    clock: &syncline_core::clock::ManualClock,
) -> Protocol {
    let limits = side.body_len_max.map_or_else(Limits::default, |max| Limits::default().with_body_len_max(max));
    let protocol = node.protocol(seed).with_limits(limits).with_live(side.live).with_timer(Arc::new(clock.clone()));
    if is_secret && !side.lacks_key { protocol.with_topic_keys(Arc::new(Keys)) } else { protocol }
}

/// What both sides write.
fn play(world: &World, session: &Session) -> (Vec<u8>, Vec<u8>) {
    let clock = clock();
    let (one, two) = (node(world, &session.initiator), node(world, &session.acceptor));
    let ours = protocol(&one, &session.initiator, 1, session.secret, &clock);
    let theirs = protocol(&two, &session.acceptor, 2, session.secret, &clock);
    let finish = ours.finish_handle();
    // A round trip, so that what one side says does not depend on how the other's answer is cut into pieces.
    let latency = || Conditions::new().with_latency(Duration::from_millis(50));
    let Link { a, b, a_to_b, b_to_a } = Link::new(&clock, latency(), latency());
    let mut sim = Sim::new(&clock);
    let fetches = &session.initiator.fetches;
    if fetches.is_empty() {
        sim.spawn("initiator", initiate(Arc::new(ours), a, App::new(&clock)));
    } else {
        let wanted = fetches.iter().map(|hash| Hash::from_bytes(unhex(hash).try_into().unwrap()));
        sim.spawn("initiator", initiate(Arc::new(ours.fetch_payloads(wanted)), a, App::new(&clock)));
    }
    sim.spawn("acceptor", accept(Arc::new(theirs), b, App::new(&clock)));
    let (later, seconds) = (clock.clone(), session.seconds);
    sim.spawn("end", async move {
        sleep(&later, Duration::from_secs(seconds)).await;
        finish.finish();
    });
    sim.run().unwrap();
    (a_to_b.recorded(), b_to_a.recorded())
}

fn sent(stream: &[u8]) -> Vec<Sent> {
    frames(stream).into_iter().map(|(message, frame)| Sent { message: message.to_owned(), bytes: hex(frame) }).collect()
}

fn side(holds: Vec<Held>) -> Side {
    Side {
        holds,
        body_len_max: None,
        fetches: Vec::new(),
        live: false,
        lacks_key: false,
        leaves_out: None,
        sends: Vec::new(),
    }
}

/// Operations of the n-th log of the world, with bodies of these lengths.
fn held(world: &World, nth: usize, bodies: &[usize], word: char) -> Vec<Held> {
    let (key, log_id, _) = &world.logs[nth];
    let mut author = Author::new(key.clone(), *log_id);
    let operations = bodies.iter().map(|len| encoded(&author.write(Step::body(word.to_string().repeat(*len)))));
    let held = operations.map(|operation| Held {
        log_id: *log_id,
        header: hex(operation.header_bytes()),
        body: operation.body().map(hex),
    });
    held.collect()
}

/// The sessions, without what is said in them.
fn silent(world: &World) -> Vec<Session> {
    let (one, two) = (held(world, 0, &[5, 30, 5], 'a'), held(world, 1, &[5, 5], 'b'));
    let both = [one.clone(), two.clone()].concat();
    let session = |name: &str, secret, initiator, acceptor| Session {
        name: name.to_owned(),
        secret,
        seconds: 1,
        initiator,
        acceptor,
    };
    let bodiless: Vec<Held> = one.iter().cloned().map(|held| Held { body: None, ..held }).collect();
    let hash = |held: &Held| hex(decoded(held).hash().as_bytes());
    let fork = held(world, 0, &[5, 31], 'a');
    vec![
        session("equal", false, side(both.clone()), side(both.clone())),
        session("equal and empty", false, side(Vec::new()), side(Vec::new())),
        session("the initiator has nothing", false, side(Vec::new()), side(one.clone())),
        session("each lacks a log", false, side(one.clone()), side(two.clone())),
        session("the acceptor is behind", false, side(both.clone()), side([&one[..1], &two[..]].concat())),
        session("an author has forked", false, side(one[..2].to_vec()), side(fork)),
        session("a body stays behind", false, Side { body_len_max: Some(20), ..side(Vec::new()) }, side(one.clone())),
        session(
            "it is fetched",
            false,
            Side { fetches: vec![hash(&one[1]), hash(&two[0])], ..side(bodiless.clone()) },
            side(one.clone()),
        ),
        session(
            "both stay open for a second",
            false,
            Side { live: true, ..side(both.clone()) },
            Side { live: true, ..side(one.clone()) },
        ),
        Session {
            seconds: 25,
            ..session(
                "both stay open, and nothing happens",
                false,
                Side { live: true, ..side(both.clone()) },
                Side { live: true, ..side(both.clone()) },
            )
        },
        session(
            "the initiator's topic does not cover a log",
            false,
            Side { leaves_out: Some(hex(decoded(&two[0]).public_key().as_bytes())), ..side(Vec::new()) },
            side(both.clone()),
        ),
        session(
            "secret, the acceptor has no key",
            true,
            side(both.clone()),
            Side { lacks_key: true, ..side(both.clone()) },
        ),
        session("secret, equal", true, side(both.clone()), side(both.clone())),
        session("secret, each lacks a log", true, side(one.clone()), side(two)),
        session("secret, a body is fetched", true, Side { fetches: vec![hash(&one[1])], ..side(bodiless) }, side(one)),
    ]
}

fn world() -> World {
    World::pair(0, 0)
}

fn made() -> Vectors {
    let world = world();
    let mut sessions = silent(&world);
    for session in &mut sessions {
        let (initiator, acceptor) = play(&world, session);
        session.initiator.sends = sent(&initiator);
        session.acceptor.sends = sent(&acceptor);
    }
    Vectors {
        about: "Sessions of syncline-log/2 about one topic, which covers one log of each of two authors; a log's id is in \
                the extensions of its headers. In a secret session it has the topic key. Both sides always have these nonces. Bytes \
                are hex. Each side's messages are in the order in which it sends them. See log-v2.md."
            .to_owned(),
        topic: hex(encoded_topic(TOPIC)),
        topic_key: hex(SECRET),
        initiator_nonce: hex(nonce(1)),
        acceptor_nonce: hex(nonce(2)),
        sessions,
    }
}

fn read() -> Vectors {
    serde_json::from_str(FILE).unwrap()
}

#[test]
#[ignore = "writes docs/spec/vectors/log-v2.json; run with `cargo test --test sync_v2 -- --ignored writes_the_file`"]
fn writes_the_file() {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs", "spec", "vectors", "log-v2.json"].iter().collect();
    std::fs::write(path, serde_json::to_string_pretty(&made()).unwrap() + "\n").unwrap();
}

#[test]
fn every_session_goes_as_it_is_written_down() {
    let (vectors, world) = (read(), world());
    assert!(vectors.sessions.len() >= 15);
    for session in &vectors.sessions {
        let (initiator, acceptor) = play(&world, session);
        assert_eq!(sent(&initiator), session.initiator.sends, "{}", session.name);
        assert_eq!(sent(&acceptor), session.acceptor.sends, "{}", session.name);
    }
}

#[test]
fn every_kind_of_message_is_among_them() {
    let vectors = read();
    let sides = vectors.sessions.iter().flat_map(|session| [&session.initiator, &session.acceptor]);
    let mut names: Vec<&str> = sides.flat_map(|side| &side.sends).map(|sent| sent.message.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 16, "{names:?}");
}

/// The heights of what a side holds, as they are summed up.
fn heights(side: &Side) -> Vec<(Vec<u8>, u64, Hash)> {
    let mut tips = BTreeMap::new();
    for held in &side.holds {
        let operation = decoded(held);
        assert_eq!(operation.header::<LogExtensions>().unwrap().extensions.unwrap().log_id, held.log_id);
        let mut key = operation.public_key().as_bytes().to_vec();
        ciborium::into_writer(&held.log_id, &mut key).unwrap();
        tips.insert(key, (operation.seq_num().get(), operation.hash()));
    }
    tips.into_iter().map(|(key, (seq_num, hash))| (key, seq_num, hash)).collect()
}

/// The byte string that is the n-th part of a message.
fn part(message: &Sent, nth: usize) -> Vec<u8> {
    let bytes = unhex(&message.bytes);
    let mut reader = Reader::new(&bytes);
    reader.array().unwrap();
    for _ in 0..nth {
        reader.skip().unwrap();
    }
    if reader.kind().unwrap() == syncline_core::cbor::Kind::Array {
        reader.array().unwrap();
    }
    reader.bytes().unwrap().into_owned()
}

#[test]
fn nonces_topics_summaries_and_proofs_are_derived_as_specified() {
    let vectors = read();
    let (initiator, acceptor) = (unhex(&vectors.initiator_nonce), unhex(&vectors.acceptor_nonce));
    let (topic, secret) = (unhex(&vectors.topic), unhex(&vectors.topic_key));
    for session in &vectors.sessions {
        let name = &session.name;
        let (hello, welcome) = (&session.initiator.sends[0], &session.acceptor.sends[0]);
        assert_eq!(hello.message, "hello", "{name}");
        if session.acceptor.lacks_key {
            assert_eq!(welcome.message, "refuse", "{name}");
            continue;
        }
        assert_eq!(welcome.message, "welcome", "{name}");
        let key = session_key(&topic, session.secret.then(|| secret[..].try_into().unwrap()));
        assert_eq!((part(hello, 6), part(welcome, 4)), (initiator.clone(), acceptor.clone()), "{name}");
        let shown = if session.secret { mac(&key, 0, &[&initiator]).to_vec() } else { topic.clone() };
        assert_eq!(part(hello, 7), shown, "{name}");
        let (count, digest) = summary(&heights(&session.initiator));
        assert_eq!(part(hello, 8), mac(&key, 1, &[&initiator, &count.to_le_bytes(), &digest]), "{name}");
        assert_eq!(part(welcome, 6), mac(&key, 2, &[&initiator, &acceptor]), "{name}");
        for proof in session.initiator.sends.iter().filter(|sent| sent.message == "proof") {
            assert!(session.secret);
            assert_eq!(part(proof, 1), mac(&key, 3, &[&initiator, &acceptor]), "{name}");
        }
    }
}
