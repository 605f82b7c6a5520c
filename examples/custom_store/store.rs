//! The store: a change is made in memory, written to the journal, and only then told to anybody.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use syncline_crypto::{Hash, PublicKey};
use syncline_log::store::{
    Appended, Fork, Heights, Located, LogSize, LogStore, LogSummary, Logs, MemoryStore, NewOperation, Page, SeqRange,
    StoreError, Tip,
};
use syncline_log::{EncodedOperation, Link, SeqNum};
use syncline_storage::{Blocking, Inline, blocking};

use crate::journal::{Journal, JournalError};

/// Logs with numbers as ids, in one file. Clones are the same store.
#[derive(Clone)]
pub struct FileStore {
    /// Nothing, if a change failed halfway and so memory and file may not agree any more.
    state: Arc<Mutex<Option<State>>>,
    blocking: Arc<dyn Blocking>,
}

struct State {
    journal: Journal,
    logs: MemoryStore<u64>,
}

/// What happened to the logs, as the file has it.
#[derive(Serialize, Deserialize)]
enum Change {
    Append {
        log_id: u64,
        #[serde(with = "serde_bytes")]
        header: Vec<u8>,
        #[serde(with = "serde_bytes")]
        body: Option<Vec<u8>>,
        prunes: bool,
    },
    Prune(PublicKey, u64, SeqNum),
    DeletePayload(Hash),
    AddPayload(Hash, #[serde(with = "serde_bytes")] Vec<u8>),
    DeleteLog(PublicKey, u64),
}

impl Change {
    fn append(new: &NewOperation<u64>) -> Self {
        let (header, body) = new.operation.clone().into_parts();
        let body = body.map(|body| body.to_vec());
        Self::Append { log_id: new.log_id, header: header.to_vec(), body, prunes: new.link == Link::Prunes }
    }

    /// Makes the change. Gives how much is another way than before; 0 if all is as it was.
    fn make(&self, logs: &MemoryStore<u64>) -> Result<u64, StoreError> {
        match self {
            Self::Append { log_id, header, body, prunes } => {
                let (header, body) = (header.clone().into(), body.clone().map(Into::into));
                let operation = EncodedOperation::decode(header, body).map_err(|err| StoreError::Other(err.into()))?;
                // Whether it may begin a log was decided when it came.
                let link = if *prunes { Link::Prunes } else { Link::MayStart };
                let outcomes = now(logs.append(vec![NewOperation { log_id: *log_id, operation, link }]))?;
                Ok(matches!(outcomes[..], [Appended::New | Appended::Forked(_)]).into())
            }
            Self::Prune(author, log_id, before) => now(logs.prune(*author, *log_id, *before)),
            Self::DeletePayload(hash) => Ok(now(logs.delete_payload(*hash))?.into()),
            Self::AddPayload(hash, body) => Ok(now(logs.add_payload(*hash, body.clone().into()))?.into()),
            Self::DeleteLog(author, log_id) => Ok(now(logs.delete_log(*author, *log_id))?.into()),
        }
    }
}

/// The answer of a store in memory, which never waits.
fn now<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    call.now_or_never().unwrap_or(Err(JournalError::Broken.into()))
}

impl From<JournalError> for StoreError {
    fn from(err: JournalError) -> Self {
        Self::Other(Box::new(err))
    }
}

