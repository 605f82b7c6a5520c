use std::fmt;

use serde::Serialize;
use syncline_testkit::seed::Rng;

use super::Exchange;

/// How many items, how many differences, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Items that each side has.
    pub n: usize,
    /// Items that only one side has, half of them on either; an even number, and at most `n`.
    pub d: usize,
    /// Where they are in the order of items.
    pub spread: Spread,
}

/// Where the differences are in the order of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Anywhere. Items have no time, and are in the order of their ids.
    Uniform,
    /// In runs of up to 100 neighbours in time.
    Clustered,
    /// The newest.
    Newest,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Clustered => "clustered",
            Self::Newest => "newest",
        })
    }
}

/// An item: items are in the order of time, then of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its time, if items have one.
    pub time: u64,
    /// Its id: a random one.
    pub id: [u8; 32],
}

/// Both sides' items, in no particular order, and what only one of them has, by id.
#[derive(Clone, Debug)]
pub struct Sets {
    /// Which case this is.
    pub case: Case,
    /// What the side has that begins.
    pub here: Vec<Entry>,
    /// What the other side has.
    pub there: Vec<Entry>,
    only_here: Vec<[u8; 32]>,
    only_there: Vec<[u8; 32]>,
}

/// Neighbours in a cluster.
const RUN: usize = 100;

impl Sets {
    /// The same sets for the same case.
    #[must_use]
    pub fn new(case: Case) -> Self {
        let mut rng = Rng::new(0x5e75_0000 + case.n as u64 * 31 + case.d as u64);
        let half = case.d / 2;
        let total = case.n + half;
        let mut differs = vec![false; total];
        let run = match case.spread {
            Spread::Uniform => 1,
            Spread::Clustered => RUN,
            Spread::Newest => total,
        };
        let mut left = case.d;
        while left > 0 {
            let from = if case.spread == Spread::Newest { total - case.d } else { rng.index(total) };
            for slot in differs.iter_mut().skip(from).take(run.min(left)).filter(|slot| !**slot) {
                *slot = true;
                left -= 1;
            }
        }
        let mut sets = Self { case, here: vec![], there: vec![], only_here: vec![], only_there: vec![] };
        let mut is_heres = false;
        for (time, differs) in differs.into_iter().enumerate() {
            let id: [u8; 32] = rng.bytes(32).try_into().expect("32 bytes");
            let entry = Entry { time: if case.spread == Spread::Uniform { 0 } else { time as u64 }, id };
            if !differs {
                sets.here.push(entry);
                sets.there.push(entry);
                continue;
            }
            is_heres = !is_heres;
            let (set, only) =
                if is_heres { (&mut sets.here, &mut sets.only_here) } else { (&mut sets.there, &mut sets.only_there) };
            set.push(entry);
            only.push(id);
        }
        sets.only_here.sort_unstable();
        sets.only_there.sort_unstable();
        sets
    }

    /// Whether a session found exactly the differences.
    pub(super) fn check(&self, exchange: &Exchange) -> Result<(), String> {
        let sides = [("here", &exchange.only_here, &self.only_here), ("there", &exchange.only_there, &self.only_there)];
        for (side, found, expected) in sides {
            let mut found = found.clone();
            found.sort_unstable();
            if found != *expected {
                return Err(format!("found {} ids that are only {side}, and {} are", found.len(), expected.len()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_n_items_and_half_of_the_differences() {
        for spread in [Spread::Uniform, Spread::Clustered, Spread::Newest] {
            for (n, d) in [(1_000, 0), (1_000, 10), (1_000, 500), (300, 300)] {
                let sets = Sets::new(Case { n, d, spread });
                assert_eq!((sets.here.len(), sets.there.len()), (n, n));
                assert_eq!((sets.only_here.len(), sets.only_there.len()), (d / 2, d / 2));
                let newest = sets.here.iter().filter(|entry| entry.time as usize >= n - d / 2);
                if spread == Spread::Newest {
                    assert_eq!(newest.count(), d / 2);
                }
            }
        }
    }

    #[test]
    fn a_wrong_answer_is_found_out() {
        let sets = Sets::new(Case { n: 100, d: 4, spread: Spread::Uniform });
        let (only_here, only_there) = (sets.only_here.clone(), sets.only_there.clone());
        let mut exchange = Exchange { only_here, only_there, ..Exchange::default() };
        assert_eq!(sets.check(&exchange), Ok(()));
        exchange.only_there.push([0; 32]);
        assert!(sets.check(&exchange).is_err());
        exchange.only_there = vec![];
        assert!(sets.check(&exchange).is_err());
    }
}
