//! Flaws that systems of this kind had, tried again. Signatures here are real.

use syncline_crypto::Domain;

use super::world::{
    admit, at, authority, draft, entry, grant, key, pattern, public, revocation, rotation, signing, stamp,
};
use crate::authority::{Admission, Denied, Op, Standing, SystemItem};
use crate::item::{Entry, EntryDraft, Grant, GrantDraft, Leaves, RevocationDraft, Value};

fn signed_entry(author: u8, path: &str, leaf: &Grant) -> Entry {
    let draft = EntryDraft {
        namespace: leaf.namespace(),
        key: key(path),
        value: Value::from(&b"x"[..]),
        stamp: stamp(100),
        author: public(author),
        leaves: Leaves::new([leaf.id()]).unwrap(),
        previous: None,
    };
    let entry = draft.sign(&signing(author)).unwrap();
    entry.author().verify(&entry.message(), &entry.signature()).unwrap();
    entry
}

fn signed_grant(fields: GrantDraft, issuer: u8) -> Grant {
    let grant = fields.sign(&signing(issuer)).unwrap();
    grant.issuer().verify(&grant.message(), &grant.signature()).unwrap();
    grant
}

/// Whoever sees a grant can name it, but not sign as its audience.
#[test]
fn a_public_grant_is_of_no_use_to_another_signer() {
    let mut authority = authority();
    let granted = signed_grant(draft(None, 0, 1, "/a/**"), 0);
    admit(&mut authority, granted.clone());
    assert_eq!(authority.check(&signed_entry(1, "/a/b", &granted)), Standing::Live);
    let denied = Denied::NotAudience { grant: granted.id(), audience: public(1) };
    for thief in [0, 2, 3] {
        let stolen = signed_entry(thief, "/a/b", &granted);
        assert_eq!(authority.check(&stolen), Standing::Unauthorized(denied.clone()), "{thief}");
    }
    // To claim to be the audience is to fail verification.
    let claimed = EntryDraft {
        namespace: granted.namespace(),
        key: key("/a/b"),
        value: Value::Tombstone,
        stamp: stamp(100),
        author: public(1),
        leaves: Leaves::new([granted.id()]).unwrap(),
        previous: None,
    };
    let domain = Domain::new("syncline/kv/entry/v1");
    let unsigned = claimed.unsigned().unwrap();
    let signature = domain.sign(&signing(2), unsigned.body()).unwrap();
    let forged = Entry::decode(unsigned.complete(&signature)).unwrap();
    assert!(forged.author().verify(&forged.message(), &forged.signature()).is_err());
    // An object of one kind is not taken for one of another.
    let as_grant = Domain::new("syncline/kv/grant/v1").sign(&signing(1), unsigned.body()).unwrap();
    let confused = Entry::decode(unsigned.complete(&as_grant)).unwrap();
    assert!(confused.author().verify(&confused.message(), &confused.signature()).is_err());
}

/// What is granted beyond what one holds gives nothing, on any node, whatever was signed.
#[test]
fn an_over_broad_grant_gives_nothing_outside() {
    let held = signed_grant(draft(None, 0, 1, "/a/**"), 0);
    let broad = signed_grant(draft(Some(&held), 1, 2, "/**"), 1);
    let broader = signed_grant(draft(Some(&broad), 2, 3, "/**"), 2);
    for order in [[&held, &broad, &broader], [&broader, &broad, &held], [&broad, &held, &broader]] {
        let mut authority = authority();
        for _ in 0..3 {
            for known in order {
                authority.admit(SystemItem::Grant(known.clone()));
            }
        }
        for (author, leaf) in [(2, &broad), (3, &broader)] {
            assert_eq!(authority.check(&signed_entry(author, "/a/b", leaf)), Standing::Live);
            for path in ["/b", "/a", "/ab/c"] {
                let denied = Denied::Pattern { grant: held.id(), pattern: pattern("/a/**"), key: key(path) };
                assert_eq!(authority.check(&signed_entry(author, path, leaf)), Standing::Unauthorized(denied.clone()));
                assert_eq!(authority.authorize(&public(author), &key(path), Op::Write, at(100)), Err(denied));
            }
        }
    }
}

