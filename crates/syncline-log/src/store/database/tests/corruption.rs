//! Rows that contradict one another are typed errors, never wrong answers.

use super::*;

struct Damaged {
    store: DatabaseStore<u64>,
    log: LogKey,
    operations: Vec<EncodedOperation>,
}

impl Damaged {
    /// Three operations and a fork.
    fn new() -> Self {
        let store = DatabaseStore::<u64>::new(Arc::new(MemoryDb::new()));
        let operations = written(&["a", "b", "c"]);
        append(&store, 0, &operations);
        append(&store, 0, &written(&["A"]));
        Self { store, log: LogKey::new(author(), &0_u64).unwrap(), operations }
    }

    fn change(&self, change: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::new();
        change(&mut batch);
        self.store.db.commit(batch, Durability::Immediate).unwrap();
    }

    #[track_caller]
    fn assert_corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: Corruption) {
        match result {
            Err(StoreError::Corrupt(found)) => assert_eq!(found, expected),
            other => panic!("{expected:?} was not noticed: {other:?}"),
        }
    }

    fn read(&self) -> Result<Page, StoreError> {
        block_on(LogStore::read(&self.store, author(), 0, SeqRange::ALL, usize::MAX))
    }
}

const AT_ONE: SeqNum = SeqNum(1);

#[test]
fn a_missing_operation() {
    let damaged = Damaged::new();
    damaged.change(|batch| OPERATIONS.delete_in(batch, &damaged.log.at(AT_ONE)));
    let missing = || Corruption::Missing { author: author(), seq_num: AT_ONE };
    let store = &damaged.store;
    Damaged::assert_corrupt(damaged.read(), missing());
    Damaged::assert_corrupt(block_on(store.size(author(), 0, SeqRange::ALL)), missing());
    Damaged::assert_corrupt(block_on(store.get(damaged.operations[1].hash())), missing());
    Damaged::assert_corrupt(block_on(store.prune(author(), 0, SeqNum::MAX)), missing());
    Damaged::assert_corrupt(block_on(store.delete_payload(damaged.operations[1].hash())), missing());
    Damaged::assert_corrupt(block_on(store.append(batch(0, &damaged.operations[1..2]))), missing());
    let last = SeqRange::starting_at(SeqNum::new(2));
    assert_eq!(block_on(LogStore::read(store, author(), 0, last, 0)).unwrap().operations.len(), 1);
}

#[test]
fn a_missing_last_operation() {
    let damaged = Damaged::new();
    damaged.change(|batch| OPERATIONS.delete_in(batch, &damaged.log.at(SeqNum(2))));
    Damaged::assert_corrupt(damaged.read(), Corruption::Missing { author: author(), seq_num: SeqNum(2) });
}

#[test]
fn an_operation_that_does_not_decode() {
    let damaged = Damaged::new();
    damaged.change(|batch| {
        batch.put(OPERATIONS.key(&damaged.log.at(AT_ONE)), "\u{7}");
    });
    let corrupt = || Corruption::Operation { author: author(), seq_num: AT_ONE };
    Damaged::assert_corrupt(damaged.read(), corrupt());
    Damaged::assert_corrupt(block_on(damaged.store.get(damaged.operations[1].hash())), corrupt());
    Damaged::assert_corrupt(block_on(damaged.store.append(batch(0, &damaged.operations[1..2]))), corrupt());
}

#[test]
fn a_missing_or_wrong_body() {
    let corrupt = || Corruption::Operation { author: author(), seq_num: AT_ONE };
    for body in [None, Some(Bytes::new()), Some(Bytes::from_static(b"longer"))] {
        let damaged = Damaged::new();
        damaged.change(|batch| match body {
            None => BODIES.delete_in(batch, &damaged.log.at(AT_ONE)),
            Some(body) => BODIES.put_in(batch, &damaged.log.at(AT_ONE), &body),
        });
        Damaged::assert_corrupt(damaged.read(), corrupt());
        Damaged::assert_corrupt(block_on(damaged.store.get(damaged.operations[1].hash())), corrupt());
    }
}

#[test]
fn another_operation_under_a_hash() {
    let damaged = Damaged::new();
    let hash = damaged.operations[1].hash();
    damaged.change(|batch| HASHES.put_in(batch, &damaged.log.hash_columns(&hash), &2));
    let corrupt = Corruption::Operation { author: author(), seq_num: SeqNum(2) };
    Damaged::assert_corrupt(block_on(damaged.store.get(hash)), corrupt);
    damaged.change(|batch| {
        batch.put(HASHES.key(&damaged.log.hash_columns(&hash)), "short");
    });
    Damaged::assert_corrupt(block_on(damaged.store.get(hash)), Corruption::Index { hash });
}

#[test]
fn a_log_that_does_not_decode() {
    let damaged = Damaged::new();
    damaged.change(|batch| {
        batch.put(LOGS.key(&damaged.log.columns()), "short");
    });
    let corrupt = || Corruption::Log { author: author() };
    Damaged::assert_corrupt(damaged.read(), corrupt());
    Damaged::assert_corrupt(block_on(damaged.store.tip(author(), 0)), corrupt());
    Damaged::assert_corrupt(block_on(damaged.store.heights(&[(author(), vec![0])].into())), corrupt());
    Damaged::assert_corrupt(block_on(damaged.store.append(batch(0, &damaged.operations))), corrupt());
    Damaged::assert_corrupt(block_on(damaged.store.logs(None, 9)), Corruption::Key);
}

#[test]
fn a_log_id_of_another_type() {
    let damaged = Damaged::new();
    let texts = DatabaseStore::<String>::new(Arc::clone(damaged.store.database()));
    Damaged::assert_corrupt(block_on(texts.logs(None, 9)), Corruption::Key);
    Damaged::assert_corrupt(block_on(texts.get(damaged.operations[0].hash())), Corruption::Key);
}

#[test]
fn a_fork_that_is_none() {
    let damaged = Damaged::new();
    let header = damaged.operations[0].header_bytes().clone();
    let (author_key, log_id) = damaged.log.columns();
    let key = (author_key, log_id, 0, [9; 32]);
    damaged.change(|batch| FORKS.put_in(batch, &key, &ForkRow { first: header.clone(), second: header }));
    Damaged::assert_corrupt(block_on(damaged.store.forks(author(), 0)), Corruption::Fork { author: author() });
    damaged.change(|batch| {
        batch.put(FORKS.key(&key), "short");
    });
    Damaged::assert_corrupt(block_on(damaged.store.forks(author(), 0)), Corruption::Fork { author: author() });
}

#[test]
fn a_failing_disk_is_not_corruption() {
    let db = FaultDb::new(MemoryDb::new(), FaultScript::new()).unwrap();
    let db = Arc::new(db);
    let store = DatabaseStore::<u64>::new(Arc::clone(&db) as Arc<dyn Database>);
    append(&store, 0, &written(&["a"]));
    for kind in [StorageErrorKind::Io, StorageErrorKind::Corrupt] {
        for at in 1..6 {
            db.set_script(FaultScript::new().at_read(at, kind));
            let result = block_on(LogStore::read(&store, author(), 0, SeqRange::ALL, 9));
            match result {
                Err(StoreError::Read(err)) => assert_eq!(err.kind(), kind),
                Ok(_) => assert_eq!(db.counts().faults, 0, "read {at} failed and nobody noticed"),
                Err(err) => panic!("{err:?}"),
            }
        }
    }
}

/// Compile-time proof that a table of other columns cannot be used by mistake.
const _: fn() -> Table<rows::OperationColumns, Bytes> = || BODIES;
