//! Results as a table, CSV, JSON, and a page.

mod chart;
mod csv;
mod page;
mod quantity;
mod table;

use std::io;
use std::path::{Path, PathBuf};

use crate::run::Report;

pub use chart::{Bar, Bars, Line, Lines, Part};
pub use csv::Csv;
pub use page::page;
pub(crate) use quantity::{bytes, count, seconds};
pub(crate) use table::Table;

/// The results as a table for a terminal.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut table =
        Table::new(&["workload", "protocol", "link", "RTTs", "up", "down", "messages", "CPU", "memory", "loopback"]);
    for outcome in &report.outcomes {
        table.row(&[
            outcome.workload.clone(),
            outcome.protocol.clone(),
            seconds(outcome.link_s),
            format!("{}", outcome.round_trips),
            bytes(outcome.up.bytes as f64),
            bytes(outcome.down.bytes as f64),
            format!("{}+{}", outcome.up.messages, outcome.down.messages),
            seconds(outcome.cpu_s()),
            outcome.memory_bytes.map_or("-".into(), |memory| bytes(memory as f64)),
            seconds(outcome.loopback_s),
        ]);
    }
    table.to_string()
}

/// Writes `outcomes.csv`, `rtt.csv`, `difference.csv`, `run.json` and `index.html` into `folder`, which is made if it is not
/// there. Returns the page's path.
///
/// # Errors
///
/// The system's, with the path.
pub fn write(report: &Report, folder: &Path) -> io::Result<PathBuf> {
    let named = |path: &Path, err: io::Error| io::Error::new(err.kind(), format!("{}: {err}", path.display()));
    std::fs::create_dir_all(folder).map_err(|err| named(folder, err))?;
    let page_path = folder.join("index.html");
    let json = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
    let files = [
        (folder.join("outcomes.csv"), csv::outcomes(report)),
        (folder.join("rtt.csv"), csv::by_rtt(report)),
        (folder.join("difference.csv"), csv::by_difference(report)),
        (folder.join("run.json"), json),
        (page_path.clone(), page(report)),
    ];
    for (path, text) in files {
        std::fs::write(&path, text).map_err(|err| named(&path, err))?;
    }
    Ok(page_path)
}
