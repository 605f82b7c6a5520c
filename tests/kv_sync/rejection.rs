//! Items that are not taken, and revocations that come back.

use bytes::Bytes;
use syncline_core::clock::{Clock as _, Hlc, Timestamp};
use syncline_crypto::Signer as _;
use syncline_kv::item::{EntryDraft, Leaves, Ops};
use syncline_kv::sync::Eagerness;
use syncline_kv::{Entry, GrantId, Item, Namespace};

use crate::raw;
use crate::world::{Node, assert_same, clock, draft, key, namespace, open, root, session, signer};

/// A root's entry, to be changed.
fn by_root(path: &str) -> EntryDraft {
    EntryDraft {
        namespace: namespace().id(),
        key: key(path),
        value: b"value"[..].into(),
        stamp: Hlc::new(Timestamp::from_millis(1_000_000), 1),
        author: root().public_key(),
        leaves: Leaves::default(),
        previous: None,
    }
}

fn encoded(entry: Entry) -> Bytes {
    Item::Entry(entry).encoded()
}

#[test]
fn one_bad_item_does_not_stop_the_rest() {
    let clock = clock();
    let node = Node::new(&clock, 1);
    let good = |number: u32| encoded(by_root(&format!("/good/{number}")).sign(&root()).unwrap());
    let mut forged = good(100).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let stranger = EntryDraft { author: signer(8).public_key(), ..by_root("/stranger") };
    let stranger = encoded(stranger.sign(&signer(8)).unwrap());
    let other = Namespace::new("other", [root().public_key()]).unwrap();
    let elsewhere = encoded(EntryDraft { namespace: other.id(), ..by_root("/elsewhere") }.sign(&root()).unwrap());
    let long = EntryDraft { value: vec![7; 65 << 10].as_slice().into(), ..by_root("/long") };
    let items = [
        good(1),
        forged.into(),
        good(2),
        stranger,
        good(3),
        elsewhere,
        encoded(long.sign(&root()).unwrap()),
        Bytes::from_static(b"\x00nonsense"),
        Bytes::new(),
        good(4),
    ];
    let (ended, heard) = raw::offer(&node, &items);
    assert_eq!(ended, Ok(()));
    assert_eq!(node.values().len(), 4);
    let mut events = node.events();
    events.sort();
    let expected = [
        "Applied",
        "Applied",
        "Applied",
        "Applied",
        "BadSignature",
        "Malformed",
        "OtherNamespace",
        "Unauthorized",
        "Undecodable",
        "Undecodable",
    ];
    assert_eq!(events, expected);
    let mut codes: Vec<u64> = heard.refused().0.iter().map(|(_, code)| *code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [1, 4, 4], "what its id says all about is named");
    // They are known now, and not looked at again.
    let (ended, heard) = raw::offer(&node, &items);
    assert_eq!((ended, heard.refused().0.len()), (Ok(()), 3));
    let events = node.events();
    assert_eq!(events.iter().filter(|event| *event == "RefusedBefore").count(), 3, "{events:?}");
    // With the signature that belongs to it the forged one is taken.
    assert_eq!(raw::offer(&node, &[good(100)]).0, Ok(()));
    assert_eq!(node.events(), ["Applied"]);
}

