//! What a contestant is to the tests: something with a store that can run either side of a session.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::image::{Image, LogKey, LogName, Scope, Topic};
use crate::io::Stream;

/// How `Data` goes out, where there is a choice. The original has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Bytes,
    Integers,
}

impl Encoding {
    pub(crate) const ALL: [Self; 2] = [Self::Bytes, Self::Integers];
}

/// What becomes of received operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    /// They are reported and forgotten.
    Forward,
    /// They are verified and stored, each as soon as it came.
    Store,
}

/// All that a peer starts from.
pub(crate) struct Given<'a, L: Ord> {
    pub(crate) image: &'a Image<L>,
    pub(crate) topic: &'a Topic,
    pub(crate) scope: &'a Scope<L>,
    pub(crate) encoding: Encoding,
    pub(crate) receive: Receive,
}

/// Which side of the session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    Initiate(&'a Topic),
    Accept,
}

/// How a session failed, by whose fault; the texts are each contestant's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Unexpected(String),
    Invalid(String),
    Critical(String),
}

/// What the application was told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Handshake(String),
    Data(Vec<u8>, Option<Vec<u8>>),
}

impl Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Handshake(topic) => write!(f, "Handshake({topic})"),
            Self::Data(header, body) => write!(f, "Data({} B, {:?})", header.len(), body.as_ref().map(Vec::len)),
        }
    }
}

/// A session as its own side saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: Result<(), Failure>,
    pub(crate) events: Vec<Event>,
    /// Received operations that were not stored, with the reason. Always empty with [`Receive::Forward`].
    pub(crate) refused: Vec<String>,
}

impl Outcome {
    /// The received operations, as they came.
    pub(crate) fn data(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let data = self.events.iter().filter_map(|event| match event {
            Event::Data(header, body) => Some((header.clone(), body.clone())),
            Event::Handshake(_) => None,
        });
        data.collect()
    }
}

/// An implementation of the protocol.
pub(crate) trait Contestant {
    /// Says in failures who it is.
    const NAME: &'static str;

    type Peer<L: LogName>: Peer<L>;
}

/// A contestant with a store.
pub(crate) trait Peer<L: LogName>: Sized {
    async fn new(given: Given<'_, L>) -> Self;

    /// Runs one session to its end. Events are consumed while it runs, through a channel that holds 128.
    async fn session(&mut self, role: Role<'_>, stream: &mut Stream) -> Outcome;

    /// What the store holds of these logs.
    async fn dump(&self, keys: &BTreeSet<LogKey<L>>) -> Image<L>;
}
