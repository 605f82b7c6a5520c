use std::future::pending;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::executor::block_on;
use futures::future::{Either, select};
use proptest::prelude::*;
use syncline_crypto::{PublicKey, SigningKey};
use syncline_reconcile::SummaryIndex as _;

use super::{LiveStore, Summary};
use crate::store::{Appended, LogStore as _, Logs, MemoryStore, NewOperation, Tip};
use crate::{EncodedOperation, Header, Operation, SeqNum};

type Store = LiveStore<u64, MemoryStore<u64>>;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn logs(authors: u8, log_ids: u64) -> Logs<u64> {
    (1..=authors).map(|number| (key(number).public_key(), (0..log_ids).collect())).collect()
}

/// The next operation of a log.
fn next(store: &Store, author: u8, log_id: u64) -> NewOperation<u64> {
    let key = key(author);
    let tip = block_on(store.tip(key.public_key(), log_id)).unwrap();
    let mut header = Header::<()>::new(key.public_key());
    if let Some(Tip { seq_num, hash }) = tip {
        header.seq_num = seq_num.checked_next().unwrap();
        header.backlink = Some(hash);
    }
    header.timestamp = log_id;
    let operation = Operation::sign(header, None, &key).unwrap();
    NewOperation::next(log_id, EncodedOperation::from_operation(&operation).unwrap())
}

fn append(store: &Store, author: u8, log_id: u64) {
    let new = next(store, author, log_id);
    assert_eq!(block_on(store.append(vec![new])).unwrap(), [Appended::New]);
}

fn summary(store: &Store, logs: &Logs<u64>) -> Arc<Summary<u64>> {
    block_on(store.scope(logs).summary()).unwrap()
}

/// What somebody sees who never asked before.
fn anew(store: &Store, logs: &Logs<u64>) -> Summary<u64> {
    let other = LiveStore::new(MemoryStore::new());
    for (author, log_ids) in logs {
        for log_id in log_ids {
            let page = block_on(store.read(*author, *log_id, crate::SeqRange::ALL, usize::MAX)).unwrap();
            let operations = page.operations.iter().map(|row| NewOperation::next(*log_id, row.decode().unwrap()));
            block_on(other.append(operations.collect())).unwrap();
        }
    }
    Summary::clone(&summary(&other, logs))
}

#[test]
fn a_summary_is_kept_and_not_made_again() {
    let store = Store::new(MemoryStore::new());
    let logs = logs(2, 2);
    append(&store, 1, 0);
    let first = summary(&store, &logs);
    assert!(Arc::ptr_eq(&first, &summary(&store, &logs)), "nothing has changed");
    append(&store, 1, 7);
    assert!(Arc::ptr_eq(&first, &summary(&store, &logs)), "another log has");
    append(&store, 1, 0);
    let second = summary(&store, &logs);
    assert_ne!(first.digest(), second.digest());
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(second.tip(&key(1).public_key(), &0).map(|tip| tip.seq_num), Some(SeqNum::new(1)));
    assert_eq!(first.tip(&key(1).public_key(), &0).map(|tip| tip.seq_num), Some(SeqNum::ZERO), "a snapshot stays");
    assert_eq!(second.tip(&key(2).public_key(), &0), None);
}

#[test]
fn only_the_sets_that_were_used_last_are_kept() {
    let store = Store::new(MemoryStore::new());
    append(&store, 1, 0);
    let set = |number: u64| Logs::from([(key(1).public_key(), vec![0, number + 1])]);
    let first = summary(&store, &set(0));
    for number in 1..Store::SUMMARIES_MAX as u64 {
        summary(&store, &set(number));
    }
    assert!(Arc::ptr_eq(&first, &summary(&store, &set(0))), "kept, and used last now");
    let second = summary(&store, &set(1));
    summary(&store, &set(9_999));
    assert!(Arc::ptr_eq(&second, &summary(&store, &set(1))));
    assert!(Arc::ptr_eq(&first, &summary(&store, &set(0))));
    assert_eq!(summary(&store, &set(2)).digest(), first.digest(), "made anew, it says the same");
}

