//! Subscriptions: a [`WatchServer`] tells what there is in a tree and what changes; a [`Client`] keeps what it subscribed to, across
//! connections and servers, and believes no value whose signature and chain of grants it has not checked.
//!
//! What is proven, and what is a server's word:
//!
//! | what a client shows | rests on |
//! |---|---|
//! | a value | the author's signature, and grants up to the namespace's roots, all checked by the client |
//! | that a deleted key is absent | the same |
//! | that a key never had a value, or that its deletion was forgotten | the server's word |
//! | that a value is the latest one | the server's word; a value that the client knows to be older is never shown as newer |
//! | that a grant still counts | what all servers of this client have told; a revocation is proven, that there is none is not |
//! | freshness, quarantine | the server's word |
//!
//! `docs/spec/kv-watch.md` has the messages, byte by byte.

mod connection;
mod core;
mod key;
mod limits;
mod prefix;
mod server;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use syncline_core::TopicQuery;
use syncline_core::clock::Timer;

use crate::item::{Namespace, NamespaceId};
use crate::path::{Key, KeyError, KeyFilter, Subtree};

pub use connection::Connection;
pub use key::{KeySubscription, Observed};
pub use limits::{ClientConfig, WatchLimits};
pub use prefix::{PrefixSubscription, SetEvent, SetEvents};
pub use server::WatchServer;
pub use state::{Dirtiness, State, Value};

use self::core::ClientCore;
use shared::Shared;
use wire::Scope;

/// What a session of `syncline-kv-watch/1` is about: a whole namespace. What is watched in it is said within the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a namespace is all there is to it")]
pub struct WatchQuery {
    /// The namespace.
    pub namespace: NamespaceId,
}

impl TopicQuery for WatchQuery {}

/// Keeps values up to date that an application subscribes to. Clones are the same client.
///
/// It spawns nothing and opens no connection: the application runs [`connection`](Self::connection)s over streams to servers,
/// and [`drive`](Self::drive) beside them, on whatever runtime it has. It needs no tree and no database.
///
/// - A value is shown when its signature and the grants behind it were checked here, and is kept while there is no connection, with
///   its [`Dirtiness`] telling so.
/// - All subscriptions to a key share one at a server. When the last one ends, the value is kept up to date for
///   [`ClientConfig::cull_after`], in case somebody comes back, and then forgotten.
/// - Several connections may be open. The first server that answers serves; when it is lost, the next takes over, and what is
///   known stays. A server that knows less than the client does not make it forget: see [`Dirtiness::Pending`] and
///   [`Dirtiness::Stale`].
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use futures::executor::block_on;
/// use syncline_core::clock::{ManualClock, Timestamp};
/// use syncline_crypto::SigningKey;
/// use syncline_kv::Namespace;
/// use syncline_kv::client::{Client, ClientConfig, Dirtiness, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = SigningKey::from_bytes(&[7; 32]).public_key();
/// let namespace = Namespace::new("config", [root])?;
/// let timer = Arc::new(ManualClock::new(Timestamp::ZERO));
/// let client = Client::new(namespace, ClientConfig::default(), timer);
///
/// let subscription = client.subscribe_key("/my/key/state")?;
/// assert_eq!(subscription.value(), Value::Unknown);
/// assert_eq!(subscription.dirtiness(), Dirtiness::Disconnected);
/// // Run `client.drive()`, and `client.connection()` as a protocol over a stream to a `WatchServer`.
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// A client for one namespace. The timer may be any that does not go back; it need not tell wall time.
    #[must_use]
    pub fn new(namespace: Namespace, config: ClientConfig, timer: Arc<dyn Timer>) -> Self {
        let (verifier, blocking) = (Arc::clone(&config.verifier), Arc::clone(&config.blocking));
        let limits = config.session.clone();
        let core = ClientCore::new(namespace, config);
        Self { shared: Arc::new(Shared::new(core, timer, verifier, blocking, limits)) }
    }

    /// A protocol that connects this client to a server, to be initiated over a stream to one with [`query`](Self::query).
    #[must_use]
    pub fn connection(&self) -> Arc<Connection> {
        Arc::new(Connection::new(Arc::clone(&self.shared)))
    }

    /// What to initiate connections with.
    #[must_use]
    pub fn query(&self) -> WatchQuery {
        WatchQuery { namespace: self.shared.read(|core| core.namespace().id()) }
    }

    /// Subscribes to a key.
    ///
    /// # Errors
    ///
    /// The text is not a key.
    pub fn subscribe_key(&self, key: &str) -> Result<KeySubscription, KeyError> {
        Key::new(key).map(|key| self.subscribe(key))
    }

    /// Subscribes to a key. If the client is closed, the subscription has ended from the beginning.
    #[must_use]
    pub fn subscribe(&self, key: Key) -> KeySubscription {
        let id = self.shared.with(|core, now| core.subscribe(now, &Scope::Key(key.clone())));
        KeySubscription::new(&self.shared, id, key)
    }

    /// Subscribes to what is below a path and passes a filter. If the client is closed, the subscription has ended from the beginning.
    #[must_use]
    pub fn subscribe_prefix(&self, subtree: Subtree, filter: KeyFilter) -> PrefixSubscription {
        let id = self.shared.with(|core, now| core.subscribe(now, &Scope::Below(subtree.clone())));
        PrefixSubscription::new(&self.shared, id, subtree, filter)
    }

    /// The keys that are kept up to date, in order: those that are subscribed to, and those that were until just now.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let key = |scope: &Scope| if let Scope::Key(key) = scope { Some(key.clone()) } else { None };
        self.shared.read(|core| core.scopes().filter_map(key).collect())
    }

    /// The paths below which everything is kept up to date, in order.
    #[must_use]
    pub fn subtrees(&self) -> Vec<Subtree> {
        let subtree = |scope: &Scope| if let Scope::Below(subtree) = scope { Some(subtree.clone()) } else { None };
        self.shared.read(|core| core.scopes().filter_map(subtree).collect())
    }

    /// Does what is due by time: forgets what nobody subscribes to, and lets values become stale. Run one for each client;
    /// without it that happens when something else does. Completes when the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn drive(&self) {
        let mut sleep = None;
        poll_fn(|cx| self.shared.poll_drive(&mut sleep, cx)).await;
    }

    /// Ends all subscriptions and their streams, and all connections in order. For ever, and for all clones.
    pub fn close(&self) {
        self.shared.with(|core, _| core.close());
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("keys", &self.keys().len()).finish_non_exhaustive()
    }
}
