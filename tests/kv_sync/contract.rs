//! The contract of `SyncProtocol`, by the suite that is offered to others.

use std::sync::Arc;

use syncline_core::clock::ManualClock;
use syncline_crypto::Signer as _;
use syncline_kv::NamespaceId;
use syncline_kv::item::Ops;
use syncline_kv::sync::KvQuery;
use syncline_testkit::conformance::{Pair, sync_protocol};

use crate::world::{Node, draft, root, session, signer};

/// Two nodes that have something of every kind for each other.
fn nodes(clock: &ManualClock) -> (Node, Node) {
    let (one, two) = (Node::new(clock, 1), Node::new(clock, 2));
    one.put_some(&root(), "/common", 1);
    session(&one, &two).assert_ok();
    one.grant(draft(signer(9).public_key(), "/w/**", Ops::Write));
    one.put_some(&signer(9), "/w", 1);
    two.put_some(&root(), "/two", 2);
    (one, two)
}

fn pair(clock: &ManualClock, unknown: bool, stranger: bool) -> Pair<KvQuery> {
    let (one, two) = nodes(clock);
    let namespace = if unknown { NamespaceId::from_bytes([9; 32]) } else { one.tree.id() };
    let two = if stranger { two.sync.with_remote(signer(5).public_key()) } else { two.sync };
    Pair::new(Arc::new(one.sync), Arc::new(two), KvQuery::all(namespace))
}

#[test]
fn the_protocol_keeps_the_contract() {
    let summary = sync_protocol(|clock| pair(clock, false, false))
        .with_unknown_topic(|clock| pair(clock, true, false))
        .with_unsupported_topic(|clock| pair(clock, false, true))
        .with_offsets_max(60)
        .with_garbage_rounds(40)
        .check();
    assert!(summary.bytes_initiated() > 256 && summary.bytes_accepted() > 256, "{summary:?}");
}
