//! The application's side of a session.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::mpsc;
use futures::{Sink, SinkExt, Stream};
use syncline_core::session::SessionReport;
use syncline_core::{FromSync, SyncError, TopicQuery};

use super::AcceptedSession;
use crate::SyncFailure;

/// Where a session's items go: boxed, since sessions of several applications run side by side.
pub type AppSink<T> = Box<dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin>;

/// Takes what accepted sessions of one protocol deliver.
///
/// A closure `Fn(&AcceptedSession) -> AppSink<T>` is one that does not care how sessions end.
///
/// # Contract for implementers
///
/// - `start` and `ended` are called on the session's task: they must be quick and not block. A panic in either fails the
///   session, and only it.
/// - The sink's backpressure is passed on to the peer.
pub trait SessionHandler<T: TopicQuery>: Send + Sync {
    /// Gives the sink for a session that is about to begin. It is dropped when the session is over.
    fn start(&self, session: &AcceptedSession) -> AppSink<T>;

    /// Learns how a session ended. Items that were delivered before stay delivered.
    fn ended(&self, session: &AcceptedSession, outcome: &Result<SessionReport, SyncFailure>) {
        let _ = (session, outcome);
    }
}

impl<T: TopicQuery, F: Fn(&AcceptedSession) -> AppSink<T> + Send + Sync> SessionHandler<T> for F {
    fn start(&self, session: &AcceptedSession) -> AppSink<T> {
        self(session)
    }
}

/// A channel of up to `capacity` items (at least 1) from a session to the application.
///
/// While it is full the session waits, and with it the peer. If the receiver is dropped, the session fails with
/// [`SyncError::Critical`].
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use serde::{Deserialize, Serialize};
/// use syncline_core::{FromSync, TopicQuery};
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
/// struct Room(u64);
/// impl TopicQuery for Room {}
///
/// # futures::executor::block_on(async {
/// let (mut sink, mut items) = syncline_net::app_channel::<Room>(16);
/// sink.send(FromSync::HandshakeSuccess(Room(7))).await.unwrap();
/// assert_eq!(items.next().await, Some(FromSync::HandshakeSuccess(Room(7))));
/// # });
/// ```
#[must_use]
pub fn app_channel<T>(capacity: usize) -> (AppSink<T>, AppReceiver<T>)
where
    T: TopicQuery + 'static,
{
    // The channel holds one item per sender on top of its buffer.
    let (tx, rx) = mpsc::channel(capacity.saturating_sub(1));
    let sink = tx.sink_map_err(|_| SyncError::Critical("the application dropped its channel".into()));
    (Box::new(sink), AppReceiver { inner: rx })
}

/// The application's end of an [`app_channel`]: a stream that ends with the session.
#[derive(Debug)]
pub struct AppReceiver<T: TopicQuery> {
    inner: mpsc::Receiver<FromSync<T>>,
}

impl<T: TopicQuery> Stream for AppReceiver<T> {
    type Item = FromSync<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.inner).poll_next(cx)
    }
}

// The receiver holds items by value and never pins one.
impl<T: TopicQuery> Unpin for AppReceiver<T> {}
