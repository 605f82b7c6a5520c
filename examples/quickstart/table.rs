//! A table of what travelled.

use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub struct Row {
    pub operations: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub elapsed: Duration,
}

pub struct Table(Vec<(String, Row)>);

impl Table {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn add(&mut self, what: &str, row: Row) {
        self.0.push((what.to_owned(), row));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(what, _)| what.len()).max().unwrap_or(0).max(4);
        writeln!(f, "{:width$}  {:>10}  {:>12}  {:>10}  {:>8}", "sync", "operations", "bytes", "MB/s", "seconds")?;
        for (what, row) in &self.0 {
            let (bytes, seconds) = (row.bytes_sent + row.bytes_received, row.elapsed.as_secs_f64());
            let rate = if seconds > 0.0 { bytes as f64 / 1e6 / seconds } else { 0.0 };
            writeln!(f, "{what:width$}  {:>10}  {bytes:>12}  {rate:>10.1}  {seconds:>8.3}", row.operations)?;
        }
        Ok(())
    }
}
