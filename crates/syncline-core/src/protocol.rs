use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink};

use crate::{SyncError, TopicQuery};

/// A protocol that brings two peers to the same data over any ordered, reliable byte stream.
///
/// One side initiates with a topic query, the other accepts and learns the topic from the stream. Every session has
/// two phases:
///
/// 1. **Handshake.** The peers agree on the topic. The initiator knows it already; the acceptor checks that it supports
///    it. Each side then sends [`FromSync::HandshakeSuccess`] to the application, **exactly once**, before any data.
///    An acceptor sends it only after it has accepted the topic.
/// 2. **Sync.** Items flow. Each received item goes to the application as [`FromSync::Data`], in the order in which the
///    protocol says so. The session ends when both sides know that they are finished.
///
/// # Contract for implementers
///
/// - Return `Ok(())` only when the protocol itself says that both sides are done. A stream that ends earlier is
///   [`SyncError::UnexpectedBehaviour`], never success: a truncated session must not look like a complete one.
/// - Do not wait for the end of the stream: the streams are borrowed, and the peer need not close them. Do not close them
///   either.
/// - Flush `tx` before waiting for an answer. Read and write concurrently where both sides may have much to send, else
///   two peers with full buffers wait for each other for ever.
/// - `app_tx` exerts backpressure. Stop reading from the peer while it is not ready; never drop an item.
/// - Whatever the peer sends yields [`SyncError::UnexpectedBehaviour`] or [`SyncError::InvalidEncoding`], never a panic,
///   never [`SyncError::Critical`], and never memory without a limit.
/// - A topic that the initiator does not know itself is `Critical`, and nothing is sent. A topic that the acceptor does
///   not support is `UnexpectedBehaviour`, and nothing else about the acceptor is revealed.
/// - An item handed to the application is final. An error that follows does not take it back.
///
/// # What a caller may rely on, and what not
///
/// - The streams need no message boundaries, and may deliver any number of bytes at a time.
/// - A protocol may read past its last byte. A stream that is used for something else afterwards needs a boundary of its
///   own, for example one stream per session.
/// - The protocol authenticates nobody. Who the peer is, and that nobody else reads along, is the transport's part.
/// - Without a [`Session`](crate::session::Session) around it a protocol need not have any deadline: a peer that falls
///   silent then blocks the session until the future is dropped.
///
/// # Cancel safety
///
/// Dropping the future at any point ends the session on this side. Items already handed to `app_tx` stay delivered.
/// The byte streams are then in the middle of a message and cannot be used again.
///
/// # Writing an implementation
///
/// Put `#[async_trait]` on the `impl` and write `impl<'a, T: TopicQuery> SyncProtocol<'a, T> for Mine`: the compiler wants
/// lifetimes first wherever the trait is named, also in bounds (`P: for<'a> SyncProtocol<'a, T>`); in the trait's own
/// definition the attribute puts them there. Protocols that are state machines get their implementation
/// from [`machine::drive`](crate::machine::drive).
#[async_trait]
pub trait SyncProtocol<T, 'a>: Send + Sync + Debug
where
    Self: 'a,
    T: TopicQuery + 'a,
{
    /// The protocol's name with its version, as peers agree on it out of band, for example `p2panda-log-sync-v1`.
    fn name(&self) -> &'static str;

    /// Runs the side that opens a session and names the topic.
    ///
    /// # Errors
    ///
    /// See the contract of the trait.
    async fn initiate(
        self: Arc<Self>,
        topic_query: T,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError>;

    /// Runs the side that answers and learns the topic from the peer.
    ///
    /// # Errors
    ///
    /// See the contract of the trait.
    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError>;
}

/// What a protocol reports to the application during a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two variants are the contract that users match on")]
pub enum FromSync<T>
where
    T: TopicQuery,
{
    /// Both peers agreed on this topic. Comes exactly once, before any data.
    HandshakeSuccess(T),

    /// One item from the peer, as bytes that the application decodes and, unless the protocol promises to have done so,
    /// verifies.
    Data {
        /// The item's header: for log sync the encoded operation header.
        header: Vec<u8>,
        /// The item's payload, absent if it has none or the peer no longer holds it.
        payload: Option<Vec<u8>>,
    },
}
