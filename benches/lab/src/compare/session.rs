//! A session between two nodes in one process: the same runtime, pipe and channels for every contestant.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use cpu_time::ProcessTime;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::contestant::{Node, Receive, Received, Stream, Tally};

/// Bytes that the pipe holds each way.
const PIPE: usize = 64 << 10;

/// One measured session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// CPU time of the whole process: both nodes and both applications.
    pub(crate) cpu: Duration,
    /// Bytes on the wire, both ways.
    pub(crate) wire: u64,
    /// What the initiator's application got, or its store holds.
    pub(crate) received: Tally,
}

/// Runs a session on one thread. What the initiator received is its store with [`Receive::Ingest`]; bytes arrive in pieces of at most `chunk`.
pub(crate) fn measure(initiator: Arc<dyn Node>, acceptor: Arc<dyn Node>, receive: Receive, chunk: usize) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    let wire = Arc::new(AtomicU64::new(0));
    let (near, far) = tokio::io::duplex(PIPE);
    let stream = |pipe| {
        let (reader, writer) = tokio::io::split(Pipe { pipe, chunk, written: Arc::clone(&wire) });
        Stream::new(reader.compat(), writer.compat_write())
    };
    let (near, far) = (stream(near), stream(far));
    let before = ProcessTime::now();
    let initiating = Arc::clone(&initiator).start(near, Received::counting());
    // Both nodes outlive the measurement: what it costs to drop a store is not the session's.
    let accepting = Arc::clone(&acceptor).start(far, Received::counting());
    let received = runtime.block_on(async move {
        let application = tokio::spawn(initiating.application);
        let other_application = tokio::spawn(accepting.application);
        let sessions = [tokio::spawn(initiating.session), tokio::spawn(accepting.session)];
        for session in sessions {
            session.await.expect("the session does not panic").expect("the session succeeds");
        }
        other_application.await.expect("the application does not panic");
        application.await.expect("the application does not panic")
    });
    let cpu = before.elapsed();
    let received = if receive == Receive::Ingest { initiator.stored() } else { received.tally() };
    Run { cpu, wire: wire.load(Ordering::Relaxed), received }
}

/// Both ends of a pipe that carries what it gets in pieces of any size, and what it counted.
pub(crate) fn counted_pipe() -> ((CountedStream, CountedStream), Wire) {
    let (near, far) = tokio::io::duplex(PIPE);
    let wire = Wire::default();
    let end = |pipe: DuplexStream, side| CountedStream { pipe: pipe.compat(), side, wire: wire.clone() };
    ((end(near, 1), end(far, 2)), wire)
}

/// What went over a pipe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    bytes: Arc<AtomicU64>,
    /// Who wrote last.
    writer: Arc<AtomicU64>,
    turns: Arc<AtomicU64>,
}

impl Wire {
    /// Bytes, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often the one who writes changed: two of these are at most a round trip.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

/// One end of such a pipe.
pub(crate) struct CountedStream {
    pipe: tokio_util::compat::Compat<DuplexStream>,
    side: u64,
    wire: Wire,
}

impl futures::AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<std::io::Result<usize>> {
        futures::AsyncRead::poll_read(Pin::new(&mut self.pipe), cx, buf)
    }
}

impl futures::AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = futures::AsyncWrite::poll_write(Pin::new(&mut self.pipe), cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            self.wire.bytes.fetch_add(written as u64, Ordering::Relaxed);
            if self.wire.writer.swap(self.side, Ordering::Relaxed) != self.side {
                self.wire.turns.fetch_add(1, Ordering::Relaxed);
            }
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        futures::AsyncWrite::poll_flush(Pin::new(&mut self.pipe), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        futures::AsyncWrite::poll_close(Pin::new(&mut self.pipe), cx)
    }
}

/// One end of the pipe: counts what is written, hands out what arrives in pieces.
struct Pipe {
    pipe: DuplexStream,
    chunk: usize,
    written: Arc<AtomicU64>,
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let chunk = self.chunk.min(buf.remaining());
        let mut piece = ReadBuf::new(buf.initialize_unfilled_to(chunk));
        let result = Pin::new(&mut self.pipe).poll_read(cx, &mut piece);
        let filled = piece.filled().len();
        buf.advance(filled);
        result
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.pipe).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            self.written.fetch_add(written as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
