//! Runs reconcilers of sets over the same sets, side by side.
//!
//! Two peers hold N items each, d of which only one of them has, half of those on either side. Every run is checked to have
//! found exactly them.

mod bound;
mod comparison;
#[cfg(feature = "iroh")]
mod iroh;
mod merkle_search_tree;
mod negentropy;
mod ours;
mod riblt;
mod sets;

use std::fmt;

use cpu_time::ProcessTime;
use serde::Serialize;
use thiserror::Error;

use crate::output::count;

pub use bound::{information, pin_sketch};
pub use comparison::{Bounds, Comparison, LeftOut, compare};
pub use negentropy::Negentropy;
pub use ours::Ours;
pub use sets::{Case, Entry, Sets, Spread};

/// What went over the wire, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Bytes from the side that begins.
    pub up: u64,
    /// Bytes to it.
    pub down: u64,
    /// Messages, both ways together. Two are a round trip.
    pub messages: u64,
    /// Ids that only the beginning side has, in any order.
    pub only_here: Vec<[u8; 32]>,
    /// Ids that only the other side has, in any order.
    pub only_there: Vec<[u8; 32]>,
}

impl Exchange {
    /// Counts a message.
    fn send(&mut self, from_here: bool, bytes: usize) {
        self.messages += 1;
        let way = if from_here { &mut self.up } else { &mut self.down };
        *way += bytes as u64;
    }

    /// Bytes both ways.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.up + self.down
    }
}

/// Both peers with their sets, ready to begin.
pub trait Peers {
    /// One session between them: encodes, decodes, and finds the differences.
    ///
    /// # Errors
    ///
    /// Why it failed.
    fn reconcile(&mut self) -> Result<Exchange, String>;

    /// Looks up what the session found, where it shows only in what is stored. Not measured.
    ///
    /// # Errors
    ///
    /// Why it failed.
    fn found(&mut self, _exchange: &mut Exchange) -> Result<(), String> {
        Ok(())
    }

    /// Whether the session changes the sets, so that the next one needs new peers.
    fn are_used_up(&self) -> bool {
        false
    }
}

/// A way to reconcile sets.
pub trait Algorithm {
    /// How it is called.
    fn name(&self) -> &'static str;

    /// Which side knows the differences in the end.
    fn tells(&self) -> Tells;

    /// Why it cannot do such a case in a time that anybody would wait, if so.
    fn refuses(&self, _case: &Case) -> Option<&'static str> {
        None
    }

    /// Builds both sides.
    fn peers<'a>(&self, sets: &'a Sets) -> Box<dyn Peers + 'a>;
}

/// Which side knows the differences in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tells {
    /// The one that began, or that was asked. Telling the other costs more.
    One,
    /// Both.
    Both,
}

/// All algorithms, ours first.
#[must_use]
pub fn algorithms() -> Vec<Box<dyn Algorithm>> {
    vec![
        Box::new(Ours::Sketch),
        Box::new(Ours::Ranges),
        Box::new(Negentropy),
        Box::new(merkle_search_tree::Mst),
        Box::new(riblt::Riblt),
        #[cfg(feature = "iroh")]
        Box::new(iroh::IrohDocs),
    ]
}

/// A session did not do its work.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{algorithm} with {case}: {why}")]
pub struct ReconcileFailure {
    algorithm: &'static str,
    case: Case,
    why: String,
}

/// What one algorithm needed for one case.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its name.
    pub algorithm: &'static str,
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// Bytes from the side that began.
    pub up: u64,
    /// Bytes to it.
    pub down: u64,
    /// Messages, both ways together.
    pub messages: u64,
    /// CPU seconds of both sides, encoding and decoding included; the median of the runs.
    pub cpu_s: f64,
    /// CPU seconds to build both sides, which is not part of that.
    pub build_s: f64,
    /// Who knows the differences in the end.
    pub tells: Tells,
}

impl Measured {
    /// Bytes both ways.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.up + self.down
    }
}

/// Runs an algorithm over two sets, `runs` times.
///
/// # Errors
///
/// [`ReconcileFailure`] if a session failed, or found anything else than the differences.
pub fn measure(algorithm: &dyn Algorithm, sets: &Sets, runs: usize) -> Result<Measured, ReconcileFailure> {
    let fail = |why: String| ReconcileFailure { algorithm: algorithm.name(), case: sets.case, why };
    let mut cpu = Vec::new();
    let mut last = None;
    let mut build_s = 0.0;
    let mut ready: Option<Box<dyn Peers + '_>> = None;
    for _ in 0..runs.max(1) {
        let mut peers = ready.take().unwrap_or_else(|| {
            let before = ProcessTime::now();
            let peers = algorithm.peers(sets);
            build_s = before.elapsed().as_secs_f64();
            peers
        });
        let before = ProcessTime::now();
        let mut exchange = peers.reconcile().map_err(fail)?;
        cpu.push(before.elapsed().as_secs_f64());
        peers.found(&mut exchange).map_err(fail)?;
        if !peers.are_used_up() {
            ready = Some(peers);
        }
        sets.check(&exchange).map_err(fail)?;
        last = Some(exchange);
    }
    cpu.sort_by(f64::total_cmp);
    let Exchange { up, down, messages, .. } = last.unwrap_or_default();
    let cpu_s = cpu.get(cpu.len() / 2).copied().unwrap_or_default();
    let (algorithm, tells) = (algorithm.name(), algorithm.tells());
    Ok(Measured { algorithm, case: sets.case, up, down, messages, cpu_s, build_s, tells })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n={} d={} {}", count(self.n as u64), count(self.d as u64), self.spread)
    }
}

#[cfg(test)]
mod tests;
