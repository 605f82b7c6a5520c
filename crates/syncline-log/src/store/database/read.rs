//! What only reads.

use std::collections::BTreeMap;

use syncline_crypto::{Hash, PublicKey};
use syncline_storage::{Database, Direction, Snapshot};

use super::rows::{
    BODIES, FORKS, HASHES, LOGS, LogKey, OPERATIONS, OperationRow, decode_log_id, encode_log_id, or_corrupt,
};
use crate::SeqNum;
use crate::store::{
    Corruption, Fork, Heights, Located, LogId, LogSize, LogSummary, Logs, Page, SeqRange, StoreError, StoredOperation,
    Tip, Tips,
};

pub(super) fn tip(db: &dyn Database, log: &LogKey) -> Result<Option<Tip>, StoreError> {
    Ok(log.state(&*db.snapshot()?)?.map(|row| row.state.tip))
}

pub(super) fn heights<L: LogId>(db: &dyn Database, logs: Logs<L>) -> Result<Heights<L>, StoreError> {
    let snapshot = db.snapshot()?;
    let height = |author: PublicKey, log_id: &L| -> Result<Option<SeqNum>, StoreError> {
        let log = LogKey { author, log_id: encode_log_id(log_id)? };
        Ok(log.state(&*snapshot)?.map(|row| row.state.tip.seq_num))
    };
    collect(logs, height)
}

pub(super) fn tips<L: LogId>(db: &dyn Database, logs: Logs<L>) -> Result<Tips<L>, StoreError> {
    let snapshot = db.snapshot()?;
    let tip = |author: PublicKey, log_id: &L| -> Result<Option<Tip>, StoreError> {
        let log = LogKey { author, log_id: encode_log_id(log_id)? };
        Ok(log.state(&*snapshot)?.map(|row| row.state.tip))
    };
    collect(logs, tip)
}

/// What `find` knows of each log.
pub(super) fn collect<L: LogId, V>(
    logs: Logs<L>,
    find: impl Fn(PublicKey, &L) -> Result<Option<V>, StoreError>,
) -> Result<BTreeMap<PublicKey, BTreeMap<L, V>>, StoreError> {
    let mut found = BTreeMap::new();
    for (author, log_ids) in logs {
        let mut of_author = BTreeMap::new();
        for log_id in log_ids {
            if let Some(value) = find(author, &log_id)? {
                of_author.insert(log_id, value);
            }
        }
        if !of_author.is_empty() {
            found.insert(author, of_author);
        }
    }
    Ok(found)
}

pub(super) fn page(db: &dyn Database, log: &LogKey, range: SeqRange, bytes_max: usize) -> Result<Page, StoreError> {
    let snapshot = db.snapshot()?;
    let mut page = Page::default();
    let Some(range) = present(&*snapshot, log, range)? else { return Ok(page) };
    let between = log.at(range.from)..=log.at(range.to);
    let mut bodies = BODIES.scan_range(&*snapshot, between, Direction::Forward)?;
    let mut bytes = 0u64;
    for row in rows(&*snapshot, log, range)? {
        let (seq_num, row) = row?;
        bytes = bytes.saturating_add(row.byte_len());
        if bytes > bytes_max as u64 && !page.operations.is_empty() {
            page.next = Some(seq_num);
            break;
        }
        let corrupt = Corruption::Operation { author: log.author, seq_num };
        let body = match row.body_len {
            None => None,
            Some(len) => match bodies.next().transpose()? {
                Some(((_, _, at), body)) if at == seq_num.get() && body.len() as u64 == len => Some(body),
                _ => return Err(corrupt.into()),
            },
        };
        page.operations.push(StoredOperation::new(seq_num, row.header, body));
    }
    Ok(page)
}

/// The part of a range that is there.
fn present(snapshot: &dyn Snapshot, log: &LogKey, range: SeqRange) -> Result<Option<SeqRange>, StoreError> {
    let present = log.state(snapshot)?.and_then(|row| row.state.present());
    Ok(present.and_then(|present| present.intersection(range)))
}

