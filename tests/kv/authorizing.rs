//! Who may write is decided for every entry, by what it says and by what is known.

use bytes::Bytes;
use syncline_crypto::Signer as _;
use syncline_kv::authority::{Awaited, Denied};
use syncline_kv::item::{OnRevoke, RevocationDraft};
use syncline_kv::{Entry, Grant, Item, KvError, Namespace, Revocation, Tree, Verdict};
use syncline_testkit::cheap::CheapSigner;

use crate::support::{
    apply, at, copy, draft, entry, exchange, grant, hash, key, memory, open, passed_on, person, public, root, stamp,
    text, unset,
};

fn revocation(tree: &Tree, of: &Grant, by: &CheapSigner) -> Revocation {
    let draft = RevocationDraft { namespace: tree.id(), grant: of.id(), revoker: public(by), stamp: stamp(9) };
    draft.sign(by).expect("signs")
}

#[test]
fn s2_no_bit_of_an_entry_can_be_flipped() {
    let tree = unset();
    let member = person(1);
    let leaf = grant(&tree, &member, "/a/**").id();
    let whole = Item::from(entry(&tree, &member, &[leaf], "/a/x", "value", stamp(1))).encoded();
    let before = hash(&tree);
    let mut decoded = 0;
    for at_bit in 0..whole.len() * 8 {
        let mut bytes = whole.to_vec();
        bytes[at_bit / 8] ^= 1 << (at_bit % 8);
        let Ok(item) = Item::decode(&Bytes::from(bytes)) else { continue };
        decoded += 1;
        let verdict = apply(&tree, at(1), item);
        assert!(matches!(verdict, Verdict::BadSignature | Verdict::OtherNamespace), "bit {at_bit}: {verdict:?}");
    }
    assert!(decoded > 500, "{decoded} were still entries");
    assert_eq!(hash(&tree), before);
    assert_eq!(apply(&tree, at(1), Item::decode(&whole).expect("whole")), Verdict::Applied);
    // What is known or superseded is not looked at closely, and changes nothing.
    let before = hash(&tree);
    for at_bit in 0..whole.len() * 8 {
        let mut bytes = whole.to_vec();
        bytes[at_bit / 8] ^= 1 << (at_bit % 8);
        if let Ok(item) = Item::decode(&Bytes::from(bytes)) {
            assert!(!apply(&tree, at(1), item).is_new());
        }
    }
    assert_eq!(hash(&tree), before);
}

#[test]
fn s2_a_grant_is_its_audiences_alone() {
    let (tree, other) = (unset(), unset());
    let (member, thief) = (person(1), person(2));
    let leaf = grant(&tree, &member, "/a/**").id();
    let stolen = entry(&tree, &thief, &[leaf], "/a/x", "mine", stamp(1));
    assert!(matches!(apply(&tree, at(1), stolen), Verdict::Unauthorized(Denied::NotAudience { .. })));
    let none = entry(&tree, &thief, &[], "/a/x", "mine", stamp(1));
    assert!(matches!(apply(&tree, at(1), none), Verdict::Unauthorized(Denied::NotRoot { .. })));
    let outside = entry(&tree, &member, &[leaf], "/b/x", "mine", stamp(1));
    assert!(matches!(apply(&tree, at(1), outside), Verdict::Unauthorized(Denied::Pattern { .. })));
    // Signed by the thief in the member's name.
    let theirs = Item::from(entry(&tree, &member, &[leaf], "/a/x", "mine", stamp(1))).encoded();
    let forged = thief.sign(b"whatever").expect("signs");
    let at_signature = theirs.len() - forged.as_bytes().len();
    let forged = [&theirs[..at_signature], &forged.as_bytes()[..]].concat();
    assert_eq!(apply(&tree, at(1), Item::decode(&forged.into()).expect("decodes")), Verdict::BadSignature);
    let foreign = Namespace::new("another", [public(&root())]).expect("a namespace");
    let foreign = open(&memory(), &foreign).put(at(1), &root(), &key("/a/x"), &b"theirs"[..]).expect("puts");
    assert_eq!(apply(&tree, at(1), foreign), Verdict::OtherNamespace);
    copy(&tree, &other, at(1));
    assert_eq!((text(&tree, "/a/x"), text(&other, "/a/x")), (None, None));
    assert_eq!(tree.root().expect("root").entries, 0);
}

