//! All algorithms over all cases.

use std::fmt;

use serde::Serialize;

use super::{Algorithm, Case, Measured, ReconcileFailure, Sets, Tells, information, measure, pin_sketch};
use crate::output::{Csv, Table, bytes, seconds};
use crate::progress::Progress;

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
            for (name, least) in [("(information)", bounds.information_bytes), ("(PinSketch)", bounds.pin_sketch_bytes)]
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
            "n",
            "d",
            "spread",
            "algorithm",
            "up_bytes",
            "down_bytes",
            "messages",
            "cpu_s",
            "build_s",
            "tells",
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