#[test]
fn a_deleted_log_leaves_the_summary_and_a_pruned_one_stays() {
    let store = Store::new(MemoryStore::new());
    let logs = logs(1, 2);
    append(&store, 1, 0);
    append(&store, 1, 1);
    let both = summary(&store, &logs);
    block_on(store.prune(key(1).public_key(), 0, SeqNum::MAX)).unwrap();
    assert_eq!(summary(&store, &logs).digest(), both.digest(), "a height does not fall");
    block_on(store.delete_log(key(1).public_key(), 0)).unwrap();
    let one = summary(&store, &logs);
    assert_eq!((one.len(), one.set().len().unwrap()), (1, 1));
}

#[test]
fn changes_are_told_once_to_each_who_watches_the_log() {
    let store = Store::new(MemoryStore::new());
    let (narrow, wide) = (store.watch(&logs(1, 1)), store.watch(&logs(2, 2)));
    append(&store, 2, 1);
    append(&store, 1, 0);
    append(&store, 1, 0);
    let name = |author: u8, log_id| (key(author).public_key(), log_id);
    assert_eq!(block_on(narrow.changed()), [name(1, 0)].into());
    assert_eq!(block_on(wide.changed()), [name(1, 0), name(2, 1)].into());
    assert!(narrow.changed().now_or_never().is_none(), "nothing new");
    append(&store, 2, 0);
    assert!(narrow.changed().now_or_never().is_none(), "not for this one");
    let by_another_handle = store.clone();
    append(&by_another_handle, 1, 0);
    assert_eq!(block_on(narrow.changed()), [name(1, 0)].into());
}

#[test]
fn who_waits_is_woken() {
    let store = Store::new(MemoryStore::new());
    let changes = store.watch(&logs(1, 1));
    let waiting = async { changes.changed().await.len() };
    let operation = next(&store, 1, 0);
    let writing = store.append(vec![operation]);
    assert_eq!(block_on(futures::future::join(waiting, writing)).0, 1);
}

#[test]
fn an_append_that_is_dropped_is_told_as_well() {
    let store = Store::new(MemoryStore::new());
    let changes = store.watch(&logs(1, 1));
    let tell = store.telling([((key(1).public_key(), 0), super::Change::UNKNOWN)]);
    let dropped = async move {
        let _tell = tell;
        pending::<()>().await;
    };
    assert!(dropped.now_or_never().is_none());
    let told = block_on(select(Box::pin(changes.changed()), pending::<()>()));
    assert!(matches!(told, Either::Left((logs, _)) if logs.len() == 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happened_the_summary_is_that_of_the_heights(
        steps in prop::collection::vec((1..4_u8, 0..3_u64, 0..10_u8), 0..40)
    ) {
        let store = Store::new(MemoryStore::new());
        let all = logs(3, 3);
        for (author, log_id, what) in steps {
            match what {
                0 => { block_on(store.delete_log(key(author).public_key(), log_id)).unwrap(); }
                1 => { summary(&store, &all); }
                _ => append(&store, author, log_id),
            }
        }
        let (kept, anew) = (summary(&store, &all), anew(&store, &all));
        prop_assert_eq!(kept.digest(), anew.digest());
        prop_assert_eq!(kept.len(), anew.len());
        let heights = block_on(store.heights(&all)).unwrap();
        prop_assert_eq!(kept.len() as usize, heights.values().map(|logs| logs.len()).sum::<usize>());
        for height in kept.heights() {
            let known: Option<&SeqNum> = heights.get(&height.author).and_then(|logs| logs.get(&height.log_id));
            prop_assert_eq!(known, Some(&height.tip.seq_num));
        }
        let ranks: Vec<Option<PublicKey>> = kept.heights().map(|height| Some(height.author)).collect();
        prop_assert_eq!(ranks.len() as u64, kept.set().len().unwrap());
    }
}
