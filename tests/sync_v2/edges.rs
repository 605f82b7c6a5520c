//! What each message may make of a session at its edges: ends, acknowledgements, peers that read nothing or have other topics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use futures::AsyncWriteExt as _;
use syncline_core::TopicMap;
use syncline_core::cbor::Writer;
use syncline_crypto::SigningKey;
use syncline_log::ingest::{Classify, Placement};
use syncline_log::store::{LiveStore, Logs, MemoryStore};
use syncline_log::sync::LogSyncV2;
use syncline_log::sync::v2::{Limits, OnBadOperation};
use syncline_log::{EncodedOperation, LogStore as _, NewOperation};
use syncline_testkit::generate::{Author, Step, encoded};
use syncline_testkit::net::{Conditions, Link, Sim};

use crate::world::{App, Topic, World, accept, clock, initiate, run_for, session, sleep};

/// Both sides append to a common log during the session, at the same place.
#[test]
fn nothing_follows_an_ack() {
    let world = World::pair(4, 50);
    let (one, two) = (world.full(), world.full());
    let (key, log_id, operations) = &world.logs[0];
    let last = operations.last().unwrap();
    let tip = syncline_log::store::Tip { seq_num: last.header.seq_num, hash: last.hash };
    let mut author = Author::at(key.clone(), *log_id, tip);
    let mut other = author.clone();
    two.append(vec![NewOperation::next(*log_id, encoded(&other.write(Step::body("theirs"))))]);
    let clock = clock();
    let slow = || Conditions::new().with_latency(Duration::from_millis(50));
    let Link { a, b, b_to_a, a_to_b } = Link::new(&clock, slow().with_chunk(1), slow());
    let mut sim = Sim::new(&clock);
    let initiator = sim.spawn("initiator", initiate(Arc::new(one.protocol(1)), a, App::new(&clock)));
    let acceptor = sim.spawn("acceptor", accept(Arc::new(two.protocol(2)), b, App::new(&clock)));
    let script_clock = clock.clone();
    let store = one.store.clone();
    let log_id = *log_id;
    sim.spawn("script", async move {
        sleep(&script_clock, Duration::from_millis(60)).await;
        store.append(vec![NewOperation::next(log_id, encoded(&author.write(Step::body("ours"))))]).await.unwrap();
    });
    sim.run().unwrap();
    let forks = |node: &crate::world::Node| {
        futures::executor::block_on(node.store.forks(key.public_key(), log_id)).unwrap().len()
    };
    assert_eq!((forks(&one), forks(&two)), (1, 1));
    let ack = [0x81, 0x0a];
    assert!(a_to_b.recorded().ends_with(&ack), "the initiator's last message");
    assert!(b_to_a.recorded().ends_with(&ack), "the acceptor's last message");
    assert_eq!((initiator.take().unwrap(), acceptor.take().unwrap()), (Ok(()), Ok(())));
}

/// A peer that falls behind gets each operation once.
#[test]
fn a_peer_that_falls_behind_gets_each_operation_once() {
    let world = World::pair(1, 0);
    let (one, two) = (world.full(), world.full());
    let clock = clock();
    let slow_app = App::new(&clock).with_delay(Duration::from_millis(20));
    let tight = || Conditions::new().with_capacity(1_000);
    let Link { a, b, a_to_b, .. } = Link::new(&clock, tight(), tight());
    let patient = Limits::default().with_idle(Duration::from_secs(1_000)).with_window_bytes(1_000);
    let live = |node: &crate::world::Node, seed| {
        node.protocol(seed).with_live(true).with_timer(Arc::new(clock.clone())).with_limits(patient.clone())
    };
    let (ours, theirs) = (live(&one, 1), live(&two, 2));
    let finish = ours.finish_handle();
    let mut sim = Sim::new(&clock);
    let initiator = sim.spawn("initiator", initiate(Arc::new(ours), a, App::new(&clock)));
    let acceptor = sim.spawn("acceptor", accept(Arc::new(theirs), b, slow_app.clone()));
    let (key, log_id, operations) = &world.logs[0];
    let last = operations.last().unwrap();
    let tip = syncline_log::store::Tip { seq_num: last.header.seq_num, hash: last.hash };
    let mut author = Author::at(key.clone(), *log_id, tip);
    let (script_clock, store, log_id) = (clock.clone(), one.store.clone(), *log_id);
    sim.spawn("script", async move {
        sleep(&script_clock, Duration::from_secs(1)).await;
        for nth in 0..500 {
            let operation = encoded(&author.write(Step::body(format!("{nth}"))));
            store.append(vec![NewOperation::next(log_id, operation)]).await.unwrap();
            sleep(&script_clock, Duration::from_millis(1)).await;
        }
        sleep(&script_clock, Duration::from_secs(100)).await;
        finish.finish();
    });
    sim.run().unwrap();
    assert_eq!((initiator.take().unwrap(), acceptor.take().unwrap()), (Ok(()), Ok(())));
    let known = two.verdicts().iter().filter(|verdict| *verdict == "Known").count();
    assert_eq!((slow_app.hashes().len(), known), (500, 0), "{} bytes", a_to_b.written());
}

