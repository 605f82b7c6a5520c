use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite};
use syncline_core::clock::{Clock, ManualClock, Timer, Timestamp};

use super::{Conditions, Cut};
use crate::seed::Rng;

/// A connection of two peers.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the parts of a connection, to be taken apart")]
pub struct Link {
    /// One peer's end.
    pub a: End,
    /// The other's.
    pub b: End,
    /// What goes from `a` to `b`.
    pub a_to_b: Tap,
    /// What goes from `b` to `a`.
    pub b_to_a: Tap,
}

/// What one peer holds of a connection.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the two halves of a stream, to be taken apart")]
pub struct End {
    /// Where it writes.
    pub tx: SimWriter,
    /// Where it reads.
    pub rx: SimReader,
}

impl Link {
    /// A connection with conditions for each direction.
    #[must_use]
    pub fn new(clock: &ManualClock, a_to_b: Conditions, b_to_a: Conditions) -> Self {
        let (a_tx, b_rx, a_to_b) = one_way(clock, a_to_b);
        let (b_tx, a_rx, b_to_a) = one_way(clock, b_to_a);
        Self { a: End { tx: a_tx, rx: a_rx }, b: End { tx: b_tx, rx: b_rx }, a_to_b, b_to_a }
    }
}

/// One direction of a connection.
#[must_use]
pub fn one_way(clock: &ManualClock, conditions: Conditions) -> (SimWriter, SimReader, Tap) {
    let state = State {
        clock: clock.clone(),
        rng: conditions.chunk_seed.map(Rng::new),
        conditions,
        held: Vec::new(),
        flying: VecDeque::new(),
        under_way: 0,
        busy: (Timestamp::ZERO, 0),
        written: 0,
        delivered: 0,
        recorded: Vec::new(),
        writer_ended: false,
        was_closed: false,
        reader_gone: false,
        reader: None,
        writer: None,
        sleep: None,
        is_held: false,
        idle_calls: 0,
    };
    let way = Way(Arc::new(Mutex::new(state)));
    (SimWriter(way.clone()), SimReader(way.clone()), Tap(way))
}

/// The writing half of one direction. Dropping it ends the stream after what was sent.
pub struct SimWriter(Way);

/// The reading half of one direction. Dropping it breaks the pipe for the writer.
pub struct SimReader(Way);

/// A look into one direction, and a hand on it.
#[derive(Clone)]
pub struct Tap(Way);

#[derive(Clone)]
struct Way(Arc<Mutex<State>>);

struct State {
    clock: ManualClock,
    conditions: Conditions,
    rng: Option<Rng>,
    /// Written, and not flushed.
    held: Vec<u8>,
    /// On the wire, with the time at which they can be read.
    flying: VecDeque<(Timestamp, Bytes)>,
    /// Bytes written and not read.
    under_way: usize,
    /// Since when the wire is busy, and how many bytes it took or has to take since then.
    busy: (Timestamp, u128),
    written: u64,
    delivered: u64,
    recorded: Vec<u8>,
    writer_ended: bool,
    was_closed: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
    /// Whether what is under way stays there.
    is_held: bool,
    /// Calls in a row that could only say that all is over.
    idle_calls: u32,
}

/// Calls on a stream that is over after which the caller is made to wait for a turn. Else a loop that ignores the end of
/// the stream would never return to the simulation.
const IDLE_CALLS_MAX: u32 = 64;

impl Way {
    // Nothing under the lock panics halfway through a change, so a poisoned state is still whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many bytes one call moves at most.
    fn chunk(&mut self) -> usize {
        let chunk = self.conditions.chunk;
        match &mut self.rng {
            Some(rng) => 1 + rng.index(chunk.min(Conditions::CAPACITY_DEFAULT)),
            None => chunk,
        }
    }

    /// The cut that comes after `moved` bytes, and how many bytes it leaves until then.
    fn cut(&self, moved: u64) -> (usize, Option<Cut>) {
        match self.conditions.cut {
            Some((at, cut)) => (usize::try_from(at.saturating_sub(moved)).unwrap_or(usize::MAX), Some(cut)),
            None => (usize::MAX, None),
        }
    }

