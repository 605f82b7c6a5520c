use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt, Shared};

/// Ends live sessions in order.
///
/// Dropping it ends nothing.
#[derive(Clone)]
pub struct FinishHandle(Arc<Mutex<Option<oneshot::Sender<()>>>>);

/// Becomes true when sessions are to finish, and false if that will never be asked for.
pub(super) type Finished = Shared<BoxFuture<'static, bool>>;

impl FinishHandle {
    pub(super) fn new() -> (Self, Finished) {
        let (sender, receiver) = oneshot::channel();
        let finished = receiver.map(|result| result.is_ok()).boxed().shared();
        (Self(Arc::new(Mutex::new(Some(sender)))), finished)
    }

    /// Has all live sessions that this handle is for send what is left, and end once both sides have everything. Sessions
    /// that start later do not go live at all. Returns at once.
    pub fn finish(&self) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody may be left to hear it.
            let _ = sender.send(());
        }
    }
}

impl fmt::Debug for FinishHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FinishHandle")
    }
}
