//! One side of `syncline-log/2`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::Arbitrary;
use async_trait::async_trait;
use bytes::BytesMut;
use futures::executor::block_on;
use syncline_core::SyncProtocol;
use syncline_core::cbor::Writer;
use syncline_core::clock::{ManualClock, Timestamp};
use syncline_crypto::Hash;
use syncline_log::ingest::{Classify, Placement};
use syncline_log::store::{LiveStore, LogStore, MemoryStore, NewOperation, SeqRange, StoredOperation};
use syncline_log::sync::LogSyncV2;
use syncline_log::sync::v2::{Intake, Limits, TopicKey, TopicKeys};
use syncline_log::{Body, Draft, EncodedOperation, LogWriter};

use super::{Encode, Event, Hand, Topic, Topics, key, play_to_the_end};

/// Messages that are hard to guess: proofs are right, topics and operations are known.
#[derive(Arbitrary, Debug)]
pub enum Message {
    /// The initiator's first.
    Hello {
        versions: (u8, u8),
        fetches: bool,
        live: bool,
        limit: Option<u16>,
        secret: bool,
        topic: u8,
        count: Option<u8>,
    },
    /// The acceptor's first. The proof holds if the topic is not secret, or the key is known.
    Welcome { live: bool, limit: Option<u16>, is_equal: bool, secret: bool, count: Option<u8> },
    /// No.
    Refuse(u8),
    /// That the initiator knows the key.
    Proof,
    /// Anything of the reconciliation.
    Ranges(Vec<u8>),
    /// A log of the author, with the n-th known operation at its end.
    Height { log_id: u8, seq_num: u64, operation: u8 },
    /// All heights were sent.
    HeightsEnd,
    /// A log of the author.
    Log { log_id: u8, from: u64 },
    /// The n-th known operation, with its body, without, or withheld.
    Operation { operation: u8, body: Option<bool> },
    /// Anything for an operation.
    Junk(Vec<u8>, Vec<u8>),
    /// All there is for now.
    CaughtUp,
    /// All there is.
    Done,
    /// All is stored.
    Ack,
    /// No more of a log.
    Stop(u8),
    /// Still here.
    Ping,
    /// The bodies of known operations.
    Want(Vec<u8>),
    /// The body of the n-th known operation, or another one, or none.
    Body { operation: u8, body: Option<bool> },
}

/// The nonce of the peer that the fuzzer plays.
const NONCE: [u8; 16] = [9; 16];
const SEED: [u8; 32] = [3; 32];
const TOPIC_KEY: [u8; 32] = [4; 32];

/// What the side under test says in its first session.
fn nonce() -> [u8; 16] {
    first_16(blake3::Hasher::new_keyed(&SEED).update(&0_u64.to_le_bytes()))
}

fn first_16(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn mac(topic: u8, is_secret: bool, purpose: u8, parts: &[[u8; 16]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("syncline-log/2 2026 session");
    hasher.update(if is_secret { &TOPIC_KEY } else { &[0; 32] }).update(&[is_secret.into()]).update(&encoded(topic));
    let mut hasher = blake3::Hasher::new_keyed(hasher.finalize().as_bytes());
    hasher.update(&[purpose]);
    for part in parts {
        hasher.update(part);
    }
    first_16(&hasher)
}

fn encoded(topic: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&Topic(topic), &mut bytes).expect("a vector takes all");
    bytes
}

/// Five operations that the side under test has, three that follow, and another fifth.
fn operations() -> &'static [StoredOperation] {
    static OPERATIONS: OnceLock<Vec<StoredOperation>> = OnceLock::new();
    OPERATIONS.get_or_init(|| {
        let publish = |fifth: u8| {
            let store = Arc::new(MemoryStore::<u64>::new());
            let writer = LogWriter::new(Arc::clone(&store), Arc::new(key()));
            let body = |at: u8| vec![if at == 4 { fifth } else { 7 }; 40 * usize::from(at)];
            let drafts = (0..8).map(|at| Draft::<()>::new((at != 2).then(|| Body::new(body(at))), None));
            block_on(writer.publish(0, drafts)).expect("memory does not fail");
            block_on(store.read(key().public_key(), 0, SeqRange::ALL, usize::MAX)).expect("memory").operations
        };
        let (mut all, other) = (publish(7), publish(8));
        all.extend(other.into_iter().nth(4));
        all
    })
}

fn operation(number: u8) -> &'static StoredOperation {
    &operations()[usize::from(number) % operations().len()]
}

fn store() -> LiveStore<u64, MemoryStore<u64>> {
    let store = LiveStore::new(MemoryStore::new());
    let held = operations().iter().take(5).map(|held| {
        let operation = EncodedOperation::decode(held.header.clone(), held.body.clone()).expect("it was published");
        NewOperation::next(0, operation)
    });
    block_on(store.append(held.collect())).expect("memory does not fail");
    store
}

impl Encode for Message {
    fn encode(self) -> Vec<u8> {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        self.write(&mut writer);
        out.to_vec()
    }
}

fn optional(writer: &mut Writer<'_>, value: Option<u64>) {
    match value {
        Some(value) => writer.unsigned(value),
        None => writer.null(),
    };
}

fn log(writer: &mut Writer<'_>, log_id: u8) {
    writer.bytes(key().public_key().as_bytes()).unsigned(log_id.into());
}

