//! Peers that lie about operations, and peers that do not keep to the protocol.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::executor::block_on;
use futures::{AsyncReadExt, AsyncWriteExt};
use syncline_core::SyncError;
use syncline_core::cbor::Writer;
use syncline_crypto::{Hash, PublicKey};
use syncline_log::SeqNum;
use syncline_log::ingest::{ByExtension, Verification};
use syncline_log::store::{
    Appended, Fork, Heights, LiveStore, Located, LogSize, LogStore, LogSummary, Logs, MemoryStore, NewOperation, Page,
    SeqRange, StoreError, StoredOperation, Tip, Tips,
};
use syncline_log::sync::LogSyncV2;
use syncline_log::sync::v2::{Limits, OnBadOperation};
use syncline_testkit::generate::{LogExtensions, LogShape};
use syncline_testkit::net::{Conditions, Link, Sim};
use syncline_testkit::seed::Rng;

use crate::world::{App, Node, Outcome, Topic, World, accept, clock, session};

/// A store that changes what is read from it: what a hostile peer sends from.
#[derive(Debug)]
struct Liar {
    honest: MemoryStore<u64>,
    lie: fn(&StoredOperation) -> Option<Vec<u8>>,
}

impl LogStore<u64> for Liar {
    async fn append(&self, batch: Vec<NewOperation<u64>>) -> Result<Vec<Appended>, StoreError> {
        self.honest.append(batch).await
    }

    async fn heights(&self, logs: &Logs<u64>) -> Result<Heights<u64>, StoreError> {
        self.honest.heights(logs).await
    }

    async fn read(
        &self,
        author: PublicKey,
        log_id: u64,
        range: SeqRange,
        bytes_max: usize,
    ) -> Result<Page, StoreError> {
        let mut page = self.honest.read(author, log_id, range, bytes_max).await?;
        for operation in &mut page.operations {
            if let Some(header) = (self.lie)(operation) {
                *operation = StoredOperation::new(operation.seq_num, header.into(), operation.body.clone());
            }
        }
        Ok(page)
    }

    async fn get(&self, hash: Hash) -> Result<Option<Located<u64>>, StoreError> {
        self.honest.get(hash).await
    }

    async fn tip(&self, author: PublicKey, log_id: u64) -> Result<Option<Tip>, StoreError> {
        self.honest.tip(author, log_id).await
    }

    async fn tips(&self, logs: &Logs<u64>) -> Result<Tips<u64>, StoreError> {
        self.honest.tips(logs).await
    }

    async fn prune(&self, author: PublicKey, log_id: u64, before: SeqNum) -> Result<u64, StoreError> {
        self.honest.prune(author, log_id, before).await
    }

    async fn delete_payload(&self, hash: Hash) -> Result<bool, StoreError> {
        self.honest.delete_payload(hash).await
    }

    async fn add_payload(&self, hash: Hash, body: Bytes) -> Result<bool, StoreError> {
        self.honest.add_payload(hash, body).await
    }

    async fn delete_log(&self, author: PublicKey, log_id: u64) -> Result<bool, StoreError> {
        self.honest.delete_log(author, log_id).await
    }

    async fn forks(&self, author: PublicKey, log_id: u64) -> Result<Vec<Fork>, StoreError> {
        self.honest.forks(author, log_id).await
    }

    async fn size(&self, author: PublicKey, log_id: u64, range: SeqRange) -> Result<LogSize, StoreError> {
        self.honest.size(author, log_id, range).await
    }

    async fn logs(
        &self,
        after: Option<(PublicKey, u64)>,
        count_max: usize,
    ) -> Result<Vec<LogSummary<u64>>, StoreError> {
        self.honest.logs(after, count_max).await
    }
}

/// A peer with all of a world's operations, some of which it changes.
fn liar(world: &World, lie: fn(&StoredOperation) -> Option<Vec<u8>>) -> LogSyncV2<Topic, u64, Liar> {
    let honest = MemoryStore::new();
    for (_, _, operations) in &world.logs {
        block_on(honest.append(syncline_testkit::generate::new_operations(operations))).unwrap();
    }
    let store = LiveStore::new(Liar { honest, lie });
    let classify = Arc::new(ByExtension::<LogExtensions>::new());
    LogSyncV2::new(Arc::new(world.topics.clone()), store, classify, [9; 32])
}

