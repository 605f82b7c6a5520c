//! Keys and values.

use bytes::{BufMut as _, Bytes, BytesMut};
use syncline_crypto::{Hash, PublicKey};
use syncline_storage::{
    CodecError, Database, KeyCodec as _, Snapshot, StorageError, StorageErrorKind, Table, TableId, ValueCodec,
};

use crate::store::decide::LogState;
use crate::store::{Corruption, Fork, LogId, NewOperation, StoreError, Tip};
use crate::{EncodedOperation, Link, SeqNum};

/// The most bytes of an encoded log id.
pub(super) const LOG_ID_LEN_MAX: usize = 1024;

/// Author and encoded log id.
pub(super) type LogColumns = ([u8; 32], Bytes);

/// Author, encoded log id and sequence number.
pub(super) type OperationColumns = ([u8; 32], Bytes, u64);

/// What is known of each log.
pub(super) const LOGS: Table<LogColumns, LogRow> = Table::new(TableId(0x10));

/// The headers.
pub(super) const OPERATIONS: Table<OperationColumns, OperationRow> = Table::new(TableId(0x11));

/// The bodies, beside the headers so that neither sizes nor the next row need them.
pub(super) const BODIES: Table<OperationColumns, Bytes> = Table::new(TableId(0x12));

/// Hash, author and encoded log id to the place in the log.
pub(super) const HASHES: Table<([u8; 32], [u8; 32], Bytes), u64> = Table::new(TableId(0x13));

/// Log, place and the second operation's hash to both headers.
pub(super) const FORKS: Table<([u8; 32], Bytes, u64, [u8; 32]), ForkRow> = Table::new(TableId(0x14));

/// Consumer and log to a place.
pub(super) const CURSORS: Table<(String, [u8; 32], Bytes), u64> = Table::new(TableId(0x15));

/// Names a log in keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogKey {
    pub(super) author: PublicKey,
    pub(super) log_id: Bytes,
}

impl LogKey {
    pub(super) fn new<L: LogId>(author: PublicKey, log_id: &L) -> Result<Self, StoreError> {
        Ok(Self { author, log_id: encode_log_id(log_id)? })
    }

    pub(super) fn from_columns((author, log_id): LogColumns) -> Result<Self, Corruption> {
        let author = PublicKey::from_bytes(&author).map_err(|_| Corruption::Key)?;
        Ok(Self { author, log_id })
    }

    pub(super) fn columns(&self) -> LogColumns {
        (self.author.to_bytes(), self.log_id.clone())
    }

    pub(super) fn at(&self, seq_num: SeqNum) -> OperationColumns {
        (self.author.to_bytes(), self.log_id.clone(), seq_num.get())
    }

    pub(super) fn hash_columns(&self, hash: &Hash) -> ([u8; 32], [u8; 32], Bytes) {
        (hash.to_bytes(), self.author.to_bytes(), self.log_id.clone())
    }

    pub(super) fn state(&self, snapshot: &dyn Snapshot) -> Result<Option<LogRow>, StoreError> {
        or_corrupt(LOGS.get(snapshot, &self.columns()), || Corruption::Log { author: self.author })
    }

    pub(super) fn operation(&self, snapshot: &dyn Snapshot, seq_num: SeqNum) -> Result<OperationRow, StoreError> {
        let corrupt = || Corruption::Operation { author: self.author, seq_num };
        let row = or_corrupt(OPERATIONS.get(snapshot, &self.at(seq_num)), corrupt)?;
        row.ok_or_else(|| Corruption::Missing { author: self.author, seq_num }.into())
    }
}

/// A value that does not decode is the database's error, and ours when we know which row it was.
pub(super) fn or_corrupt<T>(
    result: Result<T, StorageError>,
    corruption: impl FnOnce() -> Corruption,
) -> Result<T, StoreError> {
    result.map_err(|err| {
        let is_codec = std::error::Error::source(&err).is_some_and(|source| source.is::<CodecError>());
        if err.kind() == StorageErrorKind::Corrupt && is_codec { corruption().into() } else { err.into() }
    })
}

pub(super) fn encode_log_id<L: LogId>(log_id: &L) -> Result<Bytes, StoreError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(log_id, &mut bytes).map_err(|err| StoreError::LogId(err.into()))?;
    match bytes.len() {
        0..=LOG_ID_LEN_MAX => Ok(bytes.into()),
        len => Err(StoreError::LogIdTooLong { len, max: LOG_ID_LEN_MAX }),
    }
}

pub(super) fn decode_log_id<L: LogId>(bytes: &[u8]) -> Result<L, StoreError> {
    ciborium::from_reader(bytes).map_err(|_| Corruption::Key.into())
}

/// An operation to append, with the key of its log.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) log: LogKey,
    pub(super) operation: EncodedOperation,
    pub(super) link: Link,
}

