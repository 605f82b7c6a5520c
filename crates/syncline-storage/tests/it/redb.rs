//! redb in a file: what it says when the file is not as it should be.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    io::{self, BufRead, BufReader},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{StorageBackend, TableDefinition, backends::InMemoryBackend};
use syncline_storage::{
    Batch, CommitError, Database, Direction, Durability, KeyRange, Limits, RedbDb, StorageError, StorageErrorKind,
    redb::{RedbBackend, RedbOptions},
};
use tempfile::TempDir;

use crate::{get, put};

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    (dir, path)
}

fn kind(result: Result<RedbDb, StorageError>) -> StorageErrorKind {
    result.map(drop).unwrap_err().kind()
}

#[test]
fn open_finds_what_create_made() {
    let (_dir, path) = place();
    assert_eq!(kind(RedbDb::open(&path)), StorageErrorKind::NotFound);
    assert!(!path.exists(), "open makes no file");
    let db = RedbDb::create(&path).unwrap();
    db.commit(put("a", "1"), Durability::Immediate).unwrap();
    drop(db);
    assert_eq!(get(&RedbDb::open(&path).unwrap(), "a").as_deref(), Some("1"));
    assert_eq!(get(&RedbDb::create(&path).unwrap(), "a").as_deref(), Some("1"));
    let nowhere = path.join("no folder").join("db");
    assert!(RedbDb::create(nowhere).is_err());
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let mut zeros_then_data = vec![0; 5_000];
    zeros_then_data.extend_from_slice(b"data of another program");
    // Longer than any new file, and data only behind where that would end.
    let mut large = vec![0; 16 << 20];
    large[(16 << 20) - 1] = 1;
    let mut almost = b"redb\x1a\x0a\xa9\x0d".to_vec();
    almost.extend_from_slice(&[7; 400]);
    let files: [&[u8]; 6] =
        [b"SQLite format 3\0 and so on", b"hello", b"\0\0\0\0\0\0\0\0\0a sector", &zeros_then_data, &large, &almost];
    for bytes in files {
        let (_dir, path) = place();
        fs::write(&path, bytes).unwrap();
        assert_eq!(kind(RedbDb::create(&path)), StorageErrorKind::NotADatabase);
        assert_eq!(kind(RedbDb::open(&path)), StorageErrorKind::NotADatabase);
        assert!(fs::read(&path).unwrap() == bytes, "the file was changed");
    }
}

#[test]
fn a_file_whose_creation_was_cut_short_is_made_again() {
    let (_dir, path) = place();
    drop(RedbDb::create(&path).unwrap());
    let header = fs::read(&path).unwrap();
    for file in [Vec::new(), vec![0; 100], vec![0; 1 << 20], header[..5].to_vec()] {
        fs::write(&path, &file).unwrap();
        let db = RedbDb::open(&path).unwrap();
        db.commit(put("a", "1"), Durability::Immediate).unwrap();
        drop(db);
        assert_eq!(get(&RedbDb::open(&path).unwrap(), "a").as_deref(), Some("1"));
    }
}

#[test]
fn redb_files_of_others_are_refused() {
    const OTHER: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    let (_dir, path) = place();
    let other = redb::Database::create(&path).unwrap();
    let txn = other.begin_write().unwrap();
    txn.open_table(OTHER).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    drop(other);
    assert_eq!(kind(RedbDb::create(&path)), StorageErrorKind::NotADatabase);
    let other = redb::Database::open(&path).unwrap();
    let txn = other.begin_write().unwrap();
    assert_eq!(txn.list_tables().unwrap().count(), 1, "nothing was added");
}

#[test]
fn a_later_layout_is_refused() {
    const LAYOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("syncline");
    let (_dir, path) = place();
    drop(RedbDb::create(&path).unwrap());
    for version in [Some(2), Some(0), None] {
        let db = redb::Database::open(&path).unwrap();
        let txn = db.begin_write().unwrap();
        let mut table = txn.open_table(LAYOUT).unwrap();
        match version {
            Some(version) => drop(table.insert("layout", version).unwrap()),
            None => drop(table.remove("layout").unwrap()),
        }
        drop(table);
        txn.commit().unwrap();
        drop(db);
        assert_eq!(kind(RedbDb::open(&path)), StorageErrorKind::Version);
    }
}

#[test]
fn a_second_open_in_this_process_is_refused() {
    let (_dir, path) = place();
    let db = RedbDb::create(&path).unwrap();
    db.commit(put("a", "1"), Durability::Immediate).unwrap();
    let error = RedbDb::open(&path).map(drop).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Locked);
    assert!(error.source().is_some() && error.to_string().contains("other process"));
    // A snapshot keeps the file open.
    let snapshot = db.snapshot().unwrap();
    drop(db);
    assert_eq!(kind(RedbDb::open(&path)), StorageErrorKind::Locked);
    assert_eq!(snapshot.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    drop(snapshot);
    RedbDb::open(&path).unwrap();
}

const HOLD: &str = "SYNCLINE_TEST_HOLD";

