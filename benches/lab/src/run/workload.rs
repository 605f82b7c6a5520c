//! What there is to sync.

use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dataset::{Dataset, Holdings};

/// Logs, and who lacks what of them.
///
/// Reads and writes as TOML:
///
/// ```
/// # use syncline_lab::run::Workload;
/// let text = r#"
/// name = "field-trip"
/// authors = 30       # each writes
/// logs = 2           # so many logs of
/// operations = 50    # so many operations with
/// body = 400         # so many bytes
/// initiator_lacks = 300
/// acceptor_lacks = 40
/// "#;
/// let workload = Workload::from_toml(text)?;
/// assert_eq!(workload.operations_in_total(), 3_000);
/// # Ok::<(), syncline_lab::run::WorkloadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How it is called in the results.
    pub name: String,
    /// Authors.
    pub authors: u64,
    /// Logs of each author.
    pub logs: u64,
    /// Operations of each log.
    pub operations: u64,
    /// Bytes of each body.
    pub body: usize,
    /// How many of the newest operations the initiator lacks. They are taken from all logs in turn; if the acceptor lacks
    /// some too, from the first half of the logs.
    #[serde(default)]
    pub initiator_lacks: u64,
    /// How many the acceptor lacks: from all logs in turn, or from the second half.
    #[serde(default)]
    pub acceptor_lacks: u64,
}

/// A workload that cannot be had.
#[derive(Debug, Error)]
pub enum WorkloadError {
    /// Neither a known name nor a file.
    #[error("there is no workload {name}; there are {}, and files that end in .toml or .json", Workload::NAMES.join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not as it should be.
    #[error("cannot understand the workload: {0}")]
    Syntax(String),
    /// The numbers do not fit together.
    #[error("{name}: {what}")]
    Impossible {
        /// The workload.
        name: String,
        /// What does not fit.
        what: String,
    },
}

impl Workload {
    /// Those that need no file.
    pub const NAMES: [&str; 7] =
        ["cold", "warm", "small-delta", "large-delta", "both-ways", "many-logs", "large-bodies"];

    /// The most operations that a workload may have.
    pub const OPERATIONS_MAX: u64 = 10_000_000;

    /// One log after the other, of which the initiator has nothing.
    #[must_use]
    pub fn cold(authors: u64, logs: u64, operations: u64, body: usize) -> Self {
        let initiator_lacks = authors * logs * operations;
        Self { name: "cold".into(), authors, logs, operations, body, initiator_lacks, acceptor_lacks: 0 }
    }

    /// One of [`NAMES`](Self::NAMES). A quick one is a tenth.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Unknown`].
    pub fn named(name: &str, quick: bool) -> Result<Self, WorkloadError> {
        let part = |count: u64| if quick { count / 10 } else { count };
        let shape = |authors, logs, operations, initiator_lacks, acceptor_lacks| Self {
            name: name.into(),
            authors,
            logs,
            operations,
            body: 100,
            initiator_lacks,
            acceptor_lacks,
        };
        let many = |initiator_lacks, acceptor_lacks| shape(part(100), 10, 10, initiator_lacks, acceptor_lacks);
        let workload = match name {
            "cold" => Self::cold(10, 1, part(1_000), 100),
            "warm" => many(0, 0),
            "small-delta" => many(10, 0),
            "large-delta" => many(part(5_000), 0),
            "both-ways" => many(part(2_500), part(2_500)),
            "many-logs" => shape(100, part(100), 1, part(100), 0),
            "large-bodies" => {
                let body = if quick { 100_000 } else { 1_000_000 };
                Self { name: name.into(), ..Self::cold(1, 1, 5, body) }
            }
            _ => return Err(WorkloadError::Unknown { name: name.into() }),
        };
        Ok(workload)
    }

