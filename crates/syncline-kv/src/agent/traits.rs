//! What an agent needs around it.

use std::fmt::Debug;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Outcome, Push, Root, Source};

/// Who else is there.
///
/// # Contract
///
/// - The ids are those by which [`Broadcast`] names senders and receivers and by which a [`Connector`] reaches members.
///   Only members are dialled and written to, so whoever is let in here decides who that is.
/// - [`Up`](MemberEvent::Up) comes for each member that is there at the start, and again when something known about it
///   changes. The node itself may be among them, and is ignored.
/// - [`Down`](MemberEvent::Down) may be wrong. A member that comes back is `Up` again.
/// - [`Reconnected`](MemberEvent::Reconnected) is for transports that know that messages may have been lost in between.
pub trait Membership<P>: Send {
    /// The next event, as [`Stream::poll_next`](futures::Stream::poll_next) would: `Ready(None)` when there will be none any
    /// more because the node shuts down, which ends [`run`](super::run). A membership that never changes is pending.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<MemberEvent<P>>>;
}

/// What happens to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent<P> {
    /// It is there.
    Up {
        /// The member.
        peer: P,
        /// How long a message to it and back takes, if that is known.
        rtt: Option<Duration>,
    },
    /// It is gone, or is thought to be.
    Down {
        /// The member.
        peer: P,
    },
    /// The connection to it was lost and is there again.
    Reconnected {
        /// The member.
        peer: P,
    },
}

/// Messages to all members and to single ones: lossy, unordered, maybe more than once.
///
/// # Contract
///
/// - Messages are at most [`max_len`](Self::max_len) bytes, and arrive as they were or not at all.
/// - Neither `publish` nor `send` waits. What there is no room for is dropped: nothing here must become a queue without a
///   bound.
/// - What comes in waits in a bounded queue while it is not polled for. When that has overflowed, [`Heard::Lagged`] comes once
///   before the next message.
/// - A sender is named only if the transport has proven that it is this member. A member that is named wrongly is one that
///   others can speak for.
/// - The sender of a broadcast may hear it too.
pub trait Broadcast<P>: Send {
    /// The longest message, in bytes; the same as long as the agent runs. Agents need 256 at the least.
    fn max_len(&self) -> usize;

    /// Sends a message to all members.
    fn publish(&mut self, bytes: Bytes);

    /// Sends a message to one member.
    fn send(&mut self, to: &P, bytes: Bytes);

    /// The next message. `Ready(None)` when there will be none any more because the node shuts down, which ends
    /// [`run`](super::run).
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Heard<P>>>;
}

/// What comes in by a [`Broadcast`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard<P> {
    /// A message, sent to all or to this node.
    Message {
        /// Whose it is, if that is proven.
        from: Option<P>,
        /// The message.
        bytes: Bytes,
    },
    /// Messages were dropped.
    Lagged,
}

/// Opens streams to members, for sessions.
pub trait Connector<P>: Send + Sync {
    /// A reliable, ordered stream in both directions.
    type Stream: Send;

    /// Opens a stream to a member. The implementation bounds how long that takes.
    ///
    /// # Errors
    ///
    /// The member cannot be reached, or does not want to.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up.
    fn open(&self, peer: P) -> BoxFuture<'_, Result<Self::Stream, OpenError>>;
}

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The member could not be reached, or was another one.
    #[error("the member cannot be reached")]
    Unreachable,
    /// The member has answered, and does not want a session.
    #[error("the member refuses a session")]
    Refused,
}

/// What a node has: its tree, and the sessions that make it equal to others'.
///
/// `S` is the stream of the [`Connector`].
pub trait Gossiped<P, S>: Send + Sync {
    /// What the node has now. Two nodes that have the same must have the same root, whatever order it came in. Cheap: it is
    /// asked after each change.
    fn root(&self) -> Root;

    /// Verifies items that a member has pushed, and applies what is valid. Returns what was new and valid, and nothing else:
    /// it goes on to others, and nobody after this looks at it before it does.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the agent stops.
    fn apply(&self, from: Option<P>, items: Vec<Bytes>) -> BoxFuture<'_, Vec<Push>>;

    /// The next thing that happens beside what [`apply`](Self::apply) returns. `None` when the node shuts down, which ends
    /// [`run`](super::run).
    ///
    /// News that are not fetched may be thrown together, and their pushes left out when they become too many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped has taken nothing.
    fn news(&self) -> BoxFuture<'_, Option<News<P>>>;

    /// Runs one session over a stream, until both sides have the same, or as near to it as they get. It bounds itself in time
    /// and in memory. A session that stays open for what is new would keep others from theirs.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the session. What was applied stays.
    fn sync(&self, peer: P, stream: S) -> BoxFuture<'_, Outcome>;
}

/// What happens on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News<P> {
    /// What it has changed.
    Changed {
        /// Why.
        source: Source<P>,
        /// What is new, as far as it is to be pushed: verified and applied.
        pushes: Vec<Push>,
    },
    /// A member has opened a session with this node.
    SessionAccepted {
        /// The member.
        peer: P,
    },
    /// A session has ended that a member had opened. There is one for each `SessionAccepted`.
    SessionEnded {
        /// The member.
        peer: P,
        /// How it ended.
        outcome: Outcome,
    },
}
