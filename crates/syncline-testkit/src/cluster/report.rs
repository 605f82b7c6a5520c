//! What is told of a run.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use syncline_core::clock::Timestamp;
use syncline_crypto::{Hash, Hasher};
use thiserror::Error;

use super::{NodeId, Options, SessionId};
use crate::net::SimError;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// A hash of all that happened, and when.
    pub trace: Hash,
    /// The virtual time that passed.
    pub time: Duration,
    /// From when faults stopped until the cluster had converged.
    pub convergence: Duration,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions that both sides call complete.
    pub completed: u64,
    /// Steps of nodes.
    pub steps: u64,
    /// Starts of nodes after a crash.
    pub restarts: u64,
    /// Faults of all kinds, crashes too.
    pub faults: u64,
}

/// Why a run failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Something that must always hold did not.
    #[error("{node}: {what}")]
    Breach {
        /// Whose check said so.
        node: NodeId,
        /// What it said.
        what: String,
    },
    /// The cluster did not converge once faults had stopped.
    #[error("not converged {within:?} after faults stopped: {what}")]
    NotConverged {
        /// The time that was allowed.
        within: Duration,
        /// What is missing.
        what: String,
    },
    /// A session stayed open.
    #[error("{session} is still open {open:?} after faults stopped")]
    SessionStuck {
        /// Which.
        session: SessionId,
        /// For how long, not counting the time of faults.
        open: Duration,
    },
    /// A node did not start although nothing failed any more.
    #[error("{node} does not start: {what}")]
    NotStarted {
        /// Which.
        node: NodeId,
        /// What it said.
        what: String,
    },
    /// A task panicked, or ran without end.
    #[error(transparent)]
    Task(#[from] SimError),
    /// The scenario or a node panicked outside of a task.
    #[error("panicked: {message}")]
    Panicked {
        /// The message.
        message: String,
    },
    /// A second run with the same seed was another one: something depends on more than the seed.
    #[error("the second run differs: trace {second} instead of {first}")]
    NotRepeatable {
        /// The first run's trace.
        first: Hash,
        /// The second's.
        second: Hash,
    },
}

/// A run that failed. Its text is a report for whoever has to find out why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The seed that fails.
    pub seed: u64,
    /// Why.
    pub reason: Reason,
    /// When, since the start of the run.
    pub at: Duration,
    /// How many nodes there were.
    pub nodes: usize,
    /// The faults of this seed, in words.
    pub faults: String,
    /// The last events, each with its time.
    pub history: Vec<String>,
    /// How many events there were.
    pub events: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} fails after {:.3} s: {}", self.seed, self.at.as_secs_f64(), self.reason)?;
        writeln!(f, "run it again with SEED={}", self.seed)?;
        writeln!(f, "{} nodes; faults: {}", self.nodes, self.faults)?;
        writeln!(f, "the last {} of {} events:", self.history.len(), self.events)?;
        for line in &self.history {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// All that happens, as a hash; the end of it, as text.
pub(super) struct Trace {
    hasher: Hasher,
    history: VecDeque<String>,
    events: u64,
    started: Timestamp,
}

/// Lines that a failure shows.
const HISTORY_MAX: usize = 40;

impl Trace {
    pub(super) fn new(seed: u64, started: Timestamp) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&seed.to_le_bytes());
        Self { hasher, history: VecDeque::new(), events: 0, started }
    }

    /// Something happened, after so many polls of tasks.
    pub(super) fn event(&mut self, now: Timestamp, polls: u64, text: &str) {
        self.events += 1;
        for number in [now.as_millis(), polls, text.len() as u64] {
            self.hasher.update(&number.to_le_bytes());
        }
        self.hasher.update(text.as_bytes());
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(format!("{:10.3}  {text}", now.since(self.started).as_secs_f64()));
    }

    /// A node is in this state.
    pub(super) fn state(&mut self, node: NodeId, digest: Hash) {
        self.hasher.update(&(node.0 as u64).to_le_bytes());
        self.hasher.update(digest.as_bytes());
    }

    pub(super) fn hash(&self) -> Hash {
        self.hasher.finalize()
    }

    pub(super) fn failure(self, seed: u64, reason: Reason, now: Timestamp, options: &Options) -> Failure {
        Failure {
            seed,
            reason,
            at: now.since(self.started),
            nodes: options.nodes(),
            faults: options.faults().to_string(),
            history: self.history.into(),
            events: self.events,
        }
    }
}