impl FileStore {
    /// Opens the store in this file, or makes one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let logs = MemoryStore::new();
        // What was written did something, so it does again.
        let replay =
            |changes: Vec<Change>| changes.iter().all(|change| change.make(&logs).is_ok_and(|count| count > 0));
        let journal = Journal::open(path.as_ref(), replay)?;
        Ok(Self { state: Arc::new(Mutex::new(Some(State { journal, logs }))), blocking: Arc::new(Inline) })
    }

    /// Waits for the disk where `blocking` says, not on the thread that polls.
    pub fn with_blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.blocking = blocking;
        self
    }

    /// Runs a job on the state, to its end even if the future is dropped.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Option<State>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let state = Arc::clone(&self.state);
        let job = move || job(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        blocking::run(&*self.blocking, job).await?
    }

    /// Reads what is committed.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&MemoryStore<u64>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(|state| question(&state.as_ref().ok_or(JournalError::Broken)?.logs)).await
    }

    /// Makes changes in memory, and then in the file. Nobody sees them before both are done. If anything fails, the
    /// state is not put back, and the store is of no use until it is opened again.
    async fn change<T: Send + 'static>(
        &self,
        make: impl FnOnce(&MemoryStore<u64>, &mut Vec<Change>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let job = |slot: &mut Option<State>| {
            let mut state = slot.take().ok_or(JournalError::Broken)?;
            let mut changes = Vec::new();
            let answer = make(&state.logs, &mut changes)?;
            if !changes.is_empty() {
                state.journal.commit(&changes)?;
            }
            *slot = Some(state);
            Ok(answer)
        };
        self.run(job).await
    }

    async fn change_one(&self, change: Change) -> Result<u64, StoreError> {
        let make = |logs: &MemoryStore<_>, changes: &mut Vec<_>| {
            let count = change.make(logs)?;
            changes.extend((count > 0).then_some(change));
            Ok(count)
        };
        self.change(make).await
    }
}

/// Appends one operation, and notes it if that changed anything.
fn append(logs: &MemoryStore<u64>, changes: &mut Vec<Change>, new: NewOperation<u64>) -> Result<Appended, StoreError> {
    let (author, log_id, change) = (new.operation.public_key(), new.log_id, Change::append(&new));
    let forks_before = now(logs.forks(author, log_id))?.len();
    let outcome = now(logs.append(vec![new]))?.pop().ok_or(JournalError::Broken)?;
    // A fork that is known, or one too many, must not make the file grow each time that a peer sends it.
    if outcome == Appended::New || now(logs.forks(author, log_id))?.len() > forks_before {
        changes.push(change);
    }
    Ok(outcome)
}

impl LogStore<u64> for FileStore {
    async fn append(&self, batch: Vec<NewOperation<u64>>) -> Result<Vec<Appended>, StoreError> {
        self.change(|logs, changes| batch.into_iter().map(|new| append(logs, changes, new)).collect()).await
    }

    async fn prune(&self, author: PublicKey, log_id: u64, before: SeqNum) -> Result<u64, StoreError> {
        self.change_one(Change::Prune(author, log_id, before)).await
    }

    async fn delete_payload(&self, hash: Hash) -> Result<bool, StoreError> {
        Ok(self.change_one(Change::DeletePayload(hash)).await? > 0)
    }

    async fn add_payload(&self, hash: Hash, body: Bytes) -> Result<bool, StoreError> {
        Ok(self.change_one(Change::AddPayload(hash, body.to_vec())).await? > 0)
    }

    async fn delete_log(&self, author: PublicKey, log_id: u64) -> Result<bool, StoreError> {
        Ok(self.change_one(Change::DeleteLog(author, log_id)).await? > 0)
    }

    async fn heights(&self, logs: &Logs<u64>) -> Result<Heights<u64>, StoreError> {
        let asked = logs.clone();
        self.ask(move |logs| now(logs.heights(&asked))).await
    }

    async fn read(
        &self,
        author: PublicKey,
        log_id: u64,
        range: SeqRange,
        bytes_max: usize,
    ) -> Result<Page, StoreError> {
        self.ask(move |logs| now(logs.read(author, log_id, range, bytes_max))).await
    }

    async fn get(&self, hash: Hash) -> Result<Option<Located<u64>>, StoreError> {
        self.ask(move |logs| now(logs.get(hash))).await
    }

    async fn tip(&self, author: PublicKey, log_id: u64) -> Result<Option<Tip>, StoreError> {
        self.ask(move |logs| now(logs.tip(author, log_id))).await
    }

    async fn forks(&self, author: PublicKey, log_id: u64) -> Result<Vec<Fork>, StoreError> {
        self.ask(move |logs| now(logs.forks(author, log_id))).await
    }

    async fn size(&self, author: PublicKey, log_id: u64, range: SeqRange) -> Result<LogSize, StoreError> {
        self.ask(move |logs| now(logs.size(author, log_id, range))).await
    }

    async fn logs(
        &self,
        after: Option<(PublicKey, u64)>,
        count_max: usize,
    ) -> Result<Vec<LogSummary<u64>>, StoreError> {
        self.ask(move |logs| now(logs.logs(after, count_max))).await
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}
