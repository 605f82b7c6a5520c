use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use futures::task::AtomicWaker;

/// Ends a session early, from anywhere. Clones belong to the same session.
#[derive(Clone, Debug)]
pub struct CancelHandle {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    cancelled: AtomicBool,
    waker: AtomicWaker,
}

impl CancelHandle {
    pub(super) fn new() -> Self {
        Self { state: Arc::new(State { cancelled: AtomicBool::new(false), waker: AtomicWaker::new() }) }
    }

    /// Ends the session as soon as it is polled next. Harmless if it has ended, and when called again.
    pub fn cancel(&self) {
        self.state.cancelled.store(true, Ordering::Release);
        self.state.waker.wake();
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.cancelled.load(Ordering::Acquire)
    }

    /// Whether the session is cancelled; if not, wakes the task when it is.
    pub(super) fn poll_cancelled(&self, cx: &Context<'_>) -> bool {
        self.state.waker.register(cx.waker());
        self.is_cancelled()
    }
}
