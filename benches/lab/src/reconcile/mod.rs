//! Runs reconcilers of sets over the same sets, side by side.
//!
//! Two peers hold N items each, d of which only one of them has, half of those on either side. Every run is checked to have
//! found exactly them.

mod bound;
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

use crate::output::Csv;
use crate::output::{Table, bytes, count, seconds};
use crate::progress::Progress;

pub use bound::{information, pin_sketch};
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

/// The results of `cargo lab reconcile`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// One for each case and algorithm that took part.
    pub measured: Vec<Measured>,
    /// Who did not take part where, and why.
    pub left_out: Vec<LeftOut>,
    /// What no algorithm can beat, for each case.
    pub bounds: Vec<Bounds>,
}

/// An algorithm that did not take part.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub algorithm: &'static str,
    /// Where.
    #[serde(flatten)]
    pub case: Case,
    /// Why.
    pub why: &'static str,
}

/// What no algorithm can beat.
#[derive(Clone, Debug, Serialize)]
pub struct Bounds {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// See [`information`].
    pub information_bytes: f64,
    /// See [`pin_sketch`].
    pub pin_sketch_bytes: f64,
}

impl Bounds {
    /// The bounds of a case.
    #[must_use]
    pub fn of(case: Case) -> Self {
        Self { case, information_bytes: information(case.n, case.d), pin_sketch_bytes: pin_sketch(case.d) }
    }
}

/// Runs all algorithms over all cases.
///
/// # Errors
///
/// [`ReconcileFailure`].
pub fn compare(
    algorithms: &[Box<dyn Algorithm>],
    cases: &[Case],
    runs: usize,
    progress: &dyn Progress,
) -> Result<Comparison, ReconcileFailure> {
    progress.begin(cases.len() * algorithms.len());
    let mut comparison = Comparison::default();
    for &case in cases {
        let sets = Sets::new(case);
        comparison.bounds.push(Bounds::of(case));
        for algorithm in algorithms {
            progress.step(&format!("{} {case}", algorithm.name()));
            match algorithm.refuses(&case) {
                Some(why) => comparison.left_out.push(LeftOut { algorithm: algorithm.name(), case, why }),
                None => comparison.measured.push(measure(&**algorithm, &sets, runs)?),
            }
        }
    }
    progress.end();
    Ok(comparison)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["set", "algorithm", "bytes", "up", "down", "messages", "CPU", "build", "told"];
        let mut table = Table::new(&header);
        for bounds in &self.bounds {
            for measured in self.measured.iter().filter(|measured| measured.case == bounds.case) {
                table.row(&[
                    measured.case.to_string(),
                    measured.algorithm.into(),
                    bytes(measured.bytes() as f64),
                    bytes(measured.up as f64),
                    bytes(measured.down as f64),
                    measured.messages.to_string(),
                    seconds(measured.cpu_s),
                    seconds(measured.build_s),
                    if measured.tells == Tells::Both { "both".into() } else { "one".into() },
                ]);
            }
            let none = || "-".to_owned();
            for (name, least) in
                [("(information)", bounds.information_bytes), ("(PinSketch)", bounds.pin_sketch_bytes)]
            {
                let mut row = vec![bounds.case.to_string(), name.into(), bytes(least)];
                row.resize_with(header.len(), none);
                table.row(&row);
            }
        }
        write!(f, "{table}")?;
        for left_out in &self.left_out {
            writeln!(f, "{} without {}: {}", left_out.case, left_out.algorithm, left_out.why)?;
        }
        Ok(())
    }
}

impl Comparison {
    /// As CSV.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut csv = Csv::new(&[
            "n", "d", "spread", "algorithm", "up_bytes", "down_bytes", "messages", "cpu_s", "build_s", "tells",
        ]);
        for measured in &self.measured {
            csv.row([
                measured.case.n.to_string(),
                measured.case.d.to_string(),
                measured.case.spread.to_string(),
                measured.algorithm.to_owned(),
                measured.up.to_string(),
                measured.down.to_string(),
                measured.messages.to_string(),
                measured.cpu_s.to_string(),
                measured.build_s.to_string(),
                if measured.tells == Tells::Both { "both".to_owned() } else { "one".to_owned() },
            ]);
        }
        csv.into_text()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n={} d={} {}", count(self.n as u64), count(self.d as u64), self.spread)
    }
}

#[cfg(test)]
mod tests;
