//! What was committed is there after a clean close.

use syncline_storage::{Batch, Database, Durability, KeyRange};

use super::{commit, dump, rows};

pub(super) fn check<D: Database>(fresh: &impl Fn() -> D, reopen: &impl Fn(D) -> D) {
    let db = reopen(fresh());
    assert_eq!(dump(&db), [], "an empty database stays empty");
    commit(&db, |batch| {
        batch.put("a", "1").put("b", "2").put("long", vec![7; 100_000]);
    });
    let db = reopen(db);
    assert_eq!(dump(&db).len(), 3, "what was committed is there after reopening");
    commit(&db, |batch| {
        batch.delete("long").put("b", "3");
    });
    let mut eventual = Batch::new();
    eventual.put("c", "4");
    let result = db.commit(eventual, Durability::Eventual);
    assert!(result.is_ok(), "an eventual commit failed: {result:?}");
    let barrier = db.commit(Batch::new(), Durability::Immediate);
    assert!(barrier.is_ok(), "an empty batch is a barrier and succeeds: {barrier:?}");
    let db = reopen(db);
    assert_eq!(
        dump(&db),
        rows(&[("a", "1"), ("b", "3"), ("c", "4")]),
        "an immediate commit makes the eventual ones before it durable"
    );
    commit(&db, |batch| {
        batch.delete_range(KeyRange::all());
    });
    let db = reopen(db);
    assert_eq!(dump(&db), [], "what was deleted is not there after reopening");
}
