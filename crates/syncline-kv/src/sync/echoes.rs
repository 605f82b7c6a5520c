//! Which items came from the peer.

use std::collections::{BTreeSet, VecDeque};

/// The ids of the last items that the peer sent.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    max: usize,
    ids: BTreeSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Echoes {
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub(super) fn add(&mut self, id: [u8; 32]) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        while self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, id: &[u8; 32]) -> bool {
        self.ids.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut echoes = Echoes::new(2);
        for id in [1, 2, 1, 3] {
            echoes.add([id; 32]);
        }
        assert_eq!([1, 2, 3].map(|id| echoes.contains(&[id; 32])), [false, true, true]);
        let mut none = Echoes::new(0);
        none.add([1; 32]);
        assert!(!none.contains(&[1; 32]));
    }
}
