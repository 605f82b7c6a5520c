//! Streams, an application and tasks for this crate's tests, all under the test's control.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use futures::{AsyncRead, AsyncWrite, Sink};
use serde::{Deserialize, Serialize};

use crate::{FromSync, SyncError, TopicQuery};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Topic(pub(crate) u8);

impl TopicQuery for Topic {}

pub(crate) fn data(bytes: &[u8]) -> FromSync<Topic> {
    FromSync::Data { header: bytes.to_vec(), payload: None }
}

#[derive(Debug, Default)]
pub(crate) struct PipeState {
    pub(crate) bytes: VecDeque<u8>,
    pub(crate) capacity: usize,
    /// How many bytes one read or write moves at most.
    pub(crate) chunk: usize,
    pub(crate) writer_gone: bool,
    pub(crate) reader_gone: bool,
    /// The kind of error that the next write, or read, gives.
    pub(crate) write_error: Option<io::ErrorKind>,
    pub(crate) read_error: Option<io::ErrorKind>,
    /// Writes take nothing, without an error.
    pub(crate) takes_nothing: bool,
    pub(crate) flush_is_stuck: bool,
    pub(crate) flush_error: Option<io::ErrorKind>,
    pub(crate) flushes: usize,
    pub(crate) reads: usize,
    pub(crate) total: usize,
    wakers: Vec<Waker>,
}

/// One direction of a connection. Clones are the same pipe.
#[derive(Clone, Debug)]
pub(crate) struct Pipe(Arc<Mutex<PipeState>>);

pub(crate) struct PipeReader(Pipe);
pub(crate) struct PipeWriter(Pipe);

pub(crate) fn pipe(capacity: usize, chunk: usize) -> (PipeWriter, PipeReader, Pipe) {
    let pipe = Pipe(Arc::new(Mutex::new(PipeState { capacity, chunk, ..PipeState::default() })));
    (PipeWriter(pipe.clone()), PipeReader(pipe.clone()), pipe)
}

impl Pipe {
    pub(crate) fn state(&self) -> MutexGuard<'_, PipeState> {
        self.0.lock().unwrap()
    }

    /// Changes the pipe and wakes both ends.
    pub(crate) fn change(&self, change: impl FnOnce(&mut PipeState)) {
        let mut state = self.state();
        change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn push(&self, bytes: &[u8]) {
        self.change(|state| state.bytes.extend(bytes));
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.0.change(|state| state.writer_gone = true);
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.0.change(|state| state.reader_gone = true);
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        if let Some(kind) = state.write_error {
            return Poll::Ready(Err(kind.into()));
        }
        if state.reader_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.takes_nothing {
            return Poll::Ready(Ok(0));
        }
        let count = bytes.len().min(state.chunk).min(state.capacity.saturating_sub(state.bytes.len()));
        if count == 0 {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.0.change(|state| {
            state.bytes.extend(&bytes[..count]);
            state.total += count;
        });
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        if let Some(kind) = state.flush_error {
            return Poll::Ready(Err(kind.into()));
        }
        if state.flush_is_stuck {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        state.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        panic!("a protocol must not close streams that it borrowed")
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        state.reads += 1;
        if let Some(kind) = state.read_error {
            return Poll::Ready(Err(kind.into()));
        }
        let count = buffer.len().min(state.chunk).min(state.bytes.len());
        if count == 0 {
            if state.writer_gone {
                return Poll::Ready(Ok(0));
            }
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.0.change(|state| state.bytes.drain(..count).zip(buffer).for_each(|(byte, slot)| *slot = byte));
        Poll::Ready(Ok(count))
    }
}

#[derive(Debug, Default)]
pub(crate) struct AppState {
    pub(crate) events: Vec<FromSync<Topic>>,
    /// How many more events the application takes.
    pub(crate) room: usize,
    pub(crate) flush_is_stuck: bool,
    pub(crate) unflushed: usize,
    pub(crate) flushes: usize,
    pub(crate) is_closed: bool,
    waker: Option<Waker>,
}

/// An application that takes what it has room for. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Mutex<AppState>>);

impl App {
    pub(crate) fn with_room(room: usize) -> Self {
        Self(Arc::new(Mutex::new(AppState { room, ..AppState::default() })))
    }

    pub(crate) fn eager() -> Self {
        Self::with_room(usize::MAX)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, AppState> {
        self.0.lock().unwrap()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut AppState)) {
        let mut state = self.state();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn events(&self) -> Vec<FromSync<Topic>> {
        self.state().events.clone()
    }
}

impl Sink<FromSync<Topic>> for App {
    type Error = SyncError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let mut state = self.state();
        if state.is_closed {
            return Poll::Ready(Err(SyncError::Critical("channel closed".into())));
        }
        if state.room == 0 {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: FromSync<Topic>) -> Result<(), SyncError> {
        let mut state = self.state();
        assert!(state.room > 0, "sent without being ready");
        state.room -= usize::from(state.room < usize::MAX);
        state.unflushed += 1;
        state.events.push(item);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let mut state = self.state();
        if state.flush_is_stuck {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.flushes += 1;
        state.unflushed = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        panic!("a protocol must not close the application's channel")
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future that is polled only when it asked to be, so that a lost wake-up shows.
pub(crate) struct Task<'t, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 't>>>,
    woken: Arc<Flag>,
    pub(crate) output: Option<T>,
}

impl<'t, T> Task<'t, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 't) -> Self {
        Self { future: Some(Box::pin(future)), woken: Arc::new(Flag(AtomicBool::new(true))), output: None }
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.future.is_some() && self.woken.0.load(Ordering::SeqCst)
    }

    /// Polls once, if the task was woken. True if so.
    pub(crate) fn poll(&mut self) -> bool {
        if !self.is_woken() {
            return false;
        }
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        let Some(future) = self.future.as_mut() else { return false };
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.output = Some(output);
            self.future = None;
        }
        true
    }

    /// Polls until the task waits for something, and returns how often it did.
    ///
    /// Panics if it does not come to rest.
    pub(crate) fn settle(&mut self) -> usize {
        (0..100_000).find(|_| !self.poll()).expect("the task does not come to rest")
    }

    /// What the task came to.
    pub(crate) fn finish(&mut self) -> T {
        self.settle();
        self.output.take().expect("the task waits, and nothing will wake it")
    }
}
