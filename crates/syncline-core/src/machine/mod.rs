//! Protocols as state machines without I/O, and the driver that makes sessions of them.
//!
//! A [`Machine`] decides; it does not read, write, wait, or look at a clock. [`drive`] connects it to byte streams, an
//! application, a [`Timer`](crate::clock::Timer) and whatever answers its requests, for example a store. The same machine
//! runs under virtual time, under a fuzzer and in production.
//!
//! The shape follows quinn-proto and str0m: one input, then drain the outputs, then wait.

mod drive;
mod driver;
mod time;

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::{FromSync, SyncError, TopicQuery};

pub use drive::{Drive, Perform, drive};

/// A protocol's side of one session, as a state machine without I/O.
///
/// # Contract
///
/// - After each [`handle`](Self::handle) the caller drains [`poll`](Self::poll) until it returns `None`, then asks
///   [`next_timeout`](Self::next_timeout) and [`is_done`](Self::is_done). Before the first `handle` it does the same.
/// - Bytes may come in chunks of any size; how they are cut changes nothing but time.
/// - At most one [`Output::Request`] is outstanding. The caller may take any time to answer it, and does so only while
///   the peer takes what was sent: that is the backpressure towards the store.
/// - At most one [`Output::Apply`] is outstanding beside it, and at most one [`Output::Watch`]. They do not wait for the peer:
///   two peers that both send must not wait for each other to read.
/// - After an error nothing but `poll` is called: what was decided before the error is still delivered to the application.
///   Bytes are no longer sent; a machine that wants to tell the peer why sends first, and fails when they are
///   [sent](Input::Sent).
/// - The outputs are a function of the inputs: no clock, no randomness, no unordered iteration.
/// - Memory is bounded by the protocol's limits, whatever the inputs. The caller bounds what requests and deliveries take;
///   a machine that answers what it receives without a request must bound itself what a peer can make it send, by
///   [`wants_input`](Self::wants_input) or by failing, since that peer may send for ever and read nothing.
/// - There is always something to wait for: input, while it is wanted and the stream is open; a response; bytes being
///   taken; something that is watched for; or a timeout. A machine that is not done and has none of these fails instead.
pub trait Machine {
    /// The topic that the session is about.
    type Topic: TopicQuery;
    /// What the machine asks of its surroundings.
    type Request: Send;
    /// What it gets as an answer.
    type Response: Send;

    /// Takes in one event at the time `now`, which never goes back.
    ///
    /// # Errors
    ///
    /// The session has failed, and how. See the contract of [`SyncProtocol`](crate::SyncProtocol) for which error means
    /// what.
    fn handle(&mut self, now: Timestamp, input: Input<'_, Self::Response>) -> Result<(), SyncError>;

    /// The next thing to do, in order.
    #[must_use]
    fn poll(&mut self) -> Option<Output<Self::Topic, Self::Request>>;

    /// When to call `handle` with [`Input::Timeout`] at the latest. Any `handle` may change it. A timeout that has come and
    /// been handled must name a later time, or none, else the caller has no rest.
    #[must_use]
    fn next_timeout(&self) -> Option<Timestamp>;

    /// Whether the machine takes bytes now. While it does not, nothing is read from the peer, and what the peer sends waits
    /// in the transport. True unless the machine says otherwise.
    #[must_use]
    fn wants_input(&self) -> bool {
        true
    }

    /// What to send when nothing else was sent for so long, so that a quiet peer is not taken for a dead one: also while this
    /// side waits for its application or a request, when the machine's time stands still. Nothing unless the machine says
    /// otherwise. That the peer takes it is no sign of life, and is not told to the machine.
    #[must_use]
    fn heartbeat(&self) -> Option<(Duration, Bytes)> {
        None
    }

    /// Whether the session is complete once all outputs are carried out, the last request included. Never becomes false
    /// again. A machine that is done gets no more bytes.
    #[must_use]
    fn is_done(&self) -> bool;
}

/// What happens to a machine.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a, R> {
    /// Bytes came from the peer; at least one.
    Received(&'a [u8]),
    /// The peer took this many bytes of what was sent. A sign of life, no more.
    Sent(usize),
    /// The peer's stream ended. Nothing will be received any more.
    Closed,
    /// The answer to an outstanding request, of whichever kind; the answers say which.
    Response(R),
    /// The time that `next_timeout` named may have come. Harmless if it has not.
    Timeout,
}

/// What a machine wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<T: TopicQuery, Q> {
    /// Send these bytes to the peer, after all that was sent before.
    Send {
        /// The bytes. None at all is harmless.
        bytes: Bytes,
        /// How many data items they carry, for progress reports.
        items: u64,
    },
    /// Hand this to the application, after all that was delivered before.
    Deliver(FromSync<T>),
    /// Ask the surroundings for what is to be sent; the answer comes as [`Input::Response`]. It is carried out once the peer
    /// has taken enough of what was sent before.
    Request(Q),
    /// Let the surroundings work on what was received, whatever waits to be sent; the answer comes as [`Input::Response`].
    Apply(Q),
    /// Wait for something to happen on this side, for as long as it takes; the answer comes as [`Input::Response`]. The
    /// machine's time goes on meanwhile, and a machine that is done leaves it behind.
    Watch(Q),
    /// The peers have caught up, and the session stays open for what is new. For progress and reports.
    Live,
}
