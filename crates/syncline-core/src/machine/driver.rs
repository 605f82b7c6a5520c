//! The loop behind [`drive`](super::drive).

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, Sink};

use super::time::MachineTime;
use super::{Drive, Input, Machine, Output, Perform};
use crate::clock::Timestamp;
use crate::session::meter;
use crate::{FromSync, SyncError};

/// Rounds of work per poll before other tasks get their turn.
const ROUNDS_MAX: usize = 64;

/// Signs of life come no faster than this.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// The most bytes that are read from the peer at once.
const CHUNK_LEN: usize = 64 << 10;

pub(super) struct Driver<'d, M: Machine, P> {
    machine: &'d mut M,
    surroundings: &'d P,
    how: &'d Drive,
    tx: &'d mut (dyn AsyncWrite + Send + Unpin),
    rx: &'d mut (dyn AsyncRead + Send + Unpin),
    app_tx: &'d mut (dyn Sink<FromSync<M::Topic>, Error = SyncError> + Send + Unpin),
    unsent: VecDeque<Unsent>,
    unsent_len: usize,
    unflushed: bool,
    deliveries: VecDeque<FromSync<M::Topic>>,
    app_unflushed: bool,
    /// A request that waits for the peer to take what was sent.
    request: Option<M::Request>,
    response: Option<BoxFuture<'d, M::Response>>,
    /// Work on what was received.
    applying: Option<BoxFuture<'d, M::Response>>,
    watching: Option<BoxFuture<'d, M::Response>>,
    chunk: Box<[u8]>,
    peer_closed: bool,
    failure: Option<SyncError>,
    /// The live phase begins once all that was decided before has reached peer and application.
    goes_live: bool,
    time: MachineTime,
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
    /// When the peer last took something, by the timer.
    written_at: Timestamp,
    beat: Option<(Timestamp, BoxFuture<'static, ()>)>,
}

/// Bytes for the peer.
struct Unsent {
    bytes: Bytes,
    items: u64,
    is_heartbeat: bool,
}

impl<M: Machine, P> fmt::Debug for Driver<'_, M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("unsent_len", &self.unsent_len).finish_non_exhaustive()
    }
}

