//! Ours beside negentropy: bytes, messages and CPU time of the same sets in turns.

use std::fmt;

use serde::Serialize;

use super::figure::{Definition, Figure, definition};
use crate::progress::Progress;
use crate::reconcile::{Algorithm, Bounds, Case, Measured, Negentropy, Ours, Sets, Spread, measure};

/// How many items, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) runs: usize,
    /// Items on each side, for all figures.
    pub(crate) n: usize,
    /// What the growth is shown at.
    growth: [usize; 3],
}

impl Scale {
    pub(crate) const FULL: Self = Self { runs: 5, n: 1_000_000, growth: [10_000, 100_000, 1_000_000] };
    /// Enough to see that everything works; the figures, whose names stay the same, say little.
    pub(crate) const QUICK: Self = Self { runs: 3, n: 50_000, growth: [2_000, 10_000, 50_000] };
}

/// What is compared, and its figures.
struct Pair {
    d: usize,
    spread: Spread,
    ours: Ours,
    bytes: Definition,
    messages: Definition,
    cpu: Definition,
}

/// The names, meanings and goals of a pair's figures. Goals are the least of theirs / ours, and for messages the most of ours.
macro_rules! pair {
    ($d:literal, $kind:literal, $spread:ident, $ours:ident, $what:literal, $bytes:expr, $messages:expr, $cpu:expr) => {
        Pair {
            d: $d,
            spread: Spread::$spread,
            ours: Ours::$ours,
            bytes: definition(
                concat!("reconcile.1000000.", $d, ".", $kind, ".bytes"),
                "B",
                $bytes,
                concat!($what, ": bytes both ways"),
            ),
            messages: definition(
                concat!("reconcile.1000000.", $d, ".", $kind, ".messages"),
                "",
                None,
                "messages both ways, two of which are a round trip",
            )
            .at_most($messages),
            cpu: definition(concat!("reconcile.1000000.", $d, ".", $kind, ".cpu"), "s", $cpu, "CPU time of both sides"),
        }
    };
}

/// All of them, with 10^6 items on each side.
const PAIRS: [Pair; 6] = [
    pair!(0, "uniform", Uniform, Sketch, "equal sets", Some(1.0 / 0.4), None, Some(1.0 / 0.01)),
    pair!(10, "uniform", Uniform, Sketch, "10 differences anywhere", Some(1.0 / 0.12), None, Some(1.0 / 0.05)),
    pair!(1000, "uniform", Uniform, Sketch, "1 000 differences", Some(1.0 / 0.05), Some(6.0), Some(1.0 / 0.05)),
    pair!(10000, "uniform", Uniform, Sketch, "10 000 differences", Some(1.0 / 0.06), None, Some(1.0 / 0.1)),
    pair!(
        1000,
        "ranges",
        Uniform,
        Ranges,
        "1 000 differences, ranges alone",
        Some(1.0 / 0.4),
        Some(8.0),
        Some(1.0 / 0.8)
    ),
    pair!(
        1000,
        "newest",
        Newest,
        Ranges,
        "the 1 000 newest items differ, ranges alone",
        Some(1.0 / 0.4),
        None,
        Some(1.0 / 0.1)
    ),
];

/// All figures of reconciliation, in the order in which they are printed.
#[cfg(test)]
fn definitions() -> impl Iterator<Item = Definition> {
    PAIRS.into_iter().flat_map(|pair| [pair.bytes, pair.messages, pair.cpu])
}

/// Figures, and what stands beside them.
#[derive(Debug, Serialize)]
pub(crate) struct Reconciliation {
    pub(crate) figures: Vec<Figure>,
    /// What no algorithm can beat.
    pub(crate) bounds: Vec<Bounds>,
    /// 1 000 differences in sets of other sizes.
    pub(crate) growth: Vec<Measured>,
}

