use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::fail;
use crate::compare::figure::Figure;
use crate::compare::kv::{self, Recording};
use crate::compare::log::{self, Scale};
use crate::compare::reconcile::{self, Reconciliation};
use crate::compare::report;
use crate::progress::Bar;

/// `cargo lab compare`.
#[derive(Args)]
pub(super) struct Compare {
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
}

#[derive(Clone, Copy, ValueEnum)]
enum Area {
    /// Log sync, beside p2panda-sync.
    Log,
    /// Reconciliation of sets, beside negentropy.
    Reconcile,
    /// The key-value store, beside iroh-docs.
    Kv,
}

fn measure_log(quick: bool) -> (Vec<Figure>, Scale) {
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    (log::log(scale, &|what| eprintln!("{what} ...")), scale)
}

fn measure_kv(quick: bool) -> Result<(Vec<Figure>, Option<Recording>), String> {
    let scale = if quick { kv::Scale::QUICK } else { kv::Scale::FULL };
    let recording = if cfg!(feature = "iroh") { None } else { Some(Recording::read(Recording::FILE.as_ref())?) };
    Ok((kv::kv(&kv::Syncline, recording.as_ref(), scale, &Bar::default())?, recording))
}

fn measure_reconcile(quick: bool) -> Reconciliation {
    let scale = if quick { reconcile::Scale::QUICK } else { reconcile::Scale::FULL };
    reconcile::reconcile(scale, &Bar::default())
}

impl Compare {
    pub(super) fn main(self) -> ExitCode {
        let figures = match self.area {
            Area::Log => {
                let (figures, _) = measure_log(self.quick);
                if self.json {
                    println!("{}", report::json(&figures));
                } else {
                    figures.iter().for_each(|figure| println!("{}", report::line(figure)));
                }
                figures
            }
            Area::Reconcile => {
                let result = measure_reconcile(self.quick);
                if self.json {
                    println!("{}", report::json_of(&result));
                } else {
                    print!("{result}");
                }
                result.figures
            }
            Area::Kv => match measure_kv(self.quick) {
                Ok((figures, recording)) => {
                    if self.json {
                        println!("{}", report::json(&figures));
                    } else {
                        figures.iter().for_each(|figure| println!("{}", report::line(figure)));
                    }
                    if let Some(Recording { rival, date, machine, .. }) = recording {
                        eprintln!(
                            "theirs are those of {rival} on {date} ({machine}); --features iroh measures them again. \
                             --least does not judge times beside a recording"
                        );
                    }
                    figures
                }
                Err(why) => return fail(why),
            },
        };
        let short: Vec<String> = figures.iter().filter(|_| self.least).filter_map(Figure::shortfall).collect();
        short.iter().for_each(|what| eprintln!("{what}"));
        if short.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// `cargo lab docs`.
pub(super) fn docs(quick: bool, page: &Path) -> ExitCode {
    let (figures, scale) = measure_log(quick);
    let reconciliation = measure_reconcile(quick);
    let kv = match measure_kv(quick) {
        Ok((figures, _)) => figures,
        Err(why) => return fail(why),
    };
    match std::fs::write(page, report::page(&figures, scale, &reconciliation, &kv)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => fail(format_args!("cannot write {}: {err}", page.display())),
    }
}