    fn accept(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        for (at, mask) in &self.conditions.corrupt {
            if let Some(byte) =
                at.checked_sub(self.written).and_then(|at| usize::try_from(at).ok()).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= mask;
            }
        }
        self.written += bytes.len() as u64;
        self.under_way += bytes.len();
        self.recorded.extend_from_slice(&bytes);
        self.held.append(&mut bytes);
        if !self.conditions.holds_until_flush {
            self.launch();
        }
    }

    /// Puts what is held on the wire.
    fn launch(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.held);
        let left_at = self.leave(bytes.len());
        let at = left_at + self.conditions.latency;
        self.flying.push_back((at, bytes.into()));
        self.wake_reader();
    }

    /// When so many bytes more have left.
    fn leave(&mut self, len: usize) -> Timestamp {
        let now = self.clock.now();
        let Some(rate) = self.conditions.bandwidth else { return now };
        // From the start of the busy time, so that nothing is lost by rounding each chunk.
        let takes = |bytes: u128| {
            let nanos = (bytes * 1_000_000_000).div_ceil(u128::from(rate));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        if self.busy.0 + takes(self.busy.1) < now {
            self.busy = (now, 0);
        }
        self.busy.1 += len as u128;
        self.busy.0 + takes(self.busy.1)
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    /// An answer that will never change. Now and then the caller has to wait for a turn.
    fn over<T>(&mut self, cx: &Context<'_>, answer: io::Result<T>) -> Poll<io::Result<T>> {
        self.idle_calls += 1;
        if self.idle_calls > IDLE_CALLS_MAX {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(answer)
    }

    fn deliver(&mut self, buffer: &mut [u8]) -> usize {
        let now = self.clock.now();
        let mut room = buffer.len().min(self.chunk()).min(self.cut(self.delivered).0);
        let mut filled = 0;
        while room > 0
            && !self.is_held
            && let Some((at, bytes)) = self.flying.front_mut()
            && *at <= now
        {
            let count = bytes.len().min(room);
            if let Some(free) = buffer.get_mut(filled..filled + count) {
                bytes.copy_to_slice(free);
            }
            if bytes.is_empty() {
                self.flying.pop_front();
            }
            filled += count;
            room -= count;
        }
        self.delivered += filled as u64;
        self.under_way -= filled;
        filled
    }

    /// Waits until what is on the wire arrives. Ready if it has.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((at, _)) = self.flying.front().filter(|_| !self.is_held) else { return Poll::Pending };
        let at = *at;
        if self.sleep.as_ref().is_none_or(|(armed, _)| *armed != at) {
            self.sleep = Some((at, self.clock.sleep_until(at)));
        }
        let Some((_, sleep)) = self.sleep.as_mut() else { return Poll::Pending };
        sleep.as_mut().poll(cx)
    }
}

impl AsyncWrite for SimWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.state();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (until_cut, cut) = state.cut(state.written);
        let until_cut = match cut {
            Some(Cut::Reset) if until_cut == 0 => return state.over(cx, Err(io::ErrorKind::ConnectionReset.into())),
            Some(Cut::Close) if until_cut == 0 => return state.over(cx, Err(io::ErrorKind::BrokenPipe.into())),
            Some(Cut::Stall) | None => usize::MAX,
            Some(_) => until_cut,
        };
        if state.reader_gone || state.was_closed {
            return state.over(cx, Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = state.conditions.capacity.saturating_sub(state.under_way);
        if room == 0 {
            state.launch();
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room).min(until_cut).min(state.chunk());
        state.accept(bytes.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.state().launch();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        state.launch();
        state.was_closed = true;
        state.writer_ended = true;
        state.wake_reader();
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimWriter {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= state.held.len();
        state.held.clear();
        state.writer_ended = true;
        state.wake_reader();
    }
}

impl AsyncRead for SimReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.state();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = loop {
            let count = state.deliver(buffer);
            let is_cut = state.cut(state.delivered).0 == 0;
            if count > 0 || is_cut || state.poll_arrival(cx).is_pending() {
                break count;
            }
        };
        if count > 0 {
            state.idle_calls = 0;
            state.wake_writer();
            return Poll::Ready(Ok(count));
        }
        match state.cut(state.delivered) {
            (0, Some(Cut::Close)) => return state.over(cx, Ok(0)),
            (0, Some(Cut::Reset)) => return state.over(cx, Err(io::ErrorKind::ConnectionReset.into())),
            (0, Some(Cut::Stall)) => {}
            _ if state.writer_ended && state.flying.is_empty() && !state.is_held => return state.over(cx, Ok(0)),
            _ => {}
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimReader {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.reader_gone = true;
        state.sleep = None;
        state.wake_writer();
    }
}

impl Tap {
    /// How many bytes were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.state().written
    }

    /// How many bytes were read.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.0.state().delivered
    }

    /// How many bytes were written and wait for a flush.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        self.0.state().held.len()
    }

    /// All bytes that were written, as they arrive.
    #[must_use]
    pub fn recorded(&self) -> Vec<u8> {
        self.0.state().recorded.clone()
    }

    /// Whether the writer closed the stream, other than by being dropped.
    #[must_use]
    pub fn was_closed(&self) -> bool {
        self.0.state().was_closed
    }

    /// Holds back whatever is under way, the end of the stream too, or lets it go on. Nobody is told: a partition that may
    /// heal, or a clogged line. A [cut](Self::cut) works all the same.
    pub fn hold(&self, is_held: bool) {
        let mut state = self.0.state();
        state.is_held = is_held;
        state.wake_reader();
    }

    /// Cuts the direction now. What is under way is lost.
    pub fn cut(&self, cut: Cut) {
        let mut state = self.0.state();
        let delivered = state.delivered;
        state.conditions.cut = Some((delivered, cut));
        state.wake_reader();
        state.wake_writer();
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Way")
            .field("written", &state.written)
            .field("delivered", &state.delivered)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SimWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimWriter").field(&self.0).finish()
    }
}

impl fmt::Debug for SimReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimReader").field(&self.0).finish()
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tap").field(&self.0).finish()
    }
}
