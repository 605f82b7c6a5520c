//! The accepting side: connections, their streams, and the sessions on them.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use syncline_core::session::{FailureCause, SessionFailure, SessionReport};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{Instrument, debug, debug_span};

use super::quota::Place;
use super::registry::Service;
use super::shared::Shared;
use super::usage::Usage;
use super::{AcceptedSession, Access, PeerContext, closing};
use crate::negotiation::{self, NegotiationError, ProtocolName, RefuseReason};
use crate::transport::{BiStream, Connection, Incoming, Listener};
use crate::{Identity, SyncFailure, TransportError};

/// How long a listener rests after an error, as when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the node stops.
pub(crate) async fn accept_connections(shared: Arc<Shared>, listener: Arc<dyn Listener>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(incoming) => match shared.connections.take() {
                Some(place) => {
                    let task = serve_connection(Arc::clone(&shared), incoming, place);
                    shared.spawn(task.instrument(debug_span!("connection")));
                }
                None => debug!("connection refused: no place left"),
            },
            Err(TransportError::Closed) => break,
            Err(err) => {
                debug!(error = &err as &dyn std::error::Error, "listener failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    listener.stop();
}

/// Runs one accepted connection from its handshake to its end.
async fn serve_connection(shared: Arc<Shared>, incoming: Incoming, mut place: Place) {
    let established = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return,
        established = timeout(shared.limits.handshake_timeout, incoming.establish()) => established,
    };
    let connection = match established {
        Ok(Ok(connection)) => connection,
        Ok(Err(err)) => return debug!(error = &err as &dyn std::error::Error, "handshake failed"),
        Err(_) => return debug!("handshake took too long"),
    };
    let remote = connection.remote();
    if place.assign(remote) {
        accept_streams(&shared, &*connection, remote).await;
    } else {
        debug!(%remote, "connection refused: the peer has its share");
    }
    connection.close();
}

/// Accepts streams and returns when all that were accepted have ended.
async fn accept_streams(shared: &Arc<Shared>, connection: &dyn Connection, remote: Identity) {
    let usage = Usage::new();
    let streams = Arc::new(Semaphore::new(shared.limits.streams_per_connection_max));
    loop {
        let next = async {
            // A peer that opens more than its share waits: its stream is not accepted before one ends.
            let permit = Arc::clone(&streams).acquire_owned().await;
            (permit, connection.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            next = next => next,
            () = usage.unused_for(shared.limits.connection_idle) => break,
        };
        // The semaphore is never closed.
        let (Ok(permit), Ok(stream)) = (permit, accepted) else { break };
        let in_use = usage.begin();
        let task = serve_stream(Arc::clone(shared), remote, stream);
        shared.spawn(
            async move {
                task.await;
                drop((in_use, permit));
            }
            .instrument(debug_span!("stream", %remote)),
        );
    }
    usage.unused_for(Duration::ZERO).await;
}

/// Runs one stream, whatever its peer and the application's code do.
async fn serve_stream(shared: Arc<Shared>, remote: Identity, stream: BiStream) {
    let abort = shared.abort.clone();
    let serving = AssertUnwindSafe(negotiate_and_serve(shared, remote, stream)).catch_unwind();
    tokio::select! {
        biased;
        served = serving => if served.is_err() {
            debug!("the transport's code panicked");
        },
        // A session sees the abort by itself and ends first; this ends all the rest.
        () = async { abort.cancelled().await; tokio::task::yield_now().await } => {}
    }
}

async fn negotiate_and_serve(shared: Arc<Shared>, remote: Identity, mut stream: BiStream) {
    let limits = &shared.limits;
    let offer = tokio::select! {
        biased;
        // Who has not said what it wants is not waited for.
        () = shared.stop.cancelled() => return,
        offer = timeout(limits.negotiation_timeout, negotiation::read_offer(&mut *stream.rx)) => offer,
    };
    let decision = match offer {
        Ok(Ok(name)) => decide(&shared, remote, name),
        Ok(Err(NegotiationError::Version { .. })) => Err(RefuseReason::Version),
        Ok(Err(NegotiationError::Name(_))) => Err(RefuseReason::Malformed),
        // Nobody there, or nobody who would understand an answer.
        Ok(Err(err)) => return debug!(error = &err as &dyn std::error::Error, "no offer"),
        Err(_) => return debug!("no offer in time"),
    };
    let answer = decision.as_ref().map(|_| ()).map_err(|reason| *reason);
    match timeout(limits.negotiation_timeout, negotiation::write_answer(&mut *stream.tx, answer)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => return debug!("answer could not be sent"),
    }
    match decision {
        Ok(granted) => granted.run(&shared, stream).await,
        Err(reason) => {
            debug!(%reason, "stream refused");
            end(&shared, stream).await;
        }
    }
}

/// A session that may run.
struct Granted {
    service: Arc<dyn Service>,
    peer: PeerContext,
    _place: Place,
}

fn decide(shared: &Shared, remote: Identity, protocol: ProtocolName) -> Result<Granted, RefuseReason> {
    let peer = PeerContext::new(remote, protocol);
    if let Some(access) = &shared.access {
        let verdict = std::panic::catch_unwind(AssertUnwindSafe(|| access(&peer)));
        if !matches!(verdict, Ok(Access::Allow)) {
            return Err(RefuseReason::Forbidden);
        }
    }
    let service = shared.registry.get(&peer.protocol).ok_or(RefuseReason::UnknownProtocol)?;
    if shared.stop.is_cancelled() {
        return Err(RefuseReason::Busy);
    }
    let place = shared.sessions.take_for(remote).ok_or(RefuseReason::Busy)?;
    Ok(Granted { service, peer, _place: place })
}

impl Granted {
    async fn run(self, shared: &Shared, mut stream: BiStream) {
        let session = shared.session();
        let accepted = AcceptedSession {
            id: shared.next_session_id(),
            peer: self.peer,
            progress: session.progress(),
            cancel: session.cancel_handle(),
        };
        let span = debug_span!("session", id = %accepted.id, protocol = %accepted.peer.protocol);
        let outcome = {
            let run = self.service.serve(&accepted, session, &mut stream).instrument(span.clone());
            let run = AssertUnwindSafe(run).catch_unwind();
            let cancel = || accepted.cancel.cancel();
            settle(shared, run, cancel).await
        };
        span.in_scope(|| {
            debug!(success = outcome.is_ok(), "session ended");
            let ended = AssertUnwindSafe(|| self.service.ended(&accepted, &outcome));
            if std::panic::catch_unwind(ended).is_err() {
                debug!("the handler panicked when told of the end");
            }
        });
        if ended_by_protocol(&outcome) {
            end(shared, stream).await;
        }
    }
}

/// Waits for a session, and cancels it when the node aborts.
pub(crate) async fn settle<P>(
    shared: &Shared,
    run: impl Future<Output = Result<Result<SessionReport, SessionFailure>, P>>,
    cancel: impl FnOnce(),
) -> Result<SessionReport, SyncFailure> {
    let mut run = pin!(run);
    let outcome = tokio::select! {
        biased;
        outcome = &mut run => outcome,
        () = shared.abort.cancelled() => {
            shared.cut_off.fetch_add(1, Ordering::Relaxed);
            cancel();
            run.await
        }
    };
    match outcome {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(failure)) => Err(failure.into()),
        Err(_) => Err(SyncFailure::Panicked),
    }
}

/// Whether the protocol itself ended the session, well or badly, so that its last bytes are meant for the peer. A session
/// that was cut off resets its stream instead.
pub(crate) fn ended_by_protocol(outcome: &Result<SessionReport, SyncFailure>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(SyncFailure::Session(failure)) => matches!(failure.cause, FailureCause::Protocol(_)),
        Err(_) => false,
    }
}

/// Ends a stream in order.
async fn end(shared: &Shared, mut stream: BiStream) {
    closing::finish(&mut stream, shared.limits.close_timeout).await;
    closing::linger(stream, shared.limits.close_timeout).await;
}