#[test]
fn s2_one_bad_grant_among_good_ones_spoils_an_entry() {
    let tree = unset();
    let member = person(1);
    let good = grant(&tree, &member, "/a/**").id();
    // Some of them stand before the good one, some behind it.
    for nth in 0..8 {
        let mut narrow = draft(&tree, &member, "/b/**");
        narrow.stamp = stamp(nth);
        let narrow = tree.grant(at(0), &root(), narrow).expect("grants").id();
        let both = entry(&tree, &member, &[good, narrow], "/a/x", "v", stamp(1));
        assert!(matches!(apply(&tree, at(1), both), Verdict::Unauthorized(Denied::Pattern { .. })));
    }
}

#[test]
fn s4_a_grant_and_what_it_allows_may_come_in_either_order() {
    let (a, b) = (unset(), unset());
    let member = person(1);
    let denied = a.put(at(1), &member, &key("/a/x"), &b"v"[..]).expect_err("no grant yet");
    assert!(matches!(denied, KvError::Denied(Denied::NoGrant { .. })), "{denied}");
    let granted = grant(&a, &member, "/a/**");
    let put = a.put(at(1), &member, &key("/a/x"), &b"v"[..]).expect("puts");
    assert_eq!(apply(&b, at(1), put.clone()), Verdict::Waiting(Awaited::Grant(granted.id())));
    assert_eq!(text(&b, "/a/x"), None);
    assert_eq!(apply(&b, at(1), granted.clone()), Verdict::Applied);
    assert_eq!(text(&b, "/a/x"), Some("v".into()), "what waited is applied");
    let c = unset();
    let verdicts = c.apply(at(1), vec![put.clone().into(), granted.clone().into()]).expect("applies");
    assert_eq!(verdicts, [Verdict::Applied, Verdict::Applied], "in one batch the order does not matter");
    let d = unset();
    assert_eq!((apply(&d, at(1), granted), apply(&d, at(1), put)), (Verdict::Applied, Verdict::Applied));
    exchange(&[&a, &b, &c, &d], at(2));
    assert!([&b, &c, &d].iter().all(|tree| hash(tree) == hash(&a)));
}

#[test]
fn s4_what_waits_is_a_whole_chain_backwards() {
    let (a, b) = (unset(), unset());
    let people: Vec<CheapSigner> = (1..4).map(person).collect();
    let mut chain = vec![grant(&a, &people[0], "/a/**")];
    for pair in people.windows(2) {
        let next = passed_on(&a, chain.last().expect("one at least"), &pair[0], &pair[1]);
        chain.push(a.grant(at(0), &pair[0], next).expect("within what it has"));
    }
    let put = a.put(at(1), &people[2], &key("/a/x"), &b"v"[..]).expect("puts");
    assert!(!apply(&b, at(1), put).is_final());
    for link in chain.iter().skip(1).rev() {
        assert!(matches!(apply(&b, at(1), link.clone()), Verdict::Waiting(_)));
    }
    assert_eq!(apply(&b, at(1), chain[0].clone()), Verdict::Applied);
    assert_eq!((text(&b, "/a/x"), hash(&b)), (Some("v".into()), hash(&a)));
    b.check().expect("rows agree");
}

#[test]
fn s5_a_root_needs_no_grant_and_another_namespaces_root_has_nothing() {
    let tree = unset();
    let everything = draft(&tree, &person(1), "/**");
    for path in ["/a", "/a/b/c/d", "/z-_.~"] {
        tree.put(at(1), &root(), &key(path), &b"v"[..]).expect("a root may");
    }
    tree.grant(at(1), &root(), everything.clone()).expect("a root may");
    let stranger = person(77);
    assert!(matches!(tree.put(at(1), &stranger, &key("/a"), &b"v"[..]), Err(KvError::Denied(_))));
    let mut theirs = everything;
    theirs.issuer = public(&stranger);
    assert!(matches!(tree.grant(at(1), &stranger, theirs.clone()), Err(KvError::Mint(_))));
    let by_hand = theirs.sign(&stranger).expect("signs");
    assert!(matches!(apply(&tree, at(1), by_hand), Verdict::Refused(_)));
}

