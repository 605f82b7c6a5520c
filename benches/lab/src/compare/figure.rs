//! The figures: their names, what they measure, and what is the least that they have to reach.

use serde::Serialize;

/// A figure's name, meaning and least ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// The least of theirs / ours. Without one, and without `most`, the figure is for information.
    pub(crate) least: Option<f64>,
    /// The most that ours may be.
    pub(crate) most: Option<f64>,
    /// The most that ours may be of the limit.
    pub(crate) most_of_limit: Option<f64>,
    pub(crate) what: &'static str,
}

pub(in crate::compare) const fn definition(
    name: &'static str,
    unit: &'static str,
    least: Option<f64>,
    what: &'static str,
) -> Definition {
    Definition { name, unit, least, most: None, most_of_limit: None, what }
}

impl Definition {
    /// The same with the most that ours may be.
    pub(in crate::compare) const fn at_most(self, most: Option<f64>) -> Self {
        Self { most, ..self }
    }

    /// The same with the most that ours may be of the limit.
    pub(in crate::compare) const fn at_most_of_limit(self, times: f64) -> Self {
        Self { most_of_limit: Some(times), ..self }
    }
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

pub(crate) const V2_FORWARD_CPU: Definition =
    definition("log.v2.forward.cpu", "s", Some(10.0), "the same by version 2, handed over as it comes");
pub(crate) const V2_WIRE: Definition =
    definition("log.v2.wire", "B", None, "bytes on the wire in that session, both ways").at_most_of_limit(1.05);
pub(crate) const V2_INGEST_CPU: Definition =
    definition("log.v2.ingest.cpu", "s", Some(5.0), "the same by version 2, which verifies and stores by itself")
        .at_most_of_limit(1.4);
pub(crate) const V2_INGEST_HEADS_CPU: Definition =
    definition("log.v2.ingest-heads.cpu", "s", Some(20.0), "the same, checking the newest signature of each run only");
pub(crate) const V2_REDB_INGEST: Definition = definition(
    "log.v2.redb.ingest",
    "s",
    Some(0.5),
    "version 2 with all signatures, into a redb file; under theirs: version 2 into memory",
);
pub(crate) const V2_NOOP_CPU: Definition =
    definition("log.v2.noop.cpu", "s", Some(50.0), "equal stores with 10 000 logs of one author, by version 2");
pub(crate) const V2_NOOP_BYTES: Definition =
    definition("log.v2.noop.bytes", "B", None, "bytes on the wire in that session, both ways").at_most(Some(256.0));
pub(crate) const V2_SERVE_RSS: Definition = definition(
    "log.v2.serve.rss",
    "B",
    None,
    "growth of the process's memory while version 2 serves 100 000 operations, both sides together",
)
.at_most(Some((8_u32 << 20) as f64));

/// All figures of log sync, in the order in which they are printed.
pub(crate) const LOG: [Definition; 18] = [
    INTS_CPU,
    INTS_WIRE,
    FORWARD_CPU,
    FORWARD_WIRE,
    TO_P2PANDA_CPU,
    V2_FORWARD_CPU,
    V2_WIRE,
    INGEST_CPU,
    V2_INGEST_CPU,
    V2_INGEST_HEADS_CPU,
    LARGE_CPU,
    NOOP_CPU,
    V2_NOOP_CPU,
    V2_NOOP_BYTES,
    NOOP_CHUNKED_CPU,
    SESSION_RSS,
    V2_SERVE_RSS,
    V2_REDB_INGEST,
];

/// A measured figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    /// There is nothing to compare with where it is not there.
    pub(crate) theirs: Option<f64>,
    /// Theirs / ours: more is better.
    pub(crate) ratio: Option<f64>,
    /// What no implementation can beat, in the same unit.
    pub(crate) limit: Option<f64>,
    /// The day on which theirs was measured, if that was not in this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<String>,
    #[serde(skip)]
    pub(crate) definition: Definition,
}

impl Figure {
    /// The medians of both sides' samples.
    pub(crate) fn new(definition: Definition, ours: &[f64], theirs: &[f64], limit: Option<f64>) -> Self {
        let (figure, theirs) = (Self::alone(definition, ours, limit), median(theirs));
        // A growth can be nothing at all; the ratio stays finite, so that it can be written as JSON.
        let ratio = theirs / figure.ours.max(f64::MIN_POSITIVE);
        let ratio = if ratio.is_finite() { ratio } else { f64::MAX };
        Self { theirs: Some(theirs), ratio: Some(ratio), ..figure }
    }

    /// The median of our samples, beside nothing.
    pub(crate) fn alone(definition: Definition, ours: &[f64], limit: Option<f64>) -> Self {
        let Definition { name, unit, .. } = definition;
        Self { name, unit, ours: median(ours), theirs: None, ratio: None, limit, recorded: None, definition }
    }

    /// The same with theirs from an earlier run, on that day.
    pub(crate) fn recorded(self, date: &str) -> Self {
        Self { recorded: Some(date.to_owned()), ..self }
    }

    /// What is wrong if the ratio is below the least one, or ours above the most.
    ///
    /// Times of different runs, which may be times of different machines, make no ratio that can be wrong.
    pub(crate) fn shortfall(&self) -> Option<String> {
        let Definition { least, most, unit, .. } = self.definition;
        let is_of_one_run = self.recorded.is_none() || unit != "s";
        if let (Some(least), Some(ratio), true) = (least, self.ratio, is_of_one_run)
            && ratio < least
        {
            return Some(format!("{} is {ratio:.2}, and {least:.2} is the least", self.name));
        }
        if let (Some(times), Some(limit)) = (self.definition.most_of_limit, self.limit)
            && self.ours > times * limit
        {
            return Some(format!("{} is {:.2} of its limit, and {times} is the most", self.name, self.ours / limit));
        }
        let most = most.filter(|&most| self.ours > most)?;
        Some(format!("{} is {}, and {most} is the most", self.name, self.ours))
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
        assert!(Figure::new(INTS_CPU, &[1.0], &[3.9], None).shortfall().is_some());
        assert!(Figure::new(INTS_CPU, &[1.0], &[4.0], None).shortfall().is_none());
        assert!(Figure::new(INTS_WIRE, &[1.0], &[0.1], None).shortfall().is_none());
        assert!(Figure::new(SESSION_RSS, &[0.0], &[1.0], None).ratio.is_some_and(f64::is_finite));
    }

    #[test]
    fn times_of_another_run_never_fall_short_and_its_bytes_do() {
        let bytes = Definition { unit: "B", ..INTS_CPU };
        assert!(Figure::new(INTS_CPU, &[1.0], &[3.9], None).recorded("2026-11-21").shortfall().is_none());
        assert!(Figure::new(bytes, &[1.0], &[3.9], None).recorded("2026-11-21").shortfall().is_some());
        assert!(Figure::alone(INTS_CPU, &[1.0], None).shortfall().is_none());
    }

    #[test]
    fn more_than_the_most_falls_short_whatever_theirs_is() {
        let messages = INTS_WIRE.at_most(Some(6.0));
        assert!(Figure::new(messages, &[6.0], &[1.0], None).shortfall().is_none());
        assert!(Figure::new(messages, &[7.0], &[100.0], None).shortfall().is_some());
    }

    #[test]
    fn names_are_unique() {
        for (at, one) in LOG.iter().enumerate() {
            assert!(LOG[at + 1..].iter().all(|other| other.name != one.name), "{}", one.name);
        }
    }
}
