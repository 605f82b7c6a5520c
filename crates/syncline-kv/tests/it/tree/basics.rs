//! Values, grants and revocations on one replica, and between two that exchange all that they have.

use bytes::Bytes;

use crate::tree::support::{at, draft, key, namespace, passed_on, signer, tree};
use syncline_kv::item::{Item, Value};
use syncline_kv::path::Subtree;
use syncline_kv::tree::{Import, KvError, Listing, Tree, Verdict};

fn value(tree: &Tree, path: &str) -> Option<Bytes> {
    tree.get(&key(path)).expect("reads").map(|entry| match entry.value() {
        Value::Inline(bytes) => bytes.clone(),
        other => panic!("{other:?}"),
    })
}

/// Gives `to` all that `from` has.
fn copy(from: &Tree, to: &Tree) {
    let mut bytes = Vec::new();
    from.export(&mut bytes).expect("exports");
    Import::open(&bytes[..]).expect("opens").apply_to(to, at(10_000)).expect("applies");
}

#[test]
fn a_root_writes_reads_lists_and_deletes() {
    let root = signer(1);
    let tree = tree(&namespace(&root));
    for (path, text) in [("/a/x", "1"), ("/a/y", ""), ("/b", "3")] {
        tree.put(at(1), &root, &key(path), text.as_bytes()).expect("puts");
    }
    assert_eq!(value(&tree, "/a/y"), Some(Bytes::new()));
    let page = tree.list(&Listing::of(Subtree::below(&key("/a")))).expect("lists");
    let keys: Vec<&str> = page.entries.iter().map(|entry| entry.key().as_str()).collect();
    assert_eq!(keys, ["/a/x", "/a/y"]);
    tree.delete(at(2), &root, &key("/a/x")).expect("deletes");
    assert_eq!(value(&tree, "/a/x"), None);
    assert_eq!(tree.root().expect("root").entries, 3);
}

#[test]
fn a_grant_allows_and_its_revocation_unsets_everywhere() {
    let (root, team, member) = (signer(1), signer(2), signer(3));
    let namespace = namespace(&root);
    let (a, b) = (tree(&namespace), tree(&namespace));
    let denied = a.put(at(1), &team, &key("/svc/x"), &b"no"[..]).expect_err("no grant yet");
    assert!(matches!(denied, KvError::Denied(_)), "{denied}");
    let grant = draft(namespace.id(), root.public_key(), team.public_key(), "/svc/**");
    let grant = a.grant(at(1), &root, grant).expect("a root may grant");
    let wide = passed_on(grant.id(), draft(namespace.id(), team.public_key(), member.public_key(), "/**"));
    let refused = a.grant(at(2), &team, wide).expect_err("too wide");
    assert!(matches!(refused, KvError::Mint(_)), "{refused}");
    let narrow = passed_on(grant.id(), draft(namespace.id(), team.public_key(), member.public_key(), "/svc/x"));
    a.grant(at(2), &team, narrow).expect("a part");
    a.put(at(3), &member, &key("/svc/x"), &b"yes"[..]).expect("puts");
    copy(&a, &b);
    assert_eq!(value(&b, "/svc/x"), Some(Bytes::from_static(b"yes")));
    assert_eq!(a.root().expect("root").hash, b.root().expect("root").hash);

    let late = a.put(at(4), &member, &key("/svc/x"), &b"late"[..]).expect("puts");
    let run = b.dry_run(grant.id(), 100).expect("runs");
    assert_eq!(run.keys.len(), 1);
    let revoked = b.revoke(at(5), &root, grant.id()).expect("revokes");
    assert_eq!(revoked.tombstones.len(), 1);
    assert_eq!(value(&b, "/svc/x"), None);
    let verdict = b.apply(at(6), vec![Item::Entry(late)]).expect("applies");
    assert!(matches!(verdict[0], Verdict::Revoked { .. }), "{verdict:?}");
    copy(&b, &a);
    copy(&a, &b);
    assert_eq!(value(&a, "/svc/x"), None);
    assert_eq!(a.root().expect("root").hash, b.root().expect("root").hash);
}
