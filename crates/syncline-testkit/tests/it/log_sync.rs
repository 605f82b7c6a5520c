//! The protocol of `syncline-log` keeps the contract that the suite checks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use syncline_core::clock::ManualClock;
use syncline_core::{TopicMap, TopicQuery};
use syncline_log::sync::{Encoding, LogSync};
use syncline_log::{LogStore, Logs, MemoryStore};
use syncline_testkit::conformance::{Pair, SyncProtocolSuite, sync_protocol};
use syncline_testkit::generate::{LogShape, log, new_operations, signing_key};
use syncline_testkit::seed::Rng;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Group(u64);

impl TopicQuery for Group {}

/// One group, and its logs.
#[derive(Debug)]
struct OneGroup(u64, Logs<u64>);

#[async_trait]
impl TopicMap<Group, Logs<u64>> for OneGroup {
    async fn get(&self, topic: &Group) -> Option<Logs<u64>> {
        (topic.0 == self.0).then(|| self.1.clone())
    }
}

#[derive(Clone, Copy)]
struct Fixture {
    encoding: Encoding,
    has_timer: bool,
}

impl Fixture {
    /// Two peers that share the start of one log and have another of their own each, in the groups so named.
    fn pair(self, clock: &ManualClock, ours: u64, theirs: u64) -> Pair<Group> {
        let mut rng = Rng::new(17);
        let keys = [signing_key(&mut rng), signing_key(&mut rng)];
        let logs: Logs<u64> = keys.iter().map(|key| (key.public_key(), vec![0, 1])).collect();
        let shape = LogShape { operations: 3, body_max: 60, ..LogShape::default() };
        let shared = new_operations(&log(&mut rng, &keys[0], 0, &shape));
        let own = keys.each_ref().map(|key| new_operations(&log(&mut rng, key, 1, &shape)));
        let peer = |group: u64, operations: Vec<_>| {
            let store = MemoryStore::new();
            block_on(store.append(operations)).unwrap();
            let topics = Arc::new(OneGroup(group, logs.clone()));
            let protocol = LogSync::new(topics, store).with_encoding(self.encoding);
            Arc::new(if self.has_timer { protocol.with_timer(Arc::new(clock.clone())) } else { protocol })
        };
        let [mine, yours] = own;
        let initiator = peer(ours, [&shared[..], &mine].concat());
        Pair::new(initiator, peer(theirs, [&shared[..1], &yours].concat()), Group(1))
    }

    fn suite(self) -> SyncProtocolSuite<'static, Group> {
        sync_protocol(move |clock| self.pair(clock, 1, 1))
            .with_unknown_topic(move |clock| self.pair(clock, 2, 1))
            .with_unsupported_topic(move |clock| self.pair(clock, 1, 2))
    }
}

#[test]
fn log_sync_in_byte_strings() {
    let summary = Fixture { encoding: Encoding::Bytes, has_timer: false }.suite().check();
    assert!(summary.bytes_initiated() > 256 && summary.bytes_accepted() > 256, "{summary:?}");
}

#[test]
fn log_sync_in_lists_of_integers_with_deadlines_of_its_own() {
    Fixture { encoding: Encoding::Integers, has_timer: true }.suite().with_offsets_max(500).check();
}
