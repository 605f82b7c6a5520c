//! Runs protocols over a simulated link and over loopback, side by side.
//!
//! What each figure means is said where it is defined: [`Outcome`].

mod link;
mod loopback;
mod memory;
mod meter;
mod report;
mod simulated;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::contestant::{Contestant, Receive, Tally};
use crate::progress::Progress;

use loopback::over_loopback;
use simulated::{Scene, simulate};

pub use link::{Link, LinkError};
#[cfg(test)]
pub(crate) use memory::SUBCOMMAND as MEMORY_SUBCOMMAND;
pub(crate) use memory::{growth, growth_in_own_process};
pub use report::{DIFFERENCE, DifferencePoint, KV_DIFFERENCE, Outcome, Report, RttPoint};
pub use simulated::Traffic;
pub use workload::{Content, Workload, WorkloadError};

/// Why there are no results.
#[derive(Debug, Error)]
pub enum RunError {
    /// A session failed, or not everything arrived. It measures nothing.
    #[error("{contestant}: {why}")]
    Session {
        /// Whose session.
        contestant: String,
        /// What went wrong.
        why: String,
    },
    /// No protocol of the plan syncs what the workload has.
    #[error("{workload}: none of the protocols syncs such data")]
    NoContestant {
        /// The workload.
        workload: String,
    },
    /// No workload of the plan has what the protocol syncs.
    #[error("{contestant}: none of the workloads has data that it syncs")]
    NoWorkload {
        /// The protocol.
        contestant: String,
    },
    /// A workload cannot be had.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
}

/// Who runs what, and over which link.
#[derive(Clone)]
pub struct Plan {
    /// The protocols. Each runs the workloads of its kind.
    pub contestants: Vec<Arc<dyn Contestant>>,
    /// What there is to sync.
    pub workloads: Vec<Workload>,
    /// The simulated connection.
    pub link: Link,
    /// What the nodes do with what they receive.
    pub receive: Receive,
    /// How often each session runs over loopback. The median counts.
    pub loopback_runs: usize,
    /// Whether memory is measured, each time in a process of its own: this program again. The program's `main` has to be
    /// [`crate::cli::main`] for that.
    pub memory: bool,
    /// The round trips for time against RTT; the link is the same otherwise.
    pub rtts: Vec<Duration>,
    /// The workloads for time against difference, and what their initiators lack in turn.
    pub differences: Vec<(Workload, Vec<u64>)>,
}

impl Plan {
    /// A plan with everything that the command line does if it is told nothing else: cold sync, 3 runs over loopback, both
    /// sweeps. A quick one does less of everything.
    #[must_use]
    pub fn new(contestants: Vec<Arc<dyn Contestant>>, workloads: Vec<Workload>, link: Link, quick: bool) -> Self {
        let (hundreds, differences): (_, &[u64]) =
            if quick { (10, &[0, 1, 10, 100, 1_000]) } else { (100, &[0, 1, 10, 100, 1_000, 10_000]) };
        let logs = Workload { name: DIFFERENCE.into(), ..Workload::cold(hundreds, 10, 10, 100) };
        let keys = Workload { name: KV_DIFFERENCE.into(), ..Workload::kv_cold(hundreds, 100, 100) };
        let mut bases = vec![logs, keys];
        bases.retain(|base| contestants.iter().any(|contestant| contestant.kind() == base.kind()));
        Self {
            contestants,
            workloads,
            link,
            receive: Receive::Ingest,
            loopback_runs: if quick { 1 } else { 3 },
            memory: true,
            rtts: [0, 10, 50, 100, 200].map(Duration::from_millis).to_vec(),
            differences: bases.into_iter().map(|base| (base, differences.to_vec())).collect(),
        }
    }

    fn steps(&self) -> usize {
        let sessions = 2 + self.loopback_runs + usize::from(self.memory) + self.rtts.len();
        let workloads = self.workloads.iter().map(|workload| (workload, sessions));
        let differences = self.differences.iter().map(|(base, differences)| (base, differences.len()));
        workloads.chain(differences).map(|(workload, sessions)| self.contestants_for(workload).count() * sessions).sum()
    }

    /// Who syncs what the workload has.
    fn contestants_for(&self, workload: &Workload) -> impl Iterator<Item = &Arc<dyn Contestant>> {
        let kind = workload.kind();
        self.contestants.iter().filter(move |contestant| contestant.kind() == kind)
    }

    /// Nobody came for nothing.
    fn check(&self) -> Result<(), RunError> {
        for workload in &self.workloads {
            if self.contestants_for(workload).next().is_none() {
                return Err(RunError::NoContestant { workload: workload.name.clone() });
            }
        }
        let is_idle = |contestant: &&Arc<dyn Contestant>| {
            !self.workloads.iter().any(|workload| workload.kind() == contestant.kind())
        };
        match self.contestants.iter().find(is_idle) {
            Some(contestant) => Err(RunError::NoWorkload { contestant: contestant.name().to_owned() }),
            None => Ok(()),
        }
    }

