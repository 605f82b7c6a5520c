#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};

/// Clocks, CBOR framing, sessions, and protocols without I/O.
#[doc(inline)]
pub use syncline_core as core;

/// Hashes, keys, signatures, signers.
#[cfg(feature = "crypto")]
#[cfg_attr(docsrs, doc(cfg(feature = "crypto")))]
#[doc(inline)]
pub use syncline_crypto as crypto;

/// An ordered key-value database with atomic batches.
#[cfg(feature = "storage")]
#[cfg_attr(docsrs, doc(cfg(feature = "storage")))]
#[doc(inline)]
pub use syncline_storage as storage;

/// What two sets have that the other lacks: set reconciliation, without I/O.
#[cfg(feature = "reconcile")]
#[cfg_attr(docsrs, doc(cfg(feature = "reconcile")))]
#[doc(inline)]
pub use syncline_reconcile as reconcile;

/// Signed append-only logs, their stores and their sync.
#[cfg(feature = "log")]
#[cfg_attr(docsrs, doc(cfg(feature = "log")))]
#[doc(inline)]
pub use syncline_log as log;

/// The signed key/value tree: grants, revocations, its sync, gossip and subscriptions.
#[cfg(feature = "kv")]
#[cfg_attr(docsrs, doc(cfg(feature = "kv")))]
#[doc(inline)]
pub use syncline_kv as kv;

/// Replicas of the key/value tree on real sockets: members, messages, sessions.
#[cfg(feature = "gossip")]
#[cfg_attr(docsrs, doc(cfg(feature = "gossip")))]
#[doc(inline)]
pub use syncline_gossip as gossip;

/// Transports, and the node that offers protocols to peers.
#[cfg(feature = "net")]
#[cfg_attr(docsrs, doc(cfg(feature = "net")))]
#[doc(inline)]
pub use syncline_net as net;

/// How to write one's own topic map, store, database, transport or protocol.
#[cfg(all(doc, not(doctest)))]
#[allow(rustdoc::broken_intra_doc_links, reason = "pages that are also read as files")]
pub mod guide {
    #![doc = include_str!("../guide/README.md")]

    /// Topics.
    pub mod topic_map {
        #![doc = include_str!("../guide/topic_map.md")]
    }
    /// Protocols.
    pub mod protocol {
        #![doc = include_str!("../guide/protocol.md")]
    }
    /// Syncing logs.
    pub mod log_sync {
        #![doc = include_str!("../guide/log-sync.md")]
    }
    /// Log stores.
    pub mod store {
        #![doc = include_str!("../guide/store.md")]
    }
    /// Databases.
    pub mod database {
        #![doc = include_str!("../guide/database.md")]
    }
    /// Simulation.
    pub mod simulate {
        #![doc = include_str!("../guide/simulate.md")]
    }
    /// Transports.
    pub mod transport {
        #![doc = include_str!("../guide/transport.md")]
    }
    /// The key/value tree from a shell.
    pub mod kv_cli {
        #![doc = include_str!("../guide/kv-cli.md")]
    }
    /// Who else is there.
    pub mod kv_membership {
        #![doc = include_str!("../guide/kv-membership.md")]
    }
    /// A chat.
    pub mod chat {
        #![doc = include_str!("../guide/chat.md")]
    }
}

/// The pages of the guide that need more than one crate, so that their code is compiled and run.
#[cfg(all(doctest, feature = "gossip"))]
mod pages {
    #[doc = include_str!("../guide/kv-membership.md")]
    struct Membership;
}