    /// A name, or the path of a file that ends in `.toml` or `.json`.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`].
    pub fn find(name: &str, quick: bool) -> Result<Self, WorkloadError> {
        let path = Path::new(name);
        let parse = match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("toml") => Self::from_toml,
            Some("json") => Self::from_json,
            _ => return Self::named(name, quick),
        };
        let text = std::fs::read_to_string(path).map_err(|source| WorkloadError::Read { path: name.into(), source })?;
        parse(&text)
    }

    /// From the text of a TOML file.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`].
    pub fn from_toml(text: &str) -> Result<Self, WorkloadError> {
        toml::from_str::<Self>(text).map_err(|err| WorkloadError::Syntax(err.to_string()))?.check()
    }

    /// From the text of a JSON file, with the same fields.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`].
    pub fn from_json(text: &str) -> Result<Self, WorkloadError> {
        serde_json::from_str::<Self>(text).map_err(|err| WorkloadError::Syntax(err.to_string()))?.check()
    }

    fn check(self) -> Result<Self, WorkloadError> {
        let total = self.authors.checked_mul(self.logs).and_then(|logs| logs.checked_mul(self.operations));
        let bytes = total.and_then(|total| total.checked_mul(self.body as u64));
        let logs = self.authors.saturating_mul(self.logs);
        // Each side's share of the logs, as `holdings` deals them out.
        let (first, second) = if self.lack_both() { (logs / 2, logs - logs / 2) } else { (logs, logs) };
        let what = match (total, bytes) {
            (None | Some(0) | Some(Self::OPERATIONS_MAX..), _) => {
                format!("authors x logs x operations must be from 1 to {}", Self::OPERATIONS_MAX - 1)
            }
            (_, None | Some(0x1_0000_0000..)) => "all bodies together must be less than 4 GiB".into(),
            _ if self.initiator_lacks > first * self.operations || self.acceptor_lacks > second * self.operations => {
                "a side lacks more operations than there are in its logs".into()
            }
            _ => return Ok(self),
        };
        Err(WorkloadError::Impossible { name: self.name, what })
    }

    fn lack_both(&self) -> bool {
        self.initiator_lacks > 0 && self.acceptor_lacks > 0
    }

    /// Operations of all logs.
    #[must_use]
    pub fn operations_in_total(&self) -> u64 {
        self.authors * self.logs * self.operations
    }

    /// The data.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        Dataset::new(self.authors, self.logs, self.operations, self.body)
    }

    /// What the initiator and the acceptor hold of the data.
    #[must_use]
    pub fn holdings(&self, dataset: &Dataset) -> (Holdings, Holdings) {
        let logs = dataset.logs.len();
        let (first, second) = if self.lack_both() { (0..logs / 2, logs / 2..logs) } else { (0..logs, 0..logs) };
        let holds = |lacks, among| Holdings::all_but(dataset, lacks, among);
        (holds(self.initiator_lacks, first), holds(self.acceptor_lacks, second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_workload_and_possible() {
        for name in Workload::NAMES {
            for quick in [false, true] {
                let workload = Workload::named(name, quick).expect("it is known").check().expect("it is possible");
                assert_eq!(workload.name, name);
            }
        }
        assert!(matches!(Workload::named("other", false), Err(WorkloadError::Unknown { .. })));
    }

    #[test]
    fn when_both_lack_something_each_lacks_it_in_logs_of_its_own() {
        let workload = Workload::named("both-ways", true).expect("it is known");
        let dataset = workload.dataset();
        let (initiator, acceptor) = workload.holdings(&dataset);
        assert_eq!(initiator.lacking(&acceptor, &dataset).count(), 250);
        assert_eq!(acceptor.lacking(&initiator, &dataset).count(), 250);
    }

    #[test]
    fn a_file_has_the_same_fields_in_toml_and_json() {
        let example = include_str!("../../examples/workload.toml");
        let toml = Workload::from_toml(example).expect("the example is a workload");
        let json = Workload::from_json(&serde_json::to_string(&toml).expect("it can be written")).expect("the same");
        assert_eq!(toml, json);
    }

    #[test]
    fn impossible_files_are_refused() {
        let text = |line: &str| format!("name = \"x\"\nauthors = 2\nlogs = 1\noperations = 3\nbody = 10\n{line}\n");
        assert!(Workload::from_toml(&text("")).is_ok());
        assert!(Workload::from_toml(&text("initiator_lacks = 6")).is_ok());
        for line in ["initiator_lacks = 7", "initiator_lacks = 4\nacceptor_lacks = 1", "speed = 3", "operations = 4"] {
            assert!(Workload::from_toml(&text(line)).is_err(), "{line}");
        }
        let many = text("").replace("authors = 2", "authors = 9000000");
        assert!(matches!(Workload::from_toml(&many), Err(WorkloadError::Impossible { .. })));
    }
}
