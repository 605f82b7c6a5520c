//! Sessions between trees that hold the same, nothing in common, or parts of the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_core::clock::Clock as _;
use syncline_crypto::Signer as _;
use syncline_kv::item::Ops;
use syncline_kv::sync::{KvQuery, KvSync};
use syncline_kv::tree::TreeLimits;
use syncline_kv::{Namespace, NamespaceId, Tree};
use syncline_testkit::net::Conditions;

use crate::world::{Node, assert_same, clock, draft, key, open, root, session, session_with, signer};

#[test]
fn equal_trees_end_in_one_round_trip_of_few_bytes() {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    session(&one, &two).assert_ok();
    one.put_some(&root(), "/a", 50);
    session(&one, &two).assert_ok();
    assert_same(&one, &two);
    let again = session(&one, &two);
    again.assert_ok();
    assert!(again.sent.0 + again.sent.1 < 150, "{:?}", again.sent);
    assert_eq!(again.apps.1.decoded(), []);
}

#[test]
fn each_side_gets_what_only_the_other_has() {
    for (ours, theirs, common) in
        [(0, 7, 0), (7, 0, 0), (5, 6, 0), (5, 6, 7), (300, 2, 100), (3, 400, 1_500), (900, 900, 0)]
    {
        let clock = clock();
        let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
        one.put_some(&root(), "/common", common);
        session(&one, &two).assert_ok();
        one.put_some(&root(), "/one", ours);
        two.put_some(&root(), "/two", theirs);
        let outcome = session(&one, &two);
        outcome.assert_ok();
        assert_same(&one, &two);
        assert_eq!((outcome.apps.0.decoded().len(), outcome.apps.1.decoded().len()), (theirs, ours));
        let (one, two) = (one.events(), two.events());
        assert!(one.iter().chain(&two).all(|event| event == "Applied"), "nothing is sent twice");
    }
}

#[test]
fn grants_go_before_the_entries_that_rest_on_them() {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    two.put_some(&root(), "/root", 10);
    let writer = signer(9);
    one.grant(draft(writer.public_key(), "/w/**", Ops::Write));
    one.put_some(&writer, "/w", 30);
    session(&two, &one).assert_ok();
    assert_same(&one, &two);
    assert_eq!(two.count_events("Waiting"), 0);
    // Both have some of everything.
    one.grant(draft(signer(10).public_key(), "/x/**", Ops::Write));
    two.grant(draft(signer(11).public_key(), "/y/**", Ops::Write));
    one.put_some(&signer(10), "/x", 30);
    two.put_some(&signer(11), "/y", 30);
    session(&two, &one).assert_ok();
    assert_same(&one, &two);
    assert_eq!(one.count_events("Waiting") + two.count_events("Waiting"), 0);
}

#[test]
fn a_node_may_have_several_namespaces() {
    let clock = clock();
    let namespaces = ["one", "two"].map(|name| Namespace::new(name, [root().public_key()]).unwrap());
    let node = || {
        let trees = namespaces.clone().map(|namespace| open(&namespace, TreeLimits::default()));
        let by_id: BTreeMap<NamespaceId, Tree> = trees.iter().map(|tree| (tree.id(), tree.clone())).collect();
        let sync = KvSync::new(by_id, Arc::new(clock.clone()), [1; 32]).with_remote(root().public_key());
        (trees, sync)
    };
    let ((ours, one), (theirs, two)) = (node(), node());
    for (tree, value) in ours.iter().zip(["one", "two"]) {
        tree.put(clock.now(), &root(), &key("/k"), value.as_bytes()).unwrap();
    }
    let conditions = (Conditions::new(), Conditions::new());
    session_with(&clock, conditions, KvQuery::all(namespaces[1].id()), &one, &two).assert_ok();
    let values = theirs.map(|tree| tree.get(&key("/k")).unwrap().map(|entry| entry.value().clone()));
    assert_eq!(values, [None, Some(b"two"[..].into())]);
}
