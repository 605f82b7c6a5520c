//! Who may read what, and what others learn: nothing.

use std::time::Duration;

use syncline_core::SyncError;
use syncline_core::clock::Clock as _;
use syncline_crypto::Signer as _;
use syncline_kv::item::{Ops, Reads};
use syncline_kv::sync::{Eagerness, KvQuery, Limits, OpenError};
use syncline_kv::{Namespace, NamespaceId};
use syncline_testkit::net::{Conditions, Link, Sim};

use crate::raw;
use crate::world::{
    App, Node, accept, assert_same, clock, draft, initiate, root, run_for, session, session_below, session_with, signer,
};

#[test]
fn a_stranger_and_an_unknown_namespace_are_refused_alike() {
    let clock = clock();
    let mut node = Node::new(&clock, 1);
    node.put_some(&root(), "/a", 20);
    let unknown = NamespaceId::from_bytes([9; 32]);
    let mut answers = Vec::new();
    for (remote, namespace) in [
        (Some(signer(5).public_key()), node.tree.id()),
        (None, node.tree.id()),
        (Some(signer(5).public_key()), unknown),
        (Some(root().public_key()), unknown),
    ] {
        node.sync = node.sync.with_remote(remote);
        let (ended, heard, events) = raw::say(&node, raw::hello(namespace, "", 0));
        assert!(matches!(ended, Err(SyncError::UnexpectedBehaviour(_))), "{ended:?}");
        assert_eq!(events, []);
        answers.push((heard.0, ended));
    }
    assert_eq!(answers[0].0, [&[0x81, 0x02][..]]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[test]
fn an_initiator_says_nothing_to_a_peer_that_may_not_read() {
    let clock = clock();
    let (mut one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.put_some(&root(), "/a", 3);
    one.sync = one.sync.with_remote(signer(5).public_key());
    let query = KvQuery::all(one.tree.id());
    assert!(matches!(one.sync.check(&query), Err(OpenError::PeerMayNotRead { .. })));
    let outcome = session(&one, &two);
    assert!(matches!(outcome.initiator, Err(SyncError::Critical(_))), "{:?}", outcome.initiator);
    assert_eq!(outcome.sent, (0, 0));
    let unknown = KvQuery::all(NamespaceId::from_bytes([9; 32]));
    assert!(matches!(one.sync.check(&unknown), Err(OpenError::UnknownNamespace(_))));
}

#[test]
fn a_replica_that_has_nothing_may_ask_anybody() {
    let clock = clock();
    let (mut one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    two.put_some(&root(), "/a", 3);
    one.sync = one.sync.with_remote(signer(5).public_key());
    session(&one, &two).assert_ok();
    assert_same(&one, &two);
    // Now it knows that this peer may not read.
    one.put_some(&root(), "/b", 1);
    assert_eq!(session(&one, &two).sent, (0, 0));
}

#[test]
fn a_public_namespace_is_for_everybody() {
    let clock = clock();
    let namespace = Namespace::new("test", [root().public_key()]).unwrap().with_reads(Reads::Public).unwrap();
    let (mut one, mut two) = (Node::of(&clock, 1, &namespace), Node::of(&clock, 2, &namespace));
    one.sync = one.sync.with_remote(None);
    two.sync = two.sync.with_remote(None);
    one.put_some(&root(), "/a", 3);
    two.put_some(&root(), "/b", 3);
    session(&one, &two).assert_ok();
    assert_same(&one, &two);
}

#[test]
fn who_may_read_a_subtree_gets_that_and_nothing_else() {
    let clock = clock();
    let (mut one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let reader = signer(7).public_key();
    one.grant(draft(reader, "/a/b/**", Ops::Read));
    for path in ["/a/b", "/a/bc", "/a", "/z"] {
        one.put_some(&root(), path, 9);
    }
    one.sync = one.sync.with_remote(reader);
    for path in ["", "/a", "/a/bc"] {
        let refused = session_below(path, &two, &one);
        assert_eq!(refused.sent.1, 2, "two bytes: a refusal");
    }
    session_below("/a/b", &two, &one).assert_ok();
    let expected: Vec<_> = one.values().into_iter().filter(|(path, _)| path.starts_with("/a/b/")).collect();
    assert_eq!(two.values(), expected);
    assert_eq!(two.tree.root().unwrap().system, 1, "grants come with every part");
    // Below that as well; and once more, with changes on both sides.
    one.put(&root(), "/a/b/c/1", "new");
    one.put(&root(), "/a/x", "new");
    session_below("/a/b/c", &two, &one).assert_ok();
    assert_eq!(two.get("/a/b/c/1"), one.get("/a/b/c/1"));
    assert_eq!(two.values().len(), 10);
}

#[test]
fn a_part_is_reconciled_both_ways_and_the_rest_stays() {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.put_some(&root(), "/p", 500);
    session(&one, &two).assert_ok();
    for (node, name) in [(&one, "one"), (&two, "two")] {
        node.put_some(&root(), &format!("/p/{name}"), 40);
        node.put_some(&root(), &format!("/q/{name}"), 40);
    }
    let outcome = session_below("/p", &one, &two);
    outcome.assert_ok();
    assert_eq!((outcome.apps.0.decoded().len(), outcome.apps.1.decoded().len()), (40, 40));
    let below = |node: &Node| node.values().into_iter().filter(|(path, _)| path.starts_with("/p/")).collect::<Vec<_>>();
    assert_eq!(below(&one), below(&two));
    assert_eq!((one.get("/q/two/1"), two.get("/q/one/1")), (None, None));
    let again = session_below("/p", &one, &two);
    again.assert_ok();
    assert!(again.sent.0 + again.sent.1 < 160, "{:?}", again.sent);
}

#[test]
fn an_entry_outside_of_the_query_is_not_taken() {
    let clock = clock();
    let (node, other) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let inside = other.put(&root(), "/a/1", "x");
    let outside = other.put(&root(), "/ab/1", "x");
    let mut said = raw::hello(node.tree.id(), "/a", 0);
    for entry in [&outside, &inside] {
        said.extend(raw::item(&syncline_kv::Item::Entry(entry.clone()).encoded()));
    }
    said.extend([raw::message(&[4]), raw::message(&[8, 2])].concat());
    let (ended, ..) = raw::say(&node, said);
    assert_eq!(ended, Ok(()));
    assert_eq!(node.events(), ["Outside", "Applied"]);
    assert_eq!(node.values().len(), 1);
}

#[test]
fn a_live_session_ends_when_the_right_to_read_does() {
    let clock = clock();
    let (mut one, mut two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let reader = signer(7).public_key();
    let grant = one.grant(draft(reader, "/**", Ops::Read));
    one.put_some(&root(), "/a", 3);
    one.sync = one.sync.with_remote(reader).with_live(true);
    two.sync = two.sync.with_live(true);
    let Link { a, b, b_to_a, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let query = KvQuery::all(one.tree.id());
    let asks = sim.spawn("reader", initiate(two.sync.clone(), query, a, App::new(&clock)));
    let tells = sim.spawn("node", accept(one.sync.clone(), b, App::new(&clock)));
    run_for(&mut sim, Duration::from_secs(1));
    assert_eq!(two.values().len(), 3);
    one.put(&root(), "/a/9", "seen");
    run_for(&mut sim, Duration::from_secs(1));
    assert_eq!(two.values().len(), 4);
    let told = b_to_a.written();
    one.tree.revoke(clock.now(), &root(), grant).unwrap();
    one.put(&root(), "/a/secret", "unseen");
    sim.run().expect("both sides end");
    assert!(matches!(tells.take(), Some(Err(SyncError::UnexpectedBehaviour(text))) if text.contains("may not read")));
    assert!(matches!(asks.take(), Some(Err(SyncError::UnexpectedBehaviour(_)))));
    assert_eq!(b_to_a.written() - told, 2, "a refusal and nothing else");
    assert_eq!(two.values().len(), 4);
}

#[test]
fn a_right_that_expires_ends_the_session_when_something_is_to_be_sent() {
    let clock = clock();
    let (mut one, mut two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let reader = signer(7).public_key();
    let mut grant = draft(reader, "/**", Ops::Read);
    grant.not_after = Some(clock.now() + Duration::from_secs(10));
    one.grant(grant);
    one.sync = one.sync.with_remote(reader).with_live(true);
    two.sync = two.sync.with_live(true);
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let query = KvQuery::all(one.tree.id());
    let asks = sim.spawn("reader", initiate(two.sync.clone(), query, a, App::new(&clock)));
    let tells = sim.spawn("node", accept(one.sync.clone(), b, App::new(&clock)));
    run_for(&mut sim, Duration::from_secs(20));
    one.put(&root(), "/late", "unseen");
    sim.run().expect("both sides end");
    assert!(tells.take().unwrap().is_err() && asks.take().unwrap().is_err());
    assert_eq!(two.values(), []);
}

#[test]
fn a_right_that_expires_in_the_middle_ends_the_transfer() {
    let clock = clock();
    let (mut one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let reader = signer(7).public_key();
    let mut grant = draft(reader, "/**", Ops::Read);
    grant.not_after = Some(clock.now() + Duration::from_secs(3));
    one.grant(grant);
    one.put_some(&root(), "/a", 400);
    one.sync =
        one.sync.with_remote(reader).with_limits(Limits::default().with_page_bytes(1_000).with_window_bytes(1_000));
    let slow = Conditions::new().with_bandwidth(10_000).with_capacity(1_000);
    let query = KvQuery::all(one.tree.id());
    let outcome = session_with(&clock, (slow.clone(), slow), query, &two.sync, &one.sync);
    assert!(matches!(&outcome.acceptor, Err(SyncError::UnexpectedBehaviour(text)) if text.contains("may not read")));
    assert!(outcome.initiator.is_err());
    let came = two.values().len();
    assert!((50..350).contains(&came), "{came}");
}

#[test]
fn a_right_that_ends_is_noticed_though_there_is_nothing_to_send() {
    let clock = clock();
    let (mut one, mut two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let reader = signer(7).public_key();
    let grant = one.grant(draft(reader, "/**", Ops::Read));
    one.sync = one.sync.with_remote(reader).with_live(true).with_eagerness(Eagerness::OnRejection);
    two.sync = two.sync.with_live(true);
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let query = KvQuery::all(one.tree.id());
    let asks = sim.spawn("reader", initiate(two.sync.clone(), query, a, App::new(&clock)));
    let tells = sim.spawn("node", accept(one.sync.clone(), b, App::new(&clock)));
    run_for(&mut sim, Duration::from_secs(1));
    // Revocations do not travel in this session.
    one.tree.revoke(clock.now(), &root(), grant).unwrap();
    run_for(&mut sim, Duration::from_secs(1));
    assert!(sim.has_ended(asks.id()) && sim.has_ended(tells.id()));
    assert!(tells.take().unwrap().is_err() && asks.take().unwrap().is_err());
}
