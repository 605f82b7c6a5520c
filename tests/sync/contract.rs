//! The contract of `SyncProtocol`, by the suite that is offered to others.

use std::sync::Arc;

use syncline_core::clock::ManualClock;
use syncline_log::sync::Encoding;
use syncline_testkit::conformance::{Pair, sync_protocol};
use syncline_testkit::generate::LogShape;
use syncline_testkit::seed::Rng;

use crate::world::{Topic, Topics, World};

fn pair(encoding: Encoding, topic: u8, clock: &ManualClock, acceptor_knows: bool) -> Pair<Topic> {
    let world = World::new(&mut Rng::new(1), 2, 2, &LogShape { operations: 3, body_max: 20, ..LogShape::default() });
    let (mut ours, mut theirs) = (0, 4);
    let initiator = world.node(|operations| {
        ours += 1;
        (ours % 4).min(operations.len())
    });
    let acceptor = world.node(|operations| {
        theirs -= 1;
        (theirs % 4).min(operations.len())
    });
    let timer = || Arc::new(clock.clone());
    let initiator = world.protocol(&initiator).with_encoding(encoding).with_timer(timer());
    let acceptor = if acceptor_knows {
        world.protocol(&acceptor)
    } else {
        syncline_log::LogSync::new(Arc::new(Topics(Default::default())), acceptor)
    };
    Pair::new(Arc::new(initiator), Arc::new(acceptor.with_encoding(encoding).with_timer(timer())), Topic(topic))
}

fn check(encoding: Encoding) {
    let summary = sync_protocol(|clock| pair(encoding, 1, clock, true))
        .with_unknown_topic(|clock| pair(encoding, 2, clock, true))
        .with_offsets_max(600)
        .check();
    assert!(summary.bytes_initiated() > 500 && summary.bytes_accepted() > 500, "both have something to send");
}

#[test]
fn byte_strings() {
    check(Encoding::Bytes);
}

#[test]
fn arrays_of_integers() {
    check(Encoding::Integers);
}
