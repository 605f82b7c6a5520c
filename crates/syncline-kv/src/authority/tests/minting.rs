//! What may be granted.

use super::world::{admit, at, authority, draft, entry, grant, made, pattern, public, revocation, rotation, stamp};
use crate::authority::{Admission, Authority, Denied, MintError, Op, Refusal, Standing};
use crate::item::{Grant, GrantDraft, GrantId, ItemError, NamespaceId, Ops, Quota};
use crate::path::Inclusion;

/// 1 holds everything below /a.
fn held(change: impl FnOnce(&mut GrantDraft)) -> (Authority, Grant) {
    let mut authority = authority();
    let mut fields = draft(None, 0, 1, "/a/**");
    change(&mut fields);
    let first = made(&fields);
    admit(&mut authority, first.clone());
    (authority, first)
}

#[test]
fn one_passes_on_a_part_of_what_one_holds() {
    let (authority, first) = held(|_| ());
    for keys in ["/a/**", "/a/b/*", "/a/b", "/a/**/c*", "/a/*/**"] {
        assert_eq!(authority.check_mint(&draft(Some(&first), 1, 2, keys), at(100)), Ok(()), "{keys}");
    }
    for keys in ["/**", "/b/x", "/*/x", "/a", "/*/**", "/a*/b"] {
        let wanted = draft(Some(&first), 1, 2, keys);
        match authority.check_mint(&wanted, at(100)) {
            Err(MintError::NotSubset { grant, held, witness }) => {
                assert_eq!((grant, &held), (first.id(), &pattern("/a/**")));
                assert!(wanted.pattern.matches(&witness) && !held.matches(&witness), "{keys}: {witness}");
            }
            other => panic!("{keys}: {other:?}"),
        }
    }
}

#[test]
fn every_link_above_has_to_hold_it() {
    let (mut authority, first) = held(|_| ());
    // Made by hand, past the check.
    let wider = grant(Some(&first), 1, 2, "/**");
    admit(&mut authority, wider.clone());
    assert_eq!(authority.check_mint(&draft(Some(&wider), 2, 3, "/a/b/**"), at(100)), Ok(()));
    let error = authority.check_mint(&draft(Some(&wider), 2, 3, "/b/**"), at(100)).unwrap_err();
    assert!(matches!(error, MintError::NotSubset { grant, .. } if grant == first.id()), "{error}");
}

#[test]
fn depth_falls_with_each_link() {
    let (mut authority, first) = held(|fields| fields.depth = 1);
    let check = |authority: &Authority, parent: &Grant, depth| {
        let issuer = if parent.id() == first.id() { 1 } else { 2 };
        authority.check_mint(&GrantDraft { depth, ..draft(Some(parent), issuer, 2, "/a/**") }, at(100))
    };
    let refusal = Refusal::Depth { parent: first.id(), held: 1, found: 1 };
    assert_eq!(check(&authority, &first, 1), Err(MintError::Refused(refusal)));
    assert_eq!(check(&authority, &first, 0), Ok(()));
    let last = grant(Some(&first), 1, 2, "/a/**");
    admit(&mut authority, last.clone());
    assert_eq!(check(&authority, &last, 0), Err(MintError::DepthExhausted { parent: last.id() }));
    assert!(matches!(check(&authority, &first, 8), Err(MintError::Item(ItemError::TooLong { .. }))));
}

