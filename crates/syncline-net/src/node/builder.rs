use std::fmt;
use std::sync::Arc;

use syncline_core::{SyncProtocol, TopicQuery};
use tokio::runtime::Handle;

use super::registry::{DynProtocol, Registered, Registry, Service};
use super::shared::Shared;
use super::{Access, Node, NodeLimits, PeerContext, SessionHandler, serve};
use crate::BuildError;
use crate::negotiation::ProtocolName;
use crate::transport::{Connector, Listener};

/// A rule for who may run what.
pub(crate) type AccessRule = Arc<dyn Fn(&PeerContext) -> Access + Send + Sync>;

/// What is to be done when a shutdown begins.
pub(crate) type ShutdownHook = Box<dyn FnOnce() + Send>;

/// Builds a [`Node`].
#[derive(Default)]
pub struct NodeBuilder {
    limits: NodeLimits,
    connector: Option<Arc<dyn Connector>>,
    listeners: Vec<Arc<dyn Listener>>,
    access: Option<AccessRule>,
    services: Vec<(&'static str, Arc<dyn Service>)>,
    shutdown_hooks: Vec<ShutdownHook>,
}

impl NodeBuilder {
    /// Dials and accepts through `endpoint`.
    #[must_use]
    pub fn endpoint<E: Connector + Listener + 'static>(self, endpoint: Arc<E>) -> Self {
        self.connector(Arc::clone(&endpoint) as _).listener(endpoint)
    }

    /// Dials through `connector`, in place of an earlier one.
    #[must_use]
    pub fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connector = Some(connector);
        self
    }

    /// Accepts connections from `listener`, too.
    #[must_use]
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: NodeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets a peer run a protocol only if `access` says so. Without a rule everybody may run what is registered.
    ///
    /// It is asked for each stream, on its task, before anything else is revealed: also about names that nobody
    /// registered. It must be quick and not block. A panic denies.
    ///
    /// Which *topics* a peer may sync is the protocol's affair; see [`register_factory`](Self::register_factory).
    #[must_use]
    pub fn access(mut self, access: impl Fn(&PeerContext) -> Access + Send + Sync + 'static) -> Self {
        self.access = Some(Arc::new(access));
        self
    }

    /// Offers `protocol` to peers under its own name; `handler` takes what its sessions deliver.
    #[must_use]
    pub fn register<T, P>(self, protocol: Arc<P>, handler: impl SessionHandler<T> + 'static) -> Self
    where
        T: TopicQuery + 'static,
        P: for<'a> SyncProtocol<'a, T> + 'static,
    {
        let name = SyncProtocol::<T>::name(&*protocol);
        self.register_factory(name, move |_| Arc::clone(&protocol) as Arc<DynProtocol<T>>, handler)
    }

    /// Offers a protocol of which `factory` makes one per session, knowing who the peer is: for protocols that serve
    /// some topics only to some peers.
    ///
    /// `factory` is called on the session's task and must be quick; a panic fails the session.
    #[must_use]
    pub fn register_factory<T>(
        mut self,
        name: &'static str,
        factory: impl Fn(&PeerContext) -> Arc<DynProtocol<T>> + Send + Sync + 'static,
        handler: impl SessionHandler<T> + 'static,
    ) -> Self
    where
        T: TopicQuery + 'static,
    {
        self.services.push((name, Registered::service(factory, handler)));
        self
    }

    /// Calls `hook` when a [shutdown](Node::shutdown) begins, once nothing new is accepted or started any more.
    ///
    /// It is where to tell a protocol whose sessions stay open to end them in order, which they can do until the
    /// [time for it](NodeLimits::with_shutdown_timeout) is over. It must be quick and not block. A panic is passed over. It is
    /// not called if the last node is dropped without a shutdown.
    #[must_use]
    pub fn on_shutdown(mut self, hook: impl FnOnce() + Send + 'static) -> Self {
        self.shutdown_hooks.push(Box::new(hook));
        self
    }

    /// Starts the node on the tokio runtime that the caller runs in.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn build(self) -> Result<Node, BuildError> {
        self.limits.check()?;
        let mut registry = Registry::default();
        for (name, service) in self.services {
            let checked = ProtocolName::new(name).map_err(|source| BuildError::ProtocolName { name, source })?;
            if !registry.add(checked, service) {
                return Err(BuildError::DuplicateProtocol { name });
            }
        }
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let shared = Shared::new(
            runtime,
            self.limits,
            self.connector,
            self.listeners,
            registry,
            self.access,
            self.shutdown_hooks,
        );
        for listener in &shared.listeners {
            shared.spawn(serve::accept_connections(Arc::clone(&shared), Arc::clone(listener)));
        }
        Ok(Node::new(shared))
    }
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("limits", &self.limits)
            .field("connector", &self.connector)
            .field("listeners", &self.listeners)
            .field("access", &self.access.is_some())
            .field("services", &self.services.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
