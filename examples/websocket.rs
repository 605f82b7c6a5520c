//! Log sync over a transport that Syncline does not ship: a WebSocket, by tokio-tungstenite.
//!
//! All that a protocol needs is a stream of bytes that can be read and written. The adapter below makes one of the
//! binary messages of a WebSocket; `docs/guide/transport.md` explains it.
//!
//! Run with `cargo run --example websocket`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Sink, SinkExt, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use syncline_core::session::{Session, SessionLimits, SessionReport};
use syncline_core::{TopicMap, TopicQuery};
use syncline_crypto::{PublicKey, SigningKey};
use syncline_log::ingest::{Classify, Placement};
use syncline_log::store::{LogStore, Logs, MemoryStore, SeqRange};
use syncline_log::{Body, Draft, EncodedOperation, Ingest, LogSync, LogWriter, PublishError};
use syncline_net::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

/// The most bytes that a write puts into one message, and that are taken from a peer in one.
const MESSAGE_LEN_MAX: usize = 64 << 10;

/// The most bytes that wait to be sent; a writer waits beyond.
const WRITE_BUFFER_MAX: usize = 256 << 10;

/// A stream of bytes over the binary messages of a WebSocket.
///
/// Where messages begin and end means nothing. Text is a violation; pings and pongs are the library's affair. A close
/// frame is the end of the stream; a connection that ends without one is an error, as it may have been cut.
///
/// A WebSocket closes both directions at once: closing this stream ends reading as well.
struct WebSocketBytes<S> {
    socket: S,
    /// What is left of the message that is being read.
    unread: Bytes,
    ended: bool,
}

impl<S> WebSocketBytes<S> {
    fn new(socket: S) -> Self {
        Self { socket, unread: Bytes::new(), ended: false }
    }
}

impl<S> AsyncRead for WebSocketBytes<S>
where
    S: Stream<Item = Result<Message, WsError>> + Unpin,
{
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.unread.is_empty() && !self.ended && !buffer.is_empty() {
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                Some(Ok(Message::Close(_))) => self.ended = true,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                Some(Err(err)) => return Poll::Ready(Err(lost(err))),
                None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        let count = buffer.len().min(self.unread.len());
        buffer[..count].copy_from_slice(&self.unread.split_to(count));
        Poll::Ready(Ok(count))
    }
}

impl<S> AsyncWrite for WebSocketBytes<S>
where
    S: Sink<Message, Error = WsError> + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Ready means that the bounded buffer has room: this is where backpressure comes from.
        ready!(self.socket.poll_ready_unpin(cx)).map_err(lost)?;
        let count = bytes.len().min(MESSAGE_LEN_MAX);
        let message = Message::binary(Bytes::copy_from_slice(&bytes[..count]));
        self.socket.start_send_unpin(message).map_err(lost)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush_unpin(cx).map_err(lost)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.socket.poll_close_unpin(cx)) {
            // The peer may have closed first.
            Ok(()) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(err) => Poll::Ready(Err(lost(err))),
        }
    }
}

/// Whatever breaks a WebSocket is the peer's or the network's doing, and of a kind that `SyncError` takes for that.
fn lost(err: WsError) -> io::Error {
    match err {
        WsError::Io(err) => err,
        WsError::ConnectionClosed | WsError::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        err => io::Error::new(io::ErrorKind::ConnectionAborted, err),
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LEN_MAX))
        .max_frame_size(Some(MESSAGE_LEN_MAX))
        .write_buffer_size(MESSAGE_LEN_MAX)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
}

/// Closes in order: a close frame goes out and the peer's is waited for, so that the last bytes are not lost.
async fn close<S>(mut stream: WebSocketBytes<WebSocketStream<S>>) -> io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.close().await?;
    while !stream.ended && stream.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
    Ok(())
}

/// What is synced: the notes of two authors, one log each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Notes;

impl TopicQuery for Notes {}

#[derive(Debug)]
struct NoteLogs([PublicKey; 2]);

#[async_trait::async_trait]
impl TopicMap<Notes, Logs<u64>> for NoteLogs {
    async fn get(&self, _topic: &Notes) -> Option<Logs<u64>> {
        Some(self.0.iter().map(|author| (*author, vec![0])).collect())
    }
}

/// Every operation belongs to its author's only log.
#[derive(Debug)]
struct OneLog;

impl Classify<u64> for OneLog {
    fn place(&self, _operation: &EncodedOperation) -> Option<Placement<u64>> {
        Some(Placement::next(0))
    }
}

/// One side: an author with a store.
struct Peer {
    topics: Arc<NoteLogs>,
    store: Arc<MemoryStore<u64>>,
}

enum Role {
    Initiate,
    Accept,
}

impl Peer {
    async fn new(key: SigningKey, topics: Arc<NoteLogs>, notes: &[&'static str]) -> Result<Self, PublishError> {
        let store = Arc::new(MemoryStore::new());
        let writer = LogWriter::new(Arc::clone(&store), Arc::new(key));
        writer.publish(0, notes.iter().map(|note| Draft::<()>::new(Some(Body::new(*note)), None))).await?;
        Ok(Self { topics, store })
    }

    /// Runs one side over a WebSocket: what arrives is verified and stored.
    async fn sync<S>(&self, socket: WebSocketStream<S>, role: Role) -> Result<SessionReport, AnyError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let protocol = Arc::new(LogSync::new(self.topics.clone(), Arc::clone(&self.store)));
        let mut ingest = Ingest::new(self.topics.clone(), Arc::clone(&self.store), Arc::new(OneLog));
        let session = Session::new(Arc::new(TokioTimer::new()), SessionLimits::default());
        let (mut rx, mut tx) = WebSocketBytes::new(socket).split();
        let report = match role {
            Role::Initiate => session.initiate(protocol, Notes, &mut tx, &mut rx, &mut ingest).await?,
            Role::Accept => session.accept(protocol, &mut tx, &mut rx, &mut ingest).await?,
        };
        close(rx.reunite(tx)?).await?;
        Ok(report)
    }

