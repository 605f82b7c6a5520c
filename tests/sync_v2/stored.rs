//! The first version of the protocol with the promises of the second.

use std::collections::BTreeSet;
use std::sync::Arc;

use syncline_core::SyncError;
use syncline_core::clock::ManualClock;
use syncline_log::StoredLogSync;
use syncline_log::ingest::ByExtension;
use syncline_log::store::{Logs, MemoryStore};
use syncline_testkit::conformance::{Pair, sync_protocol};
use syncline_testkit::generate::{LogExtensions, LogShape};
use syncline_testkit::net::{Conditions, Cut};
use syncline_testkit::seed::Rng;

use crate::world::{Node, Topic, Topics, World, session};

type Stored = StoredLogSync<Topic, u64, MemoryStore<u64>>;

fn stored(node: &Node) -> Stored {
    let classify = Arc::new(ByExtension::<LogExtensions>::new());
    StoredLogSync::new(Arc::new(node.topics.clone()), node.store.clone(), classify)
}

fn pair(topic: u8, clock: &ManualClock) -> Pair<Topic> {
    let world = World::new(&mut Rng::new(1), 2, 2, &LogShape { operations: 3, body_max: 20, ..LogShape::default() });
    let mut initiator = world.node(|nth, operations| ((nth + 1) % 4).min(operations.len()));
    let acceptor = world.node(|nth, operations| ((4 - nth) % 4).min(operations.len()));
    if topic != 1 {
        // A topic that only the initiator knows.
        initiator = Node { topics: Topics(Logs::new()), ..initiator };
    }
    let timer = || Arc::new(clock.clone());
    let (initiator, acceptor) = (stored(&initiator).with_timer(timer()), stored(&acceptor).with_timer(timer()));
    Pair::new(Arc::new(initiator), Arc::new(acceptor), Topic(topic))
}

#[test]
fn the_protocol_keeps_the_contract() {
    let summary = sync_protocol(|clock| pair(1, clock)).with_offsets_max(600).check();
    let sent = (summary.bytes_initiated(), summary.bytes_accepted());
    assert!(sent.0 > 400 && sent.1 > 400, "both have something to send: {sent:?}");
}

#[test]
fn whatever_is_cut_the_application_gets_what_the_store_got_and_each_once() {
    let world = World::pair(10, 50);
    for at in (0..4_000).step_by(61) {
        let (one, two) = (world.node_with(0), world.node_with(1));
        let had = [one.count(), two.count()];
        let cut = || Conditions::new().with_cut(at, Cut::Close);
        let first = session((cut(), cut()), stored(&one), stored(&two));
        for outcome in [&first.initiator, &first.acceptor] {
            assert!(matches!(outcome, Ok(()) | Err(SyncError::UnexpectedBehaviour(_))), "cut at {at}: {outcome:?}");
        }
        let got = [first.apps.0.hashes(), first.apps.1.hashes()];
        assert_eq!([one.count(), two.count()], [had[0] + got[0].len(), had[1] + got[1].len()], "cut at {at}");

        let second = session(Default::default(), stored(&one), stored(&two));
        second.assert_ok();
        assert_eq!(one.contents(), two.contents());
        for (got, app) in got.into_iter().zip([&second.apps.0, &second.apps.1]) {
            let all: Vec<_> = got.into_iter().chain(app.hashes()).collect();
            assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (10, 10), "cut at {at}");
        }
    }
}