/// The headers of a range that is there as a whole. A hole in it is a damage, and an error.
pub(super) fn rows<'a>(
    snapshot: &'a dyn Snapshot,
    log: &'a LogKey,
    range: SeqRange,
) -> Result<impl Iterator<Item = Result<(SeqNum, OperationRow), StoreError>> + 'a, StoreError> {
    let mut rows = OPERATIONS.scan_range(snapshot, log.at(range.from)..=log.at(range.to), Direction::Forward)?;
    let mut expected = (!range.is_empty()).then_some(range.from);
    Ok(std::iter::from_fn(move || {
        let seq_num = expected?;
        expected = seq_num.checked_next().filter(|next| *next <= range.to);
        let row = or_corrupt(rows.next().transpose(), || Corruption::Operation { author: log.author, seq_num });
        let row = row.and_then(|row| match row {
            Some(((_, _, at), row)) if at == seq_num.get() => Ok((seq_num, row)),
            _ => Err(Corruption::Missing { author: log.author, seq_num }.into()),
        });
        if row.is_err() {
            expected = None;
        }
        Some(row)
    }))
}

/// Where an operation is.
pub(super) fn places(
    snapshot: &dyn Snapshot,
    hash: Hash,
) -> Result<impl Iterator<Item = Result<(LogKey, SeqNum), StoreError>> + '_, StoreError> {
    let places = HASHES.scan_prefix(snapshot, &(hash.to_bytes(),), Direction::Forward)?;
    Ok(places.map(move |place| {
        let ((_, author, log_id), seq_num) = or_corrupt(place, || Corruption::Index { hash })?;
        Ok((LogKey::from_columns((author, log_id))?, SeqNum(seq_num)))
    }))
}

pub(super) fn get<L: LogId>(db: &dyn Database, hash: Hash) -> Result<Option<Located<L>>, StoreError> {
    let snapshot = db.snapshot()?;
    let Some(place) = places(&*snapshot, hash)?.next() else { return Ok(None) };
    let (log, seq_num) = place?;
    let row = log.operation(&*snapshot, seq_num)?;
    let corrupt = Corruption::Operation { author: log.author, seq_num };
    if Hash::digest(&row.header) != hash {
        return Err(corrupt.into());
    }
    let body = match row.body_len {
        None => None,
        Some(len) => match BODIES.get(&*snapshot, &log.at(seq_num))? {
            Some(body) if body.len() as u64 == len => Some(body),
            _ => return Err(corrupt.into()),
        },
    };
    let log_id = decode_log_id(&log.log_id)?;
    Ok(Some(Located::new(log.author, log_id, StoredOperation::new(seq_num, row.header, body))))
}

pub(super) fn size(db: &dyn Database, log: &LogKey, range: SeqRange) -> Result<LogSize, StoreError> {
    let snapshot = db.snapshot()?;
    let mut size = LogSize::default();
    let Some(range) = present(&*snapshot, log, range)? else { return Ok(size) };
    for row in rows(&*snapshot, log, range)? {
        let (_, row) = row?;
        size.operations += 1;
        size.bytes = size.bytes.saturating_add(row.byte_len());
    }
    Ok(size)
}

pub(super) fn forks(db: &dyn Database, log: &LogKey) -> Result<Vec<Fork>, StoreError> {
    let snapshot = db.snapshot()?;
    let corrupt = || Corruption::Fork { author: log.author };
    let rows = FORKS.scan_prefix(&*snapshot, &log.columns(), Direction::Forward)?;
    let fork = |row| {
        let (_, row): (_, super::rows::ForkRow) = or_corrupt(row, corrupt)?;
        Fork::new(row.first, row.second).map_err(|_| corrupt().into())
    };
    rows.map(fork).collect()
}

pub(super) fn logs<L: LogId>(
    db: &dyn Database,
    after: Option<&LogKey>,
    count_max: usize,
) -> Result<Vec<LogSummary<L>>, StoreError> {
    use std::ops::Bound::{Excluded, Unbounded};
    let snapshot = db.snapshot()?;
    let lower = after.map_or(Unbounded, |log| Excluded(log.columns()));
    let rows = LOGS.scan_range(&*snapshot, (lower, Unbounded), Direction::Forward)?;
    let summary = |row| {
        let (columns, row): (_, super::rows::LogRow) = or_corrupt(row, || Corruption::Key)?;
        let log = LogKey::from_columns(columns)?;
        let log_id = decode_log_id(&log.log_id)?;
        Ok(LogSummary::new(log.author, log_id, row.state.first, row.state.tip))
    };
    rows.take(count_max).map(summary).collect()
}
