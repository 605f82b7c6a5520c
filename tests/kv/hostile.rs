//! What costs a hostile writer little must not cost a replica much.

use syncline_kv::item::{OnRevoke, Quota};
use syncline_kv::{Grant, Item, Verdict};
use syncline_testkit::cheap::CheapSigner;

use crate::support::{
    apply, at, draft, entry, key, memory, namespace, open, passed_on, person, root, stamp, text, tree, unset,
};

/// Every set of up to four grants is a place of its own for an entry of the same key.
#[test]
fn many_grants_to_oneself_do_not_make_a_key_expensive() {
    let tree = tree(OnRevoke::Fallback);
    let crowd = person(1);
    let above = crate::support::grant(&tree, &crowd, "/**");
    tree.put(at(1), &root(), &key("/k"), &b"theirs"[..]).expect("puts");
    let own: Vec<Grant> = (0..20)
        .map(|nth| {
            let mut below = passed_on(&tree, &above, &crowd, &crowd);
            below.stamp = stamp(nth);
            tree.grant(at(0), &crowd, below).expect("grants")
        })
        .collect();
    let mut items: Vec<Item> = Vec::new();
    for a in 0..own.len() {
        for b in 0..own.len() {
            items.push(entry(&tree, &crowd, &[own[a].id(), own[b].id()], "/k", "v", stamp(2)).into());
        }
    }
    tree.apply(at(2), items).expect("applies");
    let max = tree.limits().entries_per_key;
    assert_eq!(tree.history(&key("/k")).expect("reads").len(), max);
    let put = tree.put(at(3), &root(), &key("/k"), &b"mine"[..]).expect("the newest always has room");
    assert_eq!(tree.history(&key("/k")).expect("reads")[0], put);
    tree.check().expect("rows agree");
}

/// Each refusal looks at the last entry under the quota, and at no others.
#[test]
fn entries_over_quota_are_refused_cheaply() {
    let tree = unset();
    let (lead, member) = (person(1), person(2));
    let mut limited = draft(&tree, &lead, "/**");
    limited.quota = Quota { entries: Some(50), bytes: None };
    let above = tree.grant(at(0), &root(), limited).expect("grants");
    // A large family, which would have to be searched.
    for nth in 0..200 {
        let mut below = passed_on(&tree, &above, &lead, &member);
        below.stamp = stamp(nth);
        tree.grant(at(0), &lead, below).expect("grants");
    }
    let leaves: Vec<_> =
        tree.authority().grants_to(&syncline_crypto::Signer::public_key(&member)).map(|leaf| leaf.id()).collect();
    let items = |stamped| -> Vec<Item> {
        let each =
            |nth: usize| entry(&tree, &member, &[leaves[nth % 200]], &format!("/k/{nth}"), "v", stamp(stamped)).into();
        (0..6_000).map(each).collect()
    };
    let verdicts = tree.apply(at(1), items(1)).expect("applies");
    assert_eq!(tree.root().expect("root").entries, 50);
    assert!(verdicts.iter().any(|verdict| matches!(verdict, Verdict::OverQuota { grant } if *grant == above.id())));
    tree.apply(at(2), items(2)).expect("applies");
    assert_eq!(tree.root().expect("root").entries, 50);
    tree.check().expect("rows agree");
}

#[test]
fn junk_is_told_apart_from_what_an_honest_peer_may_send() {
    let tree = unset();
    let stranger = person(9);
    let unknown = syncline_kv::GrantId::from_bytes([7; 32]);
    let waits = apply(&tree, at(1), entry(&tree, &stranger, &[unknown], "/k", "v", stamp(1)));
    assert!(matches!(waits, Verdict::Waiting(_)) && !waits.is_fault() && !waits.is_final());
    // A rotation that is not known here may have made it a root.
    let maybe_root = apply(&tree, at(1), entry(&tree, &stranger, &[], "/k", "v", stamp(1)));
    assert!(matches!(maybe_root, Verdict::Unauthorized(_)) && !maybe_root.is_fault());
    let leaf = crate::support::grant(&tree, &person(1), "/a/**").id();
    let stolen = apply(&tree, at(1), entry(&tree, &stranger, &[leaf], "/a/k", "v", stamp(1)));
    assert!(stolen.is_fault());
    assert_eq!(text(&tree, "/a/k"), None);
}

#[test]
fn a_namespace_may_be_opened_many_times_after_many_grants_died() {
    let (db, namespace) = (memory(), namespace(OnRevoke::Fallback));
    let people: Vec<CheapSigner> = (1..4).map(person).collect();
    for round in 0..10 {
        let tree = open(&db, &namespace);
        for member in &people {
            let mut draft = draft(&tree, member, "/**");
            draft.stamp = stamp(round);
            let granted = tree.grant(at(round), &root(), draft).expect("grants");
            tree.put(at(round), member, &key("/k"), &b"v"[..]).expect("puts");
            tree.revoke(at(round), &root(), granted.id()).expect("revokes");
        }
        tree.check().expect("rows agree");
        assert_eq!(tree.root().expect("root").entries, 0);
    }
}
