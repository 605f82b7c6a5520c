//! Rotations: other roots, and what becomes of the word of the former ones.

use std::collections::BTreeMap;

use syncline_crypto::Hash;

use super::world::{admit, at, authority, entry, grant, key, made_rotation, public, revocation, rotation, stamp};
use crate::authority::{Admission, Authority, AuthorityLimits, Authorization, Awaited, Denied, Op, Refusal, Standing};
use crate::item::{Namespace, RotateDraft, RotationId};

fn root_entry_stands(authority: &Authority, author: u8, millis: u64) -> Standing {
    authority.check(&entry(author, "/a", &[], millis))
}

#[test]
fn a_distrusted_root_loses_what_it_wrote_and_granted() {
    let mut authority = authority();
    let granted = grant(None, 0, 2, "/a/**");
    let below = grant(Some(&granted), 2, 3, "/a/**");
    admit(&mut authority, granted.clone());
    admit(&mut authority, below.clone());
    let rotated = rotation(&authority, &[1], &[], &[0]);
    let effects = admit(&mut authority, rotated.clone());
    let mut killed = vec![granted.id(), below.id()];
    killed.sort_unstable();
    assert_eq!((effects.killed, effects.roots_changed), (killed, true));
    assert_eq!(authority.roots().keys(), [public(1)]);
    assert_eq!((authority.roots().index(), authority.roots().last()), (1, Hash::from(rotated.id())));
    assert_eq!(root_entry_stands(&authority, 0, 1), Standing::Distrusted { author: public(0) });
    assert_eq!(root_entry_stands(&authority, 1, 1), Standing::Live);
    assert!(matches!(root_entry_stands(&authority, 2, 1), Standing::Unauthorized(Denied::NotRoot { .. })));
    let dead = Standing::Dead { grant: granted.id(), revocation: None };
    assert_eq!(authority.check(&entry(3, "/a/b", &[&below], 100)), dead);
    let denied = Denied::Unanchored { grant: granted.id(), issuer: public(0) };
    assert_eq!(authority.authorize(&public(3), &key("/a/b"), Op::Write, at(100)), Err(denied));
    let denied = Denied::RootDistrusted { author: public(0), stamp: stamp(100) };
    assert_eq!(authority.authorize(&public(0), &key("/a/b"), Op::Write, at(100)), Err(denied));
    // What it grants now is admitted, so that sets merge, and is dead.
    let late = grant(None, 0, 4, "/**");
    admit(&mut authority, late.clone());
    assert!(!authority.is_live_grant(late.id()));
}

#[test]
fn a_retired_roots_word_counts_up_to_the_cut() {
    let mut authority = authority();
    // Issued at 100.
    let granted = grant(None, 0, 2, "/a/**");
    admit(&mut authority, granted.clone());
    let effects = {
        let rotated = rotation(&authority, &[1], &[(0, 100)], &[0]);
        admit(&mut authority, rotated)
    };
    assert!(effects.killed.is_empty() && effects.roots_changed);
    assert!(authority.is_live_grant(granted.id()));
    assert_eq!(root_entry_stands(&authority, 0, 100), Standing::Live);
    assert_eq!(root_entry_stands(&authority, 0, 101), Standing::Distrusted { author: public(0) });
    assert!(authority.authorize(&public(0), &key("/a"), Op::Write, at(101)).is_err());
    // Retired once more, with an earlier cut.
    let rotated = rotation(&authority, &[1], &[(0, 99)], &[1]);
    assert_eq!(admit(&mut authority, rotated).killed, [granted.id()]);
}

#[test]
fn a_distrusted_roots_revocations_stop_counting() {
    let mut authority = authority();
    let rotated = rotation(&authority, &[0, 1], &[], &[0]);
    admit(&mut authority, rotated);
    let granted = grant(None, 0, 2, "/a/**");
    admit(&mut authority, granted.clone());
    // Root 1 is not above the grant.
    let ends = revocation(granted.id(), 1, 100);
    assert_eq!(admit(&mut authority, ends.clone()).killed, [granted.id()]);
    let rotated = rotation(&authority, &[0], &[], &[0, 1]);
    let effects = admit(&mut authority, rotated);
    assert_eq!((effects.killed, effects.revived), (vec![], vec![granted.id()]));
    assert!(authority.is_live_grant(granted.id()));
    assert!(authority.revocation(&ends.id()).is_some(), "it stays known");
    // It may still revoke, which does nothing, and a late grant is judged by the present roots.
    assert!(admit(&mut authority, revocation(granted.id(), 1, 101)).is_none());
    let rotated = rotation(&authority, &[0], &[(1, 100)], &[0]);
    assert_eq!(admit(&mut authority, rotated).killed, [granted.id()], "the cut takes in the first of the two");
}

#[test]
fn an_issuers_revocation_counts_though_it_is_no_root_any_more() {
    let mut authority = authority();
    let granted = grant(None, 0, 2, "/a/**");
    admit(&mut authority, granted.clone());
    let rotated = rotation(&authority, &[1], &[(0, 100)], &[0]);
    admit(&mut authority, rotated);
    // Long after its cut: as the issuer, not as a root.
    assert_eq!(admit(&mut authority, revocation(granted.id(), 0, 5_000)).killed, [granted.id()]);
}