    /// Runs it all.
    ///
    /// # Errors
    ///
    /// [`RunError`]: a protocol or a workload has no counterpart of its kind; or the first session that failed or did not do
    /// its work.
    pub fn run(&self, progress: &dyn Progress) -> Result<Report, RunError> {
        self.check()?;
        progress.begin(self.steps());
        let mut report = Report {
            link: self.link,
            receive: self.receive,
            loopback_runs: self.loopback_runs,
            workloads: self.workloads.clone(),
            outcomes: Vec::new(),
            by_rtt: Vec::new(),
            by_difference: Vec::new(),
        };
        for workload in &self.workloads {
            self.run_workload(workload, &mut report, progress)?;
        }
        for (base, differences) in &self.differences {
            for &difference in differences {
                let workload = Workload { initiator_lacks: difference, ..base.clone() };
                self.run_difference(&workload, &mut report, progress)?;
            }
        }
        progress.end();
        Ok(report)
    }

    fn run_workload(&self, workload: &Workload, report: &mut Report, progress: &dyn Progress) -> Result<(), RunError> {
        let dataset = workload.dataset();
        let (initiator, acceptor) = workload.holdings(&dataset);
        let scene = Scene { dataset: &dataset, initiator: &initiator, acceptor: &acceptor, receive: self.receive };
        let lacking = Tally::of(initiator.lacking(&acceptor, &dataset).chain(acceptor.lacking(&initiator, &dataset)));
        // All contestants in turns, so that whatever else the machine does falls on all.
        let mut loopback: Vec<Vec<_>> = self.contestants_for(workload).map(|_| Vec::new()).collect();
        for _ in 0..self.loopback_runs {
            for (contestant, runs) in self.contestants_for(workload).zip(&mut loopback) {
                progress.step(&format!("{} {} loopback", contestant.name(), workload.name));
                runs.push(over_loopback(&**contestant, &scene)?);
            }
        }
        for (contestant, loopback) in self.contestants_for(workload).zip(&loopback) {
            let say = |what: &str| progress.step(&format!("{} {} {what}", contestant.name(), workload.name));
            let protocol = contestant.name().to_owned();
            say("link");
            let link = simulate(&**contestant, &scene, &self.link)?;
            say("round trips");
            let distant = Link::IDEAL.with_rtt(Duration::from_secs(1));
            let round_trips = simulate(&**contestant, &scene, &distant)?.time.as_secs_f64();
            let memory_bytes = self.memory.then(|| {
                say("memory");
                growth_in_own_process(&protocol, workload, self.receive)
            });
            let median = |of: fn(&loopback::Loopback) -> Duration| {
                let mut times: Vec<Duration> = loopback.iter().map(of).collect();
                times.sort();
                times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
            };
            report.outcomes.push(Outcome {
                protocol: protocol.clone(),
                workload: workload.name.clone(),
                lacking: lacking.operations,
                lacking_bytes: lacking.bytes,
                link_s: link.time.as_secs_f64(),
                round_trips,
                up: link.up,
                down: link.down,
                redundant: link.redundant,
                loopback_s: median(|run| run.wall),
                initiator_cpu_s: median(|run| run.initiator_cpu),
                acceptor_cpu_s: median(|run| run.acceptor_cpu),
                memory_bytes: memory_bytes.transpose()?,
            });
            for &rtt in &self.rtts {
                say("RTT");
                let link_s = simulate(&**contestant, &scene, &self.link.with_rtt(rtt))?.time.as_secs_f64();
                let rtt_ms = u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX);
                let workload = workload.name.clone();
                report.by_rtt.push(RttPoint { protocol: protocol.clone(), workload, rtt_ms, link_s });
            }
        }
        Ok(())
    }

    fn run_difference(
        &self,
        workload: &Workload,
        report: &mut Report,
        progress: &dyn Progress,
    ) -> Result<(), RunError> {
        let dataset = workload.dataset();
        let (initiator, acceptor) = workload.holdings(&dataset);
        let scene = Scene { dataset: &dataset, initiator: &initiator, acceptor: &acceptor, receive: self.receive };
        for contestant in self.contestants_for(workload) {
            progress.step(&format!("{} difference {}", contestant.name(), workload.initiator_lacks));
            let run = simulate(&**contestant, &scene, &self.link)?;
            report.by_difference.push(DifferencePoint {
                protocol: contestant.name().to_owned(),
                workload: workload.name.clone(),
                difference: workload.initiator_lacks,
                link_s: run.time.as_secs_f64(),
                bytes: run.up.bytes + run.down.bytes,
            });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let contestants: Vec<_> = self.contestants.iter().map(|contestant| contestant.name()).collect();
        f.debug_struct("Plan").field("contestants", &contestants).field("link", &self.link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
