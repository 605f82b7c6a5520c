//! What there is to sync.

mod fields;

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use syncline_kv::Entry;
use thiserror::Error;

use crate::dataset::{Dataset, Holdings, Kind, kv};

use fields::Fields;

/// Data, and who lacks what of it.
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
///
/// let text = r#"
/// name = "fleet"
/// kind = "kv"
/// services = 40      # each has
/// keys = 250         # so many keys with values of
/// value = 64         # so many bytes
/// initiator_lacks = 100
/// updated = 20       # and so many of which only the acceptor has the latest value
/// "#;
/// let workload = Workload::from_toml(text)?;
/// assert_eq!(workload.operations_in_total(), 10_000);
/// # Ok::<(), syncline_lab::run::WorkloadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Workload {
    /// How it is called in the results.
    pub name: String,
    /// What there is.
    pub content: Content,
    /// How many of the newest operations the initiator lacks. They are taken from all logs in turn; if the acceptor lacks
    /// some too, from the first half of the logs. Or how many keys, anywhere: without any key it lacks the grants too.
    pub initiator_lacks: u64,
    /// How many the acceptor lacks: from all logs in turn, or from the second half. Or how many keys, others than the
    /// initiator.
    pub acceptor_lacks: u64,
}

/// What there is, with nothing lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Logs of operations.
    Log {
        /// Authors.
        authors: u64,
        /// Logs of each author.
        logs: u64,
        /// Operations of each log.
        operations: u64,
        /// Bytes of each body.
        body: usize,
    },
    /// Keys with values.
    Kv {
        /// Services, each with an author who may write its keys.
        services: u64,
        /// Keys of each service.
        keys: u64,
        /// Bytes of each value.
        value: usize,
        /// Keys that both sides have and of which only the acceptor has the latest value.
        updated: u64,
    },
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
    pub const NAMES: [&str; 13] = [
        "cold",
        "warm",
        "small-delta",
        "large-delta",
        "both-ways",
        "many-logs",
        "large-bodies",
        "kv-cold",
        "kv-warm",
        "kv-small-delta",
        "kv-large-delta",
        "kv-both-ways",
        "kv-updates",
    ];

    /// The most operations, or keys, that a workload may have.
    pub const OPERATIONS_MAX: u64 = 10_000_000;

    /// One log after the other, of which the initiator has nothing.
    #[must_use]
    pub fn cold(authors: u64, logs: u64, operations: u64, body: usize) -> Self {
        let initiator_lacks = authors * logs * operations;
        let content = Content::Log { authors, logs, operations, body };
        Self { name: "cold".into(), content, initiator_lacks, acceptor_lacks: 0 }
    }

    /// Services with so many keys each, of which the initiator has nothing.
    #[must_use]
    pub fn kv_cold(services: u64, keys: u64, value: usize) -> Self {
        let content = Content::Kv { services, keys, value, updated: 0 };
        Self { name: "kv-cold".into(), content, initiator_lacks: services * keys, acceptor_lacks: 0 }
    }

    /// One of [`NAMES`](Self::NAMES). A quick one is a tenth.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Unknown`].
    pub fn named(name: &str, quick: bool) -> Result<Self, WorkloadError> {
        let part = |count: u64| if quick { count / 10 } else { count };
        let named = |content, initiator_lacks, acceptor_lacks| Self {
            name: name.into(),
            content,
            initiator_lacks,
            acceptor_lacks,
        };
        let many = Content::Log { authors: part(100), logs: 10, operations: 10, body: 100 };
        let keys = |updated| Content::Kv { services: part(100), keys: 100, value: 100, updated };
        let workload = match name {
            "cold" => Self::cold(10, 1, part(1_000), 100),
            "warm" => named(many, 0, 0),
            "small-delta" => named(many, 10, 0),
            "large-delta" => named(many, part(5_000), 0),
            "both-ways" => named(many, part(2_500), part(2_500)),
            "many-logs" => {
                named(Content::Log { authors: 100, logs: part(100), operations: 1, body: 100 }, part(100), 0)
            }
            "large-bodies" => {
                let body = if quick { 100_000 } else { 1_000_000 };
                Self { name: name.into(), ..Self::cold(1, 1, 5, body) }
            }
            "kv-cold" => named(keys(0), part(10_000), 0),
            "kv-warm" => named(keys(0), 0, 0),
            "kv-small-delta" => named(keys(0), 10, 0),
            "kv-large-delta" => named(keys(0), part(5_000), 0),
            "kv-both-ways" => named(keys(0), part(2_500), part(2_500)),
            "kv-updates" => named(keys(part(1_000)), 0, 0),
            _ => return Err(WorkloadError::Unknown { name: name.into() }),
        };
        Ok(workload)
    }

    /// Who can run it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Log { .. } => Kind::Log,
            Content::Kv { .. } => Kind::Kv,
        }
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
        match self.flaw() {
            Some(what) => Err(WorkloadError::Impossible { name: self.name, what }),
            None => Ok(self),
        }
    }

    /// What does not fit together.
    fn flaw(&self) -> Option<String> {
        let (total, body, what) = match self.content {
            Content::Log { authors, logs, operations, body } => {
                let total = authors.checked_mul(logs).and_then(|logs| logs.checked_mul(operations));
                (total, body, "authors x logs x operations")
            }
            Content::Kv { services, keys, value, .. } => (services.checked_mul(keys), value, "services x keys"),
        };
        let Some(total @ 1..Self::OPERATIONS_MAX) = total else {
            return Some(format!("{what} must be from 1 to {}", Self::OPERATIONS_MAX - 1));
        };
        if total.checked_mul(body as u64).is_none_or(|bytes| bytes >= 1 << 32) {
            return Some("all bodies or values together must be less than 4 GiB".into());
        }
        match self.content {
            Content::Log { authors, logs, operations, .. } => {
                let logs = authors * logs;
                // Each side's share of the logs, as `holdings` deals them out.
                let (first, second) = if self.lack_both() { (logs / 2, logs - logs / 2) } else { (logs, logs) };
                let fits = self.initiator_lacks <= first * operations && self.acceptor_lacks <= second * operations;
                (!fits).then(|| "a side lacks more operations than there are in its logs".into())
            }
            Content::Kv { value, .. } if value > Entry::VALUE_LEN_MAX => {
                Some(format!("a value has at most {} bytes", Entry::VALUE_LEN_MAX))
            }
            Content::Kv { updated, .. } => {
                let differing = self.initiator_lacks.checked_add(self.acceptor_lacks);
                let fits = differing.and_then(|lacks| lacks.checked_add(updated)).is_some_and(|all| all <= total);
                (!fits).then(|| "more keys are lacking or updated than there are".into())
            }
        }
    }

    fn lack_both(&self) -> bool {
        self.initiator_lacks > 0 && self.acceptor_lacks > 0
    }

    /// Operations of all logs, or keys of all services.
    #[must_use]
    pub fn operations_in_total(&self) -> u64 {
        match self.content {
            Content::Log { authors, logs, operations, .. } => authors * logs * operations,
            Content::Kv { services, keys, .. } => services * keys,
        }
    }

    /// The data.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        match self.content {
            Content::Log { authors, logs, operations, body } => Dataset::new(authors, logs, operations, body),
            Content::Kv { services, keys, value, updated } => Dataset::kv(kv::Shape { services, keys, value, updated }),
        }
    }

    /// What the initiator and the acceptor hold of the data.
    #[must_use]
    pub fn holdings(&self, dataset: &Dataset) -> (Holdings, Holdings) {
        if let Content::Kv { services, .. } = self.content {
            return self.holdings_of_keys(dataset, services as usize);
        }
        let logs = dataset.logs.len();
        let (first, second) = if self.lack_both() { (0..logs / 2, logs / 2..logs) } else { (0..logs, 0..logs) };
        let holds = |lacks, among| Holdings::all_but(dataset, lacks, among);
        (holds(self.initiator_lacks, first), holds(self.acceptor_lacks, second))
    }

    /// Spreads what is lacking evenly over the keys that have one value only.
    fn holdings_of_keys(&self, dataset: &Dataset, grants: usize) -> (Holdings, Holdings) {
        let keys = (grants..dataset.logs.len()).filter(|&at| dataset.logs[at].operations.len() == 1);
        let keys: Vec<usize> = keys.collect();
        let (initiator, lacking) =
            (self.initiator_lacks as usize, (self.initiator_lacks + self.acceptor_lacks) as usize);
        let (mut initiators, mut acceptors) = (HashSet::new(), HashSet::new());
        for nth in 0..lacking {
            let key = keys[nth * keys.len() / lacking];
            let is_initiators = (nth + 1) * initiator / lacking > nth * initiator / lacking;
            if is_initiators {
                initiators.insert(key)
            } else {
                acceptors.insert(key)
            };
        }
        let all = self.operations_in_total() as usize;
        for lacks in [&mut initiators, &mut acceptors].into_iter().filter(|lacks| lacks.len() == all) {
            lacks.extend(0..grants);
        }
        let holds = |lacks: &HashSet<usize>, is_behind| Holdings::of_keys(dataset, |at| lacks.contains(&at), is_behind);
        (holds(&initiators, true), holds(&acceptors, false))
    }
}

#[cfg(test)]
mod tests;
