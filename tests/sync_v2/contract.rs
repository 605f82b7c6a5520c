//! The contract of `SyncProtocol`, by the suite that is offered to others.

use std::sync::Arc;

use syncline_core::clock::ManualClock;
use syncline_log::store::Logs;
use syncline_testkit::conformance::{Pair, sync_protocol};
use syncline_testkit::generate::LogShape;
use syncline_testkit::seed::Rng;

use crate::world::{Node, Topic, Topics, World};

fn pair(topic: u8, clock: &ManualClock) -> Pair<Topic> {
    let world = World::new(&mut Rng::new(1), 2, 2, &LogShape { operations: 3, body_max: 20, ..LogShape::default() });
    let initiator = world.node(|nth, operations| ((nth + 1) % 4).min(operations.len()));
    let acceptor = world.node(|nth, operations| ((4 - nth) % 4).min(operations.len()));
    let timer = || Arc::new(clock.clone());
    let initiator = if topic == 1 {
        initiator.protocol(1)
    } else {
        // A topic that only the initiator knows.
        Node { topics: Topics(Logs::new()), ..initiator }.protocol(1)
    };
    let (initiator, acceptor) = (initiator.with_timer(timer()), acceptor.protocol(2).with_timer(timer()));
    Pair::new(Arc::new(initiator), Arc::new(acceptor), Topic(topic))
}

#[test]
fn the_protocol_keeps_the_contract() {
    let summary =
        sync_protocol(|clock| pair(1, clock)).with_unknown_topic(|clock| pair(2, clock)).with_offsets_max(600).check();
    assert!(summary.bytes_initiated() > 500 && summary.bytes_accepted() > 500, "both have something to send");
}
