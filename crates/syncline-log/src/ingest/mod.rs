//! Verifies and stores what a sync session receives: [`Ingest`].

mod classify;
mod event;
mod pipeline;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Sink;
use futures::future::BoxFuture;
use syncline_core::{FromSync, SyncError, TopicMap, TopicQuery};
use syncline_crypto::{Ed25519, Verifier};
use syncline_storage::{Blocking, Inline};

use crate::EncodedOperation;
use crate::store::{LogId, LogStore, Logs, ScopeIndex};

pub use classify::{ByExtension, Classify, Placement};
pub use event::{IngestEvent, IngestReport, OperationRef, Outcome, Rejection, Verdict};
use pipeline::{Pipeline, Step};
pub(crate) use pipeline::{Undecodable, append, check, insert_undecodable};

/// Limits of an [`Ingest`].
///
/// | limit | default |
/// |---|---|
/// | operations in a batch | 512 |
/// | bytes in a batch | 4 MiB |
/// | rejected operations in a session | 1 024 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestLimits {
    batch_operations_max: usize,
    batch_bytes_max: usize,
    rejected_max: u64,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self { batch_operations_max: 512, batch_bytes_max: 4 << 20, rejected_max: 1_024 }
    }
}

impl IngestLimits {
    /// Sets how many operations are verified and committed together. More make both cheaper per operation.
    #[must_use]
    pub fn with_batch_operations_max(mut self, operations: usize) -> Self {
        self.batch_operations_max = operations.max(1);
        self
    }

    /// Sets how many bytes are verified and committed together. One operation is always taken. Two batches may be in
    /// memory at a time.
    #[must_use]
    pub fn with_batch_bytes_max(mut self, bytes: usize) -> Self {
        self.batch_bytes_max = bytes.max(1);
        self
    }

    /// Sets how many operations may be rejected before the session fails with
    /// [`SyncError::UnexpectedBehaviour`]. Those that do not continue their log as it is stored here do not count: their
    /// author may have forked it, and the peer that passes them on is honest.
    #[must_use]
    pub fn with_rejected_max(mut self, operations: u64) -> Self {
        self.rejected_max = operations;
        self
    }
}

/// Which signatures are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// Every one.
    #[default]
    All,
    /// Of operations that came together and of which each has the hash of the one before as its backlink, the newest. Its
    /// author signed that hash, and so every byte of all those before, their signatures included: nobody else can have
    /// made them. Some twenty times cheaper for long logs.
    ///
    /// What it does not find: an author who puts bytes that are no signature into an operation, and goes on from it.
    /// Those who check every signature refuse that operation and all that follow; those who check heads have them. So an
    /// author can make such peers differ for ever, in its own log. Not for logs whose authors have a reason to do that,
    /// nor where operations are passed on one by one to somebody who checks them alone.
    Heads,
}

/// A channel for a session's items that verifies operations in batches and appends them to a store.
///
/// It is a `Sink<FromSync<T>>`, so it goes where the application's channel goes: into any
/// [`SyncProtocol`](syncline_core::SyncProtocol) that delivers operations, and into any backend.
///
/// For each operation it checks, in this order: that the header can be decoded, that the application can place it in a
/// log ([`Classify`]), that author and log belong to the topic, that the body has the size and hash that the header says,
/// that the signature is valid, and that it continues its log (sequence number, backlink, fork). The last is decided by
/// the store, atomically with the append. Each operation gets a [`Verdict`]; one that is rejected does not end the
/// session, until [`IngestLimits::with_rejected_max`].
///
/// # Guarantees
///
/// - An operation is reported as [`Outcome::Stored`] only after the store has made it durable.
/// - Verdicts come in the order in which the operations came.
/// - Once `poll_flush` is ready, every operation taken before has its verdict.
///
/// # What it does not promise
///
/// - That a body is there: one that the author or a peer deleted is missing, and a hostile peer can withhold it. The
///   operation is then stored without, and [`Outcome::Known`] does not add it later.
/// - That all logs get on: what follows a fork, on the branch that came second, is rejected.
///
/// # Errors
///
/// As a sink it fails with [`SyncError::Critical`] if the store or the topic map fails, and with
/// [`SyncError::UnexpectedBehaviour`] if the peer sent data without a topic or too much that was rejected. After an error
/// it is of no further use.
///
/// # Cancel safety
///
/// Dropping it loses the operations that have no verdict yet. They are still at the peer. A batch whose commit is under
/// way may be stored although nobody is told.
pub struct Ingest<T: TopicQuery, L: LogId, S> {
    pipeline: Arc<Pipeline<T, L, S>>,
    limits: IngestLimits,
    observer: Box<dyn FnMut(IngestEvent<T, L>) + Send>,
    scope: Option<Arc<ScopeIndex<L>>>,
    waiting: Vec<EncodedOperation>,
    waiting_bytes: usize,
    /// Headers that could not be decoded, by their place among those waiting.
    undecodable: Vec<Undecodable>,
    running: Option<BoxFuture<'static, Result<Step<T, L>, SyncError>>>,
    report: IngestReport,
    /// Rejected operations that an honest peer would not have sent.
    faults: u64,
}

