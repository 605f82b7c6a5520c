//! What was refused in earlier sessions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_crypto::PublicKey;

use super::wire::RefusedCode;
use crate::item::NamespaceId;

/// Peers that are remembered.
const PEERS_MAX: usize = 64;

/// Ids that are remembered of each, each way.
pub(super) const IDS_MAX: usize = 4_096;

/// Which peer, and in which namespace.
pub(super) type Who = (NamespaceId, PublicKey);

/// What was refused by peers and to peers, in memory. Clones share it.
///
/// It saves sending and verifying; nothing else depends on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Peers>>);

#[derive(Debug, Default)]
struct Peers {
    by: BTreeMap<Who, Peer>,
    /// The longest known first.
    order: VecDeque<Who>,
}

#[derive(Debug, Default)]
struct Peer {
    /// What the peer refused.
    by_them: Ids,
    /// What was refused here.
    by_us: Ids,
}

/// Ids that were refused while so many grants, revocations and rotations were known to who refused.
#[derive(Debug, Default)]
struct Ids {
    version: u64,
    codes: BTreeMap<[u8; 32], RefusedCode>,
    order: VecDeque<[u8; 32]>,
}

impl Ids {
    /// What was refused at another version may be taken now.
    fn add(&mut self, version: u64, id: [u8; 32], code: RefusedCode) {
        if version != self.version {
            *self = Self { version, ..Self::default() };
        }
        if self.codes.insert(id, code).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.codes.remove(&oldest);
        }
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Peers> {
        // Nothing in here panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A peer refused an item, when it knew so many grants and such.
    pub(super) fn refused_by_them(&self, who: Who, version: u64, id: [u8; 32], code: RefusedCode) {
        self.lock().peer(who).by_them.add(version, id, code);
    }

    /// An item of a peer was refused here, when so many grants and such were known.
    pub(super) fn refused_by_us(&self, who: Who, version: u64, id: [u8; 32], code: RefusedCode) {
        self.lock().peer(who).by_us.add(version, id, code);
    }

    /// Whether a peer that knows so many grants and such will refuse an item.
    pub(super) fn will_refuse(&self, who: &Who, version: u64, id: &[u8; 32]) -> bool {
        let peers = self.lock();
        let ids = peers.by.get(who).map(|peer| &peer.by_them).filter(|ids| ids.version == version);
        ids.is_some_and(|ids| ids.codes.contains_key(id))
    }

    /// For what reason an item of a peer was refused here, if so many grants and such were known then.
    pub(super) fn refused_before(&self, who: &Who, version: u64, id: &[u8; 32]) -> Option<RefusedCode> {
        let peers = self.lock();
        let ids = peers.by.get(who).map(|peer| &peer.by_us).filter(|ids| ids.version == version)?;
        ids.codes.get(id).copied()
    }
}

impl Peers {
    fn peer(&mut self, who: Who) -> &mut Peer {
        if !self.by.contains_key(&who) {
            if self.order.len() >= PEERS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.by.remove(&oldest);
            }
            self.order.push_back(who);
        }
        self.by.entry(who).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(peer: u8) -> Who {
        let key = syncline_crypto::SigningKey::from_bytes(&[peer; 32]).public_key();
        (NamespaceId::from_bytes([1; 32]), key)
    }

    fn id(number: u16) -> [u8; 32] {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[test]
    fn what_was_refused_is_forgotten_when_authority_changes() {
        let memory = Memory::default();
        memory.refused_by_them(who(1), 5, id(1), RefusedCode::Revoked);
        assert!(memory.will_refuse(&who(1), 5, &id(1)));
        assert!(!memory.will_refuse(&who(1), 6, &id(1)));
        assert!(!memory.will_refuse(&who(2), 5, &id(1)));
        memory.refused_by_them(who(1), 6, id(2), RefusedCode::Invalid);
        assert!(memory.will_refuse(&who(1), 6, &id(2)));
        assert!(!memory.will_refuse(&who(1), 6, &id(1)), "that was with another authority");
        assert_eq!(memory.refused_before(&who(1), 6, &id(2)), None, "that was the other way");
        memory.refused_by_us(who(1), 7, id(3), RefusedCode::Collected);
        assert_eq!(memory.refused_before(&who(1), 7, &id(3)), Some(RefusedCode::Collected));
        assert_eq!(memory.refused_before(&who(1), 8, &id(3)), None);
    }

    #[test]
    fn it_is_bounded_and_forgets_the_oldest() {
        let memory = Memory::default();
        for number in 0..=IDS_MAX as u16 {
            memory.refused_by_them(who(1), 5, id(number), RefusedCode::Invalid);
        }
        let is_kept = |number| memory.will_refuse(&who(1), 5, &id(number));
        assert!(!is_kept(0) && is_kept(1) && is_kept(IDS_MAX as u16));
        for peer in 0..=PEERS_MAX {
            let namespace = NamespaceId::from_bytes(id(peer as u16));
            memory.refused_by_us((namespace, who(1).1), 5, id(1), RefusedCode::Invalid);
        }
        assert_eq!(memory.lock().by.len(), PEERS_MAX);
    }
}
