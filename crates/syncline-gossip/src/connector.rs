//! Opens sessions through a [`Node`](syncline_net::Node).

use futures::future::{self, BoxFuture, FutureExt};
use syncline_kv::agent::{Connector, OpenError};
use syncline_net::{PeerAddr, PeerId};

use crate::AddressBook;

/// Finds the address to dial.
///
/// Its stream is an address: a [`Node`](syncline_net::Node) dials, agrees on the protocol and runs the session in one, so that
/// this is left to [`TreeGossip`](crate::TreeGossip).
#[derive(Clone, Debug)]
pub struct NetConnector {
    book: AddressBook,
}

impl NetConnector {
    /// A connector to the peers of a book.
    #[must_use]
    pub fn new(book: AddressBook) -> Self {
        Self { book }
    }
}

impl Connector<PeerId> for NetConnector {
    type Stream = PeerAddr;

    fn open(&self, peer: PeerId) -> BoxFuture<'_, Result<PeerAddr, OpenError>> {
        future::ready(self.book.get(&peer).ok_or(OpenError::Unreachable)).boxed()
    }
}
