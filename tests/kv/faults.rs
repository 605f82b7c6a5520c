//! Commits that fail, and trees that are opened twice.

use std::future::Future as _;
use std::sync::Arc;

use syncline_kv::item::OnRevoke;
use syncline_kv::tree::{Scope, TreeLimits};
use syncline_kv::{GrantId, Item, KvError, Tree, Verdict};
use syncline_storage::{
    CommitError, CommitFault, Database, FaultDb, FaultScript, MemoryDb, Remains, StorageErrorKind, TraceDb, TraceEvent,
};

use crate::support::{
    apply, at, entry, grant, hash, key, limited, memory, namespace, open, person, root, stamp, text, unset,
};

type Faulty = Arc<FaultDb<MemoryDb>>;

fn faulty() -> Faulty {
    Arc::new(FaultDb::new(MemoryDb::new(), FaultScript::new()).expect("a disk"))
}

fn limits() -> TreeLimits {
    crate::support::limits(|limits| limits.sweep = 2)
}

fn open_small(db: &Faulty) -> Tree {
    let db = Arc::clone(db) as Arc<dyn Database>;
    limited(&db, &namespace(OnRevoke::Unset), limits()).expect("opens")
}

/// A tree in which a grant allows nine entries, some of them by another grant too.
fn prepared(db: &Faulty) -> (Tree, GrantId) {
    let tree = open_small(db);
    let member = person(1);
    let (doomed, other) = (grant(&tree, &member, "/**").id(), grant(&tree, &member, "/a/**").id());
    for nth in 0..9 {
        let both = if nth % 3 == 0 { vec![doomed, other] } else { vec![doomed] };
        apply(&tree, at(1), entry(&tree, &member, &both, &format!("/a/{nth}"), "v", stamp(1)));
    }
    let never = entry(&tree, &member, &[doomed], "/a/q", "v", stamp(10_000_000));
    assert!(matches!(apply(&tree, at(1), never), Verdict::Quarantined { .. }));
    (tree, doomed)
}

/// The n-th commit of a revocation fails in some way. However that is, opening again leads to the same tree.
#[test]
fn a_sweep_that_is_interrupted_anywhere_is_finished() {
    let revocation = |tree: &Tree, grant| {
        let draft = syncline_kv::item::RevocationDraft {
            namespace: tree.id(),
            grant,
            revoker: crate::support::public(&root()),
            stamp: stamp(5),
        };
        Item::from(draft.sign(&root()).expect("signs"))
    };
    let whole = faulty();
    let (tree, doomed) = prepared(&whole);
    let before = whole.counts().commits;
    apply(&tree, at(5), revocation(&tree, doomed));
    let commits = whole.counts().commits - before;
    assert!(commits >= 6, "{commits} commits");
    assert_eq!(tree.root().expect("root").entries, 3);
    let expected = hash(&tree);
    for nth in 1..=commits {
        for fault in [
            CommitFault::Fail(StorageErrorKind::Full),
            CommitFault::Crash(Remains::Synced),
            CommitFault::Crash(Remains::Applied),
        ] {
            let db = faulty();
            let (tree, doomed) = prepared(&db);
            db.set_script(FaultScript::new().at_commit(nth, fault));
            let offered = revocation(&tree, doomed);
            let failed = tree.apply(at(5), vec![offered.clone()]).expect_err("one commit fails");
            assert!(matches!(failed, KvError::Commit(_)), "{failed}");
            if db.is_crashed() {
                db.reopen().expect("reopens");
            }
            // What counts, counts at once.
            if nth > 1 {
                assert!(!tree.authority().is_live_grant(doomed), "{fault:?} at {nth}");
            }
            let tree = if nth % 2 == 0 {
                drop(tree);
                open_small(&db)
            } else {
                // The same handle finishes it with the next write.
                tree
            };
            apply(&tree, at(5), offered);
            tree.check().unwrap_or_else(|err| panic!("{fault:?} at {nth}: {err}"));
            assert_eq!(hash(&tree), expected, "{fault:?} at {nth}");
            assert!(tree.quarantined_keys().expect("reads").is_empty(), "{fault:?} at {nth}");
        }
    }
}