impl Message {
    fn write(self, writer: &mut Writer<'_>) {
        match self {
            Self::Hello { versions, fetches, live, limit, secret, topic, count } => {
                writer.array(10).unsigned(0).unsigned(versions.0.into()).unsigned(versions.1.into());
                writer.unsigned(fetches.into()).bool(live);
                optional(writer, limit.map(u64::from));
                writer.bytes(&NONCE);
                match secret {
                    true => writer.array(1).bytes(&mac(topic, true, 0, &[NONCE])),
                    false => writer.bytes(&encoded(topic)),
                };
                writer.bytes(&[0; 16]);
                optional(writer, count.map(u64::from));
            }
            Self::Welcome { live, limit, is_equal, secret, count } => {
                writer.array(8).unsigned(1).unsigned(2).bool(live);
                optional(writer, limit.map(u64::from));
                writer.bytes(&NONCE).bool(is_equal).bytes(&mac(1, secret, 2, &[nonce(), NONCE]));
                optional(writer, count.map(u64::from));
            }
            Self::Refuse(why) => _ = writer.array(2).unsigned(2).unsigned(why.into()),
            Self::Proof => _ = writer.array(2).unsigned(3).bytes(&mac(1, true, 3, &[NONCE, nonce()])),
            Self::Ranges(ranges) => _ = writer.array(2).unsigned(4).bytes(&ranges),
            Self::Height { log_id, seq_num, operation: number } => {
                writer.array(5).unsigned(5);
                log(writer, log_id);
                writer.unsigned(seq_num).bytes(Hash::digest(&operation(number).header).as_bytes());
            }
            Self::HeightsEnd => _ = writer.array(1).unsigned(6),
            Self::Log { log_id, from } => {
                writer.array(4).unsigned(7);
                log(writer, log_id);
                writer.unsigned(from);
            }
            Self::Operation { operation: number, body } => {
                let operation = operation(number);
                writer.array(2).bytes(&operation.header);
                match (body, &operation.body) {
                    (Some(true), Some(body)) => writer.bytes(body),
                    (Some(false), _) => writer.bool(false),
                    _ => writer.null(),
                };
            }
            Self::Junk(header, body) => _ = writer.array(2).bytes(&header).bytes(&body),
            Self::CaughtUp => _ = writer.array(1).unsigned(8),
            Self::Done => _ = writer.array(1).unsigned(9),
            Self::Ack => _ = writer.array(1).unsigned(10),
            Self::Stop(log_id) => {
                writer.array(3).unsigned(11);
                log(writer, log_id);
            }
            Self::Ping => _ = writer.array(1).unsigned(12),
            Self::Want(numbers) => {
                writer.array(2).unsigned(13).array(numbers.len() as u64);
                for number in numbers {
                    writer.bytes(Hash::digest(&operation(number).header).as_bytes());
                }
            }
            Self::Body { operation: number, body } => {
                let operation = operation(number);
                writer.array(3).unsigned(14).bytes(Hash::digest(&operation.header).as_bytes());
                match (body, &operation.body) {
                    (Some(true), Some(body)) => writer.bytes(body),
                    (Some(false), _) => writer.bytes(b"another"),
                    _ => writer.null(),
                };
            }
        }
    }
}

#[derive(Debug)]
struct OneLog;

impl Classify<u64> for OneLog {
    fn place(&self, _: &EncodedOperation) -> Option<Placement<u64>> {
        Some(Placement::next(0))
    }
}

#[derive(Debug)]
struct Keys;

#[async_trait]
impl TopicKeys<Topic> for Keys {
    async fn key(&self, topic: &Topic) -> Option<TopicKey> {
        (topic.0 == 1).then(|| TopicKey::from_bytes(TOPIC_KEY))
    }

    async fn secret_topics(&self) -> Vec<(Topic, TopicKey)> {
        vec![(Topic(1), TopicKey::from_bytes(TOPIC_KEY))]
    }
}

/// Plays a script against one side. The bits of `how`, from the lowest: it initiates, the topic is secret, it would stay
/// open, it fetches bodies, it forwards.
///
/// # Panics
///
/// If the side breaks its contract.
pub fn play(how: u8, script: Vec<Event<Message>>) {
    let is = |bit: u8| how >> bit & 1 == 1;
    let (hand, clock) = (Hand::default(), ManualClock::new(Timestamp::ZERO));
    let limits = Limits::default()
        .with_frame_len_max(4 << 10)
        .with_heights_max(16)
        .with_payloads_wanted_max(16)
        .with_rejected_max(4)
        .with_batch_operations_max(3)
        .with_handshake(Duration::from_secs(10))
        .with_idle(Duration::from_secs(5))
        .with_keep_alive(Duration::from_secs(2))
        .with_page_bytes(256)
        .with_window_bytes(256);
    let mut protocol = LogSyncV2::new(Arc::new(Topics), store(), Arc::new(OneLog), SEED)
        .with_limits(limits)
        .with_live(is(2))
        .with_timer(Arc::new(clock.clone()));
    if is(1) {
        protocol = protocol.with_topic_keys(Arc::new(Keys));
    }
    if is(4) {
        protocol = protocol.with_intake(Intake::Forward);
    }
    let fetch = protocol.fetch_payloads((0..9).map(|number| Hash::digest(&operation(number).header)));
    let (protocol, fetch) = (Arc::new(protocol), Arc::new(fetch));
    let (mut tx, mut rx, mut app) = (hand.clone(), hand.clone(), hand.clone());
    let (tx, rx, app) = (Box::new(&mut tx as _), Box::new(&mut rx as _), Box::new(&mut app as _));
    let mut session = match (is(0), is(3)) {
        (true, true) => fetch.initiate(Topic(1), tx, rx, app),
        (true, false) => protocol.initiate(Topic(1), tx, rx, app),
        (false, _) => protocol.accept(tx, rx, app),
    };
    play_to_the_end(&mut session, &hand, &clock, script);
}