/// Two nodes with entries by a grant, one of which knows that it is revoked.
fn split(eagerness: Eagerness) -> (Node, Node, GrantId) {
    let clock = clock();
    let (mut one, mut two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let writer = signer(9);
    let grant = one.grant(draft(writer.public_key(), "/w/**", Ops::Write));
    one.put_some(&writer, "/w", 5);
    one.put_some(&root(), "/r", 50);
    session(&one, &two).assert_ok();
    two.put(&writer, "/w/unseen", "x");
    one.tree.revoke(clock.now(), &root(), grant).unwrap();
    one.sync = one.sync.with_eagerness(eagerness);
    two.sync = two.sync.with_eagerness(eagerness);
    one.events();
    two.events();
    (one, two, grant)
}

#[test]
fn revocations_go_before_the_entries_that_they_end() {
    let (one, two, grant) = split(Eagerness::Full);
    session(&two, &one).assert_ok();
    assert_same(&one, &two);
    assert!(!two.tree.authority().is_live_grant(grant));
    assert_eq!(one.count_events("Revoked"), 0, "nothing was offered in vain");
    assert_eq!((two.get("/w/unseen"), two.get("/w/1")), (None, None));
}

#[test]
fn a_revocation_comes_back_for_what_it_forbids() {
    for turned in [false, true] {
        let (one, two, grant) = split(Eagerness::OnRejection);
        let outcome = if turned { session(&one, &two) } else { session(&two, &one) };
        outcome.assert_ok();
        assert!(!two.tree.authority().is_live_grant(grant), "it came back");
        assert!(one.count_events("Revoked") >= 1);
        assert_eq!(one.values(), two.values());
        assert_eq!(two.get("/w/unseen"), None);
        // Who offers nothing under the grant learns nothing.
        let third = Node::new(&one.clock, 3);
        session(&third, &one).assert_ok();
        assert_eq!(third.values(), one.values());
        assert!(third.tree.authority().is_live_grant(grant), "it has the grant, and nobody told it of its end");
    }
}

#[test]
fn what_was_refused_is_not_sent_again_before_authority_changes() {
    let clock = clock();
    // One side takes shorter values than the other.
    let limits = |len| {
        let mut limits = syncline_kv::tree::TreeLimits::default();
        limits.value_len = len;
        limits
    };
    let one = Node::with_tree(&clock, 1, open(&namespace(), limits(1_000)));
    let two = Node::with_tree(&clock, 2, open(&namespace(), limits(100)));
    for number in 0..20 {
        one.put(&root(), &format!("/long/{number}"), &"x".repeat(500));
        one.put(&root(), &format!("/short/{number}"), "x");
    }
    let first = session(&one, &two);
    first.assert_ok();
    assert_eq!((two.values().len(), two.count_events("Malformed")), (20, 20));
    let again = session(&one, &two);
    again.assert_ok();
    assert_eq!(two.events(), Vec::<String>::new(), "nothing was sent");
    assert!(again.sent.0 < 3_000 && first.sent.0 > 15_000, "{:?} {:?}", first.sent, again.sent);
    let turned = session(&two, &one);
    turned.assert_ok();
    assert_eq!(two.events(), Vec::<String>::new(), "whoever opens");
    one.grant(draft(signer(9).public_key(), "/x/**", Ops::Write));
    session(&one, &two).assert_ok();
    let events = two.events();
    assert_eq!(events.iter().filter(|event| *event == "Malformed").count(), 20, "they might be taken now: {events:?}");
    session(&one, &two).assert_ok();
    assert_eq!(two.events(), Vec::<String>::new());
}

#[test]
fn what_waits_in_memory_is_not_settled() {
    let clock = clock();
    let (node, other) = (Node::new(&clock, 1), Node::new(&clock, 2));
    let grant = other.grant(draft(signer(9).public_key(), "/w/**", Ops::Write));
    let entry = encoded(other.put(&signer(9), "/w/1", "x"));
    let grant = Item::Grant(other.tree.authority().grant(&grant).unwrap().as_ref().clone()).encoded();
    let settled = |heard: &raw::Heard| heard.of_kind(9)[0].last() == Some(&0xf5);
    let (ended, heard) = raw::offer(&node, &[entry]);
    assert_eq!((ended, settled(&heard)), (Ok(()), false));
    assert_eq!(node.events(), ["Waiting"]);
    assert!(node.tree.freshness().unwrap().peers.is_empty(), "it would be lost");
    let (ended, heard) = raw::offer(&node, &[grant]);
    assert_eq!((ended, settled(&heard)), (Ok(()), true));
    assert!(node.get("/w/1").is_some(), "what it waited for came");
    assert_eq!(node.tree.freshness().unwrap().peers.len(), 1);
}