#[test]
fn operations_windows_and_quotas_stay_within() {
    let quota = Quota { entries: Some(10), bytes: None };
    let (authority, first) = held(|fields| {
        (fields.not_before, fields.not_after, fields.quota) = (Some(at(50)), Some(at(150)), quota);
    });
    let fits = GrantDraft {
        not_before: Some(at(50)),
        not_after: Some(at(150)),
        quota: Quota { entries: Some(10), bytes: Some(1) },
        ..draft(Some(&first), 1, 2, "/a/**")
    };
    let grant = first.id();
    let check = |wanted: GrantDraft| authority.check_mint(&wanted, at(100));
    assert_eq!(check(fits.clone()), Ok(()));
    let ops = MintError::OpsNotHeld { grant, held: Ops::Write, wanted: Ops::ReadWrite };
    assert_eq!(check(GrantDraft { ops: Ops::ReadWrite, ..fits.clone() }), Err(ops));
    let window = MintError::WindowNotHeld { grant, from: Some(at(50)), until: Some(at(150)) };
    for (not_before, not_after) in [(Some(49), Some(150)), (None, Some(150)), (Some(50), Some(151)), (Some(50), None)] {
        let (not_before, not_after) = (not_before.map(at), not_after.map(at));
        assert_eq!(check(GrantDraft { not_before, not_after, ..fits.clone() }), Err(window.clone()));
    }
    for entries in [Some(11), None] {
        let quota_not_held = MintError::QuotaNotHeld { grant, held: quota };
        assert_eq!(check(GrantDraft { quota: Quota { entries, bytes: None }, ..fits.clone() }), Err(quota_not_held));
    }
    assert_eq!(authority.check_mint(&fits, at(151)), Err(MintError::Expired { parent: grant, until: at(150) }));
}

#[test]
fn the_issuer_has_to_hold_the_parent_and_the_parent_has_to_live() {
    let (mut authority, first) = held(|_| ());
    let stolen = Refusal::NotAudience { parent: first.id(), audience: public(1), issuer: public(2) };
    assert_eq!(authority.check_mint(&draft(Some(&first), 2, 2, "/a/**"), at(100)), Err(stolen.into()));
    let parent = GrantId::from_bytes([3; 32]);
    let orphan = GrantDraft { parent: Some(parent), ..draft(Some(&first), 1, 2, "/a/**") };
    assert_eq!(authority.check_mint(&orphan, at(100)), Err(MintError::UnknownParent { parent }));
    let ends = revocation(first.id(), 0, 100);
    admit(&mut authority, ends.clone());
    let reason = Box::new(Denied::Revoked { grant: first.id(), revocation: ends.id() });
    let dead = MintError::DeadParent { parent: first.id(), reason };
    assert_eq!(authority.check_mint(&draft(Some(&first), 1, 2, "/a/**"), at(100)), Err(dead));
}

#[test]
fn without_a_parent_the_issuer_has_to_be_a_root() {
    let mut authority = authority();
    assert_eq!(authority.check_mint(&draft(None, 0, 1, "/**"), at(100)), Ok(()));
    let stranger = Refusal::NotRoot { issuer: public(1) };
    assert_eq!(authority.check_mint(&draft(None, 1, 1, "/**"), at(100)), Err(stranger.into()));
    let found = NamespaceId::from_bytes([5; 32]);
    let foreign = GrantDraft { namespace: found, ..draft(None, 0, 1, "/**") };
    assert_eq!(authority.check_mint(&foreign, at(100)), Err(Refusal::OtherNamespace { found }.into()));
    let rotated = rotation(&authority, &[1], &[(0, 99)], &[0]);
    admit(&mut authority, rotated);
    let distrusted = MintError::RootDistrusted { issuer: public(0), stamp: stamp(100) };
    assert_eq!(authority.check_mint(&draft(None, 0, 1, "/**"), at(100)), Err(distrusted));
    let before = GrantDraft { stamp: stamp(99), ..draft(None, 0, 1, "/**") };
    assert_eq!(authority.check_mint(&before, at(100)), Ok(()));
}

#[test]
fn only_subtrees_are_granted_to_be_read() {
    let authority = authority();
    for ops in [Ops::Read, Ops::ReadWrite] {
        let wanted = |keys| GrantDraft { ops, ..draft(None, 0, 1, keys) };
        assert_eq!(authority.check_mint(&wanted("/a/**"), at(100)), Ok(()));
        for keys in ["/a", "/a/*", "/*/b/**", "/a/**/b"] {
            let error = MintError::ReadNotSubtree { pattern: pattern(keys) };
            assert_eq!(authority.check_mint(&wanted(keys), at(100)), Err(error));
        }
    }
}

