//! Connects a machine to streams, an application, a timer and its surroundings.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, Sink};

use super::{Input, Machine, Output};
use crate::clock::{Timer, Timestamp};
use crate::session::meter;
use crate::{FromSync, SyncError};

/// Answers a machine's requests: usually by a store.
pub trait Perform<Q, R>: Send + Sync {
    /// Carries out one request.
    ///
    /// A failure is part of the response; the machine decides what it means.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the session is.
    fn perform(&self, request: Q) -> BoxFuture<'_, R>;
}

/// How to drive a machine.
#[derive(Clone, Debug)]
pub struct Drive {
    timer: Option<Arc<dyn Timer>>,
    window: usize,
    chunk: usize,
}

impl Drive {
    /// Without deadlines, with a window and a read buffer of 64 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self { timer: None, window: 64 << 10, chunk: 64 << 10 }
    }

    /// Keeps the machine's deadlines by this timer. Without one the machine's time stands still.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = Some(timer);
        self
    }

    /// How many bytes may wait to be sent before a further request of the machine is carried out. Memory on the sending
    /// side is this plus one response.
    #[must_use]
    pub fn with_window(mut self, bytes: usize) -> Self {
        self.window = bytes.max(1);
        self
    }
}

impl Default for Drive {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a machine to its end over the streams.
///
/// - Reading, writing, delivering and one request go on concurrently in one future; nothing is spawned.
/// - Nothing is read from the peer while the application has not taken what was delivered, so a slow application stalls
///   the peer and loses nothing.
/// - The machine's time stands still while this side waits for the application or for a request: such a wait is not the
///   peer's fault and trips no deadline.
/// - `app_tx` is flushed whenever nothing else is left to do, and at the end.
///
/// # Errors
///
/// What the machine returns; the stream's errors as the peer's behaviour; the application's errors as they are. All that
/// the machine had delivered before an error reaches the application first.
///
/// # Cancel safety
///
/// Dropping the future ends the session. Items that the application took stay delivered.
pub async fn drive<M, P>(
    machine: &mut M,
    surroundings: &P,
    how: &Drive,
    tx: &mut (dyn AsyncWrite + Send + Unpin),
    rx: &mut (dyn AsyncRead + Send + Unpin),
    app_tx: &mut (dyn Sink<FromSync<M::Topic>, Error = SyncError> + Send + Unpin),
) -> Result<(), SyncError>
where
    M: Machine,
    P: Perform<M::Request, M::Response>,
{
    let now = how.timer.as_ref().map_or(Timestamp::ZERO, |timer| timer.now());
    let mut driver = Driver {
        machine,
        surroundings,
        how,
        tx,
        rx,
        app_tx,
        unsent: VecDeque::new(),
        unsent_len: 0,
        unflushed: false,
        deliveries: VecDeque::new(),
        app_unflushed: false,
        request: None,
        response: None,
        chunk: vec![0; how.chunk].into_boxed_slice(),
        peer_closed: false,
        failure: None,
        time: MachineTime { started: now, stood_still: Duration::ZERO, still_since: None },
        sleep: None,
    };
    poll_fn(|cx| driver.poll(cx)).await
}

/// Rounds of work per poll before other tasks get their turn.
const ROUNDS_MAX: usize = 64;

struct Driver<'d, M: Machine, P> {
    machine: &'d mut M,
    surroundings: &'d P,
    how: &'d Drive,
    tx: &'d mut (dyn AsyncWrite + Send + Unpin),
    rx: &'d mut (dyn AsyncRead + Send + Unpin),
    app_tx: &'d mut (dyn Sink<FromSync<M::Topic>, Error = SyncError> + Send + Unpin),
    unsent: VecDeque<Bytes>,
    unsent_len: usize,
    unflushed: bool,
    deliveries: VecDeque<FromSync<M::Topic>>,
    app_unflushed: bool,
    /// A request that waits for the peer to take what was sent.
    request: Option<M::Request>,
    response: Option<BoxFuture<'d, M::Response>>,
    chunk: Box<[u8]>,
    peer_closed: bool,
    failure: Option<SyncError>,
    time: MachineTime,
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
}

