//! Counts what runs, in total and per peer, and refuses what is too much.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Identity;

/// A number of places, of which one peer may take only some.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    state: Arc<Mutex<State>>,
    total_max: usize,
    per_peer_max: usize,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    per_peer: BTreeMap<Identity, usize>,
}

impl Quota {
    pub(crate) fn new(total_max: usize, per_peer_max: usize) -> Self {
        Self { state: Arc::default(), total_max, per_peer_max }
    }

    // No code under the lock can panic halfway through a change, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for somebody who is not known yet.
    pub(crate) fn take(&self) -> Option<Place> {
        let mut state = self.lock();
        if state.total >= self.total_max {
            return None;
        }
        state.total += 1;
        drop(state);
        Some(Place { quota: self.clone(), peer: None })
    }

    /// Takes a place for a peer.
    pub(crate) fn take_for(&self, peer: Identity) -> Option<Place> {
        let mut place = self.take()?;
        place.assign(peer).then_some(place)
    }
}

/// A place that was taken; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    quota: Quota,
    peer: Option<Identity>,
}

impl Place {
    /// Says whose place it is. False if the peer has all that it may. Anonymous peers cannot be told apart, so that one
    /// could take the places of all; they are counted in the total only.
    pub(crate) fn assign(&mut self, peer: Identity) -> bool {
        if peer == Identity::Anonymous {
            return true;
        }
        let mut state = self.quota.lock();
        let count = state.per_peer.entry(peer).or_default();
        if *count >= self.quota.per_peer_max {
            return false;
        }
        *count += 1;
        drop(state);
        self.peer = Some(peer);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.quota.lock();
        state.total = state.total.saturating_sub(1);
        if let Some(peer) = self.peer
            && let Some(count) = state.per_peer.get_mut(&peer)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.per_peer.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline_crypto::SigningKey;

    use super::*;

    fn peer(seed: u8) -> Identity {
        Identity::Key(SigningKey::from_bytes(&[seed; 32]).public_key())
    }

    #[test]
    fn a_peer_gets_its_share_and_all_together_the_total() {
        let quota = Quota::new(3, 2);
        let first = quota.take_for(peer(1)).unwrap();
        let _second = quota.take_for(peer(1)).unwrap();
        assert!(quota.take_for(peer(1)).is_none(), "beyond its share");
        let _other = quota.take_for(peer(2)).unwrap();
        assert!(quota.take_for(peer(3)).is_none(), "beyond the total");
        drop(first);
        let _third = quota.take_for(peer(3)).unwrap();
    }

    #[test]
    fn a_refusal_takes_no_place_and_peers_who_are_gone_leave_nothing() {
        let quota = Quota::new(2, 1);
        let held = quota.take_for(peer(1)).unwrap();
        for _ in 0..5 {
            assert!(quota.take_for(peer(1)).is_none());
        }
        drop(quota.take_for(peer(2)).unwrap());
        drop(held);
        let state = quota.lock();
        assert_eq!((state.total, state.per_peer.len()), (0, 0));
    }

    #[test]
    fn anonymous_peers_share_the_total_only() {
        let quota = Quota::new(3, 1);
        let places: Vec<_> = (0..3).map(|_| quota.take_for(Identity::Anonymous).unwrap()).collect();
        assert!(quota.take_for(Identity::Anonymous).is_none());
        drop(places);
        assert!(quota.take().is_some());
    }
}
