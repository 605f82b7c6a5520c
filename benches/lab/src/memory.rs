//! Memory of a process: how far its resident set grew during a piece of work.

use std::fs;
use std::process::Command;

use crate::compare::Scale;
use crate::dataset::Dataset;
use crate::original::Original;
use crate::ours::Ours;
use crate::session::{Contestant, Receive, measure};

/// Whose session is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Who {
    Ours,
    Theirs,
}

/// Runs a forwarding session in a process of its own and gives the growth of its memory in bytes.
pub(crate) fn growth_in_own_process(who: Who, operations: u64) -> f64 {
    let program = std::env::current_exe().expect("this program has a path");
    let who = match who {
        Who::Ours => "ours",
        Who::Theirs => "theirs",
    };
    let output = Command::new(program).args(["session-memory", who, &operations.to_string()]).output();
    let output = output.expect("this program can be started");
    assert!(output.status.success(), "the measurement failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the measurement prints a number");
    text.trim().parse().expect("the measurement prints a number")
}

/// What that process does. The nodes are built before; what they took is not counted.
pub(crate) fn growth(who: Who, operations: u64) -> u64 {
    let dataset = Dataset::new(1, 1, operations, Scale::BODY);
    let contestant: &dyn Contestant = match who {
        Who::Ours => &Ours::DEFAULT,
        Who::Theirs => &Original,
    };
    let (empty, full) = (contestant.node(&dataset, false), contestant.node(&dataset, true));
    // From here on the peak starts at what is resident now.
    fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
    let before = status("VmRSS:");
    let run = measure(empty, full, Receive::Forward, usize::MAX);
    let peak = status("VmHWM:");
    assert_eq!((run.received.operations, run.received.bytes), dataset.size(), "all operations arrived");
    peak.saturating_sub(before)
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the system tells a process about itself");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes * 1024
}
