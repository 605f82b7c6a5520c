//! The figures: their names, what they measure, and what is the least that they have to reach.

use serde::Serialize;

/// A figure's name, meaning and least ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// The least of theirs / ours. Without one the figure is for information.
    pub(crate) least: Option<f64>,
    pub(crate) what: &'static str,
}

const fn definition(name: &'static str, unit: &'static str, least: Option<f64>, what: &'static str) -> Definition {
    Definition { name, unit, least, what }
}

pub(crate) const INTS_CPU: Definition = definition(
    "log.v1.ints.cpu",
    "s",
    Some(4.0),
    "1 log of 100 000 operations with bodies of 100 bytes, forwarded to the application, in the original's encoding",
);
pub(crate) const INTS_WIRE: Definition =
    definition("log.v1.ints.wire", "B", None, "bytes on the wire in that session, both ways");
pub(crate) const FORWARD_CPU: Definition =
    definition("log.v1.forward.cpu", "s", Some(8.0), "the same in byte strings, which is the default");
pub(crate) const FORWARD_WIRE: Definition =
    definition("log.v1.forward.wire", "B", None, "bytes on the wire in that session, both ways");
pub(crate) const TO_P2PANDA_CPU: Definition = definition(
    "log.v1.to-p2panda.cpu",
    "s",
    Some(4.0),
    "the same, sent by ours to a p2panda receiver, against p2panda on both sides",
);
pub(crate) const INGEST_CPU: Definition = definition(
    "log.v1.ingest.cpu",
    "s",
    Some(4.0),
    "the same operations verified and stored in memory by the receiver",
);
pub(crate) const LARGE_CPU: Definition =
    definition("log.v1.large.cpu", "s", Some(80.0), "1 log of 20 operations with bodies of 1 MB, forwarded");
pub(crate) const NOOP_CPU: Definition =
    definition("log.v1.noop.cpu", "s", Some(4.0), "equal stores with 10 000 logs of one author");
pub(crate) const NOOP_CHUNKED_CPU: Definition = definition(
    "log.v1.noop-chunked.cpu",
    "s",
    Some(100.0),
    "equal stores with one log of each of 10 000 authors, arriving in pieces of 1400 bytes",
);
pub(crate) const SESSION_RSS: Definition = definition(
    "log.v1.session.rss",
    "B",
    Some(5.0),
    "growth of the process's memory during a forwarding session, over what the stores take",
);

/// All figures of log sync, in the order in which they are printed.
pub(crate) const LOG: [Definition; 10] = [
    INTS_CPU,
    INTS_WIRE,
    FORWARD_CPU,
    FORWARD_WIRE,
    TO_P2PANDA_CPU,
    INGEST_CPU,
    LARGE_CPU,
    NOOP_CPU,
    NOOP_CHUNKED_CPU,
    SESSION_RSS,
];

/// A measured figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    /// Theirs / ours: more is better.
    pub(crate) ratio: f64,
    /// What no implementation can beat, in the same unit.
    pub(crate) limit: Option<f64>,
    #[serde(skip)]
    pub(crate) definition: Definition,
}

impl Figure {
    /// The medians of both sides' samples.
    pub(crate) fn new(definition: Definition, ours: &[f64], theirs: &[f64], limit: Option<f64>) -> Self {
        let (ours, theirs) = (median(ours), median(theirs));
        // A growth can be nothing at all; the ratio stays finite, so that it can be written as JSON.
        let ratio = theirs / ours.max(f64::MIN_POSITIVE);
        let ratio = if ratio.is_finite() { ratio } else { f64::MAX };
        Self { name: definition.name, unit: definition.unit, ours, theirs, ratio, limit, definition }
    }

    /// Whether the ratio is below the least one.
    pub(crate) fn falls_short(&self) -> bool {
        self.definition.least.is_some_and(|least| self.ratio < least)
    }
}

/// The middle one of an odd number of samples; of an even number the mean of the two in the middle.
fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted[sorted.len() / 2];
    let lower = sorted[(sorted.len() - 1) / 2];
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn a_ratio_below_the_least_falls_short() {
        assert!(Figure::new(INTS_CPU, &[1.0], &[3.9], None).falls_short());
        assert!(!Figure::new(INTS_CPU, &[1.0], &[4.0], None).falls_short());
        assert!(!Figure::new(INTS_WIRE, &[1.0], &[0.1], None).falls_short());
        assert!(Figure::new(SESSION_RSS, &[0.0], &[1.0], None).ratio.is_finite());
    }

    #[test]
    fn names_are_unique() {
        for (at, one) in LOG.iter().enumerate() {
            assert!(LOG[at + 1..].iter().all(|other| other.name != one.name), "{}", one.name);
        }
    }
}
