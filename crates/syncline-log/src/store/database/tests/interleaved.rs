//! Calls between whose decision and commit another call is made. What comes out has to be as if one came after the other.

use std::fmt;
use std::sync::Mutex;

use syncline_storage::{Direction, KeyRange, Limits};

use super::*;

type Meddler = Box<dyn FnOnce(&DatabaseStore<u64>) + Send>;

/// Makes a call on the same database right before the first commit.
struct Meddled {
    db: Arc<MemoryDb>,
    meddler: Mutex<Option<Meddler>>,
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddled")
    }
}

impl Database for Meddled {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        self.db.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        if let Some(meddler) = self.meddler.lock().unwrap().take() {
            let store = DatabaseStore::new(Arc::clone(&self.db) as Arc<dyn Database>);
            // On a thread of its own, since this one is in an executor already.
            std::thread::scope(|scope| scope.spawn(|| meddler(&store)).join()).unwrap();
        }
        self.db.commit(batch, durability)
    }
}

/// A call, with what it returns as text.
type Call = fn(&DatabaseStore<u64>) -> String;

fn shown<T: fmt::Debug>(result: Result<T, StoreError>) -> String {
    format!("{:?}", result.unwrap())
}

fn pruning(at: usize) -> Vec<NewOperation<u64>> {
    let bodies = vec!["p"; at + 1];
    let operation = written(&bodies).pop().unwrap();
    vec![NewOperation { log_id: 0, operation, link: Link::Prunes }]
}

const BODIES_OF_LOG: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn calls() -> Vec<(&'static str, Call)> {
    vec![
        ("append", |store| shown(block_on(store.append(batch(0, &written(&BODIES_OF_LOG)[4..5]))))),
        ("append more", |store| shown(block_on(store.append(batch(0, &written(&BODIES_OF_LOG)[3..]))))),
        ("append elsewhere", |store| shown(block_on(store.append(batch(1, &written(&["x"])))))),
        ("append another history", |store| {
            let other = written(&["a", "b", "c", "d", "E"]);
            shown(block_on(store.append(batch(0, &other[4..]))))
        }),
        ("fork", |store| shown(block_on(store.append(batch(0, &written(&["a", "b", "c", "D"])[3..]))))),
        ("append with prune flag", |store| shown(block_on(store.append(pruning(6))))),
        ("prune some", |store| shown(block_on(store.prune(author(), 0, SeqNum::new(2))))),
        ("prune all", |store| shown(block_on(store.prune(author(), 0, SeqNum::MAX)))),
        ("delete payload", |store| shown(block_on(store.delete_payload(written(&BODIES_OF_LOG)[1].hash())))),
        ("delete last payload", |store| shown(block_on(store.delete_payload(written(&BODIES_OF_LOG)[3].hash())))),
        ("delete log", |store| shown(block_on(store.delete_log(author(), 0)))),
    ]
}

fn rows(db: &MemoryDb) -> Vec<(Bytes, Bytes)> {
    let snapshot = db.snapshot().unwrap();
    snapshot.scan(KeyRange::all(), Direction::Forward).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A database with four operations.
fn prepared() -> Arc<MemoryDb> {
    let db = Arc::new(MemoryDb::new());
    let store = DatabaseStore::<u64>::new(Arc::clone(&db) as Arc<dyn Database>);
    append(&store, 0, &written(&BODIES_OF_LOG[..4]));
    db
}

#[test]
fn every_call_between_every_other() {
    for (outer_name, outer) in calls() {
        for (inner_name, inner) in calls() {
            let one_after_the_other = prepared();
            let store = DatabaseStore::<u64>::new(Arc::clone(&one_after_the_other) as Arc<dyn Database>);
            inner(&store);
            let expected = outer(&store);

            let interleaved = prepared();
            let meddler: Meddler = Box::new(move |store| drop(inner(store)));
            let db = Meddled { db: Arc::clone(&interleaved), meddler: Mutex::new(Some(meddler)) };
            let db = Arc::new(db);
            let found = outer(&DatabaseStore::new(Arc::clone(&db) as Arc<dyn Database>));
            if db.meddler.lock().unwrap().is_some() {
                continue; // There was nothing to commit, so nothing could come in between.
            }
            assert_eq!(found, expected, "{outer_name}, with {inner_name} in between");
            assert!(
                rows(&interleaved) == rows(&one_after_the_other),
                "{outer_name}, with {inner_name} in between, leaves other rows than one after the other"
            );
        }
    }
}

/// A log of many operations that nobody signed; a store does not ask.
fn long(count: u64) -> Vec<EncodedOperation> {
    let mut backlink = None;
    let write = |at| {
        let mut header = Header::<()>::new(author());
        header.seq_num = SeqNum::new(at);
        header.backlink = backlink;
        header.signature = Some([7; 64].into());
        let operation = EncodedOperation::encode(&header, None).unwrap();
        backlink = Some(operation.hash());
        operation
    };
    (0..count).map(write).collect()
}

#[test]
fn deletions_are_bounded_batches() {
    let count = DatabaseStore::<u64>::DELETE_MAX as u64 + 700;
    let mut operations = long(count + 1);
    let last = operations.pop().unwrap();
    let deletions: [Call; 2] = [
        |store| shown(block_on(store.prune(author(), 0, SeqNum::MAX))),
        |store| shown(block_on(store.delete_log(author(), 0))),
    ];
    // Deleting one operation takes a key of 69 bytes for its hash; room for `DELETE_MAX` of them and little more.
    let limits = Limits::default().max_batch_len(69 * (DatabaseStore::<u64>::DELETE_MAX + 100));
    let fill = || {
        let db = Arc::new(MemoryDb::with_limits(limits));
        let store = DatabaseStore::<u64>::new(Arc::clone(&db) as Arc<dyn Database>);
        for operations in operations.chunks(300) {
            append(&store, 0, operations);
        }
        (db, store)
    };
    for (delete, left) in deletions.iter().zip([1, 0]) {
        let (db, store) = fill();
        delete(&store);
        assert_eq!(db.len(), left);
    }
    let (db, store) = fill();
    let new = NewOperation { log_id: 0, operation: last, link: Link::Prunes };
    assert_eq!(block_on(store.append(vec![new])).unwrap(), [Appended::New]);
    assert_eq!(db.len(), 3, "the log, the operation, its hash");
}
