//! Figures of the rival from an earlier run, for builds without it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Samples;

/// What `cargo lab record` measured of the rival.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    /// Whose, with the version.
    pub(crate) rival: String,
    /// The day, in UTC.
    pub(crate) date: String,
    /// The machine: its processor, how many of them, and the system.
    pub(crate) machine: String,
    /// Keys on each side.
    pub(crate) n: usize,
    /// All samples, by the names of the figures, in the figures' units.
    figures: BTreeMap<String, Vec<f64>>,
}

impl Recording {
    /// Where it is in the source tree.
    pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded/iroh-docs.json");

    /// Samples that were just taken on this machine.
    #[cfg_attr(not(any(test, feature = "iroh")), allow(dead_code, reason = "only what is built can be recorded"))]
    pub(crate) fn now(rival: &str, n: usize, figures: Samples) -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { rival: rival.to_owned(), date: date(seconds / 86_400), machine: machine(), n, figures }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// If it is not there or damaged.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let fail = |err: &dyn std::fmt::Display| format!("{}: {err}", path.display());
        let text = fs::read_to_string(path).map_err(|err| fail(&err))?;
        serde_json::from_str(&text).map_err(|err| fail(&err))
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// If that fails.
    #[cfg_attr(not(feature = "iroh"), allow(dead_code, reason = "only a build with the rival writes"))]
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let fail = |err: &dyn std::fmt::Display| format!("{}: {err}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|err| fail(&err))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|err| fail(&err))?;
        }
        fs::write(path, text + "\n").map_err(|err| fail(&err))
    }

    /// The samples of a figure.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub(crate) fn samples(&self, figure: &str) -> Result<&[f64], String> {
        let samples = self.figures.get(figure).filter(|samples| !samples.is_empty());
        samples.map(Vec::as_slice).ok_or_else(|| format!("{figure} was not recorded; record it again"))
    }
}

/// The machine, as far as the system tells.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).map_or("unknown processor", |line| {
        line.trim_start_matches(|c: char| c.is_whitespace() || c == ':').trim_end()
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// The date of a day since 1970-01-01: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
fn date(days: u64) -> String {
    // Years begin in March, so that the day that is sometimes there is the last one; eras are of 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::super::figures;
    use super::*;

    #[test]
    fn days_have_dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_722, "2023-12-31"),
            (20_778, "2026-11-21"),
        ] {
            assert_eq!(date(days), text);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("recorded/one.json");
        let recording = Recording::now("one", 5, Samples::from([("kv.apply.cpu".into(), vec![1.5, 2.0])]));
        recording.write(&path).expect("the file can be written");
        let read = Recording::read(&path).expect("the file can be read");
        assert_eq!(read, recording);
        assert_eq!(read.samples("kv.apply.cpu"), Ok(&[1.5, 2.0][..]));
        assert!(read.samples("kv.sync.d10.cpu").is_err());
        fs::write(&path, "{}").expect("the file can be written");
        assert!(Recording::read(&path).is_err());
    }

    /// The recording in the source tree is what a run wrote, and has every figure that is compared.
    #[test]
    fn the_recording_has_all_figures() {
        let recording = Recording::read(Path::new(Recording::FILE)).expect("the file can be read");
        for definition in figures::beside_the_rival() {
            let samples = recording.samples(definition.name).expect("it was recorded");
            assert!(samples.iter().all(|sample| *sample > 0.0), "{}", definition.name);
        }
        assert_eq!((recording.n, recording.date.len()), (super::super::Scale::FULL.n, 10));
    }
}
