//! Protocols by name, with their types erased.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_core::session::{Session, SessionFailure, SessionReport};
use syncline_core::{SyncProtocol, TopicQuery};

use super::{AcceptedSession, PeerContext, SessionHandler};
use crate::SyncFailure;
use crate::negotiation::ProtocolName;
use crate::transport::BiStream;

/// A protocol for topics `T`, whatever its type.
pub type DynProtocol<T> = dyn for<'a> SyncProtocol<'a, T>;

/// A registered protocol.
pub(crate) trait Service: Send + Sync {
    /// Runs an accepted session.
    fn serve<'s>(
        &'s self,
        accepted: &'s AcceptedSession,
        session: Session,
        stream: &'s mut BiStream,
    ) -> BoxFuture<'s, Result<SessionReport, SessionFailure>>;

    /// Tells the application how a session ended.
    fn ended(&self, accepted: &AcceptedSession, outcome: &Result<SessionReport, SyncFailure>);
}

/// Makes the protocol for a peer.
pub(crate) struct Registered<T, F, H> {
    factory: F,
    handler: H,
    topic: PhantomData<fn() -> T>,
}

impl<T, F, H> Registered<T, F, H>
where
    T: TopicQuery + 'static,
    F: Fn(&PeerContext) -> Arc<DynProtocol<T>> + Send + Sync + 'static,
    H: SessionHandler<T> + 'static,
{
    pub(crate) fn service(factory: F, handler: H) -> Arc<dyn Service> {
        Arc::new(Self { factory, handler, topic: PhantomData })
    }
}

impl<T, F, H> Service for Registered<T, F, H>
where
    T: TopicQuery + 'static,
    F: Fn(&PeerContext) -> Arc<DynProtocol<T>> + Send + Sync,
    H: SessionHandler<T>,
{
    fn serve<'s>(
        &'s self,
        accepted: &'s AcceptedSession,
        session: Session,
        stream: &'s mut BiStream,
    ) -> BoxFuture<'s, Result<SessionReport, SessionFailure>> {
        Box::pin(async move {
            let protocol = (self.factory)(&accepted.peer);
            let mut app_tx = self.handler.start(accepted);
            session.accept(protocol, &mut *stream.tx, &mut *stream.rx, &mut *app_tx).await
        })
    }

    fn ended(&self, accepted: &AcceptedSession, outcome: &Result<SessionReport, SyncFailure>) {
        self.handler.ended(accepted, outcome);
    }
}

/// All protocols of a node.
#[derive(Default)]
pub(crate) struct Registry {
    services: BTreeMap<ProtocolName, Arc<dyn Service>>,
}

impl Registry {
    /// False if the name is taken.
    pub(crate) fn add(&mut self, name: ProtocolName, service: Arc<dyn Service>) -> bool {
        self.services.insert(name, service).is_none()
    }

    pub(crate) fn get(&self, name: &ProtocolName) -> Option<Arc<dyn Service>> {
        self.services.get(name).cloned()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.services.keys()).finish()
    }
}
