use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Faults, Rate};
use crate::seed::Rng;

/// What a run is like: how many nodes, for how long, how busy, what fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) nodes: usize,
    pub(super) safety: Duration,
    pub(super) liveness_max: Duration,
    pub(super) step: Rate,
    pub(super) session: Rate,
    pub(super) sessions_per_pair_max: usize,
    pub(super) session_time_max: Option<Duration>,
    pub(super) redb: bool,
    pub(super) faults: Faults,
}

impl Options {
    /// Two nodes without faults that work for 10 minutes, a step each 5 s and a session each 10 s on average, and then have
    /// 10 minutes to converge. At most two sessions per pair at a time, and none may stay open for more than 5 minutes
    /// once faults have stopped. Memory for a disk.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: 2,
            safety: Duration::from_secs(600),
            liveness_max: Duration::from_secs(600),
            step: Rate::every(Duration::from_secs(5)),
            session: Rate::every(Duration::from_secs(10)),
            sessions_per_pair_max: 2,
            session_time_max: Some(Duration::from_secs(300)),
            redb: false,
            faults: Faults::none(),
        }
    }

    /// A swarm: number of nodes, durations, how busy it is and the faults depend on the seed. One seed in 20 has redb
    /// under a simulated disk, if there is the feature.
    #[must_use]
    pub fn draw(seed: u64, nodes: RangeInclusive<usize>) -> Self {
        let mut rng = Rng::new(seed ^ 0x0b5e_55ed);
        let count = nodes.start() + rng.index(nodes.end().saturating_sub(*nodes.start()) + 1);
        let span = |rng: &mut Rng, least: u64, most: u64| Duration::from_secs(least + rng.below(most - least));
        Self {
            nodes: count,
            safety: span(&mut rng, 120, 1800),
            step: Rate::every(span(&mut rng, 2, 40)),
            session: Rate::every(span(&mut rng, 3, 40)),
            sessions_per_pair_max: 1 + rng.index(3),
            redb: cfg!(feature = "redb") && rng.chance(1, 20),
            faults: Faults::swarm(&mut rng),
            ..Self::new()
        }
    }

    /// Sets the number of nodes; at least one.
    #[must_use]
    pub fn with_nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.max(1);
        self
    }

    /// Sets the virtual time in which there are steps and faults.
    #[must_use]
    pub fn with_safety(mut self, time: Duration) -> Self {
        self.safety = time;
        self
    }

    /// Sets the virtual time within which the cluster must converge once faults have stopped.
    #[must_use]
    pub fn with_liveness_max(mut self, time: Duration) -> Self {
        self.liveness_max = time;
        self
    }

    /// Sets how often some node does a [`step`](super::Node::step).
    #[must_use]
    pub fn with_step(mut self, rate: Rate) -> Self {
        self.step = rate;
        self
    }

    /// Sets how often two random nodes open a session. With [`Rate::NEVER`] only those are opened that nodes
    /// [ask for](super::Journal::dial), in the liveness phase too.
    #[must_use]
    pub fn with_session(mut self, rate: Rate) -> Self {
        self.session = rate;
        self
    }

    /// Sets how many sessions two nodes may have with each other at a time; at least one.
    #[must_use]
    pub fn with_sessions_per_pair_max(mut self, sessions: usize) -> Self {
        self.sessions_per_pair_max = sessions.max(1);
        self
    }

    /// Sets how long a session may stay open once faults have stopped. `None` is for protocols whose sessions stay open
    /// until somebody ends them.
    #[must_use]
    pub fn with_session_time_max(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.session_time_max = time.into();
        self
    }

    /// Keeps the databases on redb under a [`SimDisk`](crate::disk::SimDisk) instead of in memory under a
    /// [`FaultDb`](syncline_storage::FaultDb).
    #[cfg(feature = "redb")]
    #[must_use]
    pub fn with_redb(mut self, redb: bool) -> Self {
        self.redb = redb;
        self
    }

    /// Sets the faults.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// No byte is damaged: for protocols that leave that to their transport.
    #[must_use]
    pub fn without_corruption(mut self) -> Self {
        self.faults.corrupt_per_mille = 0;
        self
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