#[test]
fn two_grants_cover_what_neither_does_alone() {
    let mut authority = authority();
    let wanted = pattern("/**/a");
    for (keys, covered) in [("/*a*", false), ("/*/**/a", true)] {
        admit(&mut authority, grant(None, 0, 1, keys));
        assert_eq!(authority.would_cover(&public(1), &wanted, Op::Write, at(100)).is_included(), covered, "{keys}");
        let last = authority.grants().find(|grant| grant.pattern().as_str() == keys).unwrap();
        let alone = authority.check_mint(&draft(Some(last), 1, 2, "/**/a"), at(100));
        assert!(matches!(alone, Err(MintError::NotSubset { .. })), "{alone:?}");
    }
    assert_eq!(authority.would_cover(&public(0), &wanted, Op::Read, at(100)), Inclusion::Included);
}

#[test]
fn what_is_not_covered_has_a_witness() {
    let (mut authority, first) = held(|fields| fields.not_after = Some(at(200)));
    let second = grant(Some(&first), 1, 2, "/**");
    admit(&mut authority, second.clone());
    let cover = |authority: &Authority, who, keys, op, millis| {
        authority.would_cover(&public(who), &pattern(keys), op, at(millis))
    };
    // An over-broad grant covers what its chain gives.
    assert_eq!(cover(&authority, 2, "/a/b/*", Op::Write, 100), Inclusion::Included);
    for (who, keys, op, millis) in [
        (2, "/**", Op::Write, 100),
        (1, "/*/b", Op::Write, 100),
        (1, "/a/*", Op::Write, 201),
        (1, "/a/*", Op::Read, 100),
        (3, "/a/*", Op::Write, 100),
    ] {
        match cover(&authority, who, keys, op, millis) {
            Inclusion::NotIncluded { witness } => {
                assert!(pattern(keys).matches(&witness));
                assert!(authority.authorize(&public(who), &witness, op, at(millis)).is_err());
            }
            other => panic!("{keys}: {other:?}"),
        }
    }
    admit(&mut authority, revocation(first.id(), 0, 1));
    assert!(!cover(&authority, 1, "/a/*", Op::Write, 100).is_included());
}

#[test]
fn what_links_have_in_common_is_covered_or_not_told() {
    let (mut authority, first) = held(|fields| fields.pattern = pattern("/a/*/c"));
    // Neither link includes the other: together they are /a/b/c, and /a/bx/c, and so on.
    admit(&mut authority, grant(Some(&first), 1, 2, "/a/b*/*"));
    let cover = |keys| authority.would_cover(&public(2), &pattern(keys), Op::Write, at(100));
    assert_eq!(cover("/a/b/c"), Inclusion::Included);
    assert_eq!(cover("/a/b*/c"), Inclusion::Included);
    assert!(matches!(cover("/a/c/c"), Inclusion::NotIncluded { .. }));
    for keys in ["/a/*/c", "/a/b*/*"] {
        match cover(keys) {
            Inclusion::Included => panic!("{keys}"),
            Inclusion::NotIncluded { witness } => assert!(!pattern("/a/b*/c").matches(&witness), "{witness}"),
            _ => {}
        }
    }
}

/// One grant for each character: together they have every segment, but they are more than are searched.
#[test]
fn more_grants_than_are_searched_give_no_false_witness() {
    let mut authority = authority();
    let characters = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(".-_~:@+=,%".chars());
    for character in characters {
        admit(&mut authority, grant(None, 0, 1, &format!("/a/*{character}*")));
    }
    let cover = |keys| authority.would_cover(&public(1), &pattern(keys), Op::Write, at(100));
    assert_eq!(cover("/a/*"), Inclusion::TooComplex);
    match cover("/a/**") {
        Inclusion::NotIncluded { witness } => {
            assert!(authority.authorize(&public(1), &witness, Op::Write, at(100)).is_err(), "{witness}");
        }
        other => assert_eq!(other, Inclusion::TooComplex),
    }
}

#[test]
fn what_passes_the_check_gives_all_that_it_says() {
    let (mut authority, first) = held(|_| ());
    let wanted = draft(Some(&first), 1, 2, "/a/b*/**");
    authority.check_mint(&wanted, at(100)).unwrap();
    let second = made(&wanted);
    assert!(matches!(authority.admit(second.clone().into()), Admission::Added(_)));
    for path in ["/a/b/c", "/a/bb/c/d"] {
        assert_eq!(authority.check(&entry(2, path, &[&second], 100)), Standing::Live);
    }
}