/// Revoking one grant after another, then offering both again, brings neither back.
#[test]
fn a_second_revocation_does_not_forget_the_first() {
    let mut authority = authority();
    let (one, other) = (grant(None, 0, 1, "/a/**"), grant(None, 0, 1, "/b/**"));
    let ends = [revocation(one.id(), 0, 10), revocation(other.id(), 0, 20)];
    admit(&mut authority, one.clone());
    admit(&mut authority, other.clone());
    for revocation in &ends {
        admit(&mut authority, revocation.clone());
    }
    for _ in 0..2 {
        for known in [&one, &other] {
            assert_eq!(authority.admit(known.clone().into()), Admission::Known);
        }
        for revocation in &ends {
            assert_eq!(authority.admit(revocation.clone().into()), Admission::Known);
        }
    }
    for (path, leaf) in [("/a/x", &one), ("/b/x", &other)] {
        assert!(matches!(authority.check(&entry(1, path, &[leaf], 5)), Standing::Dead { .. }));
    }
}

/// Grant and entry in either order, and before the grant nothing.
#[test]
fn a_grant_lets_another_write() {
    let granted = signed_grant(draft(None, 0, 1, "/a/**"), 0);
    let written = signed_entry(1, "/a/b", &granted);
    let mut authority = authority();
    assert_eq!(authority.check(&written), Standing::Waiting(granted.id()));
    assert!(authority.authorize(&public(1), &key("/a/b"), Op::Write, at(100)).is_err());
    admit(&mut authority, granted);
    assert_eq!(authority.check(&written), Standing::Live);
}

/// The root's key can be exchanged, and what the old one signs afterwards counts for nothing.
#[test]
fn a_stolen_root_key_can_be_replaced() {
    let mut authority = authority();
    let honest = grant(None, 0, 1, "/a/**");
    admit(&mut authority, honest.clone());
    let rotated = rotation(&authority, &[6], &[(0, 100)], &[0]);
    admit(&mut authority, rotated);
    let evil = signed_grant(GrantDraft { stamp: stamp(101), ..draft(None, 0, 2, "/**") }, 0);
    admit(&mut authority, evil.clone());
    assert!(!authority.is_live_grant(evil.id()) && authority.is_live_grant(honest.id()));
    let fields = RevocationDraft {
        namespace: evil.namespace(),
        grant: grant(None, 6, 3, "/**").id(),
        revoker: public(0),
        stamp: stamp(101),
    };
    admit(&mut authority, grant(None, 6, 3, "/**"));
    let effects = admit(&mut authority, fields.sign(&signing(0)).unwrap());
    assert!(effects.is_none(), "nor does what it revokes");
}

/// A revocation that comes before the grant, in every order of a small history.
#[test]
fn no_order_brings_a_revoked_grant_back() {
    let first = grant(None, 0, 1, "/a/**");
    let second = grant(Some(&first), 1, 2, "/a/**");
    let items: [SystemItem; 4] = [
        first.clone().into(),
        second.clone().into(),
        revocation(first.id(), 0, 1).into(),
        revocation(second.id(), 1, 1).into(),
    ];
    for order in 0..24 {
        let mut left: Vec<&SystemItem> = items.iter().collect();
        let mut authority = authority();
        let mut waiting = Vec::new();
        for divisor in [6, 2, 1, 1] {
            let item = left.remove(order / divisor % left.len());
            if matches!(authority.admit(item.clone()), Admission::Waiting(_)) {
                waiting.push(item);
            }
        }
        for item in waiting.iter().chain(&waiting) {
            authority.admit((*item).clone());
        }
        assert_eq!((authority.grants().count(), authority.revocations().count()), (2, 2), "order {order}");
        for (author, leaf) in [(1, &first), (2, &second)] {
            assert!(matches!(authority.check(&entry(author, "/a/b", &[leaf], 1)), Standing::Dead { .. }));
        }
    }
}

/// Names of things that are not known are answered, not trusted.
#[test]
fn nothing_is_known_of_an_empty_authority() {
    let authority = authority();
    let granted = grant(None, 0, 1, "/a/**");
    assert!(authority.grant(&granted.id()).is_none() && authority.chain(&granted.id()).is_none());
    assert!(authority.revocation_of_chain(&granted.id()).is_none());
    assert_eq!((authority.grants().count(), authority.revocations().count(), authority.rotations().count()), (0, 0, 0));
}
