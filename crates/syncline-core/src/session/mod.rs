//! One side of a session of any protocol, with deadlines, budgets, cancellation, progress and a report.

mod cancel;
mod failure;
mod limits;
pub(crate) mod meter;
mod progress;
mod streams;
mod watch;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::{AsyncRead, AsyncWrite, Sink};

use crate::clock::Timer;
use crate::{FromSync, SyncError, SyncProtocol, TopicQuery};

pub use cancel::CancelHandle;
pub use failure::{Budget, Deadline, FailureCause, SessionFailure};
pub use limits::SessionLimits;
pub use meter::{report_items_refused, report_items_sent, report_live};
pub use progress::{Phase, ProgressReceiver, SessionProgress, SessionReport, Transferred};

use meter::Meter;
use streams::{MeteredReader, MeteredSink, MeteredWriter};
use watch::Watch;

/// Runs one side of one session of any [`SyncProtocol`].
///
/// The protocol sees ordinary streams. Around them the session counts, keeps deadlines and budgets, and publishes
/// [`SessionProgress`] to whoever asked for a [`ProgressReceiver`] beforehand: each change of phase, the end, and in
/// between a snapshot every 50 ms at most.
///
/// A session that is dropped has failed, as those who watch its progress see.
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
        let mut watch = Watch::new(&*self.timer, &self.limits, &self.meter);
        let outcome = poll_fn(|cx| {
            if self.cancel.poll_cancelled(cx) {
                return Poll::Ready(Err(FailureCause::Cancelled));
            }
            watch.before_poll();
            let polled = meter::scope(&self.meter, || run.as_mut().poll(cx));
            watch.after_poll();
            match (polled, self.meter.exceeded()) {
                (Poll::Ready(Ok(())), _) => Poll::Ready(Ok(())),
                // Whatever the protocol makes of it, or if it goes on regardless.
                (_, Some(budget)) => Poll::Ready(Err(FailureCause::Budget(budget))),
                (Poll::Ready(Err(err)), None) => Poll::Ready(Err(FailureCause::Protocol(err))),
                (Poll::Pending, None) => watch.poll_deadlines(cx).map(|deadline| Err(FailureCause::Deadline(deadline))),
            }
        })
        .await;
        let report = watch.finish(outcome.is_ok());
        match outcome {
            Ok(()) => Ok(report),
            Err(cause) => Err(SessionFailure { cause, report: Box::new(report) }),
        }
    }
}

#[cfg(test)]
mod tests;
