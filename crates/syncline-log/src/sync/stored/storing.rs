//! What stands between the protocol and the application: an ingest, and a queue of what it has stored.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::Sink;
use syncline_core::session::report_items_refused;
use syncline_core::{FromSync, SyncError, TopicQuery};

use crate::ingest::{Ingest, IngestEvent, Outcome, Verdict};
use crate::store::{LiveStore, LogId, LogStore};

/// What became of an operation, as far as it matters here.
#[derive(Clone, Copy, Debug)]
enum Fate {
    New,
    Known,
    Refused,
}

impl Fate {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Stored => Self::New,
            Outcome::Known => Self::Known,
            Outcome::Forked(_) | Outcome::Rejected(_) => Self::Refused,
        }
    }
}

/// What the ingest said of the operations that it was given first.
type Fates = Arc<Mutex<VecDeque<Fate>>>;

/// Puts an [`Ingest`] before an application's channel, and hands on what was stored.
pub(super) struct Storing<'s, T: TopicQuery, L: LogId, S> {
    ingest: Ingest<T, L, LiveStore<L, S>>,
    fates: Fates,
    /// What the ingest has, in order.
    taken: VecDeque<(Vec<u8>, Option<Vec<u8>>)>,
    /// What the application has yet to take.
    new: VecDeque<FromSync<T>>,
    /// Why the ingest is of no further use. The application gets what was stored before.
    failure: Option<SyncError>,
    app_tx: &'s mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin + 's),
}

impl<'s, T, L, S> Storing<'s, T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    /// `ingest` must be new. `observe` is told every verdict.
    pub(super) fn new(
        ingest: Ingest<T, L, LiveStore<L, S>>,
        observe: impl Fn(Verdict<L>) + Send + 'static,
        app_tx: &'s mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin + 's),
    ) -> Self {
        let fates = Fates::default();
        let noted = Arc::clone(&fates);
        let ingest = ingest.with_observer(move |event| {
            let IngestEvent::Verdict(verdict) = event else { return };
            noted.lock().unwrap_or_else(PoisonError::into_inner).push_back(Fate::of(&verdict.outcome));
            observe(verdict);
        });
        Self { ingest, fates, taken: VecDeque::new(), new: VecDeque::new(), failure: None, app_tx }
    }
}

impl<T, L, S> Storing<'_, T, L, S>
where
    T: TopicQuery + Unpin + 'static,
    L: LogId + Unpin,
    S: LogStore<L>,
{
    /// Gives the application all that is for it. Fails with what the ingest failed with once that is done.
    fn poll_hand_on(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        while !self.new.is_empty() {
            ready!(Pin::new(&mut *self.app_tx).poll_ready(cx))?;
            if let Some(item) = self.new.pop_front() {
                Pin::new(&mut *self.app_tx).start_send(item)?;
            }
        }
        match &self.failure {
            Some(failure) => Poll::Ready(Err(failure.clone())),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Takes in what a poll of the ingest has led to, and hands on what can be handed on at once.
    fn after_ingest(
        &mut self,
        polled: Poll<Result<(), SyncError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SyncError>> {
        let fates = std::mem::take(&mut *self.fates.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut duplicates, mut rejected) = (0, 0);
        for fate in fates {
            let Some((header, payload)) = self.taken.pop_front() else { break };
            match fate {
                Fate::New => self.new.push_back(FromSync::Data { header, payload }),
                Fate::Known => duplicates += 1,
                Fate::Refused => rejected += 1,
            }
        }
        report_items_refused(duplicates, rejected);
        if let Poll::Ready(Err(failure)) = polled {
            self.failure = Some(failure);
            return self.poll_hand_on(cx);
        }
        let handed_on = self.poll_hand_on(cx)?;
        if polled.is_pending() { Poll::Pending } else { handed_on.map(Ok) }
    }
}

impl<T, L, S> Sink<FromSync<T>> for Storing<'_, T, L, S>
where
    T: TopicQuery + Unpin + 'static,
    L: LogId + Unpin,
    S: LogStore<L>,
{
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        // First, so that no more than a batch waits for the application.
        ready!(self.poll_hand_on(cx))?;
        let polled = Pin::new(&mut self.ingest).poll_ready(cx);
        self.after_ingest(polled, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: FromSync<T>) -> Result<(), SyncError> {
        match &item {
            FromSync::HandshakeSuccess(_) => self.new.push_back(item.clone()),
            FromSync::Data { header, payload } => self.taken.push_back((header.clone(), payload.clone())),
        }
        Pin::new(&mut self.ingest).start_send(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        ready!(self.poll_hand_on(cx))?;
        let polled = Pin::new(&mut self.ingest).poll_flush(cx);
        ready!(self.after_ingest(polled, cx))?;
        Pin::new(&mut *self.app_tx).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut *self.app_tx).poll_close(cx)
    }
}
