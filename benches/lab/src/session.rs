//! A session between two nodes in one process: the same runtime, pipe and channels for every contestant.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use cpu_time::ProcessTime;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::dataset::Dataset;

/// Bytes that the pipe holds each way.
const PIPE: usize = 64 << 10;

/// Items that the channel to the application holds.
pub(crate) const CHANNEL: usize = 128;

/// Which side of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Initiate,
    Accept,
}

/// What a node does with operations that it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    /// Hands them to the application, which counts and drops them.
    Forward,
    /// Verifies them and stores them in memory.
    Ingest,
}

/// What a node received, or holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) operations: u64,
    pub(crate) bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, header: &[u8], body: Option<&[u8]>) {
        self.operations += 1;
        self.bytes += (header.len() + body.map_or(0, <[u8]>::len)) as u64;
    }
}

/// A peer with a store.
pub(crate) trait Node: Send + Sync {
    /// Runs one side of a session and the application behind it. Gives what the application got; with
    /// [`Receive::Ingest`] that is the store.
    ///
    /// # Panics
    ///
    /// If the session fails, since a failed session measures nothing.
    fn run(self: Arc<Self>, role: Role, stream: Stream, receive: Receive) -> BoxFuture<'static, Tally>;

    /// What the store holds.
    fn stored(&self) -> Tally;
}

/// An implementation of the protocol.
pub(crate) trait Contestant {
    /// A node whose topic covers all logs of `dataset` and which holds either all of them or none.
    fn node(&self, dataset: &Dataset, full: bool) -> Arc<dyn Node>;
}

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

/// Runs a session on one thread. The initiator applies `receive`; bytes arrive in pieces of at most `chunk`.
pub(crate) fn measure(initiator: Arc<dyn Node>, acceptor: Arc<dyn Node>, receive: Receive, chunk: usize) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    let wire = Arc::new(AtomicU64::new(0));
    let (near, far) = tokio::io::duplex(PIPE);
    let stream = |pipe| Stream { pipe, chunk, written: Arc::clone(&wire) };
    let (near, far) = (stream(near), stream(far));
    let before = ProcessTime::now();
    let session = Arc::clone(&initiator);
    let received = runtime.block_on(async move {
        let initiator = tokio::spawn(session.run(Role::Initiate, near, receive));
        let acceptor = tokio::spawn(acceptor.run(Role::Accept, far, Receive::Forward));
        acceptor.await.expect("the acceptor does not panic");
        initiator.await.expect("the initiator does not panic")
    });
    let cpu = before.elapsed();
    let received = if receive == Receive::Ingest { initiator.stored() } else { received };
    Run { cpu, wire: wire.load(Ordering::Relaxed), received }
}

/// One end of the pipe: counts what is written, hands out what arrives in pieces.
pub(crate) struct Stream {
    pipe: DuplexStream,
    chunk: usize,
    written: Arc<AtomicU64>,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let chunk = self.chunk.min(buf.remaining());
        let mut piece = ReadBuf::new(buf.initialize_unfilled_to(chunk));
        let result = Pin::new(&mut self.pipe).poll_read(cx, &mut piece);
        let filled = piece.filled().len();
        buf.advance(filled);
        result
    }
}

impl AsyncWrite for Stream {
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
