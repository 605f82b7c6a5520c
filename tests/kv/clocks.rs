//! S8: newer wins, but nobody wins by claiming a far future.

use syncline_core::clock::Hlc;
use syncline_kv::item::OnRevoke;
use syncline_kv::{Tree, Verdict};

use crate::support::{
    MINUTE, apply, at, copy, draft, entry, exchange, grant, hash, key, limited, memory, namespace, open, person,
    public, root, stamp, text, unset,
};

const SKEW: u64 = MINUTE;

#[test]
fn s8_the_skew_is_allowed_and_no_millisecond_more() {
    let tree = unset();
    let within = entry(&tree, &root(), &[], "/a", "v", stamp(SKEW));
    assert_eq!(apply(&tree, at(0), within), Verdict::Applied);
    let beyond = entry(&tree, &root(), &[], "/b", "v", stamp(SKEW + 1));
    assert_eq!(apply(&tree, at(0), beyond.clone()), Verdict::Quarantined { until: at(1) });
    let never = entry(&tree, &root(), &[], "/c", "v", Hlc::from_bits(u64::MAX));
    assert!(matches!(apply(&tree, at(0), never.clone()), Verdict::Quarantined { .. }));
    assert_eq!((text(&tree, "/b"), text(&tree, "/c")), (None, None));
    // Others in the same batch are not held up.
    let fine = entry(&tree, &root(), &[], "/d", "v", stamp(0));
    let verdicts = tree.apply(at(0), vec![never.into(), fine.into()]).expect("applies");
    assert!(matches!(verdicts[..], [Verdict::Quarantined { .. }, Verdict::Applied]));
    assert_eq!(tree.next_release().expect("reads"), Some(at(1)));
    assert!(tree.release(at(0)).expect("releases").is_empty());
    assert_eq!(tree.release(at(1)).expect("releases"), [(beyond, Verdict::Applied)]);
    assert_eq!(text(&tree, "/b"), Some("v".into()));
    // What is in quarantine does not push the clock.
    let put = tree.put(at(2), &root(), &key("/e"), &b""[..]).expect("puts");
    assert!(put.stamp() < stamp(SKEW + 10));
    tree.check().expect("rows agree");
}

#[test]
fn s8_a_clock_that_was_ahead_and_is_corrected_locks_nobody_out() {
    let (db, namespace) = (memory(), namespace(OnRevoke::Unset));
    let (here, elsewhere) = (open(&db, &namespace), open(&memory(), &namespace));
    let ahead = 5 * MINUTE;
    here.put(at(ahead), &root(), &key("/k"), &b"ahead"[..]).expect("puts");
    copy(&here, &elsewhere, at(0));
    assert_eq!(text(&elsewhere, "/k"), None, "too far ahead");
    here.put(at(0), &root(), &key("/k"), &b"corrected"[..]).expect("puts");
    assert_eq!(text(&here, "/k"), Some("corrected".into()));
    drop(here);
    // Also after a restart.
    let here = open(&db, &namespace);
    here.put(at(1), &root(), &key("/k"), &b"restarted"[..]).expect("puts");
    assert_eq!(text(&here, "/k"), Some("restarted".into()));
    copy(&here, &elsewhere, at(1));
    assert_eq!(text(&elsewhere, "/k"), None);
    elsewhere.release(at(ahead)).expect("releases");
    assert_eq!(text(&elsewhere, "/k"), Some("restarted".into()));
    exchange(&[&here, &elsewhere], at(ahead));
    assert_eq!(hash(&here), hash(&elsewhere));
}

#[test]
fn s8_a_stamp_that_was_only_given_is_stored_with_what_comes_next() {
    let (db, namespace) = (memory(), namespace(OnRevoke::Unset));
    let tree = open(&db, &namespace);
    let given = tree.stamp(at(1_000)).expect("a stamp");
    tree.put(at(0), &root(), &key("/k"), &b""[..]).expect("puts");
    let last = tree.root().expect("root").last;
    assert!(last > given);
    drop(tree);
    assert!(open(&db, &namespace).stamp(at(0)).expect("a stamp") > last);
}

#[test]
fn s8_what_is_older_is_refused_and_a_local_put_is_never_older() {
    let tree = unset();
    let newer = entry(&tree, &root(), &[], "/k", "newer", stamp(SKEW));
    assert_eq!(apply(&tree, at(0), newer.clone()), Verdict::Applied);
    let older = entry(&tree, &root(), &[], "/k", "older", stamp(SKEW - 1));
    assert_eq!(apply(&tree, at(0), older), Verdict::Superseded { by: newer.id() });
    let put = tree.put(at(0), &root(), &key("/k"), &b"put"[..]).expect("puts");
    assert!(put.stamp() > newer.stamp());
    assert_eq!(text(&tree, "/k"), Some("put".into()));
    assert_eq!(apply(&tree, at(0), put), Verdict::Known);
}

#[test]
fn s8_equal_stamps_are_decided_alike_everywhere() {
    let (a, b) = (unset(), unset());
    let one = entry(&a, &root(), &[], "/k", "one", stamp(1));
    let two = entry(&a, &root(), &[], "/k", "two", stamp(1));
    apply(&a, at(1), one.clone());
    apply(&a, at(1), two.clone());
    apply(&b, at(1), two);
    apply(&b, at(1), one);
    assert_eq!((text(&a, "/k"), hash(&a)), (text(&b, "/k"), hash(&b)));
}

