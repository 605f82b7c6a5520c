//! Byte streams between two peers in one process.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as TokioRead, AsyncWrite as TokioWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

/// What connects the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A pipe in memory that takes and hands out at most this many bytes at a time.
    Pipe(usize),
    /// TCP over loopback.
    Tcp,
}

impl Transport {
    pub(crate) const ALL: [Self; 5] = [Self::Pipe(1), Self::Pipe(7), Self::Pipe(1400), Self::Pipe(65_536), Self::Tcp];

    /// Both ends of a new connection.
    pub(crate) async fn connect(self) -> (Stream, Stream) {
        match self {
            Self::Pipe(chunk) => {
                let (left, right) = tokio::io::duplex(64 << 10);
                (Stream::new(left, chunk), Stream::new(right, chunk))
            }
            Self::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
                let address = listener.local_addr().expect("the listener is bound");
                let (left, right) = tokio::join!(TcpStream::connect(address), listener.accept());
                let (left, (right, _)) = (left.expect("connects"), right.expect("accepts"));
                for stream in [&left, &right] {
                    stream.set_nodelay(true).expect("TCP has the option");
                }
                (Stream::new(left, usize::MAX), Stream::new(right, usize::MAX))
            }
        }
    }
}

/// One end of a connection.
pub(crate) struct Stream {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Stream {
    fn new<S: TokioRead + TokioWrite + Send + Unpin + 'static>(stream: S, chunk: usize) -> Self {
        let (reader, writer) = tokio::io::split(Chunked { stream, chunk });
        Self { reader: Box::new(reader.compat()), writer: Box::new(writer.compat_write()) }
    }

    /// An end for a peer that gets exactly `input`, then what `end` says. What the peer writes is kept in the tap, which
    /// fails after `takes` bytes.
    pub(crate) fn scripted(input: &[u8], chunk: usize, end: End, takes: usize) -> (Self, Tap) {
        let tap = Tap { written: Arc::default(), takes };
        let script = Script { input: input.to_vec(), at: 0, chunk, end };
        (Self { reader: Box::new(script), writer: Box::new(tap.clone()) }, tap)
    }
}

/// What comes after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing, for ever.
    Silence,
    /// The end of the stream.
    Closed,
    /// An error.
    Failed(io::ErrorKind),
}

/// Reads and writes at most `chunk` bytes at a time.
struct Chunked<S> {
    stream: S,
    chunk: usize,
}

impl<S: TokioRead + Unpin> TokioRead for Chunked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut part = vec![0; self.chunk.min(buf.remaining())];
        let mut part = ReadBuf::new(&mut part);
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        buf.put_slice(part.filled());
        result
    }
}

impl<S: TokioWrite + Unpin> TokioWrite for Chunked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let chunk = self.chunk.min(buf.len());
        Pin::new(&mut self.stream).poll_write(cx, &buf[..chunk])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Plays bytes that were fixed before.
struct Script {
    input: Vec<u8>,
    at: usize,
    chunk: usize,
    end: End,
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let rest = &self.input[self.at..];
        match self.end {
            // Nothing will ever come: nobody needs to be woken.
            End::Silence if rest.is_empty() => return Poll::Pending,
            End::Failed(kind) if rest.is_empty() => return Poll::Ready(Err(kind.into())),
            _ => {}
        }
        let len = rest.len().min(buf.len()).min(self.chunk);
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Poll::Ready(Ok(len))
    }
}

/// Keeps what was written, and fails when it has enough.
#[derive(Clone)]
pub(crate) struct Tap {
    written: Arc<Mutex<Vec<u8>>>,
    takes: usize,
}

impl Tap {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.written.lock().expect("no writer panicked").clone()
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut written = self.written.lock().expect("no writer panicked");
        let len = buf.len().min(self.takes - written.len());
        if len == 0 && !buf.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        written.extend_from_slice(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
