//! Measures Syncline beside what it is compared with: `cargo lab compare log`, `cargo lab docs`.

mod compare;
mod dataset;
mod figure;
mod limit;
mod memory;
mod original;
mod ours;
mod report;
mod session;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::compare::Scale;
use crate::figure::Figure;
use crate::memory::Who;

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
    Compare {
        area: Area,
        /// Prints one JSON object instead, and nothing else on standard output.
        #[arg(long)]
        json: bool,
        /// Does less of everything, to see that it works.
        #[arg(long)]
        quick: bool,
        /// Fails if a ratio is below the least one.
        #[arg(long)]
        least: bool,
    },
    /// Measures all and writes docs/benchmarks.md.
    Docs {
        /// Does less of everything, to see that it works.
        #[arg(long)]
        quick: bool,
        /// Where to write the page.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md"), hide_default_value = true)]
        page: PathBuf,
    },
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
    SessionMemory { who: Who, operations: u64 },
}

#[derive(Clone, Copy, ValueEnum)]
enum Area {
    /// Log sync.
    Log,
}

fn measure(area: Area, quick: bool) -> (Vec<Figure>, Scale) {
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    let figures = match area {
        Area::Log => compare::log(scale, &|what| eprintln!("{what} ...")),
    };
    (figures, scale)
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Compare { area, json, quick, least } => {
            let (figures, _) = measure(area, quick);
            if json {
                println!("{}", report::json(&figures));
            } else {
                figures.iter().for_each(|figure| println!("{}", report::line(figure)));
            }
            let short: Vec<&Figure> = figures.iter().filter(|figure| least && figure.falls_short()).collect();
            for figure in &short {
                let least = figure.definition.least.unwrap_or_default();
                eprintln!("{} is {:.2}, and {least} is the least", figure.name, figure.ratio);
            }
            if short.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Docs { quick, page } => {
            let (figures, scale) = measure(Area::Log, quick);
            match std::fs::write(&page, report::page(&figures, scale)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(err) => {
                    eprintln!("cannot write {}: {err}", page.display());
                    ExitCode::FAILURE
                }
            }
        }
        Command::Profile { figure, who, times } => match compare::profile(&figure, who, times) {
            Some(seconds) => {
                seconds.iter().for_each(|seconds| println!("{seconds:.6}"));
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("{figure} is no figure of CPU time");
                ExitCode::FAILURE
            }
        },
        Command::SessionMemory { who, operations } => {
            println!("{}", memory::growth(who, operations));
            ExitCode::SUCCESS
        }
    }
}
