//! Topics that strangers must not learn of.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{AsyncReadExt, AsyncWriteExt};
use syncline_core::SyncError;
use syncline_log::sync::v2::{TopicKey, TopicKeys};
use syncline_testkit::net::{Conditions, Link, Sim};

use crate::world::{App, Protocol, Topic, World, accept, clock, initiate, session};

#[derive(Debug)]
struct Keys(u8);

#[async_trait]
impl TopicKeys<Topic> for Keys {
    async fn key(&self, topic: &Topic) -> Option<TopicKey> {
        (topic.0 == 1).then(|| TopicKey::from_bytes([self.0; 32]))
    }

    async fn secret_topics(&self) -> Vec<(Topic, TopicKey)> {
        [7, 1, 9].map(|topic| (Topic(topic), TopicKey::from_bytes([self.0; 32]))).into()
    }
}

fn with_key(protocol: Protocol, key: u8) -> Protocol {
    protocol.with_topic_keys(Arc::new(Keys(key)))
}

#[test]
fn members_sync_as_ever() {
    let world = World::pair(50, 100);
    for (one, two) in
        [(world.node_with(0), world.node_with(1)), (world.empty(), world.full()), (world.full(), world.full())]
    {
        session(Default::default(), with_key(one.protocol(1), 3), with_key(two.protocol(2), 3)).assert_ok();
        assert_eq!(one.contents(), two.contents());
        let again = session(Default::default(), with_key(one.protocol(5), 3), with_key(two.protocol(6), 3));
        again.assert_ok();
        assert!(again.sent.0 + again.sent.1 <= 256);
    }
}

#[test]
fn who_has_no_key_or_another_sees_a_mismatch_only() {
    let world = World::pair(50, 100);
    let (one, two) = (world.node_with(0), world.node_with(1));
    let before = (one.count(), two.count());
    let unknown = {
        let mut stranger = world.empty();
        stranger.topics.0.clear();
        session(Default::default(), with_key(one.protocol(1), 3), stranger.protocol(2))
    };
    for (ours, theirs) in [
        (with_key(one.protocol(1), 3), with_key(two.protocol(2), 4)),
        (with_key(one.protocol(1), 3), two.protocol(2)),
        (one.protocol(1), with_key(two.protocol(2), 3)),
    ] {
        let outcome = session(Default::default(), ours, theirs);
        assert!(matches!(outcome.initiator, Err(SyncError::UnexpectedBehaviour(_))));
        assert!(matches!(outcome.acceptor, Err(SyncError::UnexpectedBehaviour(_))));
        assert_eq!(
            (&outcome.initiator, outcome.sent.1),
            (&unknown.initiator, unknown.sent.1),
            "no more than of no topic"
        );
        assert!(outcome.apps.0.items.lock().unwrap().is_empty() && outcome.apps.1.items.lock().unwrap().is_empty());
    }
    assert_eq!((one.count(), two.count()), before);
}

/// What each side writes in a session with a secret topic.
fn recorded(seeds: (u8, u8)) -> (Vec<u8>, Vec<u8>) {
    let world = World::pair(5, 100);
    let (one, two) = (world.node_with(0), world.node_with(1));
    let clock = clock();
    let Link { a, b, a_to_b, b_to_a } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    sim.spawn("initiator", initiate(Arc::new(with_key(one.protocol(seeds.0), 3)), a, App::new(&clock)));
    sim.spawn("acceptor", accept(Arc::new(with_key(two.protocol(seeds.1), 3)), b, App::new(&clock)));
    sim.run().unwrap();
    (a_to_b.recorded(), b_to_a.recorded())
}

#[test]
fn a_hello_that_is_played_again_gets_nothing_out_of_a_member() {
    let (hello, _) = recorded((1, 2));
    let world = World::pair(5, 100);
    let member = world.node_with(1);
    let clock = clock();
    let Link { a, b, b_to_a, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let acceptor = sim.spawn("member", accept(Arc::new(with_key(member.protocol(9), 3)), b, App::new(&clock)));
    sim.spawn("stranger", async move {
        let mut a = a;
        a.tx.write_all(&hello).await?;
        a.tx.flush().await?;
        let mut answer = Vec::new();
        a.rx.read_to_end(&mut answer).await
    });
    sim.run().unwrap();
    assert!(matches!(acceptor.take().unwrap(), Err(SyncError::UnexpectedBehaviour(_))));
    assert!(b_to_a.written() < 60, "a welcome, which says nothing: {} bytes", b_to_a.written());
}

#[test]
fn what_is_shown_of_a_topic_differs_from_session_to_session() {
    let (first, _) = recorded((1, 2));
    let (second, _) = recorded((3, 4));
    let same = first.iter().zip(&second).take(80).filter(|(a, b)| a == b).count();
    assert!(same < 30, "{same} of the first 80 bytes are the same");
}
