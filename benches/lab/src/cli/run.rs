use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::fail;
use crate::contestant::{Contestant, Contestants, Receive};
use crate::output;
use crate::progress::Bar;
use crate::run::{Link, Plan, Workload};

/// `cargo lab run`.
#[derive(Args)]
pub(super) struct Run {
    /// Whose sessions, such as log-v1,p2panda-0.3 or kv,kv-prefix; everybody's that sync the workloads if not said.
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// What there is to sync: cold, warm, small-delta, large-delta, both-ways, many-logs, large-bodies; of the key-value store
    /// kv-cold, kv-warm, kv-small-delta, kv-large-delta, kv-both-ways, kv-updates; or a file that ends in .toml or .json; all
    /// of those with names that the protocols sync if not said.
    #[arg(long, value_delimiter = ',')]
    workload: Vec<String>,
    /// The simulated link. What is left out costs nothing; loss=0.5% can be added.
    #[arg(long, default_value = "rtt=50ms,down=10mbit,up=2mbit")]
    link: Link,
    /// What the nodes do with what they receive.
    #[arg(long, value_enum, default_value_t = Receive::Ingest)]
    receive: Receive,
    /// How often each session runs over loopback. The median counts.
    #[arg(long)]
    runs: Option<usize>,
    /// Where to write outcomes.csv, rtt.csv, difference.csv, run.json and index.html. Nothing is written if not said.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Does less of everything, to see that it works.
    #[arg(long)]
    quick: bool,
}

impl Run {
    pub(super) fn main(self, contestants: &Contestants) -> ExitCode {
        let plan = match self.plan(contestants) {
            Ok(plan) => plan,
            Err(why) => return fail(why),
        };
        let report = match plan.run(&Bar::default()) {
            Ok(report) => report,
            Err(err) => return fail(err),
        };
        print!("{}", output::table(&report));
        match self.out.as_deref().map(|folder| output::write(&report, folder)) {
            Some(Ok(page)) => println!("\nwritten to {}", page.display()),
            Some(Err(err)) => return fail(err),
            None => {}
        }
        ExitCode::SUCCESS
    }

    fn plan(&self, contestants: &Contestants) -> Result<Plan, String> {
        let find = |name: &str| Workload::find(name, self.quick).map_err(|err| err.to_string());
        let get = |name: &str| contestants.get(name).map_err(|err| err.to_string());
        let (all_protocols, all_workloads) = (self.protocol.is_empty(), self.workload.is_empty());
        let mut chosen: Vec<Arc<dyn Contestant>> = if all_protocols {
            contestants.names().map(get).collect::<Result<_, _>>()?
        } else {
            self.protocol.iter().map(|name| get(name)).collect::<Result<_, _>>()?
        };
        let mut workloads: Vec<Workload> = if all_workloads {
            Workload::NAMES.into_iter().map(find).collect::<Result<_, _>>()?
        } else {
            self.workload.iter().map(|name| find(name)).collect::<Result<_, _>>()?
        };
        // What was asked for by name has to run; of the rest, what finds a counterpart.
        if all_workloads {
            workloads.retain(|workload| chosen.iter().any(|contestant| contestant.kind() == workload.kind()));
        } else if all_protocols {
            chosen.retain(|contestant| workloads.iter().any(|workload| contestant.kind() == workload.kind()));
        }
        let plan = Plan::new(chosen, workloads, self.link, self.quick);
        let loopback_runs = self.runs.unwrap_or(plan.loopback_runs).max(1);
        Ok(Plan { receive: self.receive, loopback_runs, ..plan })
    }
}
