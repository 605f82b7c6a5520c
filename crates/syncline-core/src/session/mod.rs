//! One side of a session of any protocol, with deadlines, budgets, cancellation, progress and a report.

mod cancel;
mod limits;
pub(crate) mod meter;
mod progress;
mod streams;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, Sink};
use thiserror::Error;

use crate::clock::{Timer, Timestamp};
use crate::{FromSync, SyncError, SyncProtocol, TopicQuery};

pub use cancel::CancelHandle;
pub use limits::SessionLimits;
pub use meter::report_items_sent;
pub use progress::{Phase, ProgressReceiver, SessionProgress, SessionReport};

use meter::Meter;
use streams::{MeteredReader, MeteredSink, MeteredWriter};

/// Runs one side of one session of any [`SyncProtocol`].
///
/// The protocol sees ordinary streams. Around them the session counts, keeps deadlines and budgets, and publishes
/// [`SessionProgress`] to whoever asked for a [`ProgressReceiver`] beforehand.
///
/// ```
/// # use std::sync::Arc;
/// # use syncline_core::clock::{ManualClock, Timestamp};
/// use syncline_core::session::{Session, SessionLimits};
///
/// # let timer = Arc::new(ManualClock::new(Timestamp::ZERO));
/// let session = Session::new(timer, SessionLimits::default());
/// let progress = session.progress();
/// let cancel = session.cancel_handle();
/// // let report = session.initiate(protocol, topic, &mut tx, &mut rx, &mut app_tx).await?;
/// ```
#[derive(Debug)]
pub struct Session {
    timer: Arc<dyn Timer>,
    limits: SessionLimits,
    meter: Arc<Meter>,
    cancel: CancelHandle,
}

/// How often progress is published at most, in milliseconds; changes of phase are published at once.
const PROGRESS_INTERVAL_MS: u64 = 50;

impl Session {
    /// A session that has not started.
    #[must_use]
    pub fn new(timer: Arc<dyn Timer>, limits: SessionLimits) -> Self {
        let meter = Arc::new(Meter::new(limits.clone()));
        Self { timer, limits, meter, cancel: CancelHandle::new() }
    }

    /// Where to watch the session's progress. Any number of receivers may exist.
    #[must_use]
    pub fn progress(&self) -> ProgressReceiver {
        self.meter.subscribe()
    }

    /// A handle that ends the session early. It may be given away before the session starts.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Runs the initiating side.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`] with the cause and with what had been transferred by then.
    ///
    /// # Cancel safety
    ///
    /// As for [`SyncProtocol`]: items already delivered stay so, the streams cannot be used again.
    pub async fn initiate<T, P>(
        self,
        protocol: Arc<P>,
        topic: T,
        tx: &mut (dyn AsyncWrite + Send + Unpin),
        rx: &mut (dyn AsyncRead + Send + Unpin),
        app_tx: &mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin),
    ) -> Result<SessionReport, SessionFailure>
    where
        T: TopicQuery + 'static,
        P: for<'a> SyncProtocol<'a, T> + ?Sized + 'static,
    {
        let mut tx = MeteredWriter::new(tx, &self.meter);
        let mut rx = MeteredReader::new(rx, &self.meter);
        let mut app_tx = MeteredSink::new(app_tx, &self.meter);
        let run = protocol.initiate(topic, Box::new(&mut tx), Box::new(&mut rx), Box::new(&mut app_tx));
        self.run(run).await
    }

    /// Runs the accepting side. Errors and cancel safety as for [`initiate`](Self::initiate).
    ///
    /// # Errors
    ///
    /// [`SessionFailure`] with the cause and with what had been transferred by then.
    pub async fn accept<T, P>(
        self,
        protocol: Arc<P>,
        tx: &mut (dyn AsyncWrite + Send + Unpin),
        rx: &mut (dyn AsyncRead + Send + Unpin),
        app_tx: &mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin),
    ) -> Result<SessionReport, SessionFailure>
    where
        T: TopicQuery + 'static,
        P: for<'a> SyncProtocol<'a, T> + ?Sized + 'static,
    {
        let mut tx = MeteredWriter::new(tx, &self.meter);
        let mut rx = MeteredReader::new(rx, &self.meter);
        let mut app_tx = MeteredSink::new(app_tx, &self.meter);
        let run = protocol.accept(Box::new(&mut tx), Box::new(&mut rx), Box::new(&mut app_tx));
        self.run(run).await
    }

    async fn run(&self, run: impl Future<Output = Result<(), SyncError>>) -> Result<SessionReport, SessionFailure> {
        let mut run = pin!(run);
        let mut watch = Watch::new(self);
        let outcome = poll_fn(|cx| {
            if self.cancel.poll_cancelled(cx) {
                return Poll::Ready(Err(FailureCause::Cancelled));
            }
            let polled = meter::scope(&self.meter, || run.as_mut().poll(cx));
            watch.after_poll();
            match polled {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(err)) => {
                    let budget = self.meter.exceeded().map(FailureCause::Budget);
                    Poll::Ready(Err(budget.unwrap_or(FailureCause::Protocol(err))))
                }
                Poll::Pending => watch.poll_deadlines(cx).map(|deadline| Err(FailureCause::Deadline(deadline))),
            }
        })
        .await;
        let report = self.meter.finish(self.timer.now().since(watch.started), outcome.is_ok());
        match outcome {
            Ok(()) => Ok(report),
            Err(cause) => Err(SessionFailure { cause, report: Box::new(report) }),
        }
    }
}