fn world() -> World {
    World::new(&mut Rng::new(5), 2, 2, &LogShape { operations: 8, body_max: 50, ..LogShape::default() })
}

/// The third operation of every log 0, with one bit of its signature flipped.
fn forge(operation: &StoredOperation) -> Option<Vec<u8>> {
    let decoded = operation.decode().unwrap();
    let log_id = decoded.header::<LogExtensions>().unwrap().extensions.unwrap().log_id;
    (log_id == 0 && operation.seq_num == SeqNum::new(2)).then(|| {
        let signature = decoded.signature();
        let mut header = operation.header.to_vec();
        let place = header.windows(64).position(|bytes| bytes == signature.as_bytes()).unwrap();
        header[place] ^= 1;
        header
    })
}

#[test]
fn a_forged_operation_ends_its_log_and_no_other() {
    for verification in [Verification::All, Verification::Heads] {
        let world = world();
        let node = world.empty();
        let protocol = node.protocol(1).with_verification(verification);
        let outcome = session(Default::default(), protocol, liar(&world, forge));
        outcome.assert_ok();
        for ((_, log_id), operations) in node.contents() {
            // By heads what is below a bad one has to be looked at one by one; the outcome is the same.
            assert_eq!(operations.len(), if log_id == 0 { 2 } else { 8 }, "{verification:?}");
        }
        assert_eq!(outcome.apps.0.hashes().len(), 20, "nothing bad was handed on");
        let forged = node.verdicts().iter().filter(|verdict| verdict.contains("Signature")).count();
        assert_eq!(forged, 2, "{:?}", node.verdicts());
    }
}

#[test]
fn a_forged_operation_can_be_made_to_end_the_session() {
    let world = world();
    let node = world.empty();
    let strict = node.protocol(1).on_bad_operation(OnBadOperation::FailSession);
    let outcome = session(Default::default(), strict, liar(&world, forge));
    assert!(matches!(outcome.initiator, Err(SyncError::UnexpectedBehaviour(_))));
}

#[test]
fn an_operation_of_another_log_is_not_taken_for_one_of_this() {
    let world = world();
    let node = world.empty();
    // Everything of log 1 is said to be of log 0.
    let outcome = play(&node.clone(), Limits::default(), |peer| {
        peer.hello(2);
        let (key, _, operations) = &world.logs[1];
        peer.log(&key.public_key(), 0);
        for operation in operations {
            let encoded = syncline_testkit::generate::encoded(operation);
            peer.operation(encoded.header_bytes(), encoded.body());
        }
        peer.done();
    });
    assert!(outcome.is_err(), "the peer was gone before the end");
    assert_eq!(node.count(), 0);
    assert!(node.verdicts().iter().any(|verdict| verdict.contains("OtherLog")), "{:?}", node.verdicts());
}

/// Messages by hand.
#[derive(Default)]
struct Peer {
    out: BytesMut,
}

impl Peer {
    /// For topic 1, which the peer says that it has this many logs of.
    fn hello(&mut self, count: u64) {
        let mut writer = Writer::new(&mut self.out);
        writer.array(10).unsigned(0).unsigned(2).unsigned(2).unsigned(0).bool(false).null();
        writer.bytes(&[7; 16]).bytes(&[1]).bytes(&[0; 16]).unsigned(count);
    }

    fn alone(&mut self, kind: u64) {
        Writer::new(&mut self.out).array(1).unsigned(kind);
    }

    fn log(&mut self, author: &PublicKey, log_id: u64) {
        Writer::new(&mut self.out).array(4).unsigned(7).bytes(author.as_bytes()).unsigned(log_id).unsigned(0);
    }

    fn operation(&mut self, header: &[u8], body: Option<&Bytes>) {
        let mut writer = Writer::new(&mut self.out);
        writer.array(2).bytes(header);
        match body {
            Some(body) => writer.bytes(body),
            None => writer.null(),
        };
    }

    fn done(&mut self) {
        self.alone(9);
    }
}