impl<T, L, S> Ingest<T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    /// Stores what arrives in `store`, after placing it by `classify` within the logs that `topic_map` names.
    pub fn new(topic_map: Arc<dyn TopicMap<T, Logs<L>>>, store: S, classify: Arc<dyn Classify<L>>) -> Self {
        let pipeline = Pipeline {
            topic_map,
            store: Arc::new(store),
            classify,
            verifier: Arc::new(Ed25519),
            blocking: Arc::new(Inline),
            verification: Verification::All,
        };
        Self {
            pipeline: Arc::new(pipeline),
            limits: IngestLimits::default(),
            observer: Box::new(|_| {}),
            scope: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            undecodable: Vec::new(),
            running: None,
            report: IngestReport::default(),
            faults: 0,
        }
    }

    /// Tells `observer` the topic and every verdict. It is called on the session's task and must not block.
    #[must_use]
    pub fn with_observer(mut self, observer: impl FnMut(IngestEvent<T, L>) + Send + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Keeps these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: IngestLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Verifies signatures by `verifier`: for simulations. To be called before the session starts.
    #[must_use]
    pub fn with_verifier(mut self, verifier: Arc<dyn Verifier>) -> Self {
        self.pipeline = Arc::new(Pipeline { verifier, ..Pipeline::clone(&self.pipeline) });
        self
    }

    /// Checks these signatures. To be called before the session starts.
    #[must_use]
    pub fn with_verification(mut self, verification: Verification) -> Self {
        self.pipeline = Arc::new(Pipeline { verification, ..Pipeline::clone(&self.pipeline) });
        self
    }

    /// Verifies batches where `blocking` says instead of on the session's task. To be called before the session starts.
    #[must_use]
    pub fn with_blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.pipeline = Arc::new(Pipeline { blocking, ..Pipeline::clone(&self.pipeline) });
        self
    }

    /// How many operations had which outcome so far.
    #[must_use]
    pub fn report(&self) -> IngestReport {
        self.report
    }

    fn is_full(&self) -> bool {
        self.waiting.len() + self.undecodable.len() >= self.limits.batch_operations_max
            || self.waiting_bytes >= self.limits.batch_bytes_max
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.undecodable.is_empty()
    }

    /// Drives what runs to its end and takes in its results.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let Some(running) = self.running.as_mut() else { return Poll::Ready(Ok(())) };
        let step = ready!(running.as_mut().poll(cx));
        self.running = None;
        match step? {
            Step::Scope(topic, logs) => {
                self.scope = Some(logs);
                (self.observer)(IngestEvent::Topic(topic));
            }
            Step::Verdicts(verdicts) => {
                for verdict in verdicts {
                    self.report.count(&verdict.outcome);
                    self.faults += u64::from(verdict.outcome.is_peer_fault());
                    (self.observer)(IngestEvent::Verdict(verdict));
                }
            }
        }
        if self.faults > self.limits.rejected_max {
            let max = self.limits.rejected_max;
            return Poll::Ready(Err(SyncError::UnexpectedBehaviour(format!(
                "the peer sent more than {max} operations that were rejected"
            ))));
        }
        Poll::Ready(Ok(()))
    }

    /// Starts on what waits. Nothing must be running.
    fn start_batch(&mut self) -> Result<(), SyncError> {
        let Some(scope) = self.scope.clone() else {
            return Err(SyncError::UnexpectedBehaviour("data came before a topic".into()));
        };
        let operations = std::mem::take(&mut self.waiting);
        let undecodable = std::mem::take(&mut self.undecodable);
        self.waiting_bytes = 0;
        self.running = Some(Pipeline::run(Arc::clone(&self.pipeline), scope, operations, undecodable));
        Ok(())
    }
}

impl<T, L, S> Sink<FromSync<T>> for Ingest<T, L, S>
where
    T: TopicQuery + Unpin + 'static,
    L: LogId + Unpin,
    S: LogStore<L>,
{
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let polled = self.poll_running(cx)?;
        if self.scope.is_none() || self.is_full() {
            // Nothing can be taken before the topic is known; a full batch must make room.
            ready!(polled);
            if self.is_full() {
                self.start_batch()?;
                // Gets it going; whether it ends at once does not matter.
                let _ = self.poll_running(cx)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, item: FromSync<T>) -> Result<(), SyncError> {
        match item {
            FromSync::HandshakeSuccess(topic) => {
                if self.scope.is_some() || self.running.is_some() {
                    return Err(SyncError::UnexpectedBehaviour("a second topic came".into()));
                }
                self.running = Some(Pipeline::scope(Arc::clone(&self.pipeline), topic));
            }
            FromSync::Data { header, payload } => {
                self.waiting_bytes += header.len() + payload.as_ref().map_or(0, Vec::len);
                let header = Bytes::from(header);
                match EncodedOperation::decode(header.clone(), payload.map(Bytes::from)) {
                    Ok(operation) => self.waiting.push(operation),
                    Err(err) => {
                        let place = self.waiting.len();
                        self.undecodable.push(Undecodable { place, header, err });
                    }
                }
            }
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        loop {
            ready!(self.poll_running(cx))?;
            if self.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.start_batch()?;
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.poll_flush(cx)
    }
}

impl<T: TopicQuery, L: LogId, S: fmt::Debug> fmt::Debug for Ingest<T, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest")
            .field("store", &self.pipeline.store)
            .field("limits", &self.limits)
            .field("waiting", &self.waiting.len())
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
