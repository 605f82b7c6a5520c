//! Trees in files.

use syncline_kv::item::{OnRevoke, RevocationDraft};
use syncline_kv::tree::{BundleError, Import, TreeLimits};
use syncline_kv::{Item, Tree};
use syncline_testkit::cheap::CheapSigner;

use crate::support::{
    at, bundle, copy, entry, grant, hash, key, limited, memory, namespace, passed_on, person, public, root, stamp,
    text, tree, unset,
};

fn import(bytes: &[u8], tree: &Tree) -> Result<syncline_kv::tree::ImportReport, BundleError> {
    Import::open(bytes)?.apply_to(tree, at(100))
}

fn full() -> Tree {
    let tree = unset();
    let member = person(1);
    let granted = grant(&tree, &member, "/a/**");
    tree.put(at(1), &member, &key("/a/x"), &b"v"[..]).expect("puts");
    tree.put(at(1), &root(), &key("/b"), &b"w"[..]).expect("puts");
    let gone = grant(&tree, &person(2), "/**");
    tree.revoke(at(2), &root(), gone.id()).expect("revokes");
    assert!(tree.authority().is_live_grant(granted.id()));
    tree
}

#[test]
fn a_bundle_makes_the_same_tree_once_and_twice() {
    let (from, to) = (full(), unset());
    let bytes = bundle(&from);
    let report = import(&bytes, &to).expect("applies");
    assert_eq!((report.new, report.known, report.refused), (5, 0, 0));
    assert_eq!(hash(&to), hash(&from));
    let report = import(&bytes, &to).expect("applies");
    assert_eq!((report.new, report.refused), (0, 0));
    assert_eq!((hash(&to), bundle(&to)), (hash(&from), bytes));
    to.check().expect("rows agree");
}

#[test]
fn a_bundle_that_ends_early_gives_what_it_has() {
    let from = full();
    let bytes = bundle(&from);
    for len in 0..bytes.len() {
        let to = unset();
        let failed = import(&bytes[..len], &to).expect_err("it is cut off");
        assert!(matches!(failed, BundleError::Truncated), "{len}: {failed}");
        to.check().expect("rows agree");
        if len == bytes.len() - 1 {
            assert_eq!(hash(&to), hash(&from), "all items were there");
        }
        import(&bytes, &to).expect("the whole one heals it");
        assert_eq!(hash(&to), hash(&from));
    }
}

#[test]
fn no_flipped_bit_gets_in() {
    let from = full();
    let bytes = bundle(&from);
    let whole: std::collections::BTreeSet<Vec<u8>> = items(&from);
    for nth in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[nth] ^= 1 << (nth % 8);
        let to = unset();
        assert!(import(&flipped, &to).is_err(), "byte {nth}");
        assert!(items(&to).is_subset(&whole), "byte {nth}");
        to.check().expect("rows agree");
    }
}

fn items(tree: &Tree) -> std::collections::BTreeSet<Vec<u8>> {
    let bytes = bundle(tree);
    // After the magic: records with their length before them, the description first.
    let (mut rest, mut found) = (&bytes[16..], std::collections::BTreeSet::new());
    while let Some((len, more)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        if len == 0 {
            break;
        }
        found.insert(more[..len].to_vec());
        rest = &more[len..];
    }
    found
}

#[test]
fn a_bundle_of_another_namespace_is_refused() {
    let failed = import(&bundle(&tree(OnRevoke::Fallback)), &unset()).expect_err("another");
    assert!(matches!(failed, BundleError::OtherNamespace { .. }), "{failed}");
    assert!(matches!(Import::open(&b"not a bundle at all, but long"[..]), Err(BundleError::Magic)));
    let mut long = bundle(&unset())[..16].to_vec();
    long.extend([0xff; 8]);
    assert!(matches!(Import::open(&long[..]), Err(BundleError::TooLong { .. })));
}

/// Grants come before what rests on them, so that none has to wait.
#[test]
fn deep_chains_come_in_one_go_though_nothing_may_wait() {
    let from = unset();
    let mut people: Vec<CheapSigner> = vec![person(1)];
    let mut last = grant(&from, &people[0], "/**");
    for round in 0..200 {
        if last.fields().depth == 0 {
            last = from
                .authority()
                .grants_to(&public(&people[0]))
                .next()
                .map(|first| (**first).clone())
                .expect("the first");
        }
        let by = people.iter().find(|person| public(person) == *last.audience()).expect("known").clone();
        let to = person(10 + round);
        last = from.grant(at(0), &by, passed_on(&from, &last, &by, &to)).expect("grants");
        people.push(to);
    }
    let limits = crate::support::limits(|limits| limits.waiting_items = 0);
    let to = limited(&memory(), &namespace(OnRevoke::Unset), limits).expect("opens");
    copy(&from, &to, at(1));
    assert_eq!(hash(&to), hash(&from));
}

/// What was admitted once is admitted when the tree is opened, also under smaller limits.
#[test]
fn smaller_limits_forget_nothing() {
    let db = memory();
    let namespace = namespace(OnRevoke::Unset);
    let tree = limited(&db, &namespace, TreeLimits::default()).expect("opens");
    let granted: Vec<_> = (1..20).map(|nth| grant(&tree, &person(nth), "/**")).collect();
    let end =
        RevocationDraft { namespace: tree.id(), grant: granted[0].id(), revoker: public(&root()), stamp: stamp(1) };
    tree.apply(at(1), vec![Item::from(end.sign(&root()).expect("signs"))]).expect("applies");
    tree.apply(at(1), vec![entry(&tree, &person(19), &[granted[18].id()], "/k", "v", stamp(1)).into()])
        .expect("applies");
    let before = hash(&tree);
    drop(tree);
    let mut limits = TreeLimits::default();
    limits.authority.grants_max = 3;
    limits.authority.revocations_max = 0;
    let tree = limited(&db, &namespace, limits).expect("opens");
    assert_eq!((hash(&tree), text(&tree, "/k")), (before, Some("v".into())));
    assert!(!tree.authority().is_live_grant(granted[0].id()));
    assert!(tree.grant(at(1), &root(), crate::support::draft(&tree, &person(99), "/**")).is_err(), "there is no room");
    tree.check().expect("rows agree");
}
