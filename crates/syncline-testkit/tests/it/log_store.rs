//! The conformance suite for log stores: run by the stores of `syncline-log`, and by stores with one defect each, which
//! it must refuse.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use syncline_log::{AnyLogStore, DatabaseStore, MemoryStore};
use syncline_storage::{Blocking, MemoryDb};
use syncline_testkit::conformance::{cursor_store, log_store, log_store_with_reopen};

use broken::{Broken, Defect};

#[test]
fn memory() {
    log_store(MemoryStore::new);
    cursor_store(MemoryStore::new);
}

#[test]
fn erased() {
    log_store(|| AnyLogStore::new(MemoryStore::new()));
}

#[test]
fn shared() {
    log_store(|| Arc::new(MemoryStore::new()));
    cursor_store(|| Arc::new(MemoryStore::new()));
}

fn on_memory() -> DatabaseStore<u64> {
    DatabaseStore::new(Arc::new(MemoryDb::new()))
}

#[test]
fn database_on_memory() {
    log_store_with_reopen(on_memory, |store| DatabaseStore::new(Arc::clone(store.database())));
    cursor_store(on_memory);
}

/// Each job on a thread of its own.
#[derive(Debug)]
struct Threads;

impl Blocking for Threads {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) {
        std::thread::spawn(job);
    }
}

#[test]
fn database_on_other_threads() {
    log_store(|| DatabaseStore::with_blocking(Arc::new(MemoryDb::new()), Arc::new(Threads)));
}

#[cfg(feature = "redb")]
mod redb {
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use syncline_storage::RedbDb;
    use tempfile::TempDir;

    use super::*;

    /// Gives paths for new databases and remembers the last one, which is the only one that the suite opens again.
    struct Files {
        dir: TempDir,
        last: Mutex<u32>,
    }

    impl Files {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), last: Mutex::new(0) }
        }

        fn next(&self) -> PathBuf {
            *self.last.lock().unwrap() += 1;
            self.last()
        }

        fn last(&self) -> PathBuf {
            self.dir.path().join(format!("{}.redb", self.last.lock().unwrap()))
        }
    }

    fn create(path: &Path) -> DatabaseStore<u64> {
        DatabaseStore::new(Arc::new(RedbDb::create(path).unwrap()))
    }

    #[test]
    fn database_on_redb() {
        let files = Files::new();
        log_store_with_reopen(
            || create(&files.next()),
            |store| {
                drop(store);
                DatabaseStore::new(Arc::new(RedbDb::open(files.last()).unwrap()))
            },
        );
        cursor_store(|| create(&files.next()));
    }
}

#[test]
fn the_suite_passes_a_store_in_a_wrapper() {
    log_store(|| Broken::new(Defect::None));
}

#[test]
fn the_suite_refuses_every_defect() {
    let passed: Vec<Defect> = Defect::ALL
        .into_iter()
        .filter(|defect| {
            let suite = AssertUnwindSafe(|| log_store(|| Broken::new(*defect)));
            catch_unwind(suite).is_ok()
        })
        .collect();
    assert_eq!(passed, [], "defects that the suite does not notice");
}