impl<'d, M, P> Driver<'d, M, P>
where
    M: Machine,
    P: Perform<M::Request, M::Response>,
{
    pub(super) fn new(
        machine: &'d mut M,
        surroundings: &'d P,
        how: &'d Drive,
        tx: &'d mut (dyn AsyncWrite + Send + Unpin),
        rx: &'d mut (dyn AsyncRead + Send + Unpin),
        app_tx: &'d mut (dyn Sink<FromSync<M::Topic>, Error = SyncError> + Send + Unpin),
    ) -> Self {
        let now = how.timer.as_ref().map_or(Timestamp::ZERO, |timer| timer.now());
        Self {
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
            applying: None,
            watching: None,
            chunk: vec![0; CHUNK_LEN].into_boxed_slice(),
            peer_closed: false,
            failure: None,
            goes_live: false,
            time: MachineTime::starting(now),
            sleep: None,
            written_at: now,
            beat: None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.time.resume(self.timer_now());
        for _ in 0..ROUNDS_MAX {
            self.drain_machine();
            match self.round(cx) {
                Ok(Round::Again) => {}
                Ok(Round::Done) => return Poll::Ready(Ok(())),
                Ok(Round::Wait) => {
                    if !self.look_at_time(cx) && !self.poll_heartbeat(cx) && !self.is_stuck() {
                        return Poll::Pending;
                    }
                }
                // The application is gone: there is nobody left to deliver to.
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
        // A peer that always has more must not keep a deadline from passing.
        self.look_at_time(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Stops the time if this side is the one to wait for, else looks whether a deadline has passed. True if so.
    fn look_at_time(&mut self, cx: &mut Context<'_>) -> bool {
        let stalled = self.waits_for_us();
        meter::set_driver_stalled(stalled);
        if stalled {
            self.time.stop(self.timer_now());
            self.sleep = None;
            return false;
        }
        self.poll_timeout(cx)
    }

    /// Whether nothing can wake this session any more. Better an error than a future that never completes.
    fn is_stuck(&mut self) -> bool {
        if self.waits_for_us() || self.waits_for_peer() || self.watching.is_some() || self.sleep.is_some() {
            return false;
        }
        self.failure = Some(if self.peer_closed {
            SyncError::UnexpectedBehaviour("the stream ended before the protocol did".into())
        } else {
            SyncError::Critical("the protocol's machine waits for nothing".into())
        });
        true
    }

    /// Does what can be done now. Errors are the application's; all others are kept until it has what is due to it.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<Round, SyncError> {
        let mut again = self.poll_deliver(cx)?;
        if self.failure.is_some() {
            return self.finish_failed(cx);
        }
        again |= self.poll_send(cx);
        if self.goes_live && self.deliveries.is_empty() && self.unsent.is_empty() {
            self.goes_live = false;
            meter::report_live();
        }
        again |= self.poll_request(cx);
        again |= self.poll_others(cx);
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
        self.machine.is_done()
            && self.unsent.is_empty()
            && !self.unflushed
            && self.deliveries.is_empty()
            && self.request.is_none()
            && self.response.is_none()
            && self.applying.is_none()
    }

    /// Whether the session waits for the application or for a request, not for the peer.
    fn waits_for_us(&self) -> bool {
        self.failure.is_some()
            || !self.deliveries.is_empty()
            || self.response.is_some()
            || self.applying.is_some()
            || self.app_unflushed
    }

    /// Whether something that the peer does can make the session go on: it reads, or it sends.
    fn waits_for_peer(&self) -> bool {
        !self.unsent.is_empty() || self.unflushed || self.wants_input()
    }

    fn wants_input(&self) -> bool {
        !self.peer_closed && self.machine.wants_input() && !self.machine.is_done()
    }

    fn timer_now(&self) -> Timestamp {
        self.how.timer.as_ref().map_or(self.time.started(), |timer| timer.now())
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
                // A write of nothing would look like a stream that takes nothing.
                Output::Send { bytes, items } if bytes.is_empty() => meter::report_items_sent(items),
                Output::Send { bytes, items } => {
                    self.unsent_len += bytes.len();
                    self.unsent.push_back(Unsent { bytes, items, is_heartbeat: false });
                }
                Output::Live => self.goes_live = true,
                Output::Deliver(item) => self.deliveries.push_back(item),
                Output::Request(request) => {
                    if self.request.is_some() || self.response.is_some() {
                        return self.asked_twice();
                    }
                    self.request = Some(request);
                }
                Output::Apply(request) => {
                    if self.applying.is_some() {
                        return self.asked_twice();
                    }
                    self.applying = Some(self.surroundings.perform(request));
                }
                Output::Watch(request) => {
                    if self.watching.is_some() {
                        return self.asked_twice();
                    }
                    self.watching = Some(self.surroundings.perform(request));
                }
            }
        }
    }

    fn asked_twice(&mut self) {
        self.failure.get_or_insert(SyncError::Critical("the protocol's machine asked twice".into()));
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Result<bool, SyncError> {
        let mut delivered = false;
        while !self.deliveries.is_empty() {
            match Pin::new(&mut *self.app_tx).poll_ready(cx) {
                Poll::Ready(result) => result?,
                #[cfg(syncline_planted)]
                Poll::Pending if crate::planted::is(crate::planted::Bug::LoseBackPressured) => {
                    self.deliveries.pop_front();
                    continue;
                }
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
        while let Some(Unsent { bytes, items, is_heartbeat }) = self.unsent.front_mut() {
            match Pin::new(&mut *self.tx).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => {
                    self.fail_stream(std::io::ErrorKind::WriteZero.into());
                    return true;
                }
                Poll::Ready(Ok(count)) => {
                    let count = count.min(bytes.len());
                    let is_heartbeat = *is_heartbeat;
                    bytes.advance(count);
                    if bytes.is_empty() {
                        meter::report_items_sent(*items);
                        self.unsent.pop_front();
                    }
                    self.unsent_len -= count;
                    self.unflushed = true;
                    progress = true;
                    self.written_at = self.timer_now();
                    if !is_heartbeat {
                        self.handle(Input::Sent(count));
                    }
                    if self.failure.is_some() {
                        return true;
                    }
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

    /// What does not wait for the peer.
    fn poll_others(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        // What was applied leads to deliveries, and the application takes those first.
        if self.deliveries.is_empty()
            && let Some(applying) = self.applying.as_mut()
            && let Poll::Ready(response) = applying.as_mut().poll(cx)
        {
            self.applying = None;
            self.handle(Input::Response(response));
            progress = true;
        }
        if let Some(watching) = self.watching.as_mut()
            && let Poll::Ready(response) = watching.as_mut().poll(cx)
        {
            self.watching = None;
            self.handle(Input::Response(response));
            progress = true;
        }
        progress
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.deliveries.is_empty() || !self.wants_input() {
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
        let at = self.time.on_timer(deadline);
        loop {
            // Each sign of life moves a deadline on. A sleep that ends too early for it is kept, and a new one begun then.
            let (armed, mut sleep) = match self.sleep.take() {
                Some((armed, sleep)) if armed <= at => (armed, sleep),
                _ => (at, timer.sleep_until(at)),
            };
            if sleep.as_mut().poll(cx).is_pending() {
                self.sleep = Some((armed, sleep));
                return false;
            }
            if armed >= at {
                break;
            }
        }
        self.handle(Input::Timeout);
        true
    }

    /// Sends a sign of life if one is due, whatever this side waits for.
    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> bool {
        let beat = self.machine.heartbeat().filter(|_| self.unsent.is_empty() && self.failure.is_none());
        let (Some(timer), Some((interval, bytes))) = (&self.how.timer, beat) else {
            self.beat = None;
            return false;
        };
        let at = self.written_at + interval.max(HEARTBEAT_MIN);
        loop {
            // Each write moves it on. A sleep that ends too early is kept, and a new one begun then.
            let (armed, mut sleep) = match self.beat.take() {
                Some((armed, sleep)) if armed <= at => (armed, sleep),
                _ => (at, timer.sleep_until(at)),
            };
            if sleep.as_mut().poll(cx).is_pending() {
                self.beat = Some((armed, sleep));
                return false;
            }
            if armed >= at {
                break;
            }
        }
        self.written_at = self.timer_now();
        self.unsent_len += bytes.len();
        self.unsent.push_back(Unsent { bytes, items: 0, is_heartbeat: true });
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

impl<M: Machine, P> Drop for Driver<'_, M, P> {
    /// The session may go on without this driver.
    fn drop(&mut self) {
        meter::set_driver_stalled(false);
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