impl<M: Machine, P> fmt::Debug for Driver<'_, M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("unsent_len", &self.unsent_len).finish_non_exhaustive()
    }
}

/// Time as the machine sees it: the timer's, less the spans in which this side was the one to wait for.
#[derive(Debug)]
struct MachineTime {
    started: Timestamp,
    stood_still: Duration,
    still_since: Option<Timestamp>,
}

impl MachineTime {
    fn resume(&mut self, now: Timestamp) {
        if let Some(since) = self.still_since.take() {
            self.stood_still += now.since(since);
        }
    }

    fn of(&self, now: Timestamp) -> Timestamp {
        let ran = now.since(self.started).saturating_sub(self.stood_still);
        self.started + ran
    }
}

impl<'d, M, P> Driver<'d, M, P>
where
    M: Machine,
    P: Perform<M::Request, M::Response>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let now = self.timer_now();
        self.time.resume(now);
        for _ in 0..ROUNDS_MAX {
            self.drain_machine();
            match self.round(cx) {
                Ok(Round::Again) => {}
                Ok(Round::Done) => return Poll::Ready(Ok(())),
                Ok(Round::Wait) => {
                    if self.waits_for_us() {
                        self.time.still_since = Some(self.timer_now());
                        self.sleep = None;
                    } else if self.poll_timeout(cx) {
                        continue;
                    }
                    return Poll::Pending;
                }
                Err(err) => {
                    // Application gone: there is nobody left to deliver to.
                    return Poll::Ready(Err(err));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now. Errors are the application's; all others are kept until it has what is due to it.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<Round, SyncError> {
        let mut again = self.poll_deliver(cx)?;
        if self.failure.is_some() {
            return self.finish_failed(cx);
        }
        again |= self.poll_send(cx);
        again |= self.poll_request(cx);
        if self.failure.is_none() && self.nothing_left_to_do() {
            return match self.poll_app_flush(cx) {
                Poll::Ready(result) => result.map(|()| Round::Done),
                Poll::Pending => Ok(Round::Wait),
            };
        }
        again |= self.poll_receive(cx);
        if again || self.failure.is_some() {
            return Ok(Round::Again);
        }
        if self.app_unflushed
            && let Poll::Ready(result) = self.poll_app_flush(cx)
        {
            result?;
        }
        Ok(Round::Wait)
    }

    fn finish_failed(&mut self, cx: &mut Context<'_>) -> Result<Round, SyncError> {
        if !self.deliveries.is_empty() {
            return Ok(Round::Wait);
        }
        match self.poll_app_flush(cx) {
            Poll::Ready(Ok(())) => Err(self.failure.take().unwrap_or_else(lost_failure)),
            Poll::Ready(Err(err)) => Err(err),
            Poll::Pending => Ok(Round::Wait),
        }
    }

    fn nothing_left_to_do(&self) -> bool {
        self.machine.is_done() && self.unsent.is_empty() && !self.unflushed && self.deliveries.is_empty()
    }

    /// Whether the session waits for the application or for a request, not for the peer.
    fn waits_for_us(&self) -> bool {
        self.failure.is_some() || !self.deliveries.is_empty() || self.response.is_some() || self.app_unflushed
    }

    fn timer_now(&self) -> Timestamp {
        self.how.timer.as_ref().map_or(self.time.started, |timer| timer.now())
    }

    fn handle(&mut self, input: Input<'_, M::Response>) {
        let now = self.time.of(self.timer_now());
        if self.failure.is_some() {
            return;
        }
        if let Err(err) = self.machine.handle(now, input) {
            self.failure = Some(err);
        }
        self.drain_machine();
    }

    fn drain_machine(&mut self) {
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Send { bytes, items } => {
                    meter::items_sent(items);
                    self.unsent_len += bytes.len();
                    self.unsent.push_back(bytes);
                }
                Output::Deliver(item) => self.deliveries.push_back(item),
                Output::Request(request) => self.request = Some(request),
            }
        }
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Result<bool, SyncError> {
        let mut delivered = false;
        while !self.deliveries.is_empty() {
            match Pin::new(&mut *self.app_tx).poll_ready(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => break,
            }
            if let Some(item) = self.deliveries.pop_front() {
                Pin::new(&mut *self.app_tx).start_send(item)?;
                self.app_unflushed = true;
                delivered = true;
            }
        }
        Ok(delivered && self.deliveries.is_empty())
    }

    fn poll_app_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        if self.app_unflushed {
            ready!(Pin::new(&mut *self.app_tx).poll_flush(cx))?;
            self.app_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Some(bytes) = self.unsent.front_mut() {
            match Pin::new(&mut *self.tx).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => {
                    self.fail_stream(std::io::ErrorKind::WriteZero.into());
                    return true;
                }
                Poll::Ready(Ok(count)) => {
                    bytes.advance(count);
                    if bytes.is_empty() {
                        self.unsent.pop_front();
                    }
                    self.unsent_len -= count;
                    self.unflushed = true;
                    progress = true;
                    self.handle(Input::Sent(count));
                }
                Poll::Ready(Err(err)) => {
                    self.fail_stream(err);
                    return true;
                }
                Poll::Pending => break,
            }
        }
        if self.unflushed && self.unsent.is_empty() {
            match Pin::new(&mut *self.tx).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(err)) => self.fail_stream(err),
                Poll::Pending => {}
            }
        }
        progress
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> bool {
        if self.response.is_none()
            && self.unsent_len < self.how.window
            && let Some(request) = self.request.take()
        {
            self.response = Some(self.surroundings.perform(request));
        }
        let Some(response) = self.response.as_mut() else { return false };
        let Poll::Ready(response) = response.as_mut().poll(cx) else { return false };
        self.response = None;
        self.handle(Input::Response(response));
        true
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.deliveries.is_empty() || self.peer_closed || !self.machine.wants_input() {
            return false;
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        let polled = Pin::new(&mut *self.rx).poll_read(cx, &mut chunk);
        let is_ready = polled.is_ready();
        match polled {
            Poll::Ready(Ok(0)) => {
                self.peer_closed = true;
                self.handle(Input::Closed);
            }
            Poll::Ready(Ok(count)) => self.handle(Input::Received(chunk.get(..count).unwrap_or_default())),
            Poll::Ready(Err(err)) => self.fail_stream(err),
            Poll::Pending => {}
        }
        self.chunk = chunk;
        is_ready
    }

    /// Arms the timer for the machine's next deadline. Returns whether it has passed and was handled.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> bool {
        let (Some(timer), Some(deadline)) = (&self.how.timer, self.machine.next_timeout()) else {
            self.sleep = None;
            return false;
        };
        let at = deadline + self.time.stood_still;
        if self.sleep.as_ref().is_none_or(|(armed, _)| *armed != at) {
            self.sleep = Some((at, timer.sleep_until(at)));
        }
        let Some((_, sleep)) = self.sleep.as_mut() else { return false };
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.sleep = None;
        self.handle(Input::Timeout);
        true
    }

    /// A stream that fails is the peer's or the network's doing, whatever kind of error the transport gives it.
    fn fail_stream(&mut self, err: std::io::Error) {
        self.failure.get_or_insert(match SyncError::from(err) {
            SyncError::Critical(text) => SyncError::UnexpectedBehaviour(text),
            err => err,
        });
    }
}

enum Round {
    /// Something moved; look again.
    Again,
    /// All that is left needs somebody else.
    Wait,
    /// The session is complete.
    Done,
}

fn lost_failure() -> SyncError {
    SyncError::Critical("the session failed without a reason".into())
}

#[cfg(test)]
mod tests;
