//! The contract between stores and those who keep logs in them.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};

use super::{
    Appended, Fork, Heights, Located, LogId, LogSize, LogSummary, Logs, NewOperation, Page, SeqRange, StoreError, Tip,
    Tips,
};
use crate::SeqNum;

/// Keeps append-only logs, each named by its author and a log id.
///
/// # What a store promises
///
/// - *A log has no holes.* Its operations are those from its *prune horizon* to its *tip*, each with the hash of the one
///   before as backlink, except where a prune flag says otherwise. The store decides this itself, atomically against
///   other appends, on this handle or another one of the same store.
/// - *What was reported is kept.* When a call that changes something returns, the change survives a crash, as far as
///   the store survives one at all. A call that fails has changed nothing, unless its error says that the outcome is
///   unknown.
/// - *A height does not fall.* Pruning and deleting payloads leave a log's height and tip as they are, so that peers do
///   not send again what was deleted. Only [`delete_log`](Self::delete_log) forgets them.
/// - *Bytes are kept as they came.* Headers and bodies are given back exactly as they were appended.
/// - *Forks are kept.* See [`forks`](Self::forks).
///
/// # What it does not promise
///
/// - Signatures, payload sizes and payload hashes are not checked. The caller has done that, see
///   [`validate::operation`](crate::validate::operation).
/// - Reads see some committed state between the call and its return. Two reads may see two states.
/// - Neither the order in which [`logs`](Self::logs) come, nor that a log id is ever seen by others.
///
/// # Cancel safety
///
/// Dropping the future of a read has no effect. Dropping the future of a call that changes something after its first poll
/// leaves open whether the change is made; it is made as a whole or not at all.
///
/// `syncline-testkit` has `conformance::log_store`, which checks all this for a store of your own.
pub trait LogStore<L: LogId>: Debug + Send + Sync + 'static {
    /// Appends a batch in one transaction. Gives what became of each operation, in the same order; later ones see the
    /// earlier ones. That some are refused does not hinder the others.
    ///
    /// The batch is held in memory and committed as a whole, so the caller bounds it: some hundred operations, some
    /// megabytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then no operation was appended, or, if it says so, it is unknown whether all were.
    fn append(&self, batch: Vec<NewOperation<L>>) -> impl Future<Output = Result<Vec<Appended>, StoreError>> + Send;

    /// The heights of those of `logs` that have, or had, operations. Of a log that is listed twice, once.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn heights(&self, logs: &Logs<L>) -> impl Future<Output = Result<Heights<L>, StoreError>> + Send;

    /// The operations of `range` that are not pruned, in order, as many as fit into `bytes_max` bytes of headers and
    /// bodies; at least one, if any is there. [`Page::next`] tells where to go on.
    ///
    /// [`stream`](crate::store::stream) does that.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn read(
        &self,
        author: PublicKey,
        log_id: L,
        range: SeqRange,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// The operation with this hash, if it is there. If it was appended to several logs, one of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn get(&self, hash: Hash) -> impl Future<Output = Result<Option<Located<L>>, StoreError>> + Send;

    /// The newest operation that the log has, or had before it was pruned.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn tip(&self, author: PublicKey, log_id: L) -> impl Future<Output = Result<Option<Tip>, StoreError>> + Send;

    /// The tips of those of `logs` that have, or had, operations: [`tip`](Self::tip) for many. Asks for one after the other,
    /// unless a store knows better.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn tips(&self, logs: &Logs<L>) -> impl Future<Output = Result<Tips<L>, StoreError>> + Send {
        async move {
            let mut tips = Tips::new();
            for (author, log_ids) in logs {
                for log_id in log_ids {
                    if let Some(tip) = self.tip(*author, log_id.clone()).await? {
                        tips.entry(*author).or_default().insert(log_id.clone(), tip);
                    }
                }
            }
            Ok(tips)
        }
    }

    /// Deletes the operations before `before`, and never takes them again. Gives how many were deleted. The tip remains
    /// known even if all are.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn prune(
        &self,
        author: PublicKey,
        log_id: L,
        before: SeqNum,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Deletes the body of an operation, wherever it is, and keeps the header. Gives whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn delete_payload(&self, hash: Hash) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Adds the body of an operation that is there without: because it was deleted, or because it came without. In every
    /// log that has the operation. Gives whether it was added anywhere.
    ///
    /// As with [`append`](Self::append) the caller has checked that the body is the one that the header names.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn add_payload(&self, hash: Hash, body: Bytes) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Forgets a log as if it had never been there: its operations, tip, and forks. Gives whether there was one.
    ///
    /// Peers that have it will send it again.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn delete_log(&self, author: PublicKey, log_id: L) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The forks of a log that were noticed, ordered by place: the first [`Fork::PER_LOG_MAX`] that came. Pruning does
    /// not delete them.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn forks(&self, author: PublicKey, log_id: L) -> impl Future<Output = Result<Vec<Fork>, StoreError>> + Send;

    /// How much of a range is there. The work may be linear in its operations, not in their bodies.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn size(
        &self,
        author: PublicKey,
        log_id: L,
        range: SeqRange,
    ) -> impl Future<Output = Result<LogSize, StoreError>> + Send;

    /// Up to `count_max` logs that have, or had, operations, in an order of the store's own, beginning behind the log
    /// `after`, which need not exist any more. Fewer than `count_max` are the last.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn logs(
        &self,
        after: Option<(PublicKey, L)>,
        count_max: usize,
    ) -> impl Future<Output = Result<Vec<LogSummary<L>>, StoreError>> + Send;
}

