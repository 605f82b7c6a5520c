//! Keeps links up.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::sink::{self, SinkExt};
use futures::stream::{FuturesUnordered, StreamExt};
use syncline_core::SyncError;
use syncline_kv::NamespaceId;
use syncline_net::{Node, PeerAddr, PeerId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{LinkHello, LinkProtocol, Links};
use crate::{AddressBook, random, syncing};

/// Dials the peers of a book, and dials again when a link has ended.
pub(crate) struct Dialler {
    pub(crate) node: Node,
    pub(crate) me: PeerId,
    pub(crate) namespace: NamespaceId,
    pub(crate) links: Links,
    pub(crate) book: AddressBook,
    /// Changes when somebody may be let in who was not before.
    pub(crate) authority: watch::Receiver<u64>,
    pub(crate) stop: CancellationToken,
}

impl Dialler {
    /// Runs until it is stopped.
    pub(crate) async fn run(self) {
        let mut changes = self.book.changes();
        let mut known: BTreeMap<PeerId, (PeerAddr, CancellationToken)> = BTreeMap::new();
        let mut dials: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        loop {
            changes.mark_unchanged();
            let wanted: BTreeMap<PeerId, PeerAddr> = self.addresses().collect();
            known.retain(|peer, (addr, stop)| {
                let stays = wanted.get(peer) == Some(addr);
                if !stays {
                    stop.cancel();
                }
                stays
            });
            for (peer, addr) in wanted {
                known.entry(peer).or_insert_with(|| {
                    let stop = self.stop.child_token();
                    dials.push(Box::pin(self.keep(peer, addr.clone(), stop.clone())));
                    (addr, stop)
                });
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                Some(()) = dials.next(), if !dials.is_empty() => {}
            }
        }
    }

    fn addresses(&self) -> impl Iterator<Item = (PeerId, PeerAddr)> {
        let addresses = self.book.addresses().into_iter();
        addresses.filter_map(|addr| addr.peer_id().copied().filter(|peer| *peer != self.me).map(|peer| (peer, addr)))
    }

    /// Keeps one link up.
    async fn keep(&self, peer: PeerId, addr: PeerAddr, stop: CancellationToken) {
        let limits = self.links.limits();
        let mut authority = self.authority.clone();
        let mut delay = limits.retry_min;
        loop {
            authority.mark_unchanged();
            if self.links.table().admits(&peer) {
                let came_up = tokio::select! {
                    () = stop.cancelled() => return,
                    came_up = self.dial(peer, &addr) => came_up,
                };
                delay = if came_up { limits.retry_min } else { delay };
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(random::jittered(delay)) => {}
                // Who was not let in may be now, here and there.
                Ok(()) = authority.changed() => delay = limits.retry_min,
            }
            delay = delay.saturating_mul(2).min(limits.retry_max);
        }
    }

    /// Dials once, and returns when the link has ended. Says whether it was up.
    async fn dial(&self, peer: PeerId, addr: &PeerAddr) -> bool {
        let (links, namespace) = (self.links.clone(), self.namespace);
        let find = move |id: &NamespaceId| (*id == namespace).then(|| links.clone());
        let protocol = Arc::new(LinkProtocol::new(find, peer));
        let sink = sink::drain().sink_map_err(|never| -> SyncError { match never {} });
        let handle = self.node.sync(addr, Arc::clone(&protocol), LinkHello { namespace: self.namespace }, sink);
        // A link that is up ends in order, by what closes the links.
        let up = Arc::clone(&protocol);
        let _ = syncing::finished(handle, move || up.came_up()).await;
        protocol.came_up()
    }
}
