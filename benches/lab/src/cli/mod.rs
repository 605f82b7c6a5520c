//! The command line: `cargo lab`.

mod compare;
mod reconcile;
#[cfg(feature = "iroh")]
mod record;
mod run;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::compare::log::{Who, profile};
use crate::contestant::{Contestants, Receive};
use crate::run::{Workload, growth};

/// Measures Syncline beside what it is compared with.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints one line per figure: name, ours, theirs, ratio, and the limit where there is one.
    Compare(compare::Compare),
    /// Measures all and writes docs/benchmarks.md.
    Docs {
        /// Does less of everything, to see that it works.
        #[arg(long)]
        quick: bool,
        /// Where to write the page.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md"), hide_default_value = true)]
        page: PathBuf,
    },
    /// Measures iroh-docs alone, and writes down what builds without it compare with.
    #[cfg(feature = "iroh")]
    Record(record::Record),
    /// Runs reconcilers of sets over the same sets, side by side.
    Reconcile(reconcile::Reconcile),
    /// Runs protocols over a simulated link and over loopback, side by side.
    Run(run::Run),
    /// Runs the sessions of one figure of CPU time again and again, for a profiler to look at.
    Profile {
        /// The figure's name, such as log.v1.forward.cpu.
        figure: String,
        who: Who,
        #[arg(long, default_value_t = 20)]
        times: usize,
    },
    /// One measurement of memory, in the process that does it.
    #[command(hide = true)]
    SessionMemory { contestant: String, receive: Receive, workload: String },
    /// The memory of a process with two files of a key-value store open.
    #[command(hide = true)]
    KvMemory { here: PathBuf, there: PathBuf, stored: usize },
}

/// The whole program, with these contestants.
#[must_use]
pub fn main(contestants: &Contestants) -> ExitCode {
    match Arguments::parse().command {
        Command::Compare(compare) => compare.main(),
        Command::Docs { quick, page } => compare::docs(quick, &page),
        #[cfg(feature = "iroh")]
        Command::Record(record) => record.main(),
        Command::Reconcile(reconcile) => reconcile.main(),
        Command::Run(run) => run.main(contestants),
        Command::Profile { figure, who, times } => match profile(&figure, who, times) {
            Some(seconds) => {
                seconds.iter().for_each(|seconds| println!("{seconds:.6}"));
                ExitCode::SUCCESS
            }
            None => fail(format_args!("{figure} is no figure of CPU time")),
        },
        Command::SessionMemory { contestant, receive, workload } => {
            memory(contestants, &contestant, receive, &workload)
        }
        Command::KvMemory { here, there, stored } => match crate::compare::kv::alone::memory(&here, &there, stored) {
            Ok(bytes) => {
                println!("{bytes}");
                ExitCode::SUCCESS
            }
            Err(why) => fail(why),
        },
    }
}

fn memory(contestants: &Contestants, contestant: &str, receive: Receive, workload: &str) -> ExitCode {
    let contestant = match contestants.get(contestant) {
        Ok(contestant) => contestant,
        Err(err) => return fail(err),
    };
    match Workload::from_json(workload)
        .map_err(Into::into)
        .and_then(|workload| growth(&*contestant, &workload, receive))
    {
        Ok(bytes) => {
            println!("{bytes}");
            ExitCode::SUCCESS
        }
        Err(err) => fail(err),
    }
}

fn fail(why: impl fmt::Display) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_the_hidden_command_has_its_name() {
        let command = Arguments::command();
        command.clone().debug_assert();
        assert!(command.find_subcommand(crate::run::MEMORY_SUBCOMMAND).is_some());
        assert!(command.find_subcommand(crate::compare::kv::alone::SUBCOMMAND).is_some());
    }
}