fn far(tree: &Tree, nth: u64) -> syncline_kv::Entry {
    entry(tree, &root(), &[], &format!("/q/{nth}"), "v", stamp(SKEW + 1 + nth))
}

#[test]
fn the_quarantine_is_bounded_and_keeps_what_is_due_first() {
    let limits = crate::support::limits(|limits| limits.quarantine_entries = 3);
    let (db, namespace) = (memory(), namespace(OnRevoke::Unset));
    let tree = limited(&db, &namespace, limits.clone()).expect("opens");
    for nth in [10, 20, 30] {
        assert!(matches!(apply(&tree, at(0), far(&tree, nth)), Verdict::Quarantined { .. }));
        assert!(matches!(apply(&tree, at(0), far(&tree, nth)), Verdict::Quarantined { .. }), "twice is once");
    }
    assert_eq!(apply(&tree, at(0), far(&tree, 40)), Verdict::Full);
    assert!(matches!(apply(&tree, at(0), far(&tree, 5)), Verdict::Quarantined { .. }), "30 goes");
    drop(tree);
    let tree = limited(&db, &namespace, limits).expect("opens");
    assert_eq!(apply(&tree, at(0), far(&tree, 40)), Verdict::Full, "counted again when opened");
    let batch = (0..4).map(|nth| far(&tree, 35 - nth).into()).collect();
    assert!(tree.apply(at(0), batch).expect("applies").contains(&Verdict::Full));
    let released = tree.release(at(1_000)).expect("releases");
    let keys: Vec<&str> = released.iter().map(|(entry, _)| entry.key().as_str()).collect();
    assert_eq!(keys, ["/q/5", "/q/10", "/q/20"], "the earliest first");
    assert!(released.iter().all(|(_, verdict)| *verdict == Verdict::Applied));
    assert!(tree.quarantined_keys().expect("reads").is_empty());
    assert!(matches!(apply(&tree, at(0), far(&tree, 99)), Verdict::Quarantined { .. }), "there is room again");
}

#[test]
fn the_bytes_of_the_quarantine_are_bounded() {
    let len = far(&unset(), 10).encoded().len();
    for (bytes, kept) in [(2 * len, 2), (2 * len - 1, 1)] {
        let limits = crate::support::limits(|limits| limits.quarantine_bytes = bytes);
        let tree = limited(&memory(), &namespace(OnRevoke::Unset), limits).expect("opens");
        tree.apply(at(0), (10..20).map(|nth| far(&tree, nth).into()).collect()).expect("applies");
        assert_eq!(tree.quarantined_keys().expect("reads").len(), kept);
    }
}

#[test]
fn who_is_revoked_leaves_the_quarantine() {
    let limits = crate::support::limits(|limits| limits.quarantine_entries = 2);
    let tree = limited(&memory(), &namespace(OnRevoke::Unset), limits).expect("opens");
    let liar = person(1);
    let leaf = grant(&tree, &liar, "/**").id();
    for nth in 0..2 {
        let never = entry(&tree, &liar, &[leaf], &format!("/{nth}"), "", Hlc::from_bits(u64::MAX - nth));
        assert!(matches!(apply(&tree, at(0), never), Verdict::Quarantined { .. }));
    }
    tree.revoke(at(1), &root(), leaf).expect("revokes");
    assert!(tree.quarantined_keys().expect("reads").is_empty());
    for nth in 0..2 {
        assert!(matches!(apply(&tree, at(0), far(&tree, nth)), Verdict::Quarantined { .. }));
    }
    assert_eq!(apply(&tree, at(0), far(&tree, 2)), Verdict::Full);
}

/// What waited for a grant that is issued here is not thereby made here.
#[test]
fn what_waited_for_a_local_grant_is_not_trusted_with_its_stamp() {
    let tree = unset();
    let liar = person(1);
    let request = tree.request_grant(at(0), draft(&tree, &liar, "/**")).expect("a root may");
    let signature = syncline_crypto::Signer::sign(&root(), &request.unsigned().message()).expect("signs");
    let known_before = syncline_kv::Grant::decode(request.unsigned().complete(&signature)).expect("a grant");
    let never = entry(&tree, &liar, &[known_before.id()], "/k", "v", Hlc::from_bits(u64::MAX));
    assert!(matches!(apply(&tree, at(0), never), Verdict::Waiting(_)));
    tree.complete_grant(at(0), &request, &signature).expect("applies");
    assert_eq!(text(&tree, "/k"), None);
    assert_eq!(tree.quarantined_keys().expect("reads").len(), 1);
    tree.put(at(1), &root(), &key("/k"), &b"v"[..]).expect("there are stamps left");
}

/// A clock that was set back gives stamps that lie ahead of it: they have to be in the grant's window.
#[test]
fn a_put_is_authorized_for_the_time_that_it_is_stamped_with() {
    let tree = unset();
    let member = person(1);
    let mut until = draft(&tree, &member, "/**");
    until.not_after = Some(at(100));
    tree.grant(at(0), &root(), until).expect("grants");
    tree.put(at(200), &root(), &key("/k"), &b""[..]).expect("puts");
    let denied = tree.put(at(50), &member, &key("/k"), &b""[..]).expect_err("the stamp is past the end");
    assert!(matches!(denied, syncline_kv::KvError::Denied(_)), "{denied} for {:?}", public(&member));
}