pub(super) fn keyed<L: LogId>(batch: Vec<NewOperation<L>>) -> Result<Vec<Keyed>, StoreError> {
    // Batches mostly are runs of one log, whose id is encoded once.
    let mut last: Option<(L, Bytes)> = None;
    let mut keyed = Vec::with_capacity(batch.len());
    for NewOperation { log_id, operation, link } in batch {
        let encoded = match &last {
            Some((id, encoded)) if *id == log_id => encoded.clone(),
            _ => {
                let encoded = encode_log_id(&log_id)?;
                last = Some((log_id, encoded.clone()));
                encoded
            }
        };
        keyed.push(Keyed { log: LogKey { author: operation.public_key(), log_id: encoded }, operation, link });
    }
    Ok(keyed)
}

/// What is known of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRow {
    pub(super) state: LogState,
    /// Rows in [`FORKS`].
    pub(super) forks: u8,
}

impl ValueCodec for LogRow {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(49);
        out.put_u64(self.state.first.get());
        out.put_u64(self.state.tip.seq_num.get());
        out.put_slice(self.state.tip.hash.as_bytes());
        out.put_u8(self.forks);
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        let (first, seq_num, hash, forks) = <(u64, u64, [u8; 32], u8)>::decode_all(&bytes)?;
        if first > seq_num.saturating_add(1) {
            return Err(CodecError::Domain);
        }
        let tip = Tip { seq_num: seq_num.into(), hash: hash.into() };
        Ok(Self { state: LogState { first: first.into(), tip }, forks })
    }
}

/// A header, and whether its body is in [`BODIES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OperationRow {
    /// Bytes of the body, if it is there.
    pub(super) body_len: Option<u64>,
    pub(super) header: Bytes,
}

/// Marks of the first byte of an [`OperationRow`].
const NO_BODY: u8 = 0;
const BODY: u8 = 1;

impl OperationRow {
    pub(super) fn new(operation: &EncodedOperation) -> Self {
        let body_len = operation.body().map(|body| body.len() as u64);
        Self { body_len, header: operation.header_bytes().clone() }
    }

    pub(super) fn byte_len(&self) -> u64 {
        (self.header.len() as u64).saturating_add(self.body_len.unwrap_or(0))
    }
}

impl ValueCodec for OperationRow {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(9 + self.header.len());
        match self.body_len {
            None => out.put_u8(NO_BODY),
            Some(len) => {
                out.put_u8(BODY);
                out.put_u64(len);
            }
        }
        out.put_slice(&self.header);
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        match bytes.split_first() {
            None => Err(CodecError::Truncated),
            Some((&NO_BODY, _)) => Ok(Self { body_len: None, header: bytes.slice(1..) }),
            Some((&BODY, rest)) => {
                let (len, _) = rest.split_first_chunk().ok_or(CodecError::Truncated)?;
                Ok(Self { body_len: Some(u64::from_be_bytes(*len)), header: bytes.slice(9..) })
            }
            Some(_) => Err(CodecError::Domain),
        }
    }
}

/// Both headers of a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForkRow {
    pub(super) first: Bytes,
    pub(super) second: Bytes,
}

impl ForkRow {
    pub(super) fn new(fork: &Fork) -> Self {
        Self { first: fork.first().clone(), second: fork.second().clone() }
    }
}

impl ValueCodec for ForkRow {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(8 + self.first.len() + self.second.len());
        out.put_u64(self.first.len() as u64);
        out.put_slice(&self.first);
        out.put_slice(&self.second);
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        let (len, rest) = bytes.split_first_chunk().ok_or(CodecError::Truncated)?;
        let len = usize::try_from(u64::from_be_bytes(*len)).map_err(|_| CodecError::Domain)?;
        if len > rest.len() {
            return Err(CodecError::Truncated);
        }
        let mut first = bytes.slice(8..);
        let second = first.split_off(len);
        Ok(Self { first, second })
    }
}

/// What to do after an attempt to change something.
pub(super) enum Attempt<T> {
    /// It is done.
    Done(T),
    /// Commit this; then it is done.
    Commit(syncline_storage::Batch, T),
    /// Commit this, then decide anew.
    CommitFirst(syncline_storage::Batch),
}

/// Decides on a snapshot and commits, again and again until nobody came in between.
pub(super) fn change<T>(
    db: &dyn Database,
    attempts_max: u32,
    mut decide: impl FnMut(&dyn Snapshot) -> Result<Attempt<T>, StoreError>,
) -> Result<T, StoreError> {
    use syncline_storage::{CommitError, Durability};
    let mut conflicts = 0;
    while conflicts < attempts_max {
        let (batch, done) = match decide(&*db.snapshot()?)? {
            Attempt::Done(done) => return Ok(done),
            Attempt::Commit(batch, done) => (batch, Some(done)),
            Attempt::CommitFirst(batch) => (batch, None),
        };
        let durability = Durability::Immediate;
        #[cfg(syncline_planted)]
        let durability = match syncline_core::planted::is(syncline_core::planted::Bug::AcknowledgeBeforeCommit) {
            true => Durability::Eventual,
            false => durability,
        };
        match (db.commit(batch, durability), done) {
            (Ok(()), Some(done)) => return Ok(done),
            (Ok(()), None) => {}
            (Err(CommitError::Precondition { .. }), _) => conflicts += 1,
            (Err(err), _) => return Err(StoreError::Commit(err)),
        }
    }
    Err(StoreError::Conflict { attempts: conflicts })
}
