//! What the replicas hold: the configuration of many services, each written by its team.

use std::collections::BTreeMap;

use syncline_crypto::Hash;
use syncline_testkit::seed::Rng;

/// Bytes of a value.
const VALUE: usize = 64;

/// Keys of one service.
pub(crate) const KEYS_OF_A_SERVICE: usize = 1_000;

/// Who writes: one team after the other has a service.
pub(crate) const TEAMS: usize = 16;

/// Milliseconds since 1970 of the first write.
const FIRST: u64 = 1_700_000_000_000;

/// What is written to a key, before anybody signs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// `/svc/0000/limits/0000`. All paths are of one length: in iroh-docs a write to a key deletes all keys that begin with it.
    pub(crate) path: String,
    /// No coding shortcut fits it.
    pub(crate) value: Vec<u8>,
    /// Which team: less than [`TEAMS`].
    pub(crate) team: usize,
    /// When, in milliseconds since 1970.
    pub(crate) at: u64,
}

impl Write {
    /// The write to a key with which its `version` begins. Keys are in the order of their numbers, which are less than
    /// 10^7.
    pub(crate) fn new(key: usize, version: u64) -> Self {
        let (service, limit) = (key / KEYS_OF_A_SERVICE, key % KEYS_OF_A_SERVICE);
        assert!(service < 10_000, "there are no more services than fit the paths");
        let value = Rng::new((key as u64) << 8 | version).bytes(VALUE);
        let at = FIRST + key as u64 + version * 86_400_000;
        Self { path: format!("/svc/{service:04}/limits/{limit:04}"), value, team: service % TEAMS, at }
    }

    /// The secret of a team's key.
    pub(crate) fn secret(team: usize) -> [u8; 32] {
        let mut secret = [5; 32];
        secret[..8].copy_from_slice(&(team as u64).to_le_bytes());
        secret
    }

    fn held(&self) -> Held {
        Held { path: self.path.clone(), value: Hash::digest(&self.value) }
    }
}

/// What a replica holds under a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) path: String,
    /// BLAKE3 of the value.
    pub(crate) value: Hash,
}

/// What two replicas hold.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// What both were told, in the order of paths.
    pub(crate) common: Vec<Write>,
    /// What only the side was told that begins: keys that the other lacks.
    pub(crate) only_here: Vec<Write>,
    /// What only the other side was told: keys that the one that begins lacks.
    pub(crate) only_there: Vec<Write>,
    /// What only the other side was told: later writes to keys that both have.
    pub(crate) newer_there: Vec<Write>,
}

impl Pair {
    /// `n` keys that both have and `d` differences anywhere among them: a third of them keys that only one side has, a third
    /// keys that only the other has, and the rest keys of which the other has a later value. The same on each run.
    pub(crate) fn new(n: usize, d: usize) -> Self {
        let third = d / 3;
        let total = n + 2 * third;
        let mut rng = Rng::new(0x006b_7600 + total as u64 * 31 + d as u64);
        let mut differs: BTreeMap<usize, usize> = BTreeMap::new();
        assert!(d <= n, "no more keys can differ than there are");
        while differs.len() < d {
            let nth = differs.len();
            differs.entry(rng.index(total)).or_insert(nth);
        }
        let mut pair =
            Self { common: Vec::with_capacity(n), only_here: vec![], only_there: vec![], newer_there: vec![] };
        for key in 0..total {
            let first = Write::new(key, 0);
            match differs.get(&key) {
                Some(nth) if *nth < third => pair.only_here.push(first),
                Some(nth) if *nth < 2 * third => pair.only_there.push(first),
                Some(_) => {
                    pair.newer_there.push(Write::new(key, 1));
                    pair.common.push(first);
                }
                None => pair.common.push(first),
            }
        }
        pair
    }

    /// Entries that have to travel.
    pub(crate) fn differences(&self) -> usize {
        self.only_here.len() + self.only_there.len() + self.newer_there.len()
    }

    /// What both hold after a sync, in the order of paths.
    pub(super) fn merged(&self) -> Vec<Held> {
        let parts = [&self.common, &self.only_here, &self.only_there, &self.newer_there];
        // Of two writes to a path the later one, which comes last.
        let merged: BTreeMap<String, Hash> =
            parts.into_iter().flatten().map(Write::held).map(|held| (held.path, held.value)).collect();
        merged.into_iter().map(|(path, value)| Held { path, value }).collect()
    }

    /// Whether a replica, whose holdings are in any order, holds after a sync what it should.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(crate) fn check(&self, mut held: Vec<Held>) -> Result<(), String> {
        held.sort();
        let merged = self.merged();
        if held.len() != merged.len() {
            return Err(format!("{} keys are held, not {}", held.len(), merged.len()));
        }
        match held.iter().zip(&merged).find(|(held, expected)| held != expected) {
            Some((held, expected)) => Err(format!("{} is held where {} should be", held.path, expected.path)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_of_the_differences_are_on_either_side_and_newer() {
        let pair = Pair::new(2_000, 10);
        assert_eq!((pair.only_here.len(), pair.only_there.len(), pair.newer_there.len()), (3, 3, 4));
        assert_eq!((pair.common.len(), pair.differences()), (2_000, 10));
        assert!(pair.common.is_sorted_by_key(|write| &write.path));
        for newer in &pair.newer_there {
            let old = pair.common.iter().find(|old| old.path == newer.path).expect("both have the key");
            assert!(old.at < newer.at && old.value != newer.value && old.team == newer.team);
        }
        assert_eq!(pair.merged().len(), 2_006);
    }

    #[test]
    fn no_path_begins_with_another() {
        let (first, last) = (Write::new(0, 0), Write::new(9_999_999, 0));
        assert_eq!((&*first.path, &*last.path), ("/svc/0000/limits/0000", "/svc/9999/limits/0999"));
        assert_eq!((first.value.len(), first.team, last.team), (64, 0, 9_999 % TEAMS));
    }

    #[test]
    fn a_replica_that_lacks_a_key_or_has_an_old_value_is_found_out() {
        let pair = Pair::new(100, 10);
        let all = pair.merged();
        assert_eq!(pair.check(all.clone().into_iter().rev().collect()), Ok(()));
        assert!(pair.check(all[1..].to_vec()).is_err());
        let mut old = all;
        let stale = Write::new(0, 7).held();
        let newer = old.iter_mut().find(|held| held.path == pair.newer_there[0].path).expect("it is there");
        newer.value = stale.value;
        assert!(pair.check(old).is_err());
    }
}