#[test]
fn s9_who_may_revoke_and_that_it_is_for_good() {
    let tree = unset();
    let (lead, member, sibling) = (person(1), person(2), person(3));
    let above = grant(&tree, &lead, "/a/**");
    let below = passed_on(&tree, &above, &lead, &member);
    let below = tree.grant(at(0), &lead, below).expect("grants");
    let beside = passed_on(&tree, &above, &lead, &sibling);
    tree.grant(at(0), &lead, beside).expect("grants");
    for stranger in [&member, &sibling, &person(9)] {
        let refused = tree.revoke(at(1), stranger, below.id()).expect_err("may not");
        assert!(matches!(refused, KvError::NotRevoker { .. }), "{refused}");
        assert!(matches!(apply(&tree, at(9), revocation(&tree, &below, stranger)), Verdict::Refused(_)));
    }
    assert!(matches!(
        tree.revoke(at(1), &root(), syncline_kv::GrantId::from_bytes([9; 32])),
        Err(KvError::UnknownGrant(_))
    ));
    tree.put(at(1), &member, &key("/a/x"), &b"v"[..]).expect("puts");
    let first = tree.revoke(at(2), &lead, below.id()).expect("the issuer may");
    let root_before = hash(&tree);
    let again = tree.revoke(at(3), &lead, below.id()).expect("again");
    assert_eq!((again.revocation.id(), hash(&tree)), (first.revocation.id(), root_before), "nothing new");
    assert_eq!(apply(&tree, at(4), below.clone()), Verdict::Known, "nothing is undone");
    assert!(!tree.authority().is_live_grant(below.id()));
    assert!(tree.put(at(4), &member, &key("/a/x"), &b"v"[..]).is_err());
    let mut anew = passed_on(&tree, &above, &lead, &member);
    anew.stamp = stamp(5);
    let anew = tree.grant(at(5), &lead, anew).expect("grants anew");
    assert_ne!(anew.id(), below.id());
    tree.put(at(5), &member, &key("/a/x"), &b"back"[..]).expect("puts");
    assert_eq!(text(&tree, "/a/x"), Some("back".into()));
    tree.check().expect("rows agree");
}

#[test]
fn s10_a_revoked_grant_allows_nothing_whatever_the_stamp_and_the_order() {
    for on_revoke in [OnRevoke::Unset, OnRevoke::Fallback] {
        let source = crate::support::tree(on_revoke);
        let (lead, member) = (person(1), person(2));
        let above = grant(&source, &lead, "/a/**");
        let below = passed_on(&source, &above, &lead, &member);
        let below = source.grant(at(0), &lead, below).expect("grants");
        let end = revocation(&source, &above, &root());
        let entries: Vec<Entry> = [0, 1, 9, 10, 1_000_000]
            .iter()
            .flat_map(|millis| {
                let by_lead = entry(&source, &lead, &[above.id()], "/a/x", "lead", stamp(*millis));
                [by_lead, entry(&source, &member, &[below.id()], "/a/y", "member", stamp(*millis))]
            })
            .collect();
        let early = crate::support::tree(on_revoke);
        assert_eq!(apply(&early, at(10), end.clone()), Verdict::Applied, "a root's, before the grant");
        for granted in [&above, &below] {
            assert_eq!(apply(&early, at(10), granted.clone()), Verdict::Ineffective);
        }
        let late = crate::support::tree(on_revoke);
        for granted in [&above, &below] {
            assert_eq!(apply(&late, at(10), granted.clone()), Verdict::Applied);
        }
        for before in entries.iter().take(4) {
            assert!(apply(&late, at(10), before.clone()).is_new());
        }
        assert_eq!(apply(&late, at(10), end), Verdict::Applied);
        for tree in [&early, &late] {
            for refused in &entries {
                let verdict = apply(tree, at(10), refused.clone());
                assert!(matches!(verdict, Verdict::Revoked { revocation: Some(_), .. }), "{verdict:?}");
            }
            tree.check().expect("rows agree");
            assert_eq!(tree.root().expect("root").entries, 0);
        }
        assert_eq!(hash(&early), hash(&late));
    }
}