impl<L: LogId, S: LogStore<L>> LogStore<L> for Arc<S> {
    fn append(&self, batch: Vec<NewOperation<L>>) -> impl Future<Output = Result<Vec<Appended>, StoreError>> + Send {
        (**self).append(batch)
    }

    fn heights(&self, logs: &Logs<L>) -> impl Future<Output = Result<Heights<L>, StoreError>> + Send {
        (**self).heights(logs)
    }

    fn read(
        &self,
        author: PublicKey,
        log_id: L,
        range: SeqRange,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send {
        (**self).read(author, log_id, range, bytes_max)
    }

    fn get(&self, hash: Hash) -> impl Future<Output = Result<Option<Located<L>>, StoreError>> + Send {
        (**self).get(hash)
    }

    fn tip(&self, author: PublicKey, log_id: L) -> impl Future<Output = Result<Option<Tip>, StoreError>> + Send {
        (**self).tip(author, log_id)
    }

    fn tips(&self, logs: &Logs<L>) -> impl Future<Output = Result<Tips<L>, StoreError>> + Send {
        (**self).tips(logs)
    }

    fn prune(
        &self,
        author: PublicKey,
        log_id: L,
        before: SeqNum,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        (**self).prune(author, log_id, before)
    }

    fn delete_payload(&self, hash: Hash) -> impl Future<Output = Result<bool, StoreError>> + Send {
        (**self).delete_payload(hash)
    }

    fn add_payload(&self, hash: Hash, body: Bytes) -> impl Future<Output = Result<bool, StoreError>> + Send {
        (**self).add_payload(hash, body)
    }

    fn delete_log(&self, author: PublicKey, log_id: L) -> impl Future<Output = Result<bool, StoreError>> + Send {
        (**self).delete_log(author, log_id)
    }

    fn forks(&self, author: PublicKey, log_id: L) -> impl Future<Output = Result<Vec<Fork>, StoreError>> + Send {
        (**self).forks(author, log_id)
    }

    fn size(
        &self,
        author: PublicKey,
        log_id: L,
        range: SeqRange,
    ) -> impl Future<Output = Result<LogSize, StoreError>> + Send {
        (**self).size(author, log_id, range)
    }

    fn logs(
        &self,
        after: Option<(PublicKey, L)>,
        count_max: usize,
    ) -> impl Future<Output = Result<Vec<LogSummary<L>>, StoreError>> + Send {
        (**self).logs(after, count_max)
    }
}