#[test]
fn a_file_that_another_process_holds_is_refused() {
    if let Some(path) = env::var_os(HOLD) {
        let _db = RedbDb::create(Path::new(&path)).unwrap();
        println!("\nheld");
        loop {
            std::thread::park();
        }
    }
    let (_dir, path) = place();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["redb::a_file_that_another_process_holds_is_refused", "--exact", "--nocapture"])
        .env(HOLD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let held = lines.map_while(Result::ok).any(|line| line.contains("held"));
    let refused = RedbDb::open(&path).map(drop);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(held, "the child did not open the database");
    assert_eq!(refused.unwrap_err().kind(), StorageErrorKind::Locked);
    RedbDb::open(&path).unwrap();
}

fn rows(db: &dyn Database) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StorageError> {
    db.snapshot()?
        .scan(KeyRange::all(), Direction::Forward)?
        .map(|row| row.map(|(key, value)| (key.into(), value.into())))
        .collect()
}

/// With `verify_on_open`, a changed bit is either found or in a place that holds nothing; it never panics and never
/// changes what is read.
#[test]
fn verification_finds_damage() {
    let (_dir, path) = place();
    let db = RedbDb::create(&path).unwrap();
    let mut batch = Batch::new();
    for n in 0..2_000u32 {
        batch.put(n.to_be_bytes().to_vec(), n.to_be_bytes().repeat(10));
    }
    db.commit(batch, Durability::Immediate).unwrap();
    let expected = rows(&db).unwrap();
    drop(db);
    let good = fs::read(&path).unwrap();
    let options = RedbOptions::new().verify_on_open(true);
    let (mut found, mut harmless) = (0, 0);
    for n in 0..200usize {
        let mut bad = good.clone();
        // Spread over the file; the first of them in the header.
        let at = if n < 100 { n * 3 } else { n * 7_919 * 13 % good.len() };
        bad[at] ^= 1 << (n % 8);
        fs::write(&path, &bad).unwrap();
        let open = || options.open(&path).and_then(|db| rows(&db));
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(rows)) => {
                assert!(rows == expected, "bit {} of byte {at} changed what is read", n % 8);
                harmless += 1;
            }
            Ok(Err(error)) => {
                let kind = error.kind();
                assert!(
                    matches!(
                        kind,
                        StorageErrorKind::Corrupt | StorageErrorKind::NotADatabase | StorageErrorKind::Version
                    ),
                    "byte {at}: {error:?}"
                );
                found += 1;
            }
            Err(_) => panic!("bit {} of byte {at} made the open panic", n % 8),
        }
    }
    println!("{found} found, {harmless} harmless");
    assert!(found > 30, "only {found} found");
}

#[test]
fn a_file_that_was_cut_is_found() {
    let (_dir, path) = place();
    drop(RedbDb::create(&path).unwrap());
    let good = fs::read(&path).unwrap();
    for len in [9, 100, 320, 4_096, good.len() / 2] {
        fs::write(&path, &good[..len]).unwrap();
        let open = || RedbDb::open(&path).map(drop);
        let result = catch_unwind(AssertUnwindSafe(open)).expect("no panic");
        let kind = result.unwrap_err().kind();
        assert_eq!(kind, StorageErrorKind::Corrupt, "cut to {len} bytes");
    }
}

/// A disk in memory that fails when a switch is turned.
#[derive(Debug)]
struct Failing {
    memory: InMemoryBackend,
    full: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.memory.write(offset, data)
    }
}

#[test]
fn a_full_disk_is_an_unknown_outcome_and_then_closed() {
    let full = Arc::new(AtomicBool::new(false));
    let backend = Failing { memory: InMemoryBackend::new(), full: Arc::clone(&full) };
    let db = RedbDb::open_backend(RedbBackend::new(backend)).unwrap();
    db.commit(put("a", "1"), Durability::Immediate).unwrap();
    full.store(true, Ordering::SeqCst);
    match db.commit(put("b", "1"), Durability::Immediate).unwrap_err() {
        CommitError::Unknown { source, .. } => assert_eq!(source.kind(), StorageErrorKind::Full),
        error => panic!("{error:?}"),
    }
    full.store(false, Ordering::SeqCst);
    let error = db.commit(put("c", "1"), Durability::Immediate).unwrap_err();
    assert!(error.needs_reopen() && error.nothing_applied(), "{error:?}");
}

#[test]
fn options_and_limits() {
    let (_dir, path) = place();
    let options = RedbOptions::new().limits(Limits::default().max_value_len(3));
    let db = options.create(&path).unwrap();
    assert_eq!(db.limits().max_value_len, 3);
    db.commit(put("a", "123"), Durability::Immediate).unwrap();
    let error = db.commit(put("a", "1234"), Durability::Immediate).unwrap_err();
    assert!(matches!(error, CommitError::Storage(e) if e.kind() == StorageErrorKind::TooLarge));
    let shown = format!("{db:?}");
    assert!(!shown.contains("123") && shown.contains("RedbDb"), "{shown}");
}
