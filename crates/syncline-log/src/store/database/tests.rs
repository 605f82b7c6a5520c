use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures::executor::block_on;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use syncline_crypto::SigningKey;
use syncline_storage::{
    Batch, CommitError, CommitFault, Durability, FaultDb, FaultScript, MemoryDb, Remains, Snapshot, StorageError,
    StorageErrorKind, Table, ValueCodec,
};

use super::rows::{BODIES, FORKS, ForkRow, HASHES, LOGS, LogKey, LogRow, OPERATIONS, OperationRow};
use super::*;
use crate::store::decide::LogState;
use crate::store::{Corruption, stream};
use crate::{Body, EncodedOperation, Header, Link, Operation};

mod corruption;
mod faults;
mod interleaved;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn author() -> PublicKey {
    key().public_key()
}

/// A log with one operation for each body.
fn written(bodies: &[&'static str]) -> Vec<EncodedOperation> {
    let mut tip: Option<Tip> = None;
    let write = |body: &&'static str| {
        let mut header = Header::<()>::new(author());
        header.seq_num = tip.and_then(|tip| tip.seq_num.checked_next()).unwrap_or_default();
        header.backlink = tip.map(|tip| tip.hash);
        let operation = Operation::sign(header, Some(Body::new(*body)), &key()).unwrap();
        tip = Some(Tip { seq_num: operation.header.seq_num, hash: operation.hash });
        EncodedOperation::from_operation(&operation).unwrap()
    };
    bodies.iter().map(write).collect()
}

fn batch<L: LogId>(log_id: L, operations: &[EncodedOperation]) -> Vec<NewOperation<L>> {
    operations.iter().map(|operation| NewOperation::next(log_id.clone(), operation.clone())).collect()
}

fn append<L: LogId>(store: &DatabaseStore<L>, log_id: L, operations: &[EncodedOperation]) -> Vec<Appended> {
    block_on(store.append(batch(log_id, operations))).unwrap()
}

fn places<L: LogId>(store: &DatabaseStore<L>, log_id: L) -> Vec<u64> {
    use futures::TryStreamExt as _;
    let rows: Vec<_> = block_on(stream(store, author(), log_id, SeqRange::ALL, 1000).try_collect()).unwrap();
    rows.into_iter().map(|row| row.seq_num.get()).collect()
}

#[test]
fn log_ids_of_any_type_do_not_mix() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    enum Id {
        Name(String),
        Pair(u64, Option<Vec<u8>>),
        None,
    }

    let ids = [
        Id::None,
        Id::Name(String::new()),
        Id::Name("a".into()),
        Id::Name("a\0".into()),
        Id::Name("ab".into()),
        Id::Pair(0, None),
        Id::Pair(0, Some(vec![0, 0xff, 0])),
        Id::Pair(u64::MAX, Some(vec![])),
    ];
    let store = DatabaseStore::<Id>::new(Arc::new(MemoryDb::new()));
    let operations = written(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    for (at, id) in ids.iter().enumerate() {
        append(&store, id.clone(), &operations[..=at]);
    }
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(places(&store, id.clone()), (0..=at as u64).collect::<Vec<_>>(), "{id:?}");
    }
    let listed = block_on(store.logs(None, 100)).unwrap();
    assert_eq!(listed.len(), ids.len());
    for id in &ids {
        let after = block_on(store.logs(Some((author(), id.clone())), 100)).unwrap();
        let at = listed.iter().position(|log| log.log_id == *id).unwrap();
        assert_eq!(after, listed[at + 1..]);
    }
    for id in ids {
        assert!(block_on(store.delete_log(author(), id)).unwrap());
    }
    assert!(block_on(store.logs(None, 100)).unwrap().is_empty());
}

#[test]
fn log_ids_are_bounded() {
    let store = DatabaseStore::<String>::new(Arc::new(MemoryDb::new()));
    let operations = written(&["a"]);
    // The head of a text of this length takes three bytes.
    let longest = "x".repeat(DatabaseStore::<String>::LOG_ID_LEN_MAX - 3);
    assert_eq!(append(&store, longest.clone(), &operations), [Appended::New]);
    let refused = block_on(store.append(batch(longest + "x", &operations)));
    assert!(matches!(refused, Err(StoreError::LogIdTooLong { len: 1025, max: 1024 })), "{refused:?}");
}

