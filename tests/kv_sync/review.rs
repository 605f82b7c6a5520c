//! What two honest replicas may get wrong between themselves, and what a peer may try on one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use syncline_core::clock::Clock as _;
use syncline_crypto::Signer as _;
use syncline_kv::item::{Endorsements, Namespace, Ops, Reads, RootRotate};
use syncline_kv::sync::{Event, Limits};
use syncline_kv::{Item, Tree};
use syncline_testkit::cheap::CheapSigner;

use crate::raw;
use crate::world::{Node, assert_same, clock, draft, key, root, session, signer};

/// The next rotation of a tree, to these roots, signed by those.
fn rotation(node: &Node, roots: &[CheapSigner], signers: &[CheapSigner]) -> RootRotate {
    let keys = roots.iter().map(CheapSigner::public_key);
    let stamp = syncline_core::clock::Hlc::new(node.clock.now(), 0);
    let draft = node.tree.authority().roots().next(node.tree.id(), keys, BTreeMap::new(), stamp);
    let mut endorsements = Endorsements::new(&draft).expect("a rotation");
    for signer in signers {
        let unsigned = draft.unsigned(signer.public_key()).expect("a root");
        endorsements.add(signer.public_key(), signer.sign(&unsigned.message()).expect("signs"));
    }
    endorsements.finish().expect("signed")
}

/// Does something once, as soon as a peer's item has come: while the system set is being reconciled.
fn once_something_came(node: &mut Node, act: impl FnOnce(&Tree) + Send + 'static) {
    let (tree, act) = (node.tree.clone(), Arc::new(Mutex::new(Some(act))));
    node.sync = node.sync.clone().with_observer(move |_: Event| {
        if let Some(act) = act.lock().unwrap().take() {
            act(&tree);
        }
    });
}

#[test]
fn a_root_that_comes_while_entries_are_compared_goes_before_what_it_wrote() {
    let clock = clock();
    let (mut one, mut two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    // What comes first is decided about first.
    two.sync = two.sync.with_limits(Limits::default().with_batch_items_max(1));
    one.put_some(&root(), "/common", 3);
    session(&one, &two).assert_ok();
    two.events();
    two.grant(draft(signer(9).public_key(), "/w/**", Ops::Write));
    one.put(&root(), "/one", "x");
    let rotation = Item::RootRotate(rotation(&one, &[root(), signer(5)], &[root()]));
    let now = clock.now();
    once_something_came(&mut one, move |tree| {
        tree.apply(now, vec![rotation]).unwrap();
        tree.put(now, &signer(5), &key("/new"), &b"by a new root"[..]).unwrap();
    });
    session(&one, &two).assert_ok();
    assert_eq!(two.count_events("Unauthorized"), 0, "it knew the root by then");
    assert!(two.get("/new").is_some());
    assert_same(&one, &two);
}

#[test]
fn a_grant_that_comes_while_entries_are_compared_goes_before_what_rests_on_it() {
    let clock = clock();
    let (mut one, mut two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    // What comes first is decided about first.
    two.sync = two.sync.with_limits(Limits::default().with_batch_items_max(1));
    one.put_some(&root(), "/common", 3);
    session(&one, &two).assert_ok();
    two.events();
    two.grant(draft(signer(9).public_key(), "/w/**", Ops::Write));
    one.put(&root(), "/one", "x");
    let now = clock.now();
    once_something_came(&mut one, move |tree| {
        tree.grant(now, &root(), draft(signer(7).public_key(), "/a/**", Ops::Write)).unwrap();
        tree.put(now, &signer(7), &key("/a/1"), &b"v"[..]).unwrap();
    });
    session(&one, &two).assert_ok();
    assert_eq!(two.count_events("Waiting"), 0);
    assert_same(&one, &two);
}

#[test]
fn a_rotation_with_too_few_signatures_does_not_stand_in_the_way_of_the_whole_one() {
    let clock = clock();
    let mut roots = [signer(1), signer(2)];
    roots.sort_by_key(CheapSigner::public_key);
    let namespace = Namespace::new("two", roots.iter().map(CheapSigner::public_key)).unwrap();
    let node = Node::of(&clock, 1, &namespace);
    let offer = |signers: &[CheapSigner]| {
        let rotation = Item::RootRotate(rotation(&node, &[signer(1), signer(3)], signers)).encoded();
        raw::offer(&node, &[rotation]).0.unwrap();
        node.events()
    };
    assert_eq!(offer(&[signer(1)]), ["Refused"]);
    assert_eq!(offer(&[signer(1)]), ["Refused"], "it is looked at each time");
    assert_eq!(offer(&roots), ["Applied"]);
}

#[test]
fn a_wrong_signature_does_not_stand_in_the_way_of_the_right_one() {
    let clock = clock();
    let (node, other) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let right = Item::Entry(other.put(&root(), "/a", "x")).encoded();
    let mut wrong = right.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    let wrong = Bytes::from(wrong);
    raw::offer(&node, std::slice::from_ref(&wrong)).0.unwrap();
    assert_eq!((node.events(), node.get("/a").is_some()), (vec!["BadSignature".to_owned()], false));
    // Also in one batch, in both orders.
    raw::offer(&node, &[wrong.clone(), right.clone(), wrong]).0.unwrap();
    assert!(node.get("/a").is_some(), "{:?}", node.events());
    node.tree.check().unwrap();
}

#[test]
fn strangers_do_not_make_a_tree_remember_ever_more_peers() {
    let clock = clock();
    let public = crate::world::namespace().with_reads(Reads::Public).unwrap();
    let (node, other) = (Node::of(&clock, 1, &public), Node::of(&clock, 2, &public));
    let limits = Limits::default().with_peers_max(3);
    for stranger in 0..6 {
        let mut node = node.clone();
        node.sync = node.sync.with_remote(signer(100 + stranger).public_key()).with_limits(limits.clone());
        clock.advance(Duration::from_secs(1));
        session(&other, &node).assert_ok();
    }
    let known: Vec<_> = node.tree.freshness().unwrap().peers.into_keys().collect();
    let mut last = [103, 104, 105].map(|seed| signer(seed).public_key());
    last.sort_unstable();
    assert_eq!(known, last, "those that were here last");
}