#[test]
fn what_was_appended_right_before_the_end_is_still_sent() {
    let world = World::pair(1, 0);
    let (one, two) = (world.full(), world.full());
    let clock = clock();
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let live =
        |node: &crate::world::Node, seed| node.protocol(seed).with_live(true).with_timer(Arc::new(clock.clone()));
    let (ours, theirs) = (live(&one, 1), live(&two, 2));
    let finish = ours.finish_handle();
    let mut sim = Sim::new(&clock);
    let initiator = sim.spawn("initiator", initiate(Arc::new(ours), a, App::new(&clock)));
    let acceptor = sim.spawn("acceptor", accept(Arc::new(theirs), b, App::new(&clock)));
    let (key, log_id, operations) = &world.logs[0];
    let last = operations.last().unwrap();
    let tip = syncline_log::store::Tip { seq_num: last.header.seq_num, hash: last.hash };
    let mut author = Author::at(key.clone(), *log_id, tip);
    let (script_clock, store, log_id) = (clock.clone(), one.store.clone(), *log_id);
    sim.spawn("script", async move {
        sleep(&script_clock, Duration::from_secs(1)).await;
        let operation = encoded(&author.write(Step::body("last words")));
        store.append(vec![NewOperation::next(log_id, operation)]).await.unwrap();
        finish.finish();
    });
    sim.run().unwrap();
    assert_eq!((initiator.take().unwrap(), acceptor.take().unwrap()), (Ok(()), Ok(())));
    assert_eq!(one.contents(), two.contents());
}

/// One log of one author, whose id is a text.
#[derive(Debug)]
struct Named;

#[async_trait]
impl TopicMap<Topic, Logs<String>> for Named {
    async fn get(&self, _: &Topic) -> Option<Logs<String>> {
        Some(Logs::from([(SigningKey::from_bytes(&[7; 32]).public_key(), vec!["here".to_owned()])]))
    }
}

impl Classify<String> for Named {
    fn place(&self, _: &EncodedOperation) -> Option<Placement<String>> {
        Some(Placement::next("here".to_owned()))
    }
}

/// A peer names logs that are not in the topic, by long ids, and takes no answer.
#[test]
fn a_peer_that_reads_nothing_is_not_answered_without_a_limit() {
    let mut stream = BytesMut::new();
    let mut topic = Vec::new();
    ciborium::into_writer(&Topic(1), &mut topic).unwrap();
    let mut hello = Writer::new(&mut stream);
    hello.array(10).unsigned(0).unsigned(2).unsigned(2).unsigned(0).bool(false).null().bytes(&[1; 16]).bytes(&topic);
    hello.bytes(&[2; 16]).unsigned(0);
    let author = SigningKey::from_bytes(&[7; 32]).public_key();
    for _ in 0..1_000 {
        let mut log = Writer::new(&mut stream);
        log.array(4).unsigned(7).bytes(author.as_bytes()).text(&"x".repeat(10_000)).unsigned(0);
    }
    let store = LiveStore::new(MemoryStore::<String>::new());
    let acceptor = LogSyncV2::new(Arc::new(Named), store, Arc::new(Named), [2; 32]);
    let clock = clock();
    let tight = || Conditions::new().with_capacity(1_000);
    let Link { mut a, b, a_to_b, .. } = Link::new(&clock, tight(), tight());
    let mut sim = Sim::new(&clock);
    sim.spawn("acceptor", accept(Arc::new(acceptor), b, App::new(&clock)));
    sim.spawn("peer", async move {
        a.tx.write_all(&stream).await?;
        a.tx.flush().await
    });
    run_for(&mut sim, Duration::from_secs(1));
    assert!(a_to_b.written() < 1_000_000, "{} bytes were taken, and their answers are kept", a_to_b.written());
}

/// What a topic covers is each side's own matter, and may have changed on one side first.
#[test]
fn a_peer_whose_topic_covers_more_is_not_at_fault() {
    let world = World::pair(4, 50);
    let (mut one, two) = (world.empty(), world.full());
    one.topics.0.remove(&world.logs[1].0.public_key());
    for limits in [Limits::default(), Limits::default().with_rejected_max(0)] {
        let strict = one.protocol(1).with_limits(limits).on_bad_operation(OnBadOperation::FailSession);
        session(Default::default(), strict, two.protocol(2)).assert_ok();
        assert_eq!(one.count(), 4);
    }
}