#[test]
fn of_two_successors_the_least_id_wins_also_if_it_comes_later() {
    let mut authority = authority();
    let mut forks = [rotation(&authority, &[1], &[], &[0]), rotation(&authority, &[2], &[], &[0])];
    forks.sort_by_key(|fork| fork.id());
    let [less, greater] = forks;
    admit(&mut authority, greater.clone());
    let loser = greater.fields().roots[0];
    let number = (0..7).find(|n| public(*n) == loser).unwrap();
    let granted = grant(None, number, 5, "/a/**");
    admit(&mut authority, granted.clone());
    let further = rotation(&authority, &[number, 6], &[], &[number]);
    admit(&mut authority, further.clone());
    assert_eq!(authority.roots().index(), 2);
    let effects = admit(&mut authority, less.clone());
    assert_eq!((effects.killed, effects.roots_changed), (vec![granted.id()], true));
    assert_eq!((authority.roots().index(), authority.roots().last()), (1, Hash::from(less.id())));
    assert!(!authority.is_root(&loser, stamp(1)) && authority.was_root(&loser));
    // What the loser grants is admitted, as on replicas that knew it before.
    let late = grant(None, number, 4, "/a/**");
    assert!(admit(&mut authority, late.clone()).is_none());
    assert!(!authority.is_live_grant(late.id()));
    let indices: Vec<u64> = authority.rotations().map(|rotation| rotation.fields().index).collect();
    assert_eq!(indices, [1, 1, 2]);
    // A successor of the one that lost changes nothing.
    let mut fields = further.fields().clone();
    fields.stamp = stamp(9);
    assert!(admit(&mut authority, made_rotation(&fields, &[number])).is_none());
}

#[test]
fn enough_of_the_roots_before_have_to_sign() {
    let namespace = Namespace::new("test", (0..3).map(public)).unwrap();
    let mut authority = Authority::new(namespace, AuthorityLimits::default());
    let needed = 2;
    for (signers, found) in [(vec![0], 1), (vec![0, 4, 5, 6], 1), (vec![4], 0)] {
        let rotated = rotation(&authority, &[4], &[], &signers);
        let refusal = Refusal::Signatures { needed, found };
        assert_eq!(authority.admit(rotated.into()), Admission::Refused(refusal));
    }
    let rotated = rotation(&authority, &[4], &[], &[0, 2]);
    admit(&mut authority, rotated.clone());
    // The id does not depend on who signed.
    let mut again = rotated.fields().clone();
    assert_eq!(authority.admit(made_rotation(&again, &[0, 1, 2]).into()), Admission::Known);
    // One root is left, so two cannot be asked for; and it is the one before that signs.
    again.stamp = stamp(7);
    (again.index, again.previous, again.roots) = (2, rotated.id().into(), vec![public(5)]);
    let refusal = Refusal::Signatures { needed: 1, found: 0 };
    assert_eq!(authority.admit(made_rotation(&again, &[0, 1, 2, 5]).into()), Admission::Refused(refusal));
    admit(&mut authority, made_rotation(&again, &[4]));
    assert_eq!(authority.roots().keys(), [public(5)]);
}

#[test]
fn a_rotation_follows_one_that_is_known_and_by_one() {
    let mut authority = authority();
    let first = rotation(&authority, &[1], &[], &[0]);
    let numbered = |index, previous| {
        let roots = vec![public(2)];
        let namespace = first.namespace();
        made_rotation(
            &RotateDraft { namespace, index, previous, roots, retired: BTreeMap::new(), stamp: stamp(1) },
            &[1],
        )
    };
    let second = numbered(2, first.id().into());
    let waiting = Admission::Waiting(Awaited::Rotation(first.id().into()));
    assert_eq!(authority.admit(second.clone().into()), waiting);
    admit(&mut authority, first.clone());
    for (index, previous, refusal) in [
        (1, first.id().into(), Refusal::Index { expected: 2, found: 1 }),
        (3, first.id().into(), Refusal::Index { expected: 2, found: 3 }),
        (2, first.fields().previous, Refusal::Index { expected: 1, found: 2 }),
        (1, RotationId::from_bytes([1; 32]).into(), Refusal::NotFirst),
    ] {
        assert_eq!(authority.admit(numbered(index, previous).into()), Admission::Refused(refusal));
    }
    admit(&mut authority, second);
    assert_eq!(authority.roots().keys(), [public(2)]);
}

#[test]
fn a_rotation_that_names_the_same_roots_changes_nothing_but_the_number() {
    let mut authority = authority();
    let same = rotation(&authority, &[0], &[], &[0]);
    assert!(admit(&mut authority, same).is_none());
    assert_eq!(authority.roots().index(), 1);
}

#[test]
fn a_new_root_may_all_that_a_root_may() {
    let mut authority = authority();
    let early = grant(None, 1, 2, "/**");
    assert!(matches!(authority.admit(early.clone().into()), Admission::Refused(Refusal::NotRoot { .. })));
    let granted = grant(None, 0, 2, "/a/**");
    admit(&mut authority, granted.clone());
    let rotated = rotation(&authority, &[0, 1], &[], &[0]);
    admit(&mut authority, rotated);
    assert_eq!(authority.authorize(&public(1), &key("/x"), Op::Read, at(1)), Ok(Authorization::Root));
    admit(&mut authority, early.clone());
    assert!(authority.is_live_grant(early.id()), "also what it stamped before");
    assert_eq!(admit(&mut authority, revocation(granted.id(), 1, 1)).killed, [granted.id()]);
}
