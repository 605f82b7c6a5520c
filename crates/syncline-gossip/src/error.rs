//! What can go wrong at the start, and how an end went.

use std::io;

use syncline_kv::KvError;
use syncline_net::BuildError;
use thiserror::Error;

/// Why a replica was not started. Nothing of it is left running.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The socket.
    #[error("the address cannot be listened at")]
    Listen(#[source] io::Error),
    /// The node.
    #[error(transparent)]
    Node(#[from] BuildError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] KvError),
    /// The operating system gives no random bytes.
    #[error("no randomness: {0}")]
    Random(#[source] io::Error),
    /// The hub has a replica of this namespace already.
    #[error("a replica of this namespace runs on this node already")]
    Duplicate,
    /// The socket for membership.
    #[error("the address for membership cannot be bound")]
    Swim(#[source] io::Error),
    /// The work on the tree was lost, as when the runtime shuts down.
    #[error("the runtime shuts down")]
    NoRuntime,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Sessions that had not finished in time and were cancelled.
    pub sessions_cut_off: usize,
    /// Tasks that were still there at the end; 0 unless code of others panicked.
    pub tasks_left: usize,
}
