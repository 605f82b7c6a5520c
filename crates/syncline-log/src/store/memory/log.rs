//! One log.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};

use crate::store::decide::{Decision, LogState, decide};
use crate::store::{Appended, Fork, Link, LogSize, LogSummary, Page, SeqRange, StoredOperation, Tip};
use crate::{EncodedOperation, SeqNum};

/// The operations of a log that has, or had, some. They are those that `state` says are present, in order.
#[derive(Debug)]
pub(super) struct Log {
    state: LogState,
    rows: VecDeque<Row>,
    forks: Vec<Fork>,
}

#[derive(Debug)]
struct Row {
    hash: Hash,
    header: Bytes,
    body: Option<Bytes>,
}

impl Row {
    fn new(operation: EncodedOperation) -> Self {
        let hash = operation.hash();
        let (header, body) = operation.into_parts();
        Self { hash, header, body }
    }

    fn stored(&self, seq_num: SeqNum) -> StoredOperation {
        StoredOperation::new(seq_num, self.header.clone(), self.body.clone())
    }

    fn byte_len(&self) -> usize {
        self.header.len() + self.body.as_ref().map_or(0, Bytes::len)
    }
}

/// What changed besides the log itself.
pub(super) struct Change {
    pub(super) appended: Appended,
    /// Hashes of operations that are gone.
    pub(super) deleted: Vec<Hash>,
}

impl From<Appended> for Change {
    fn from(appended: Appended) -> Self {
        Self { appended, deleted: Vec::new() }
    }
}

impl Log {
    /// A log that begins with this operation, or why it does not.
    pub(super) fn start(operation: EncodedOperation, link: Link) -> Result<Self, Appended> {
        match decide(None, &operation, link) {
            Decision::Store(state) => Ok(Self { state, rows: [Row::new(operation)].into(), forks: Vec::new() }),
            Decision::Settled(appended) => Err(appended),
            // An empty log has nothing to compare with.
            Decision::Compare => Err(Appended::Pruned),
        }
    }

    pub(super) fn append(&mut self, operation: EncodedOperation, link: Link) -> Change {
        match decide(Some(&self.state), &operation, link) {
            Decision::Store(state) => {
                let deleted = if link == Link::Prunes { self.clear() } else { Vec::new() };
                self.state = state;
                self.rows.push_back(Row::new(operation));
                Change { appended: Appended::New, deleted }
            }
            Decision::Compare => self.compare(&operation).into(),
            Decision::Settled(appended) => appended.into(),
        }
    }

    fn compare(&mut self, operation: &EncodedOperation) -> Appended {
        let seq_num = operation.seq_num();
        let Some(row) = self.index(seq_num).and_then(|index| self.rows.get(index)) else { return Appended::Pruned };
        if row.hash == operation.hash() {
            return Appended::Known;
        }
        let Ok(fork) = Fork::new(row.header.clone(), operation.header_bytes().clone()) else {
            // Both headers were read, have this place and author, and two hashes.
            return Appended::Pruned;
        };
        if self.forks.len() < Fork::PER_LOG_MAX && !self.forks.contains(&fork) {
            let at = self.forks.partition_point(|other| fork_key(other) < fork_key(&fork));
            self.forks.insert(at, fork.clone());
        }
        Appended::Forked(Box::new(fork))
    }

    /// Deletes what is before `before`; gives the hashes.
    pub(super) fn prune(&mut self, before: SeqNum) -> Vec<Hash> {
        let pruned = self.state.pruned(before);
        // One row for each place below the new horizon.
        let deleted = (pruned.first.0 - self.state.first.0) as usize;
        self.state = pruned;
        self.rows.drain(..deleted).map(|row| row.hash).collect()
    }

    fn clear(&mut self) -> Vec<Hash> {
        mem::take(&mut self.rows).into_iter().map(|row| row.hash).collect()
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = Hash> + '_ {
        self.rows.iter().map(|row| row.hash)
    }

    pub(super) fn tip(&self) -> Tip {
        self.state.tip
    }

    pub(super) fn forks(&self) -> Vec<Fork> {
        self.forks.clone()
    }

    pub(super) fn summary<L>(&self, author: PublicKey, log_id: L) -> LogSummary<L> {
        LogSummary::new(author, log_id, self.state.first, self.state.tip)
    }

    pub(super) fn get(&self, seq_num: SeqNum) -> Option<StoredOperation> {
        Some(self.rows.get(self.index(seq_num)?)?.stored(seq_num))
    }

    /// Takes the body away.
    pub(super) fn take_body(&mut self, seq_num: SeqNum) -> Option<Bytes> {
        let index = self.index(seq_num)?;
        self.rows.get_mut(index)?.body.take()
    }

    /// Gives whether the operation is there and had no body.
    pub(super) fn put_body(&mut self, seq_num: SeqNum, body: &Bytes) -> bool {
        let row = self.index(seq_num).and_then(|index| self.rows.get_mut(index));
        row.is_some_and(|row| {
            let is_missing = row.body.is_none();
            row.body.get_or_insert_with(|| body.clone());
            is_missing
        })
    }

    pub(super) fn page(&self, range: SeqRange, bytes_max: usize) -> Page {
        let mut page = Page::default();
        let mut bytes = 0usize;
        for (seq_num, row) in self.rows_in(range) {
            bytes = bytes.saturating_add(row.byte_len());
            if bytes > bytes_max && !page.operations.is_empty() {
                page.next = Some(seq_num);
                break;
            }
            page.operations.push(row.stored(seq_num));
        }
        page
    }

    pub(super) fn size(&self, range: SeqRange) -> LogSize {
        self.rows_in(range).fold(LogSize::default(), |mut size, (_, row)| {
            size.operations += 1;
            size.bytes += row.byte_len() as u64;
            size
        })
    }

    fn rows_in(&self, range: SeqRange) -> impl Iterator<Item = (SeqNum, &Row)> {
        let present = self.state.present().and_then(|present| present.intersection(range));
        present.into_iter().flat_map(|range| {
            let (start, end) = (range.from.0 - self.state.first.0, range.to.0 - self.state.first.0);
            (range.from.0..=range.to.0).map(SeqNum).zip(self.rows.range(start as usize..=end as usize))
        })
    }

    fn index(&self, seq_num: SeqNum) -> Option<usize> {
        // The rows are in memory, so their number fits.
        self.state.has(seq_num).then(|| (seq_num.0 - self.state.first.0) as usize)
    }
}

/// Forks are kept in this order, in every store.
fn fork_key(fork: &Fork) -> (SeqNum, Hash) {
    (fork.seq_num(), Hash::digest(fork.second()))
}
