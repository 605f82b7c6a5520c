//! What all tasks of a node share.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use syncline_core::session::Session;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::builder::{AccessRule, ShutdownHook};
use super::pool::Pool;
use super::quota::Quota;
use super::registry::Registry;
use super::{NodeLimits, SessionId};
use crate::TokioTimer;
use crate::transport::{Connector, Listener};

pub(crate) struct Shared {
    runtime: Handle,
    pub(crate) limits: NodeLimits,
    pub(crate) connector: Option<Arc<dyn Connector>>,
    pub(crate) listeners: Vec<Arc<dyn Listener>>,
    pub(crate) registry: Registry,
    pub(crate) access: Option<AccessRule>,
    pub(crate) connections: Quota,
    pub(crate) sessions: Quota,
    pub(crate) pool: Pool,
    /// Nothing new begins.
    pub(crate) stop: CancellationToken,
    /// What runs breaks off.
    pub(crate) abort: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Sessions that were broken off by a shutdown.
    pub(crate) cut_off: AtomicUsize,
    timer: Arc<TokioTimer>,
    next_session: AtomicU64,
    shutdown_hooks: Mutex<Vec<ShutdownHook>>,
}

impl Shared {
    pub(crate) fn new(
        runtime: Handle,
        limits: NodeLimits,
        connector: Option<Arc<dyn Connector>>,
        listeners: Vec<Arc<dyn Listener>>,
        registry: Registry,
        access: Option<AccessRule>,
        shutdown_hooks: Vec<ShutdownHook>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            connections: Quota::new(limits.connections_max, limits.connections_per_peer_max),
            sessions: Quota::new(limits.sessions_max, limits.sessions_per_peer_max),
            limits,
            connector,
            listeners,
            registry,
            access,
            pool: Pool::default(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
            cut_off: AtomicUsize::new(0),
            timer: Arc::new(TokioTimer::new()),
            next_session: AtomicU64::new(1),
            shutdown_hooks: Mutex::new(shutdown_hooks),
        })
    }

    /// Spawns a task that the shutdown waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn_on(task, &self.runtime));
    }

    /// Tells those who wanted to know that a shutdown has begun. Only the first call does anything.
    pub(crate) fn run_shutdown_hooks(&self) {
        let hooks = std::mem::take(&mut *self.shutdown_hooks.lock().unwrap_or_else(PoisonError::into_inner));
        for hook in hooks {
            if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                debug!("a shutdown hook panicked");
            }
        }
    }

    pub(crate) fn session(&self) -> Session {
        Session::new(Arc::clone(&self.timer) as _, self.limits.session.clone())
    }

    pub(crate) fn next_session_id(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("limits", &self.limits)
            .field("connector", &self.connector)
            .field("listeners", &self.listeners)
            .field("registry", &self.registry)
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}
