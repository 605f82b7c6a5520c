//! What a batch does to the rows.

use syncline_storage::{Batch, Database, Durability, KeyRange};

use super::{commit, dump, get, rows, snapshot};

pub(super) fn check<D: Database>(fresh: &impl Fn() -> D) {
    later_changes_win(&fresh());
    range_deletes(&fresh());
    several_at_once(&fresh());
    eventual_commits_are_visible(&fresh());
}

fn later_changes_win(db: &dyn Database) {
    commit(db, |batch| {
        batch.put("old", "0").put("older", "0");
    });
    commit(db, |batch| {
        batch
            .put("a", "1")
            .put("a", "2")
            .put("b", "1")
            .delete("b")
            .delete("c")
            .put("c", "3")
            .delete("old")
            .put("old", "4")
            .put("older", "5")
            .delete("older");
    });
    assert_eq!(
        dump(db),
        rows(&[("a", "2"), ("c", "3"), ("old", "4")]),
        "of two changes of a key in a batch the later one wins"
    );
}

fn range_deletes(db: &dyn Database) {
    let fill = |batch: &mut Batch| {
        for key in ["a", "b", "ba", "bb", "c", "\u{ff}"] {
            batch.put(key, "1");
        }
    };
    commit(db, fill);
    commit(db, |batch| {
        batch.delete_range(KeyRange::prefix(b"b"));
    });
    assert_eq!(
        dump(db),
        rows(&[("a", "1"), ("c", "1"), ("\u{ff}", "1")]),
        "a range delete removes the range and nothing else"
    );
    commit(db, |batch| {
        batch.put("b", "before").put("bx", "before").delete_range(KeyRange::prefix(b"b")).put("bx", "after");
    });
    assert_eq!(
        dump(db),
        rows(&[("a", "1"), ("bx", "after"), ("c", "1"), ("\u{ff}", "1")]),
        "a range delete removes what the batch put before it, and not what it puts after"
    );
    commit(db, |batch| {
        batch
            .delete_range(KeyRange::all().starting_at("c").before("a"))
            .delete_range(KeyRange::all().after("c").before("c"))
            .delete_range(KeyRange::prefix(b"nothing there"));
    });
    assert_eq!(dump(db).len(), 4, "an empty range removes nothing");
    commit(db, |batch| {
        batch.delete_range(KeyRange::all().after("a").up_to("c"));
    });
    assert_eq!(dump(db), rows(&[("a", "1"), ("\u{ff}", "1")]), "bounds of a range delete may be included or not");
    commit(db, |batch| {
        fill(batch);
        batch.delete_range(KeyRange::all());
    });
    assert_eq!(dump(db), [], "a range delete can remove everything");
}

fn several_at_once(db: &dyn Database) {
    assert!(db.commit_all(Vec::new(), Durability::Immediate).is_empty(), "no batches give no results");
    let batches: Vec<Batch> = (0..100u8)
        .map(|n| {
            let mut batch = Batch::new();
            batch.put(vec![b'k', n], vec![n]).put("last", vec![n]);
            batch
        })
        .collect();
    let results = db.commit_all(batches, Durability::Immediate);
    assert_eq!(results.len(), 100, "each batch has its result");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(get(&*snapshot(db), b"last"), Some(vec![99]), "batches are applied in their order");
    assert_eq!(dump(db).len(), 101, "every batch is applied");
}

fn eventual_commits_are_visible(db: &dyn Database) {
    for n in 0..10u8 {
        let mut batch = Batch::new();
        batch.put("k", vec![n]).put(vec![b'e', n], "");
        let result = db.commit(batch, Durability::Eventual);
        assert!(result.is_ok(), "an eventual commit failed: {result:?}");
        assert_eq!(get(&*snapshot(db), b"k"), Some(vec![n]), "an eventual commit is visible when it returns");
    }
    commit(db, |batch| {
        batch.put("k", "durable");
    });
    assert_eq!(dump(db).len(), 11, "an immediate commit keeps the eventual ones before it");
}
