//! How much a session and a client hold, and for how long.

use std::sync::Arc;
use std::time::Duration;

use syncline_crypto::{Ed25519, Verifier};
use syncline_storage::{Blocking, Inline};

use crate::authority::AuthorityLimits;

/// Limits of a session, of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchLimits {
    /// Subscriptions of one session. A server ends a session that has more, a client leaves what is more to its other
    /// connections. 4 096 by default.
    pub subscriptions: usize,
    /// Keys that are read from the tree at a time for one subscription, 64 by default. A page of them with values as long as the
    /// tree allows is what a slow client costs in values.
    pub page_keys: usize,
    /// Changed keys that the server remembers for all subscriptions of a session that are for what is below a path. With more,
    /// the set is sent anew, once, instead. 4 096 by default.
    pub behind_keys: usize,
    /// Grants that a client may name in a session. The server ends a session that names more. 65 536 by default.
    pub known_grants: usize,
    /// Bytes of the longest message from a client. 64 KiB by default.
    pub request_len: usize,
    /// Time until the peers must have agreed on the namespace. 10 s by default.
    pub handshake: Duration,
    /// The longest time in which a peer neither sends nor takes anything. 60 s by default.
    pub idle: Duration,
    /// After how long a silence a peer is told that this side is there. 20 s by default.
    pub keep_alive: Duration,
    /// How often the server looks at what no change tells it of: its own freshness, its quarantine, and whether grants to read
    /// have run out. 10 s by default.
    pub refresh: Duration,
    /// Bytes that may wait to be sent before more is read from the tree. 64 KiB by default.
    pub window: usize,
}

impl Default for WatchLimits {
    fn default() -> Self {
        Self {
            subscriptions: 4_096,
            page_keys: 64,
            behind_keys: 4_096,
            known_grants: 65_536,
            request_len: 64 << 10,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(20),
            refresh: Duration::from_secs(10),
            window: 64 << 10,
        }
    }
}

/// How a [`Client`](super::Client) behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// For how long a value is kept up to date that nobody subscribes to any more. 10 s by default.
    pub cull_after: Duration,
    /// For how long a server that knows less than this client may be behind: as long [`Pending`](super::Dirtiness::Pending) is
    /// said. After that an older value of the server is taken for a sign that it is [`Stale`](super::Dirtiness::Stale), and its
    /// word that there is none is taken. 30 s by default.
    pub catch_up: Duration,
    /// Values are [`Stale`](super::Dirtiness::Stale) if the server's last complete sync began longer ago, or it never had one.
    /// None by default: a server that is the only one never syncs.
    pub fresh_within: Option<Duration>,
    /// Keys of one set that is watched below a path. A set with more is [`TooLarge`](super::Dirtiness::TooLarge). 100 000 by
    /// default.
    pub set_keys: usize,
    /// Grants, revocations and rotations that are remembered to check values by. A session with a server that tells of more ends.
    pub authority: AuthorityLimits,
    /// Limits of sessions. Those that are about reading from a tree mean nothing here.
    pub session: WatchLimits,
    /// Checks signatures. Another one is for simulations.
    pub verifier: Arc<dyn Verifier>,
    /// Where signatures are checked; on the session's task by default.
    pub blocking: Arc<dyn Blocking>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            cull_after: Duration::from_secs(10),
            catch_up: Duration::from_secs(30),
            fresh_within: None,
            set_keys: 100_000,
            authority: AuthorityLimits::default(),
            session: WatchLimits::default(),
            verifier: Arc::new(Ed25519),
            blocking: Arc::new(Inline),
        }
    }
}