    /// The notes of an author, as they are stored here.
    async fn notes(&self, author: PublicKey) -> Result<Vec<String>, AnyError> {
        let page = self.store.read(author, 0, SeqRange::ALL, usize::MAX).await?;
        let bodies = page.operations.into_iter().filter_map(|operation| operation.body);
        bodies.map(|body| Ok(String::from_utf8(body.to_vec())?)).collect()
    }
}

type AnyError = Box<dyn Error + Send + Sync>;

async fn run() -> Result<(), AnyError> {
    // Keys come from a random source, in earnest.
    let (ours, theirs) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let (us, them) = (ours.public_key(), theirs.public_key());
    let topics = Arc::new(NoteLogs([us, them]));
    let client = Peer::new(ours, topics.clone(), &["plum", "quince", "fig"]).await?;
    let server = Peer::new(theirs, topics, &["apple", "pear"]).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let serve = async {
        let (socket, _) = listener.accept().await?;
        let socket = accept_async_with_config(socket, Some(config())).await?;
        server.sync(socket, Role::Accept).await
    };
    let dial = async {
        let socket = TcpStream::connect(addr).await?;
        let (socket, _) = client_async_with_config(format!("ws://{addr}/sync"), socket, Some(config())).await?;
        client.sync(socket, Role::Initiate).await
    };
    let (report, _) = futures::future::try_join(dial, serve).await?;

    let (at_client, at_server) = (client.notes(them).await?, server.notes(us).await?);
    println!("the client got {at_client:?}, the server got {at_server:?}");
    println!("{} bytes went out, {} came in", report.bytes_sent(), report.bytes_received());
    assert_eq!(at_client, ["apple", "pear"]);
    assert_eq!(at_server, ["plum", "quince", "fig"]);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    run().await
}

#[cfg(test)]
mod tests {
    use syncline_core::SyncError;

    use super::*;

    #[tokio::test]
    async fn the_example_runs() {
        run().await.unwrap();
    }

    /// Two ends over a pipe that holds less than one message.
    async fn pair() -> (
        WebSocketBytes<WebSocketStream<tokio::io::DuplexStream>>,
        WebSocketBytes<WebSocketStream<tokio::io::DuplexStream>>,
    ) {
        use tokio_tungstenite::tungstenite::protocol::Role as WsRole;
        let (a, b) = tokio::io::duplex(1024);
        let a = WebSocketStream::from_raw_socket(a, WsRole::Client, Some(config())).await;
        let b = WebSocketStream::from_raw_socket(b, WsRole::Server, Some(config())).await;
        (WebSocketBytes::new(a), WebSocketBytes::new(b))
    }

    #[tokio::test]
    async fn bytes_arrive_whatever_the_messages() {
        let (mut a, mut b) = pair().await;
        let sent: Vec<u8> = (0..3 * MESSAGE_LEN_MAX).map(|at| at as u8).collect();
        let send = async {
            a.write_all(&sent).await.unwrap();
            a.flush().await.unwrap();
        };
        let mut received = vec![0; sent.len()];
        let receive = async { b.read_exact(&mut received).await.unwrap() };
        futures::future::join(send, receive).await;
        assert_eq!(received, sent);
    }

    #[tokio::test]
    async fn a_writer_waits_for_a_reader() {
        let (mut a, _b) = pair().await;
        let much = vec![0; 4 * WRITE_BUFFER_MAX];
        let write = tokio::time::timeout(std::time::Duration::from_millis(50), a.write_all(&much)).await;
        assert!(write.is_err(), "nobody reads, and the buffers are bounded");
    }

    #[tokio::test]
    async fn a_close_is_the_end_and_a_cut_is_an_error() {
        let (mut a, mut b) = pair().await;
        a.write_all(b"last").await.unwrap();
        a.flush().await.unwrap();
        let mut last = Vec::new();
        let (closed, read) = futures::future::join(a.close(), b.read_to_end(&mut last)).await;
        closed.unwrap();
        read.unwrap();
        assert_eq!(last, b"last");
        assert!(b.write_all(b"late").await.is_err());

        let (a, mut b) = pair().await;
        drop(a);
        let err = b.read(&mut [0; 1]).await.unwrap_err();
        assert!(SyncError::from(err).is_peer_fault());
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_or_of_text_is_an_error_of_the_peer() {
        let (mut a, mut b) = pair().await;
        a.socket.send(Message::text("hello")).await.unwrap();
        assert!(SyncError::from(b.read(&mut [0; 1]).await.unwrap_err()).is_peer_fault());

        let (mut a, mut b) = pair().await;
        let send = a.socket.send(Message::binary(vec![0; MESSAGE_LEN_MAX + 1]));
        let (_, read) = futures::future::join(
            async { tokio::time::timeout(std::time::Duration::from_millis(200), send).await },
            async { b.read(&mut [0; 1]).await },
        )
        .await;
        assert!(SyncError::from(read.unwrap_err()).is_peer_fault());
    }
}
