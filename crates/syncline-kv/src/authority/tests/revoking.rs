//! Liveness: what revocations end.

use super::world::{admit, at, authority, entry, grant, key, public, revocation, stamp};
use crate::authority::{Admission, Authority, Awaited, Denied, Op, Refusal, Standing, SystemItem};
use crate::item::{Grant, GrantId, Leaves};

/// Root → 1 → 2 → 3, and root → 4 beside it.
fn family() -> (Authority, [Grant; 3], Grant) {
    let mut authority = authority();
    let first = grant(None, 0, 1, "/a/**");
    let second = grant(Some(&first), 1, 2, "/a/**");
    let third = grant(Some(&second), 2, 3, "/a/**");
    let beside = grant(None, 0, 4, "/a/**");
    for link in [&first, &second, &third, &beside] {
        admit(&mut authority, link.clone());
    }
    (authority, [first, second, third], beside)
}

fn sorted(grants: &[&Grant]) -> Vec<GrantId> {
    let mut ids: Vec<GrantId> = grants.iter().map(|grant| grant.id()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn roots_and_upstream_issuers_revoke_and_nobody_else() {
    for (target, may, may_not) in
        [(0, vec![0], vec![1, 2, 3, 4, 5]), (1, vec![0, 1], vec![2, 3, 4, 5]), (2, vec![0, 1, 2], vec![3, 4, 5])]
    {
        for revoker in may {
            let (mut authority, links, _) = family();
            let effects = admit(&mut authority, revocation(links[target].id(), revoker, 100));
            assert_eq!(effects.killed, sorted(&links[target..].iter().collect::<Vec<_>>()));
            assert!(effects.revived.is_empty() && !effects.roots_changed);
        }
        for revoker in may_not {
            let (mut authority, links, _) = family();
            let grant = links[target].id();
            let refusal = Refusal::NotRevoker { grant, revoker: public(revoker) };
            assert_eq!(authority.admit(revocation(grant, revoker, 100).into()), Admission::Refused(refusal));
            assert!(authority.is_live_grant(links[2].id()));
        }
    }
}

#[test]
fn a_revocation_ends_what_was_delegated_and_nothing_else() {
    let (mut authority, links, beside) = family();
    let ends = revocation(links[1].id(), 1, 100);
    admit(&mut authority, ends.clone());
    assert!(authority.is_live_grant(links[0].id()) && authority.is_live_grant(beside.id()));
    for (author, leaf) in [(2, &links[1]), (3, &links[2])] {
        // Whatever its stamp.
        for millis in [1, 100, 10_000] {
            let dead = Standing::Dead { grant: links[1].id(), revocation: Some(ends.id()) };
            assert_eq!(authority.check(&entry(author, "/a/b", &[leaf], millis)), dead);
        }
        let leaves = Leaves::new([leaf.id()]).unwrap();
        assert!(!authority.is_live(&leaves, &public(author), stamp(1)));
        assert_eq!(authority.revocation_of_chain(&leaf.id()).unwrap().id(), ends.id());
        let denied = Denied::Revoked { grant: links[1].id(), revocation: ends.id() };
        assert_eq!(authority.authorize(&public(author), &key("/a/b"), Op::Write, at(100)), Err(denied));
    }
    // What is wrong with its structure is told first: that stays so.
    assert!(matches!(authority.check(&entry(3, "/b", &[&links[2]], 1)), Standing::Unauthorized(_)));
}

#[test]
fn an_entry_outlives_the_revocation_of_one_of_its_grants() {
    let (mut authority, links, _) = family();
    let again = grant(None, 0, 3, "/a/b/**");
    admit(&mut authority, again.clone());
    let written = entry(3, "/a/b/c", &[&links[2], &again], 100);
    admit(&mut authority, revocation(links[0].id(), 0, 100));
    assert_eq!(authority.check(&written), Standing::Live);
    assert_eq!(authority.live_leaves(written.leaves()).collect::<Vec<_>>(), [again.id()]);
    admit(&mut authority, revocation(again.id(), 0, 100));
    assert!(matches!(authority.check(&written), Standing::Dead { revocation: Some(_), .. }));
    assert_eq!(authority.live_leaves(written.leaves()).count(), 0);
}

#[test]
fn revoking_again_is_known_and_changes_nothing() {
    let (mut authority, links, _) = family();
    let ends = revocation(links[1].id(), 0, 100);
    admit(&mut authority, ends.clone());
    assert_eq!(authority.admit(ends.into()), Admission::Known);
    for (target, revoker, millis) in [(1, 0, 101), (1, 1, 100), (2, 2, 100)] {
        let effects = admit(&mut authority, revocation(links[target].id(), revoker, millis));
        assert!(effects.is_none(), "it was dead before");
    }
    // From below: now the one above dies alone.
    let effects = admit(&mut authority, revocation(links[0].id(), 0, 100));
    assert_eq!(effects.killed, [links[0].id()]);
    assert_eq!(authority.revocations_of(&links[1].id()).count(), 3);
    assert_eq!(authority.revocations().count(), 5);
}

#[test]
fn a_new_grant_works_and_the_old_one_stays_dead() {
    let (mut authority, links, _) = family();
    admit(&mut authority, revocation(links[0].id(), 0, 100));
    assert_eq!(authority.admit(links[0].clone().into()), Admission::Known);
    assert!(!authority.is_live_grant(links[0].id()));
    let mut fields = links[0].fields().clone();
    fields.stamp = stamp(200);
    let renewed = super::world::made(&fields);
    admit(&mut authority, renewed.clone());
    assert_eq!(authority.check(&entry(1, "/a/b", &[&renewed], 300)), Standing::Live);
    assert!(matches!(authority.check(&entry(1, "/a/b", &[&links[0]], 300)), Standing::Dead { .. }));
}

#[test]
fn a_root_revokes_what_is_not_known_yet() {
    let mut authority = authority();
    let first = grant(None, 0, 1, "/a/**");
    let second = grant(Some(&first), 1, 2, "/a/**");
    let ends = revocation(first.id(), 0, 100);
    assert!(admit(&mut authority, ends.clone()).is_none());
    assert!(authority.revocation_of_chain(&first.id()).is_none(), "there is no chain yet");
    for link in [&first, &second] {
        assert!(admit(&mut authority, link.clone()).is_none());
        assert!(!authority.is_live_grant(link.id()), "dead on arrival");
        assert_eq!(authority.revocation_of_chain(&link.id()).unwrap().id(), ends.id());
    }
    assert!(matches!(authority.check(&entry(2, "/a/b", &[&second], 1)), Standing::Dead { .. }));
}

#[test]
fn an_issuers_revocation_waits_for_the_grant() {
    let mut authority = authority();
    let first = grant(None, 0, 1, "/a/**");
    let second = grant(Some(&first), 1, 2, "/a/**");
    let ends = SystemItem::Revocation(revocation(second.id(), 1, 100));
    assert_eq!(authority.admit(ends.clone()), Admission::Waiting(Awaited::Grant(second.id())));
    admit(&mut authority, first);
    admit(&mut authority, second.clone());
    assert!(authority.is_live_grant(second.id()), "nothing that waits is kept");
    assert_eq!(admit(&mut authority, ends).killed, [second.id()]);
}

#[test]
fn a_family_is_a_grant_and_all_below() {
    let (authority, links, beside) = family();
    assert_eq!(authority.family(links[0].id()), links.each_ref().map(Grant::id));
    assert_eq!(authority.family(links[2].id()), [links[2].id()]);
    assert_eq!(authority.family(beside.id()), [beside.id()]);
    assert!(authority.family(GrantId::from_bytes([7; 32])).is_empty());
}

#[test]
fn a_family_comes_in_the_same_order_whatever_order_it_was_admitted_in() {
    let first = grant(None, 0, 1, "/a/**");
    let children: Vec<Grant> = (0..20).map(|n| grant(Some(&first), 1, 2, &format!("/a/{n}"))).collect();
    let mut orders = [children.clone(), children.iter().rev().cloned().collect()].map(|order| {
        let mut authority = authority();
        admit(&mut authority, first.clone());
        for child in order {
            admit(&mut authority, child);
        }
        authority.family(first.id())
    });
    assert_eq!((orders[0].len(), &orders[0]), (21, &orders[1]));
    assert!(orders[0].split_off(1).is_sorted());
}