/// Lets a node accept what a peer says, who then leaves.
fn play(node: &Node, limits: Limits, script: impl FnOnce(&mut Peer)) -> Result<(), SyncError> {
    let mut peer = Peer::default();
    script(&mut peer);
    let clock = clock();
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let protocol = Arc::new(node.protocol(3).with_limits(limits).with_timer(Arc::new(clock.clone())));
    let result = sim.spawn("node", accept(protocol, b, App::new(&clock)));
    sim.spawn("peer", async move {
        let mut a = a;
        // The node may have had enough before it is all written.
        let _ = a.tx.write_all(&peer.out).await;
        let _ = a.tx.flush().await;
        let _ = a.tx.close().await;
        let mut rest = Vec::new();
        let _ = a.rx.read_to_end(&mut rest).await;
    });
    sim.run().unwrap();
    result.take().unwrap()
}

#[track_caller]
fn assert_refused(outcome: &Result<(), SyncError>, what: &str) {
    match outcome {
        Err(SyncError::UnexpectedBehaviour(text) | SyncError::InvalidEncoding(text)) => {
            assert!(text.contains(what), "{text:?} does not say {what:?}");
        }
        other => panic!("{other:?} where {what:?} was expected"),
    }
}

/// What is refused, and the script that leads to it.
type Case<'a> = (&'static str, &'a dyn Fn(&mut Peer));

#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn messages_out_of_their_order_are_refused() {
    let world = world();
    let node = world.full();
    let (key, _, operations) = &world.logs[0];
    let first = syncline_testkit::generate::encoded(&operations[0]);
    let cases: [Case<'_>; 16] = [
        ("unexpected \"done\"", &|peer| peer.done()),
        ("unexpected \"welcome\"", &|peer| {
            let mut writer = Writer::new(&mut peer.out);
            writer.array(8).unsigned(1).unsigned(2).bool(false).null().bytes(&[0; 16]).bool(true).bytes(&[0; 16]);
            writer.unsigned(0);
        }),
        ("unexpected \"done\"", &|peer| {
            peer.hello(4);
            peer.done();
        }),
        ("unexpected \"log\"", &|peer| {
            peer.hello(4);
            peer.log(&key.public_key(), 0);
        }),
        ("unexpected \"operation\"", &|peer| {
            peer.hello(4);
            peer.operation(first.header_bytes(), None);
        }),
        ("before its log was named", &|peer| {
            peer.hello(0);
            peer.operation(first.header_bytes(), None);
        }),
        ("unexpected \"heights end\"", &|peer| {
            peer.hello(0);
            peer.alone(6);
        }),
        ("unexpected \"ranges\"", &|peer| {
            peer.hello(0);
            Writer::new(&mut peer.out).array(2).unsigned(4).bytes(&[1]);
        }),
        ("unexpected \"ranges\"", &|peer| {
            // Few heights are told, not compared.
            peer.hello(128);
            Writer::new(&mut peer.out).array(2).unsigned(4).bytes(&[1]);
        }),
        ("not well formed", &|peer| {
            peer.hello(129);
            Writer::new(&mut peer.out).array(2).unsigned(4).bytes(&[1]);
        }),
        ("unexpected \"ack\"", &|peer| {
            peer.hello(4);
            peer.alone(10);
        }),
        ("unexpected \"caught up\"", &|peer| {
            peer.hello(0);
            peer.alone(8);
        }),
        ("unexpected \"done\"", &|peer| {
            peer.hello(0);
            peer.done();
            peer.done();
        }),
        ("unexpected \"want\"", &|peer| {
            peer.hello(0);
            Writer::new(&mut peer.out).array(2).unsigned(13).array(1).bytes(&[0; 32]);
        }),
        ("not asked for", &|peer| {
            peer.hello(0);
            Writer::new(&mut peer.out).array(3).unsigned(14).bytes(&[0; 32]).null();
        }),
        ("unexpected \"hello\"", &|peer| {
            peer.hello(0);
            peer.hello(0);
        }),
    ];
    for (what, script) in cases {
        assert_refused(&play(&node, Limits::default(), script), what);
    }
}

