//! Waits for a session of a [`Node`](syncline_net::Node), and cancels it when nobody waits any more.

use syncline_core::session::SessionReport;
use syncline_net::{SyncFailure, SyncHandle};

/// Cancels a session that nobody waits for any more, unless it is to stay.
struct Waiting<F: Fn() -> bool> {
    handle: Option<SyncHandle>,
    stays: F,
}

impl<F: Fn() -> bool> Drop for Waiting<F> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle
            && !(self.stays)()
        {
            handle.cancel();
        }
    }
}

/// Waits for the end of a session.
///
/// # Cancel safety
///
/// Dropping the future cancels the session, unless `stays` says that it is to go on.
pub(crate) async fn finished(handle: SyncHandle, stays: impl Fn() -> bool) -> Result<SessionReport, SyncFailure> {
    let mut progress = handle.progress();
    let mut waiting = Waiting { handle: Some(handle), stays };
    while progress.changed().await.is_some() {}
    // The session is over; what is left is that its last bytes arrive.
    let handle = waiting.handle.take().ok_or(SyncFailure::Cancelled)?;
    handle.finished().await
}