#[test]
fn a_deleted_log_leaves_no_rows() {
    let db = Arc::new(MemoryDb::new());
    let store = DatabaseStore::<u64>::new(Arc::clone(&db) as Arc<dyn Database>);
    let operations = written(&["a", "b", "c", ""]);
    append(&store, 0, &operations);
    append(&store, 0, &written(&["A"]));
    assert_eq!(block_on(store.forks(author(), 0)).unwrap().len(), 1);
    block_on(store.prune(author(), 0, SeqNum::new(1))).unwrap();
    block_on(store.delete_payload(operations[1].hash())).unwrap();
    // The log, three headers, one body, three hashes, a fork.
    assert_eq!(db.len(), 1 + 3 + 1 + 3 + 1);
    block_on(store.delete_log(author(), 0)).unwrap();
    assert!(db.is_empty());
}

#[test]
fn what_changes_nothing_is_not_committed() {
    let db = FaultDb::new(MemoryDb::new(), FaultScript::new()).unwrap();
    let db = Arc::new(db);
    let store = DatabaseStore::<u64>::new(Arc::clone(&db) as Arc<dyn Database>);
    let operations = written(&["a", "b"]);
    append(&store, 0, &operations);
    let commits = db.counts().commits;
    append(&store, 0, &operations);
    append(&store, 1, &operations[1..]);
    block_on(store.append(Vec::new())).unwrap();
    block_on(store.prune(author(), 0, SeqNum::ZERO)).unwrap();
    block_on(store.delete_payload(Hash::digest(b"other"))).unwrap();
    block_on(store.delete_log(author(), 9)).unwrap();
    assert_eq!(db.counts().commits, commits);
}

/// Changes the logs before each commit, so that none succeeds but the first so many.
#[derive(Debug)]
struct Contended {
    db: MemoryDb,
    lost: u32,
    attempts: AtomicU32,
}

impl Database for Contended {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        self.db.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) < self.lost {
            let key = batch.preconditions().first().expect("a change has a precondition").key().clone();
            return Err(CommitError::precondition(key));
        }
        self.db.commit(batch, durability)
    }
}

#[test]
fn conflicts_are_tried_again_a_bounded_number_of_times() {
    let attempts_max = DatabaseStore::<u64>::ATTEMPTS_MAX;
    for (lost, wins) in [(1, true), (attempts_max - 1, true), (attempts_max, false)] {
        let db = Arc::new(Contended { db: MemoryDb::new(), lost, attempts: AtomicU32::new(0) });
        let store = DatabaseStore::<u64>::new(Arc::clone(&db) as Arc<dyn Database>);
        let result = block_on(store.append(batch(0, &written(&["a"]))));
        match result {
            Ok(outcomes) => assert!(wins && outcomes == [Appended::New]),
            Err(StoreError::Conflict { attempts }) => assert!(!wins && attempts == attempts_max && db.db.is_empty()),
            Err(err) => panic!("{err:?}"),
        }
    }
}

fn round_trip<V: ValueCodec + PartialEq + std::fmt::Debug>(value: &V) {
    assert_eq!(&V::decode(value.encode()).unwrap(), value);
}

proptest! {
    #[test]
    fn rows_are_read_as_written(
        first in any::<u64>(), more in 0..u64::MAX, hash in any::<[u8; 32]>(), forks in any::<u8>(),
        body_len in any::<Option<u64>>(), header in any::<Vec<u8>>(), second in any::<Vec<u8>>(),
    ) {
        let tip = Tip { seq_num: SeqNum::new(first.saturating_add(more)), hash: hash.into() };
        round_trip(&LogRow { state: LogState { first: SeqNum::new(first), tip }, forks });
        let header = Bytes::from(header);
        round_trip(&OperationRow { body_len, header: header.clone() });
        round_trip(&ForkRow { first: header, second: second.into() });
    }

    #[test]
    fn other_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let bytes = Bytes::from(bytes);
        if let Ok(row) = LogRow::decode(bytes.clone()) {
            prop_assert_eq!(row.encode(), bytes.clone());
        }
        if let Ok(row) = OperationRow::decode(bytes.clone()) {
            prop_assert_eq!(row.encode(), bytes.clone());
        }
        if let Ok(row) = ForkRow::decode(bytes.clone()) {
            prop_assert_eq!(row.encode(), bytes);
        }
    }
}

#[test]
fn a_horizon_behind_the_next_place_is_refused() {
    let tip = Tip { seq_num: SeqNum::new(4), hash: Hash::digest(b"") };
    let row = |first| LogRow { state: LogState { first: SeqNum::new(first), tip }, forks: 0 };
    assert!(LogRow::decode(row(5).encode()).is_ok());
    assert!(LogRow::decode(row(6).encode()).is_err());
}
