//! What a side costs: CPU time of its tasks, bytes and messages that it writes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use cpu_time::ThreadTime;
use futures::AsyncWrite;

/// Counts for one side.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    cpu_nanos: AtomicU64,
    bytes: AtomicU64,
    messages: AtomicU64,
    is_flushed: AtomicBool,
}

impl Meter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { is_flushed: AtomicBool::new(true), ..Self::default() })
    }

    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Runs of writes, each up to a flush.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Counts the CPU time of a task.
    pub(crate) fn task<F: Future + Unpin>(self: &Arc<Self>, task: F) -> Metered<F> {
        Metered { task, meter: Arc::clone(self) }
    }

    /// Counts what is written.
    ///
    /// At most `piece` bytes are written at a time.
    pub(crate) fn writer<W: AsyncWrite + Unpin>(self: &Arc<Self>, writer: W, piece: usize) -> MeteredWriter<W> {
        MeteredWriter { writer, piece, meter: Arc::clone(self) }
    }
}

pub(crate) struct Metered<F> {
    task: F,
    meter: Arc<Meter>,
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = ThreadTime::now();
        let polled = Pin::new(&mut self.task).poll(cx);
        let nanos = u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.meter.cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
        polled
    }
}

pub(crate) struct MeteredWriter<W> {
    writer: W,
    piece: usize,
    meter: Arc<Meter>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for MeteredWriter<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let piece = &bytes[..bytes.len().min(self.piece)];
        let polled = Pin::new(&mut self.writer).poll_write(cx, piece);
        if let Poll::Ready(Ok(written @ 1..)) = polled {
            self.meter.bytes.fetch_add(written as u64, Ordering::Relaxed);
            let begins = self.meter.is_flushed.swap(false, Ordering::Relaxed);
            self.meter.messages.fetch_add(u64::from(begins), Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.writer).poll_flush(cx);
        if polled.is_ready() {
            self.meter.is_flushed.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncWriteExt, FutureExt};

    use super::*;

    #[test]
    fn a_message_is_what_is_written_up_to_a_flush() {
        let meter = Meter::new();
        let mut writer = meter.writer(Vec::new(), 2);
        for text in ["one", "more", "flush", "two", "flush", "flush", "three"] {
            match text {
                "flush" => writer.flush().now_or_never().expect("memory is ready").expect("memory takes all"),
                text => writer.write_all(text.as_bytes()).now_or_never().expect("memory is ready").expect("all"),
            }
        }
        assert_eq!((meter.messages(), meter.bytes()), (3, 15));
    }

    #[test]
    fn a_task_is_charged_for_its_own_time_only() {
        let (busy, idle) = (Meter::new(), Meter::new());
        let spin = std::future::poll_fn(|_| {
            let before = ThreadTime::now();
            while before.elapsed() < Duration::from_millis(5) {}
            Poll::Ready(())
        });
        futures::executor::block_on(futures::future::join(busy.task(spin), idle.task(futures::future::ready(()))));
        assert!(busy.cpu() >= Duration::from_millis(5));
        assert!(idle.cpu() < busy.cpu());
    }
}
