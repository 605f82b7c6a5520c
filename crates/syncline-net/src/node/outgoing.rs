//! Syncs that this node starts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::{FutureExt, Sink};
use syncline_core::session::{ProgressReceiver, Session, SessionReport};
use syncline_core::{FromSync, SyncError, TopicQuery};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span};

use super::pool::{Lease, Pool};
use super::serve::{ended_by_protocol, settle};
use super::shared::Shared;
use super::{DynProtocol, closing};
use crate::negotiation::{self, NegotiationError, ProtocolName};
use crate::transport::BiStream;
use crate::{PeerAddr, SyncFailure, TransportError};

/// A sync that was started.
///
/// Dropping the handle lets the sync run on.
#[derive(Debug)]
pub struct SyncHandle {
    progress: ProgressReceiver,
    cancel: CancellationToken,
    outcome: oneshot::Receiver<Result<SessionReport, SyncFailure>>,
}

impl SyncHandle {
    /// Where to watch the session's progress. It stays in its first phase while the connection is made.
    #[must_use]
    pub fn progress(&self) -> ProgressReceiver {
        self.progress.clone()
    }

    /// Ends the sync early, wherever it stands. Harmless if it has ended.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    pub(crate) fn canceller(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Waits for the end. What this side sent last has then reached the peer, as far as the transport can tell within
    /// the [close timeout](super::NodeLimits::with_close_timeout).
    ///
    /// # Errors
    ///
    /// [`SyncFailure`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future lets the sync run on; its outcome is lost.
    pub async fn finished(self) -> Result<SessionReport, SyncFailure> {
        // The sender is dropped without a word only if the task did not end in order.
        self.outcome.await.unwrap_or(Err(SyncFailure::Panicked))
    }
}

/// What to sync with whom.
pub(crate) struct Request<T, A> {
    pub(crate) peer: PeerAddr,
    pub(crate) protocol: Arc<DynProtocol<T>>,
    pub(crate) topic: T,
    pub(crate) app_tx: A,
}

impl<T, A> Request<T, A>
where
    T: TopicQuery + 'static,
    A: Sink<FromSync<T>, Error = SyncError> + Send + Unpin + 'static,
{
    /// Starts the sync on a task of its own.
    pub(crate) fn start(self, shared: &Arc<Shared>) -> SyncHandle {
        let session = shared.session();
        let progress = session.progress();
        let cancel = shared.abort.child_token();
        let (tx, outcome) = oneshot::channel();
        let handle = SyncHandle { progress, cancel: cancel.clone(), outcome };
        if shared.stop.is_cancelled() {
            // The receiver is in the handle.
            let _ = tx.send(Err(SyncFailure::ShutDown));
            return handle;
        }
        let span = debug_span!("sync", peer = %self.peer, protocol = self.protocol.name());
        shared.spawn(self.run(Arc::clone(shared), session, cancel, tx).instrument(span));
        handle
    }

    async fn run(
        self,
        shared: Arc<Shared>,
        session: Session,
        cancel: CancellationToken,
        outcome: oneshot::Sender<Result<SessionReport, SyncFailure>>,
    ) {
        let Self { peer, protocol, topic, mut app_tx } = self;
        let agreeing = AssertUnwindSafe(agree(&shared, &peer, protocol.name())).catch_unwind();
        let agreed = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(cancelled(&shared)),
            agreed = agreeing => agreed.unwrap_or(Err(SyncFailure::Panicked)),
        };
        // The lease keeps the connection from being closed until the stream has ended.
        let (_lease, mut stream) = match agreed {
            Ok(agreed) => agreed,
            Err(failure) => {
                debug!(error = &failure as &dyn std::error::Error, "no session");
                let _ = outcome.send(Err(failure));
                return;
            }
        };
        let handle = session.cancel_handle();
        let result = {
            let run = session.initiate(protocol, topic, &mut *stream.tx, &mut *stream.rx, &mut app_tx);
            let run = AssertUnwindSafe(run).catch_unwind();
            let cancelling = async {
                cancel.cancelled().await;
                handle.cancel();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                result = settle(&shared, run, || handle.cancel()) => result,
                () = cancelling => Err(SyncFailure::Cancelled),
            }
        };
        drop(app_tx);
        debug!(success = result.is_ok(), "session ended");
        let ends_in_order = ended_by_protocol(&result);
        if ends_in_order {
            tokio::select! {
                () = closing::finish(&mut stream, shared.limits.close_timeout) => {}
                () = shared.abort.cancelled() => {}
            }
        }
        let _ = outcome.send(result);
        if ends_in_order {
            tokio::select! {
                () = closing::linger(stream, shared.limits.close_timeout) => {}
                () = shared.abort.cancelled() => {}
            }
        }
    }
}

fn cancelled(shared: &Shared) -> SyncFailure {
    if shared.abort.is_cancelled() { SyncFailure::ShutDown } else { SyncFailure::Cancelled }
}

/// Connects and agrees on the protocol. A connection that was kept and turns out dead is replaced, once: nothing of the
/// protocol was sent on it.
async fn agree(shared: &Arc<Shared>, peer: &PeerAddr, name: &'static str) -> Result<(Lease, BiStream), SyncFailure> {
    let name = ProtocolName::new(name)?;
    let mut dialled_again = false;
    loop {
        let lease = Pool::lease(shared, peer).await?;
        let failure = match open_and_offer(shared, &lease, &name).await {
            Ok(stream) => return Ok((lease, stream)),
            Err(failure) => failure,
        };
        let is_dead = match &failure {
            SyncFailure::Transport(_) => true,
            SyncFailure::Negotiation(err) => err.is_dead_stream(),
            _ => false,
        };
        let was_kept = lease.was_kept;
        if is_dead {
            shared.pool.discard(peer, lease);
        }
        if !is_dead || !was_kept || dialled_again {
            return Err(failure);
        }
        dialled_again = true;
        debug!("the kept connection is dead, dialling again");
    }
}

async fn open_and_offer(shared: &Shared, lease: &Lease, name: &ProtocolName) -> Result<BiStream, SyncFailure> {
    let after = shared.limits.negotiation_timeout;
    let negotiating = async {
        let mut stream = lease.connection.open().await?;
        negotiation::offer(&mut *stream.tx, &mut *stream.rx, name).await?;
        Ok::<_, SyncFailure>(stream)
    };
    let failure = match timeout(after, negotiating).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(failure)) => failure,
        Err(_) => NegotiationError::TimedOut { after }.into(),
    };
    // A dialler's handshake is complete before the peer has judged its key: the refusal comes afterwards.
    match lease.connection.error() {
        Some(refused @ TransportError::Refused) => Err(refused.into()),
        _ => Err(failure),
    }
}
