//! What happens at the limits.

use super::world::{admit, draft, grant, made, namespace, revocation, rotation, stamp};
use crate::authority::{Admission, Authority, AuthorityLimits, SystemItem};
use crate::item::{Grant, GrantDraft, Revocation};

fn limited(change: impl FnOnce(&mut AuthorityLimits)) -> Authority {
    let mut limits = AuthorityLimits::default();
    change(&mut limits);
    Authority::new(namespace(), limits)
}

/// Different grants by one issuer.
fn many(parent: Option<&Grant>, issuer: u8) -> impl Iterator<Item = Grant> {
    let fields = draft(parent, issuer, 2, "/a/**");
    (0..).map(move |n| made(&GrantDraft { stamp: stamp(n), ..fields.clone() }))
}

#[test]
fn the_last_eighth_of_the_grants_is_for_roots() {
    let mut authority = limited(|limits| limits.grants_max = 16);
    let first = grant(None, 0, 1, "/a/**");
    admit(&mut authority, first.clone());
    for passed_on in many(Some(&first), 1).take(13) {
        admit(&mut authority, passed_on);
    }
    let next = many(Some(&first), 1).nth(13).unwrap();
    assert_eq!(authority.admit(next.clone().into()), Admission::Full);
    assert!(authority.grant(&next.id()).is_none());
    assert_eq!(authority.admit(first.into()), Admission::Known);
    for by_root in many(None, 0).take(2) {
        admit(&mut authority, by_root);
    }
    assert_eq!(authority.admit(many(None, 0).nth(2).unwrap().into()), Admission::Full);
    assert_eq!(authority.grants().count(), 16);
}

#[test]
fn the_last_eighth_of_the_revocations_is_for_roots() {
    let mut authority = limited(|limits| limits.revocations_max = 8);
    let first = grant(None, 0, 1, "/a/**");
    let second = grant(Some(&first), 1, 2, "/a/**");
    admit(&mut authority, first.clone());
    admit(&mut authority, second.clone());
    let by = |revoker, stamp| -> Revocation { revocation(second.id(), revoker, stamp) };
    for stamp in 0..7 {
        admit(&mut authority, by(1, stamp));
    }
    assert_eq!(authority.admit(by(1, 7).into()), Admission::Full);
    assert_eq!(admit(&mut authority, revocation(first.id(), 0, 1)).killed, [first.id()], "a root still gets through");
    assert_eq!(authority.admit(by(0, 1).into()), Admission::Full);
    assert_eq!(authority.revocations().count(), 8);
}

#[test]
fn so_many_rotations_and_no_more() {
    let mut authority = limited(|limits| limits.rotations_max = 3);
    for n in 0..3 {
        let next = rotation(&authority, &[0], &[(1, n)], &[0]);
        admit(&mut authority, next);
    }
    let next = rotation(&authority, &[0], &[], &[0]);
    assert_eq!(authority.admit(next.into()), Admission::Full);
    assert_eq!(authority.roots().index(), 3);
    let last = authority.rotations().last().unwrap().clone();
    assert_eq!(authority.admit(last.into()), Admission::Known);
}

#[test]
fn the_defaults_are_as_documented() {
    let limits = AuthorityLimits::default();
    assert_eq!((limits.grants_max, limits.revocations_max, limits.rotations_max), (65_536, 65_536, 1_024));
}

/// What was admitted in one order is restored in another, where the limits would not let it in.
#[test]
fn what_is_stored_is_restored_whatever_the_limits() {
    let limits = AuthorityLimits { grants_max: 8, ..AuthorityLimits::default() };
    let mut authority = Authority::new(namespace(), limits);
    let rotated = rotation(&authority, &[0, 1], &[], &[0]);
    admit(&mut authority, rotated);
    let first = grant(None, 1, 2, "/a/**");
    admit(&mut authority, first.clone());
    for passed_on in many(Some(&first), 2).take(6) {
        admit(&mut authority, passed_on);
    }
    admit(&mut authority, grant(None, 0, 3, "/b/**"));
    admit(&mut authority, revocation(first.id(), 1, 1));
    let mut items: Vec<SystemItem> = authority.revocations().cloned().map(SystemItem::from).collect();
    items.extend(authority.grants().map(|grant| SystemItem::Grant(Grant::clone(grant))));
    items.extend(authority.rotations().cloned().map(SystemItem::from));
    let limits = AuthorityLimits { grants_max: 2, ..limits };
    for order in [items.clone(), items.iter().rev().cloned().collect()] {
        let mut again = Authority::restore(namespace(), limits, order).unwrap();
        assert!(again.grants().eq(authority.grants()) && again.revocations().eq(authority.revocations()));
        assert!(again.rotations().eq(authority.rotations()) && again.roots() == authority.roots());
        let live = |authority: &Authority| -> Vec<bool> {
            authority.grants().map(|grant| authority.is_live_grant(grant.id())).collect()
        };
        assert_eq!(live(&again), live(&authority));
        assert_eq!(again.admit(many(None, 0).next().unwrap().into()), Admission::Full);
    }
    let orphans = items.into_iter().filter(|item| !matches!(item, SystemItem::RootRotate(_)));
    let error = Authority::restore(namespace(), limits, orphans).unwrap_err();
    assert!(matches!(*error.admission, Admission::Refused(_)), "{error}");
}

/// A clone keeps what it was made of, whatever happens to the other.
#[test]
fn a_clone_stays_as_it_is() {
    let mut authority = Authority::new(namespace(), AuthorityLimits::default());
    let first = grant(None, 0, 1, "/a/**");
    admit(&mut authority, first.clone());
    let before = authority.clone();
    for passed_on in many(Some(&first), 1).take(600) {
        admit(&mut authority, passed_on);
    }
    admit(&mut authority, revocation(first.id(), 0, 1));
    let rotated = rotation(&authority, &[3], &[], &[0]);
    admit(&mut authority, rotated);
    assert_eq!((before.grants().count(), before.revocations().count(), before.rotations().count()), (1, 0, 0));
    assert!(before.is_live_grant(first.id()) && before.family(first.id()) == [first.id()]);
    assert_eq!((before.roots().index(), authority.roots().index()), (0, 1));
    assert_eq!(authority.family(first.id()).len(), 601);
    assert!(authority.grants().is_sorted_by_key(|grant| grant.id()));
}
