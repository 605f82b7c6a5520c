//! Crashes, one byte at a time.

use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use syncline_log::store::{LogStore, SeqRange};
use syncline_log::{Fork, Link, SeqNum};
use syncline_testkit::generate::{LogShape, log, new_operations, signing_key};
use syncline_testkit::seed::Rng;

use crate::check_conformance;
use crate::journal::JournalError;
use crate::store::FileStore;

/// A file with some transactions: its bytes, and for each transaction where it ends and what the store answers then.
struct Written {
    bytes: Vec<u8>,
    states: Vec<(usize, String)>,
}

fn all(store: &FileStore) -> String {
    let logs = block_on(store.logs(None, usize::MAX)).unwrap();
    let mut all = String::new();
    for log in &logs {
        let page = block_on(store.read(log.author, log.log_id, SeqRange::ALL, usize::MAX)).unwrap();
        let rows: Vec<_> = page.operations.iter().map(|row| (row.seq_num, &row.header, &row.body)).collect();
        let forks = block_on(store.forks(log.author, log.log_id)).unwrap();
        all += &format!("{log:?} {rows:?} {forks:?}\n");
    }
    all
}

fn written(path: &Path) -> Written {
    let store = FileStore::open(path).unwrap();
    let mut rng = Rng::new(7);
    let key = signing_key(&mut rng);
    let shape = LogShape { operations: 6, body_max: 12, ..LogShape::default() };
    let (trunk, other) =
        (new_operations(&log(&mut rng, &key, 0, &shape)), new_operations(&log(&mut rng, &key, 0, &shape)));
    let len = || usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
    let mut states = vec![(len(), all(&store))];
    let mut note = || states.push((len(), all(&store)));
    block_on(store.append(trunk[..3].to_vec())).unwrap();
    note();
    block_on(store.append([&trunk[3..5], &other[1..2]].concat())).unwrap();
    note();
    let with_body = trunk[1..5].iter().find(|new| new.operation.body().is_some()).unwrap();
    block_on(store.delete_payload(with_body.operation.hash())).unwrap();
    note();
    block_on(store.prune(key.public_key(), 0, SeqNum::new(1))).unwrap();
    note();
    let mut last = trunk[5].clone();
    last.link = Link::Prunes;
    block_on(store.append(vec![last])).unwrap();
    note();
    Written { bytes: fs::read(path).unwrap(), states }
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    (folder, path)
}

#[test]
fn the_store_keeps_the_contract() {
    check_conformance(tempfile::tempdir().unwrap().path());
}

#[test]
fn a_file_that_is_cut_anywhere_holds_the_transactions_before_the_cut() {
    let (_folder, path) = file();
    let Written { bytes, states } = written(&path);
    assert!(states.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1), "each transaction shows");
    for cut in states[0].0..=bytes.len() {
        let (end, expected) = states.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        // What the disk has not got may be missing, or be nothing but zeros.
        let zeros = (cut % 8 == 0).then_some(bytes.len() - cut);
        for rest in [0].into_iter().chain(zeros) {
            fs::write(&path, [&bytes[..cut], &vec![0; rest]].concat()).unwrap();
            assert_eq!(all(&FileStore::open(&path).unwrap()), *expected, "cut at {cut}");
            assert_eq!(fs::read(&path).unwrap(), bytes[..*end], "the torn frame is gone, cut at {cut}");
        }
    }
}

#[test]
fn damage_before_the_last_frame_is_refused_and_left_alone() {
    let (_folder, path) = file();
    let Written { bytes, states } = written(&path);
    let (last_frame, _) = states[states.len() - 2];
    for at in states[0].0..last_frame {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        let opened = FileStore::open(&path).map(|store| all(&store));
        assert!(matches!(opened, Err(JournalError::Damaged { .. })), "damage at {at}: {opened:?}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
}

#[test]
fn what_changes_nothing_is_not_written() {
    let (_folder, path) = file();
    let store = FileStore::open(&path).unwrap();
    let mut rng = Rng::new(3);
    let key = signing_key(&mut rng);
    let mut history = || new_operations(&log(&mut rng, &key, 0, &LogShape { operations: 1, ..LogShape::default() }));
    let histories: Vec<_> = (0..2 * Fork::PER_LOG_MAX).flat_map(|_| history()).collect();
    let append = || block_on(store.append(histories.clone())).unwrap();
    let len = || fs::metadata(&path).unwrap().len();
    append();
    let once = len();
    append();
    assert_eq!(len(), once, "nobody makes the file grow by saying the same again");
    let hash = histories[0].operation.hash();
    block_on(store.prune(key.public_key(), 0, SeqNum::ZERO)).unwrap();
    block_on(store.delete_log(key.public_key(), 1)).unwrap();
    block_on(store.delete_payload(hash)).unwrap();
    let deleted = len();
    block_on(store.delete_payload(hash)).unwrap();
    assert_eq!(len(), deleted);
}

#[test]
fn a_file_is_open_once_and_must_be_a_journal() {
    let (_folder, path) = file();
    let store = FileStore::open(&path).unwrap();
    assert!(matches!(FileStore::open(&path), Err(JournalError::InUse)));
    drop(store);
    FileStore::open(&path).unwrap();
    for other in ["short", "a text that is longer than the beginning of a journal"] {
        fs::write(&path, other).unwrap();
        assert!(matches!(FileStore::open(&path), Err(JournalError::NotAJournal)));
        assert_eq!(fs::read_to_string(&path).unwrap(), other);
    }
}