/// Every figure of reconciliation.
///
/// Both stand ready, with their sets built: ours keeps its index, accumulator and sketch with each change, negentropy its
/// vector, sealed; building it is not counted. iroh-docs is not among them: it reconciles entries with two signatures each,
/// which it verifies and stores, so it is compared where ours does that too, with the key-value store.
///
/// # Panics
///
/// If a session fails or does not find exactly the differences, since it then measures nothing.
pub(crate) fn reconcile(scale: Scale, progress: &dyn Progress) -> Reconciliation {
    progress.begin(PAIRS.len() * 2 + scale.growth.len() * 3);
    let mut figures = Vec::new();
    let mut bounds: Vec<Bounds> = Vec::new();
    let mut sets: Option<Sets> = None;
    for pair in PAIRS {
        let case = Case { n: scale.n, d: pair.d, spread: pair.spread };
        let sets = match sets.take_if(|sets| sets.case == case) {
            Some(same) => sets.insert(same),
            None => sets.insert(Sets::new(case)),
        };
        let run = |algorithm: &dyn Algorithm| {
            progress.step(&format!("{} {case}", algorithm.name()));
            measure(algorithm, sets, scale.runs).unwrap_or_else(|err| panic!("{err}"))
        };
        let (ours, theirs) = (run(&pair.ours), run(&Negentropy));
        let bound = Bounds::of(case);
        let information = (bound.information_bytes > 0.0).then_some(bound.information_bytes);
        let figure =
            |definition, of: fn(&Measured) -> f64, limit| Figure::new(definition, &[of(&ours)], &[of(&theirs)], limit);
        figures.push(figure(pair.bytes, |measured| measured.bytes() as f64, information));
        figures.push(figure(pair.messages, |measured| measured.messages as f64, None));
        figures.push(figure(pair.cpu, |measured| measured.cpu_s, None));
        if bounds.iter().all(|known| known.case.d != case.d) {
            bounds.push(bound);
        }
    }
    drop(sets);
    let mut growth = Vec::new();
    for n in scale.growth {
        let sets = Sets::new(Case { n, d: 1_000, spread: Spread::Uniform });
        for algorithm in [&Ours::Sketch as &dyn Algorithm, &Ours::Ranges, &Negentropy] {
            progress.step(&format!("{} {}", algorithm.name(), sets.case));
            growth.push(measure(algorithm, &sets, scale.runs).unwrap_or_else(|err| panic!("{err}")));
        }
    }
    progress.end();
    Reconciliation { figures, bounds, growth }
}

impl fmt::Display for Reconciliation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::output::{Table, bytes, count, seconds};
        for figure in &self.figures {
            writeln!(f, "{}", super::report::line(figure))?;
        }
        let mut table = Table::new(&["differences", "", "information", "PinSketch"]);
        for bounds in &self.bounds {
            let name = count(bounds.case.d as u64);
            table.row(&[name, "at least".into(), bytes(bounds.information_bytes), bytes(bounds.pin_sketch_bytes)]);
        }
        write!(f, "\n{table}")?;
        let mut table = Table::new(&["items", "1 000 differ", "bytes", "messages", "CPU"]);
        for measured in &self.growth {
            table.row(&[
                count(measured.case.n as u64),
                measured.algorithm.into(),
                bytes(measured.bytes() as f64),
                measured.messages.to_string(),
                seconds(measured.cpu_s),
            ]);
        }
        write!(f, "\n{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn every_figure_is_there_and_every_name_is_unique() {
        let names: Vec<&str> = definitions().map(|definition| definition.name).collect();
        assert!(names.contains(&"reconcile.1000000.1000.ranges.messages"));
        for (at, name) in names.iter().enumerate() {
            assert!(!names[at + 1..].contains(name), "{name}");
        }
        let scale = Scale { runs: 1, n: 20_000, growth: [1_000, 2_000, 3_000] };
        let result = reconcile(scale, &Silent);
        assert!(result.figures.iter().map(|figure| figure.name).eq(names));
        assert!(result.figures.iter().all(|figure| figure.ours > 0.0 && figure.theirs > Some(0.0)));
        assert_eq!((result.bounds.len(), result.growth.len()), (4, 9));
        let text = result.to_string();
        assert!(text.contains("PinSketch") && text.contains("1 000 differ"), "{text}");
    }
}
