//! Where peers are reached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_net::{PeerAddr, PeerId};
use tokio::sync::watch;

/// Where peers are reached, by their keys. Clones are the same book.
///
/// Static peers are put in by hand, others by what discovers them. A peer has one address: the last that was put in.
#[derive(Clone, Debug)]
pub struct AddressBook {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    peers: Mutex<BTreeMap<PeerId, PeerAddr>>,
    changed: watch::Sender<u64>,
}

impl AddressBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { peers: Mutex::default(), changed: watch::Sender::new(0) }) }
    }

    /// Puts in where a peer is reached. Says whether that is new; an address without a key is not taken.
    pub fn insert(&self, addr: PeerAddr) -> bool {
        let Some(peer) = addr.peer_id().copied() else { return false };
        let before = self.lock().insert(peer, addr.clone());
        let is_new = before.as_ref() != Some(&addr);
        if is_new {
            self.inner.changed.send_modify(|version| *version += 1);
        }
        is_new
    }

    /// Takes a peer out. Links to it that are up stay up.
    pub fn remove(&self, peer: &PeerId) -> Option<PeerAddr> {
        let removed = self.lock().remove(peer);
        if removed.is_some() {
            self.inner.changed.send_modify(|version| *version += 1);
        }
        removed
    }

    /// Where a peer is reached.
    #[must_use]
    pub fn get(&self, peer: &PeerId) -> Option<PeerAddr> {
        self.lock().get(peer).cloned()
    }

    /// All addresses, in the order of the keys.
    #[must_use]
    pub fn addresses(&self) -> Vec<PeerAddr> {
        self.lock().values().cloned().collect()
    }

    /// Tells when the book changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, PeerAddr>> {
        // Only whole addresses are put in or taken out.
        self.inner.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for AddressBook {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<PeerAddr> for AddressBook {
    fn from_iter<I: IntoIterator<Item = PeerAddr>>(addresses: I) -> Self {
        let book = Self::new();
        for addr in addresses {
            book.insert(addr);
        }
        book
    }
}