/// Watches the deadlines of a running session and publishes its progress.
struct Watch<'s> {
    session: &'s Session,
    started: Timestamp,
    /// When the peer last moved a byte, or when this side last was the one to wait for.
    active: Timestamp,
    activity: u64,
    published: Timestamp,
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
}

impl<'s> Watch<'s> {
    fn new(session: &'s Session) -> Self {
        let now = session.timer.now();
        Self { session, started: now, active: now, activity: 0, published: now, sleep: None }
    }

    fn after_poll(&mut self) {
        let meter = &self.session.meter;
        let activity = meter.activity();
        let phase_changed = meter.take_phase_change();
        if activity == self.activity && !phase_changed && !meter.is_app_stalled() {
            return;
        }
        let now = self.session.timer.now();
        self.activity = activity;
        self.active = now;
        if phase_changed || now.since(self.published).as_millis() >= u128::from(PROGRESS_INTERVAL_MS) {
            self.published = now;
            meter.publish(now.since(self.started));
        }
    }

    /// Ready with the deadline that has passed.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<Deadline> {
        let limits = &self.session.limits;
        let meter = &self.session.meter;
        let mut next = (self.started + limits.total(), Deadline::Total);
        if meter.phase() == Phase::Handshake {
            next = next.min_by_time((self.started + limits.handshake(), Deadline::Handshake));
        }
        if !meter.is_app_stalled() {
            next = next.min_by_time((self.active + limits.idle(), Deadline::Idle));
        }
        let (at, deadline) = next;
        if self.sleep.as_ref().is_none_or(|(armed, _)| *armed != at) {
            self.sleep = Some((at, self.session.timer.sleep_until(at)));
        }
        let Some((_, sleep)) = self.sleep.as_mut() else { return Poll::Pending };
        sleep.as_mut().poll(cx).map(|()| deadline)
    }
}

trait MinByTime {
    fn min_by_time(self, other: Self) -> Self;
}

impl MinByTime for (Timestamp, Deadline) {
    fn min_by_time(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}

/// A session ended without success.
#[derive(Debug, Error)]
#[error("session failed after {} bytes received", .report.bytes_received())]
#[non_exhaustive]
pub struct SessionFailure {
    /// Why.
    #[source]
    pub cause: FailureCause,
    /// What had been transferred by then.
    pub report: Box<SessionReport>,
}

/// Why a session ended without success.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureCause {
    /// The protocol failed.
    #[error(transparent)]
    Protocol(#[from] SyncError),
    /// The peer did not keep a deadline.
    #[error("the peer exceeded the {0} deadline")]
    Deadline(Deadline),
    /// The session moved more than its budget.
    #[error("the session exceeded its budget of {0}")]
    Budget(Budget),
    /// Somebody used the [`CancelHandle`].
    #[error("the session was cancelled")]
    Cancelled,
}

impl FailureCause {
    /// Whether the fault lies with the peer or the connection.
    #[must_use]
    pub fn is_peer_fault(&self) -> bool {
        match self {
            Self::Protocol(err) => err.is_peer_fault(),
            Self::Deadline(_) | Self::Budget(_) => true,
            Self::Cancelled => false,
        }
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deadline {
    /// Until the handshake succeeded.
    Handshake,
    /// Between two bytes, in either direction.
    Idle,
    /// For the whole session.
    Total,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::Idle => "idle",
            Self::Total => "total",
        })
    }
}

/// Which budget was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Budget {
    /// Bytes received.
    BytesReceived,
    /// Bytes sent.
    BytesSent,
    /// Items received.
    ItemsReceived,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BytesReceived => "bytes received",
            Self::BytesSent => "bytes sent",
            Self::ItemsReceived => "items received",
        })
    }
}

#[cfg(test)]
mod tests;