#[test]
fn what_was_not_committed_is_told_to_nobody() {
    for fault in [CommitFault::Fail(StorageErrorKind::Io), CommitFault::Crash(Remains::Synced)] {
        let db = faulty();
        let (tree, doomed) = prepared(&db);
        let (changes, feed) = (tree.watch(Scope::all()), tree.feed(1 << 20));
        let before = hash(&tree);
        db.set_script(FaultScript::new().at_commit(1, fault));
        tree.revoke(at(5), &root(), doomed).expect_err("the commit fails");
        assert!(changes.take().is_none(), "{fault:?}");
        assert!(futures::FutureExt::now_or_never(feed.next()).is_none(), "{fault:?}");
        assert!(tree.authority().is_live_grant(doomed), "{fault:?}");
        if db.is_crashed() {
            db.reopen().expect("reopens");
        }
        assert_eq!(hash(&tree), before, "{fault:?}");
        assert_eq!(text(&tree, "/a/1"), Some("v".into()), "{fault:?}");
        tree.revoke(at(6), &root(), doomed).expect("again");
        tree.check().expect("rows agree");
        assert_eq!((tree.get(&key("/a/1")).expect("reads"), text(&tree, "/a/0")), (None, Some("v".into())));
    }
}

/// The commit happened, though nobody knows: the tree finds out before it writes again.
#[test]
fn an_unknown_outcome_is_looked_up() {
    let db = faulty();
    let (tree, doomed) = prepared(&db);
    let (changes, feed) = (tree.watch(Scope::all()), tree.feed(1 << 20));
    db.set_script(FaultScript::new().at_commit(1, CommitFault::Crash(Remains::Applied)));
    let unknown = tree.revoke(at(5), &root(), doomed).expect_err("unknown");
    assert!(matches!(unknown, KvError::Commit(CommitError::Unknown { .. })), "{unknown}");
    tree.put(at(6), &root(), &key("/k"), &b"v"[..]).expect_err("the database is gone");
    db.reopen().expect("reopens");
    tree.put(at(6), &root(), &key("/k"), &b"v"[..]).expect("puts");
    assert!(!tree.authority().is_live_grant(doomed));
    assert!(changes.take().expect("anything may have changed").lagged);
    assert!(futures::FutureExt::now_or_never(feed.next()).expect("the revocation was not told").lagged);
    tree.check().expect("rows agree");
}

#[test]
fn what_waited_waits_on_if_the_commit_fails() {
    let source = unset();
    let member = person(1);
    let granted = grant(&source, &member, "/**");
    let put = source.put(at(1), &member, &key("/k"), &b"v"[..]).expect("puts");
    let db = faulty();
    let tree = open_small(&db);
    assert!(matches!(apply(&tree, at(1), put), Verdict::Waiting(_)));
    db.set_script(FaultScript::new().at_commit(1, CommitFault::Fail(StorageErrorKind::Io)));
    tree.apply(at(1), vec![granted.clone().into()]).expect_err("fails");
    assert_eq!(apply(&tree, at(1), granted), Verdict::Applied);
    assert_eq!(text(&tree, "/k"), Some("v".into()));
}

/// Each read may fail as well: an error, and nothing is half done.
#[test]
fn the_nth_read_fails() {
    let db = faulty();
    let (tree, doomed) = prepared(&db);
    let before = db.counts().reads;
    tree.revoke(at(5), &root(), doomed).expect("revokes");
    let (reads, expected) = (db.counts().reads - before, hash(&tree));
    for nth in 1..=reads {
        let db = faulty();
        let (tree, doomed) = prepared(&db);
        db.set_script(FaultScript::new().at_read(nth, StorageErrorKind::Io));
        tree.revoke(at(5), &root(), doomed).expect_err("one read fails");
        tree.revoke(at(5), &root(), doomed).unwrap_or_else(|err| panic!("read {nth}: {err}"));
        tree.check().unwrap_or_else(|err| panic!("read {nth}: {err}"));
        let entries = tree.root().expect("root").entries;
        assert_eq!(text(&tree, "/a/1"), None, "read {nth}");
        // The tombstones have other stamps, unless they were made by the first attempt.
        assert_eq!(entries, 9, "read {nth}: {expected:?}");
    }
}

