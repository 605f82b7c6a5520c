//! Who takes part: implementations of sync protocols behind one small trait.
//!
//! A protocol that implements `syncline_core::SyncProtocol` for this crate's [`Topic`](crate::Topic) joins through
//! [`Native`]; one from elsewhere implements [`Contestant`] and [`Node`].

mod all;
mod key_value;
mod native;
mod p2panda;

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite};
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Holdings, Kind, Operation};

pub use all::{Contestants, UnknownContestant};
pub use key_value::KeyValue;
pub(crate) use native::verify_batch;
pub use native::{Native, Parts, TopicLogs};
pub use p2panda::Original;

/// Items that the channel to an application holds.
pub const CHANNEL: usize = 128;

/// Why a session failed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Which side of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens the session and names the topic.
    Initiate,
    /// Answers.
    Accept,
}

/// What the nodes do with operations that they receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Receive {
    /// Hand them to the application, which counts and drops them.
    Forward,
    /// Verify them and store them in memory.
    Ingest,
}

/// How much was received, or is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Operations.
    pub operations: u64,
    /// Bytes of their headers and bodies.
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, header: &[u8], body: Option<&[u8]>) {
        self.operations += 1;
        self.bytes += (header.len() + body.map_or(0, <[u8]>::len)) as u64;
    }

    pub(crate) fn of<'a>(operations: impl Iterator<Item = &'a Operation>) -> Self {
        let mut tally = Self::default();
        operations.for_each(|operation| tally.add(&operation.header, Some(&operation.body)));
        tally
    }
}

/// What an application received: always how much, and if it is asked to, also which operations.
#[derive(Clone, Debug, Default)]
pub struct Received {
    tally: Tally,
    seen: Option<HashSet<u64>>,
}

impl Received {
    /// Counts, which costs next to nothing.
    #[must_use]
    pub fn counting() -> Self {
        Self::default()
    }

    /// Remembers each operation.
    #[must_use]
    pub fn recording() -> Self {
        Self { seen: Some(HashSet::new()), ..Self::default() }
    }

    /// Takes an operation.
    pub fn take(&mut self, header: &[u8], body: Option<&[u8]>) {
        self.tally.add(header, body);
        if let Some(seen) = &mut self.seen {
            seen.insert(identity(header, body));
        }
    }

    /// How much came.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether this operation came, byte for byte. Only known when recording.
    #[must_use]
    pub fn has(&self, operation: &Operation) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.contains(&identity(&operation.header, Some(&operation.body))))
    }
}

fn identity(header: &[u8], body: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (header, body).hash(&mut hasher);
    hasher.finish()
}

/// One end of a connection.
pub struct Stream {
    /// What comes from the peer.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What goes to the peer.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Stream {
    /// Takes two halves.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { reader: Box::new(reader), writer: Box::new(writer) }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(..)")
    }
}

/// One side of a session: two tasks, which need no particular runtime and run until the session is over.
pub struct Side {
    /// The protocol.
    pub session: BoxFuture<'static, Result<(), Failure>>,
    /// The application behind it. Gives the [`Received`] that it was started with.
    pub application: BoxFuture<'static, Received>,
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Side(..)")
    }
}

/// A peer with a store.
pub trait Node: Send + Sync {
    /// One side of a session and the application behind it, which shows `received` each operation that comes.
    fn start(self: Arc<Self>, stream: Stream, received: Received) -> Side;

    /// What the store holds.
    fn stored(&self) -> Tally;
}

/// What a node is to be.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its topic covers all of these logs.
    pub dataset: &'a Dataset,
    /// Its store has so much of them.
    pub holds: &'a Holdings,
    /// Which side of its sessions it is.
    pub role: Role,
    /// What it does with what comes. A protocol that stores by itself and can do no other stores.
    pub receive: Receive,
}

/// An implementation of a protocol.
pub trait Contestant: Send + Sync {
    /// How it is called on the command line and in the results.
    fn name(&self) -> &str;

    /// What it syncs: logs, unless it says otherwise. It is only given datasets of this kind.
    fn kind(&self) -> Kind {
        Kind::Log
    }

    /// A node.
    fn node(&self, setup: &Setup<'_>) -> Arc<dyn Node>;
}
