//! A byte stream in both directions within one process, for tests, simulations and for peers that share a process.
//!
//! It needs no runtime and reads no clock. Bytes arrive in order and complete; there are no message boundaries.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};

/// Opens a pipe whose two directions hold up to `capacity` bytes each (0 counts as 1).
///
/// A write waits while its direction is full, a read while it is empty. [Closing](futures::AsyncWriteExt::close) or
/// dropping an end gives the other one the bytes that are still under way and then the end of the stream; what the other
/// one writes to a dropped end fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// ```
/// use futures::{AsyncReadExt, AsyncWriteExt};
/// use syncline_net::pipe::pipe;
///
/// # futures::executor::block_on(async {
/// let (mut here, mut there) = pipe(64);
/// here.write_all(b"hello").await?;
/// here.close().await?;
/// let mut text = String::new();
/// there.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn pipe(capacity: usize) -> (PipeEnd, PipeEnd) {
    PipeOptions::default().with_capacity(capacity).open()
}

/// How a pipe behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeOptions {
    capacity: usize,
    chunk_max: usize,
}

impl Default for PipeOptions {
    /// 64 KiB each way, no limit on chunks.
    fn default() -> Self {
        Self { capacity: 64 << 10, chunk_max: usize::MAX }
    }
}

impl PipeOptions {
    /// Sets the bytes that each direction holds; 0 counts as 1.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }

    /// Sets the most bytes that one read gives and one write takes; 0 counts as 1. Small chunks find code that takes one
    /// read for one message.
    #[must_use]
    pub fn with_chunk_max(mut self, chunk_max: usize) -> Self {
        self.chunk_max = chunk_max.max(1);
        self
    }

    /// Opens a pipe.
    #[must_use]
    pub fn open(self) -> (PipeEnd, PipeEnd) {
        let (a, b) = (Direction::new(self.capacity), Direction::new(self.capacity));
        let chunk_max = self.chunk_max;
        let end = |incoming: &Arc<Direction>, outgoing: &Arc<Direction>| PipeEnd {
            reader: PipeReader { direction: Arc::clone(incoming), chunk_max },
            writer: PipeWriter { direction: Arc::clone(outgoing), chunk_max },
        };
        (end(&a, &b), end(&b, &a))
    }
}

/// One end of a pipe.
#[derive(Debug)]
pub struct PipeEnd {
    reader: PipeReader,
    writer: PipeWriter,
}

impl PipeEnd {
    /// The two halves, to be used at the same time.
    #[must_use]
    pub fn into_split(self) -> (PipeReader, PipeWriter) {
        (self.reader, self.writer)
    }

    /// A handle that cuts the pipe from outside, as a lost connection does.
    #[must_use]
    pub fn cutter(&self) -> PipeCutter {
        PipeCutter { directions: [Arc::downgrade(&self.reader.direction), Arc::downgrade(&self.writer.direction)] }
    }
}

impl AsyncRead for PipeEnd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}

/// Breaks a pipe: both ends then fail with [`ConnectionReset`](io::ErrorKind::ConnectionReset), and the bytes under way
/// are lost. It does not keep the pipe alive.
#[derive(Clone, Debug)]
pub struct PipeCutter {
    directions: [Weak<Direction>; 2],
}

impl PipeCutter {
    /// Cuts. Harmless if both ends are gone, and when called again.
    pub fn cut(&self) {
        for direction in self.directions.iter().filter_map(Weak::upgrade) {
            direction.change(|state| {
                state.cut = true;
                state.buffer.clear();
            });
        }
    }

    /// Whether anybody still holds an end.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.directions.iter().any(|direction| direction.strong_count() > 0)
    }
}

/// The reading half of a [`PipeEnd`].
#[derive(Debug)]
pub struct PipeReader {
    direction: Arc<Direction>,
    chunk_max: usize,
}

impl AsyncRead for PipeReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let len = buffer.len().min(self.chunk_max);
        let mut state = self.direction.lock();
        if state.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if state.buffer.is_empty() {
            if state.writer_done {
                return Poll::Ready(Ok(0));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = len.min(state.buffer.len());
        let (first, second) = state.buffer.as_slices();
        let from_first = first.len().min(count);
        buffer[..from_first].copy_from_slice(&first[..from_first]);
        buffer[from_first..count].copy_from_slice(&second[..count - from_first]);
        state.buffer.drain(..count);
        let waker = state.writer.take();
        drop(state);
        wake(waker);
        Poll::Ready(Ok(count))
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.direction.change(|state| {
            state.reader_gone = true;
            state.buffer = VecDeque::new();
        });
    }
}

/// The writing half of a [`PipeEnd`].
#[derive(Debug)]
pub struct PipeWriter {
    direction: Arc<Direction>,
    chunk_max: usize,
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.direction.lock();
        if state.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.writer_done || state.reader_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = state.capacity.saturating_sub(state.buffer.len());
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room).min(self.chunk_max);
        state.buffer.extend(&bytes[..count]);
        let waker = state.reader.take();
        drop(state);
        wake(waker);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.direction.change(|state| state.writer_done = true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.direction.change(|state| state.writer_done = true);
    }
}

/// One way through the pipe.
#[derive(Debug)]
struct Direction(Mutex<State>);

#[derive(Debug)]
struct State {
    buffer: VecDeque<u8>,
    capacity: usize,
    writer_done: bool,
    reader_gone: bool,
    cut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Direction {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            buffer: VecDeque::new(),
            capacity: capacity.max(1),
            writer_done: false,
            reader_gone: false,
            cut: false,
            reader: None,
            writer: None,
        })))
    }

    // No code under the lock can panic halfway through a change, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes both sides, outside the lock.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().for_each(wake);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