#[test]
fn versions_and_purposes_that_are_not_known_are_refused_with_a_reason() {
    let node = world().full();
    for (version, purpose, what) in
        [((3, 9), 0, "no version"), ((0, 1), 0, "no version"), ((2, 2), 7, "something unknown")]
    {
        let outcome = play(&node, Limits::default(), |peer| {
            let mut writer = Writer::new(&mut peer.out);
            writer.array(10).unsigned(0).unsigned(version.0).unsigned(version.1).unsigned(purpose).bool(false).null();
            writer.bytes(&[7; 16]).bytes(&[1]).bytes(&[0; 16]).unsigned(0);
        });
        assert_refused(&outcome, what);
    }
    // A version between others is spoken.
    let outcome = play(&node, Limits::default(), |peer| {
        let mut writer = Writer::new(&mut peer.out);
        writer.array(10).unsigned(0).unsigned(1).unsigned(5).unsigned(0).bool(false).null();
        writer.bytes(&[7; 16]).bytes(&[1]).bytes(&[0; 16]).unsigned(0);
    });
    assert_refused(&outcome, "ended before both sides were done");
}

#[test]
fn a_peer_that_floods_is_stopped_at_each_limit() {
    let world = world();
    let node = world.empty();
    let (key, _, operations) = &world.logs[0];
    let junk: Vec<u8> = vec![0x80; 150];
    let flood = |peer: &mut Peer, log_id: u64| {
        peer.hello(3);
        peer.log(&key.public_key(), log_id);
        for _ in 0..300 {
            peer.operation(&junk, None);
        }
    };
    let few = Limits::default().with_operations_received_max(299);
    assert_refused(&play(&node, few, |peer| flood(peer, 0)), "more than 299 operations");
    let few = Limits::default().with_bytes_received_max(20_000);
    assert_refused(&play(&node, few, |peer| flood(peer, 0)), "more than 20000 bytes");
    let few = Limits::default().with_rejected_max(100);
    assert_refused(&play(&node, few.clone(), |peer| flood(peer, 0)), "more than 100 operations that were rejected");
    let names = |peer: &mut Peer| {
        peer.hello(3);
        for log_id in 100..400 {
            peer.log(&key.public_key(), log_id);
        }
    };
    assert_refused(&play(&node, few, names), "ended before both sides were done");
    let small = Limits::default().with_frame_len_max(100);
    let long = syncline_testkit::generate::encoded(&operations[1]);
    let outcome = play(&node, small, |peer| {
        peer.hello(3);
        peer.log(&key.public_key(), 0);
        peer.operation(long.header_bytes(), long.body());
    });
    assert_refused(&outcome, "exceeds the limit of 100");
    assert_eq!(node.count(), 0);
}

#[test]
fn heights_beyond_the_limit_are_refused() {
    let node = world().full();
    let few = Limits::default().with_heights_max(10);
    let outcome = play(&node, few, |peer| {
        peer.hello(4);
        for log_id in 0..11_u64 {
            let mut writer = Writer::new(&mut peer.out);
            writer.array(5).unsigned(5).bytes(world().logs[0].0.public_key().as_bytes()).unsigned(1_000 + log_id);
            writer.unsigned(3).bytes(&[0; 32]);
        }
    });
    assert_refused(&outcome, "more than 10 heights");
}

#[test]
fn what_is_not_deterministic_is_refused() {
    let node = world().full();
    for bytes in [
        // An array head, a kind, longer than needed.
        &b"\x98\x01\x09"[..],
        &b"\x81\x18\x09"[..],
        // Of indefinite length.
        &b"\x9f\x09\xff"[..],
        // An operation whose header's length is.
        &b"\x82\x58\x01\x00\xf6"[..],
        &b"\x82\x5f\x41\x00\xff\xf6"[..],
        // An operation with a true body.
        &b"\x82\x41\x00\xf5"[..],
        // Too much, too little, something else.
        &b"\x82\x09\x00"[..],
        &b"\x81\x18\x63"[..],
        &b"\x00"[..],
        &b"\xa0"[..],
    ] {
        let outcome = play(&node, Limits::default(), |peer| {
            peer.hello(0);
            peer.out.extend_from_slice(bytes);
        });
        assert!(matches!(outcome, Err(SyncError::InvalidEncoding(_))), "{bytes:02x?}: {outcome:?}");
    }
}

#[test]
fn a_peer_whose_topic_covers_more_is_told_what_is_not_wanted() {
    let world = world();
    let mut narrow = world.empty();
    narrow.topics.0.remove(&world.logs[0].0.public_key());
    let Outcome { initiator, acceptor, .. } = session(Default::default(), narrow.protocol(1), world.full().protocol(2));
    assert_eq!((initiator, acceptor), (Ok(()), Ok(())));
    assert_eq!(narrow.count(), 16, "its own part");
}
