use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::fail;
use crate::contestant::{Contestants, Receive};
use crate::output;
use crate::progress::Bar;
use crate::run::{Link, Plan, Workload};

/// `cargo lab run`.
#[derive(Args)]
pub(super) struct Run {
    /// Whose sessions, such as log-v1,p2panda-0.3; everybody's if not said.
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// What there is to sync: cold, warm, small-delta, large-delta, both-ways, many-logs, large-bodies, or a file that ends
    /// in .toml or .json; all of those with names if not said.
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
        let names: Vec<&str> = if self.protocol.is_empty() {
            contestants.names().collect()
        } else {
            self.protocol.iter().map(String::as_str).collect()
        };
        let workloads: Vec<&str> = if self.workload.is_empty() {
            Workload::NAMES.to_vec()
        } else {
            self.workload.iter().map(String::as_str).collect()
        };
        let chosen = names.into_iter().map(|name| contestants.get(name).map_err(|err| err.to_string()));
        let workloads =
            workloads.into_iter().map(|name| Workload::find(name, self.quick).map_err(|err| err.to_string()));
        let plan =
            Plan::new(chosen.collect::<Result<_, _>>()?, workloads.collect::<Result<_, _>>()?, self.link, self.quick);
        let loopback_runs = self.runs.unwrap_or(plan.loopback_runs).max(1);
        Ok(Plan { receive: self.receive, loopback_runs, ..plan })
    }
}
