//! Syncs that this node starts.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures::{FutureExt, Sink};
use syncline_core::session::{ProgressReceiver, Session, SessionReport};
use syncline_core::{FromSync, SyncError, TopicQuery};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span};

use super::offers::{Offer, Offers};
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
    agreed: Arc<OnceLock<&'static str>>,
    outcome: oneshot::Receiver<Result<SessionReport, SyncFailure>>,
}

/// How a sync ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct SyncOutcome {
    /// The name of the protocol that the peers agreed on; `None` if they did not.
    pub protocol: Option<&'static str>,
    /// What the session came to, or why there was none.
    pub result: Result<SessionReport, SyncFailure>,
}

impl SyncHandle {
    /// Where to watch the session's progress. It stays in its first phase while the connection is made.
    #[must_use]
    pub fn progress(&self) -> ProgressReceiver {
        self.progress.clone()
    }

    /// The name of the protocol that the peers have agreed on; `None` as long as they have not.
    #[must_use]
    pub fn agreed(&self) -> Option<&'static str> {
        self.agreed.get().copied()
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

    /// As [`finished`](Self::finished), and tells which protocol ran: for syncs that had several to
    /// [choose from](super::Node::sync_any).
    ///
    /// # Cancel safety
    ///
    /// As for [`finished`](Self::finished).
    pub async fn outcome(self) -> SyncOutcome {
        let agreed = Arc::clone(&self.agreed);
        let result = self.finished().await;
        SyncOutcome { protocol: agreed.get().copied(), result }
    }
}

/// What to sync with whom.
pub(crate) struct Request<T, A> {
    pub(crate) peer: PeerAddr,
    /// In order of preference.
    pub(crate) protocols: Vec<Arc<DynProtocol<T>>>,
    pub(crate) topic: T,
    pub(crate) app_tx: A,
}

/// Where the task of a sync leaves what the handle tells.
struct Report {
    agreed: Arc<OnceLock<&'static str>>,
    outcome: oneshot::Sender<Result<SessionReport, SyncFailure>>,
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
        let agreed = Arc::default();
        let report = Report { agreed: Arc::clone(&agreed), outcome: tx };
        let handle = SyncHandle { progress, cancel: cancel.clone(), agreed, outcome };
        if shared.stop.is_cancelled() {
            // The receiver is in the handle.
            let _ = report.outcome.send(Err(SyncFailure::ShutDown));
            return handle;
        }
        let span = debug_span!("sync", peer = %self.peer);
        shared.spawn(self.run(Arc::clone(shared), session, cancel, report).instrument(span));
        handle
    }

    async fn run(self, shared: Arc<Shared>, session: Session, cancel: CancellationToken, report: Report) {
        let Report { agreed: agreed_name, outcome } = report;
        let Self { peer, protocols, topic, mut app_tx } = self;
        let agreeing = AssertUnwindSafe(agree(&shared, &peer, protocols)).catch_unwind();
        let agreed = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(cancelled(&shared)),
            agreed = agreeing => agreed.unwrap_or(Err(SyncFailure::Panicked)),
        };
        // The lease keeps the connection from being closed until the stream has ended.
        let Agreed { lease: _lease, mut stream, protocol, name } = match agreed {
            Ok(agreed) => agreed,
            Err(failure) => {
                debug!(error = &failure as &dyn std::error::Error, "no session");
                let _ = outcome.send(Err(failure));
                return;
            }
        };
        debug!(protocol = name, "agreed");
        agreed_name.get_or_init(|| name);
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

/// A stream on which a protocol may run.
struct Agreed<T: TopicQuery> {
    lease: Lease,
    stream: BiStream,
    protocol: Arc<DynProtocol<T>>,
    name: &'static str,
}

/// Connects and agrees on a protocol: the first that the peer knows. A connection that was kept and turns out dead is
/// replaced, once: nothing of the protocol was sent on it.
async fn agree<T: TopicQuery + 'static>(
    shared: &Arc<Shared>,
    peer: &PeerAddr,
    protocols: Vec<Arc<DynProtocol<T>>>,
) -> Result<Agreed<T>, SyncFailure> {
    let mut offers = Offers::new(protocols.into_iter().map(|protocol| (protocol.name(), protocol)))?;
    let mut dialled_again = false;
    // Held until the next lease is there, so that the connection is kept.
    let mut before = None;
    loop {
        let lease = Pool::lease(shared, peer).await?;
        drop(before.take());
        let Offer { name, protocol } = offers.current(&lease.unknown)?.clone();
        let failure = match open_and_offer(shared, &lease, &name).await {
            Ok(stream) => return Ok(Agreed { lease, stream, name: protocol.name(), protocol }),
            Err(failure) => failure,
        };
        if failure.is_unknown_protocol() && offers.go_on(&lease.unknown) {
            debug!(refused = %name, "the peer does not know the protocol, offering the next");
            before = Some(lease);
            continue;
        }
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
