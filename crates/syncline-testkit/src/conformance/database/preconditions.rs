//! Batches that apply only if the database is as they expect.

use syncline_storage::{Batch, CommitError, Database, Durability};

use super::{commit, dump, rows, try_commit};

type Fill = fn(&mut Batch);

pub(super) fn check<D: Database>(fresh: &impl Fn() -> D) {
    absent_and_equal(&fresh());
    are_about_the_state_before(&fresh());
    within_several_batches(&fresh());
}

#[track_caller]
fn assert_fails_on(result: &Result<(), CommitError>, key: &[u8]) {
    match result {
        Err(CommitError::Precondition { key: failed, .. }) if failed == key => {}
        other => panic!("expected a failed precondition on {key:?}, not {other:?}"),
    }
}

fn absent_and_equal(db: &dyn Database) {
    commit(db, |batch| {
        batch.require_absent("a").put("a", "1").put("empty", "");
    });
    let before = dump(db);
    let fails: [(&str, Fill); 7] = [
        ("a", |b| {
            b.put("x", "").require_absent("a");
        }),
        ("a", |b| {
            b.put("x", "").require_equals("a", "2");
        }),
        ("a", |b| {
            b.put("x", "").require_equals("a", "");
        }),
        ("a", |b| {
            b.delete("a").require_equals("a", "11");
        }),
        ("b", |b| {
            b.put("x", "").require_equals("b", "");
        }),
        ("empty", |b| {
            b.put("x", "").require_absent("empty");
        }),
        ("empty", |b| {
            b.put("x", "").require_equals("empty", "\0");
        }),
    ];
    for (key, fill) in fails {
        assert_fails_on(&try_commit(db, fill), key.as_bytes());
        assert_eq!(dump(db), before, "a failed precondition leaves everything as it was");
    }
    commit(db, |batch| {
        batch.require_equals("a", "1").require_equals("empty", "").require_absent("b").put("a", "2");
    });
    assert_eq!(dump(db), rows(&[("a", "2"), ("empty", "")]), "a batch whose preconditions hold is applied");
    let second = try_commit(db, |batch| {
        batch.require_equals("a", "2").require_absent("empty").require_absent("a").put("x", "");
    });
    assert_fails_on(&second, b"empty");
}

fn are_about_the_state_before(db: &dyn Database) {
    commit(db, |batch| {
        batch.put("a", "1").require_absent("a");
    });
    commit(db, |batch| {
        batch.delete("a").put("b", "1").require_equals("a", "1").require_absent("b");
    });
    assert_eq!(
        dump(db),
        rows(&[("b", "1")]),
        "preconditions are about the state before the batch, wherever they stand in it"
    );
}

fn within_several_batches(db: &dyn Database) {
    let batch = |fill: Fill| {
        let mut batch = Batch::new();
        fill(&mut batch);
        batch
    };
    let results = db.commit_all(
        vec![
            batch(|b| {
                b.put("a", "1").put("n", "1");
            }),
            batch(|b| {
                b.require_absent("a").put("x", "").put("n", "2");
            }),
            batch(|b| {
                b.require_equals("a", "1").put("a", "2").put("n", "3");
            }),
            batch(|b| {
                b.require_equals("a", "1").put("x", "").put("n", "4");
            }),
            batch(|b| {
                b.put("x", "").put("", "refused");
            }),
            batch(|b| {
                b.require_absent("x").require_equals("n", "3").put("z", "5");
            }),
        ],
        Durability::Immediate,
    );
    assert_eq!(results.len(), 6, "each batch has its result, in order");
    for (at, failed) in [(1, "a"), (3, "a")] {
        if let Some(result) = results.get(at) {
            assert_fails_on(result, failed.as_bytes());
        }
    }
    for at in [0, 2, 5] {
        assert!(
            results.get(at).is_some_and(Result::is_ok),
            "a batch sees the batches before it that succeeded, and only those: {results:?}"
        );
    }
    assert!(results.get(4).is_some_and(Result::is_err), "a batch over the limits fails alone: {results:?}");
    assert_eq!(dump(db), rows(&[("a", "2"), ("n", "3"), ("z", "5")]), "each of several batches is all or nothing");
}
