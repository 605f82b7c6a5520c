//! Connects a machine to streams, an application, a timer and its surroundings.

use std::future::poll_fn;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, Sink};

use super::Machine;
use super::driver::Driver;
use crate::clock::Timer;
use crate::{FromSync, SyncError};

/// Answers a machine's requests: usually by a store.
pub trait Perform<Q, R>: Send + Sync {
    /// Carries out one request.
    ///
    /// A failure is part of the response; the machine decides what it means.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the session is.
    fn perform(&self, request: Q) -> BoxFuture<'_, R>;
}

/// How to drive a machine.
#[derive(Clone, Debug)]
pub struct Drive {
    pub(super) timer: Option<Arc<dyn Timer>>,
    pub(super) window: usize,
}

impl Drive {
    /// Without deadlines, with a window and a read buffer of 64 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self { timer: None, window: 64 << 10 }
    }

    /// Keeps the machine's deadlines by this timer. Without one the machine's time stands still.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = Some(timer);
        self
    }

    /// How many bytes may wait to be sent before a further request of the machine is carried out. Memory on the sending
    /// side is this plus one response.
    #[must_use]
    pub fn with_window(mut self, bytes: usize) -> Self {
        self.window = bytes.max(1);
        self
    }
}

impl Default for Drive {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a machine to its end over the streams.
///
/// - Reading, writing, delivering and one request go on concurrently in one future; nothing is spawned.
/// - Nothing is read from the peer while the application has not taken what was delivered, so a slow application stalls
///   the peer and loses nothing.
/// - The machine's time stands still while this side waits for the application or for a request: such a wait is not the
///   peer's fault and trips no deadline.
/// - `tx` is flushed whenever all that was to be sent is written, `app_tx` whenever nothing else is left to do, and both at
///   the end.
/// - Once the machine is done, nothing more is read. What had come in the same chunk as the last message is lost.
/// - After some rounds of work in one poll other tasks get their turn, also when the peer always has more.
///
/// Memory: what is not sent yet, which is the [window](Drive::with_window), the answer to one request and whatever the
/// machine sends by itself; what one chunk of 64 KiB from the peer makes the machine deliver; and that chunk.
///
/// # Errors
///
/// What the machine returns; the streams' errors, all of them as [`SyncError::UnexpectedBehaviour`]; the application's errors
/// as they are. All that the machine had delivered before an error reaches the application first, unless it is the
/// application that failed. What is not sent by then is not sent any more.
///
/// [`SyncError::Critical`] if the machine breaks its contract: asks twice, or waits for nothing.
///
/// # Cancel safety
///
/// Dropping the future ends the session. Items that the application took stay delivered.
pub async fn drive<M, P>(
    machine: &mut M,
    surroundings: &P,
    how: &Drive,
    tx: &mut (dyn AsyncWrite + Send + Unpin),
    rx: &mut (dyn AsyncRead + Send + Unpin),
    app_tx: &mut (dyn Sink<FromSync<M::Topic>, Error = SyncError> + Send + Unpin),
) -> Result<(), SyncError>
where
    M: Machine,
    P: Perform<M::Request, M::Response>,
{
    let mut driver = Driver::new(machine, surroundings, how, tx, rx, app_tx);
    poll_fn(|cx| driver.poll(cx)).await
}
