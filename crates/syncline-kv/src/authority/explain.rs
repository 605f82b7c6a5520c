//! Why, for people.

use std::fmt;
use std::sync::Arc;

use syncline_core::clock::Timestamp;
use syncline_crypto::PublicKey;

use super::{Authority, Authorization, Denied, Op};
use crate::item::{Grant, GrantId};
use crate::path::Key;

/// Why somebody may do something, or why not. `Display` is a text of several lines for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Who was asked about.
    pub who: PublicKey,
    /// The key.
    pub key: Key,
    /// What was to be done.
    pub op: Op,
    /// When.
    pub at: Timestamp,
    /// Whether it is allowed, and why.
    pub outcome: Outcome,
}

/// Whether something is allowed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is allowed in one of these ways, or not")]
pub enum Outcome {
    /// Being a root, one may do everything.
    Root,
    /// Everybody may read.
    Public,
    /// Each of these chains allows it, the best first. A chain is given from the root down to the grant that is used.
    Granted(Vec<Vec<Arc<Grant>>>),
    /// Nothing allows it.
    Denied {
        /// The reason that [`Authority::authorize`] gives.
        reason: Denied,
        /// What each grant lacks, the nearest miss first; at most [`Explanation::MISSES_MAX`].
        misses: Vec<Miss>,
        /// Grants that are not among the misses.
        omitted: usize,
    },
}

/// Why one grant does not allow something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Miss {
    /// The grant that would be used.
    pub grant: GrantId,
    /// The first rule that a link of its chain breaks, and which link.
    pub reason: Denied,
}

impl Explanation {
    /// The most grants that are told of.
    pub const MISSES_MAX: usize = 16;

    /// Whether it is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        !matches!(self.outcome, Outcome::Denied { .. })
    }
}

impl Authority {
    /// Why `who` may do `op` with `key` at wall time `at`, or why not and what would help.
    #[must_use]
    pub fn explain(&self, who: &PublicKey, key: &Key, op: Op, at: Timestamp) -> Explanation {
        let outcome = match self.authorize(who, key, op, at) {
            Ok(Authorization::Root) => Outcome::Root,
            Ok(Authorization::Public) => Outcome::Public,
            Ok(Authorization::Grants(leaves)) => {
                let chains = leaves.iter().filter_map(|leaf| self.chain(leaf));
                Outcome::Granted(chains.map(|links| links.iter().rev().cloned().collect()).collect())
            }
            Err(reason) => self.denied(reason, who, key, op, at),
        };
        Explanation { who: *who, key: key.clone(), op, at, outcome }
    }

    fn denied(&self, reason: Denied, who: &PublicKey, key: &Key, op: Op, at: Timestamp) -> Outcome {
        let misses = self.held_by(who).filter_map(|held| {
            let grant = held.grant().id();
            self.miss(held, key, op, at).map(|reason| Miss { grant, reason })
        });
        let mut misses: Vec<Miss> = misses.collect();
        misses.sort_by_key(|miss| miss.reason.distance());
        let omitted = misses.len().saturating_sub(Explanation::MISSES_MAX);
        misses.truncate(Explanation::MISSES_MAX);
        Outcome::Denied { reason, misses, omitted }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may = if self.is_allowed() { "may" } else { "may not" };
        write!(f, "{} {may} {} {} at {} ms", self.who, self.op, self.key, self.at.as_millis())?;
        match &self.outcome {
            Outcome::Root => write!(f, ": it is a root"),
            Outcome::Public => write!(f, ": everybody may read this namespace"),
            Outcome::Granted(chains) => {
                write!(f, ", by {}", count(chains.len(), "chain"))?;
                chains.iter().enumerate().try_for_each(|(number, chain)| write_chain(f, number + 1, chain))
            }
            Outcome::Denied { reason, misses, .. } if misses.is_empty() => write!(f, "\n  {reason}"),
            Outcome::Denied { misses, omitted, .. } => {
                write!(f, "; its grants, the nearest miss first")?;
                for miss in misses {
                    write!(f, "\n  {}: {}", miss.grant, miss.reason)?;
                }
                if *omitted > 0 {
                    write!(f, "\n  and {}", count(*omitted, "more grant"))?;
                }
                Ok(())
            }
        }
    }
}

fn write_chain(f: &mut fmt::Formatter<'_>, number: usize, chain: &[Arc<Grant>]) -> fmt::Result {
    write!(f, "\n  chain {number}")?;
    for (link, grant) in chain.iter().enumerate() {
        let fields = grant.fields();
        let by = if link == 0 { "root " } else { "" };
        write!(
            f,
            "\n    {}: {by}{} lets {} {} {}",
            grant.id(),
            fields.issuer,
            fields.audience,
            fields.ops,
            fields.pattern
        )?;
        if let Some(from) = fields.not_before {
            write!(f, ", from {} ms", from.as_millis())?;
        }
        if let Some(until) = fields.not_after {
            write!(f, ", until {} ms", until.as_millis())?;
        }
    }
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("{number} {what}") } else { format!("{number} {what}s") }
}