/// A database that notes, when a row of entries is committed, whether anybody has heard of it before.
#[test]
fn effects_come_after_the_disk() {
    let db = Arc::new(TraceDb::new(MemoryDb::new()));
    let tree = open(&(Arc::clone(&db) as Arc<dyn Database>), &namespace(OnRevoke::Unset));
    let changes = tree.watch(Scope::all());
    let feed = tree.feed(1 << 20);
    let waker = futures::task::waker(Arc::new(Marking(Arc::clone(&db))));
    let mut cx = std::task::Context::from_waker(&waker);
    let (mut changed, mut fed) = (Box::pin(changes.changed()), Box::pin(feed.next()));
    assert!(changed.as_mut().poll(&mut cx).is_pending() && fed.as_mut().poll(&mut cx).is_pending());
    db.clear();
    tree.put(at(1), &root(), &key("/k"), &b"v"[..]).expect("puts");
    let journal = db.journal();
    let commit = journal.iter().position(|event| matches!(event, TraceEvent::Commit { .. })).expect("committed");
    let marks: Vec<usize> = (0..journal.len()).filter(|nth| matches!(journal[*nth], TraceEvent::Mark { .. })).collect();
    assert_eq!(marks.len(), 2, "both were woken");
    assert!(marks.iter().all(|mark| *mark > commit));
    assert!(changed.as_mut().poll(&mut cx).is_ready() && fed.as_mut().poll(&mut cx).is_ready());
}

struct Marking(Arc<TraceDb<MemoryDb>>);

impl futures::task::ArcWake for Marking {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.mark("woken");
    }
}

#[test]
fn the_second_handle_shuts_the_first_out() {
    let (db, namespace) = (memory(), namespace(OnRevoke::Unset));
    let first = open(&db, &namespace);
    first.put(at(1), &root(), &key("/k"), &b"1"[..]).expect("puts");
    let second = open(&db, &namespace);
    let granted = grant(&second, &person(1), "/**");
    second.revoke(at(2), &root(), granted.id()).expect("revokes");
    let before = hash(&second);
    // It knows of no revocation: it must not write.
    let late = entry(&second, &person(1), &[granted.id()], "/k", "late", stamp(3));
    for shut_out in [
        first.put(at(3), &root(), &key("/k"), &b"2"[..]).map(drop),
        first.apply(at(3), vec![granted.clone().into(), late.into()]).map(drop),
        first.note_synced(&crate::support::public(&person(2)), at(3)),
    ] {
        let shut_out = shut_out.expect_err("another one is open");
        assert!(matches!(shut_out, KvError::Commit(CommitError::Precondition { .. })), "{shut_out}");
    }
    assert_eq!(hash(&second), before);
    second.put(at(4), &root(), &key("/k"), &b"3"[..]).expect("puts");
    second.check().expect("rows agree");
}

#[test]
fn a_root_can_be_asked_for_while_somebody_writes() {
    // The waker runs while the writer has its lock.
    struct Asking(Tree);
    impl futures::task::ArcWake for Asking {
        fn wake_by_ref(this: &Arc<Self>) {
            assert_eq!(this.0.root().expect("root").entries, 1);
            assert!(this.0.watch(Scope::all()).take().is_none());
        }
    }
    let tree = unset();
    let changes = tree.watch(Scope::all());
    let waker = futures::task::waker(Arc::new(Asking(tree.clone())));
    let mut changed = Box::pin(changes.changed());
    assert!(changed.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    tree.put(at(1), &root(), &key("/k"), &b"v"[..]).expect("puts");
}
