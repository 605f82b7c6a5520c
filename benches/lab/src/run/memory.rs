//! Memory of a process: how far its resident set grows during a session.

use std::fs;
use std::process::Command;

use super::loopback::over_loopback_after;
use super::simulated::Scene;
use super::{RunError, Workload};
use crate::contestant::{Contestant, Receive};

/// The hidden subcommand that measures in a process of its own.
pub(crate) const SUBCOMMAND: &str = "session-memory";

/// Runs a session over loopback in a process of its own, which is this program again, and gives the growth of its memory
/// in bytes.
pub(crate) fn growth_in_own_process(contestant: &str, workload: &Workload, receive: Receive) -> Result<u64, RunError> {
    let fail = |why: String| RunError::Session { contestant: contestant.to_owned(), why };
    let program = std::env::current_exe().map_err(|err| fail(err.to_string()))?;
    let workload = serde_json::to_string(workload).map_err(|err| fail(err.to_string()))?;
    let receive = match receive {
        Receive::Forward => "forward",
        Receive::Ingest => "ingest",
    };
    let output = Command::new(program)
        .args([SUBCOMMAND, contestant, receive, &workload])
        // What is large is given back to the system when it is freed (glibc). Else the tables that a store outgrew while it
        // was filled would be there for the session to use unnoticed.
        .envs([("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536")])
        .output();
    let output = output.map_err(|err| fail(err.to_string()))?;
    if !output.status.success() {
        return Err(fail(format!("no memory was measured: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| fail(format!("{text:?} is no number of bytes")))
}

/// What that process does. Both nodes are built before; what they took is not counted.
pub(crate) fn growth(contestant: &dyn Contestant, workload: &Workload, receive: Receive) -> Result<u64, RunError> {
    let dataset = workload.dataset();
    let (initiator, acceptor) = workload.holdings(&dataset);
    let scene = Scene { dataset: &dataset, initiator: &initiator, acceptor: &acceptor, receive };
    let mut before = 0;
    over_loopback_after(contestant, &scene, || {
        // From here on the peak starts at what is resident now.
        fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
        before = status("VmRSS:");
    })?;
    Ok(status("VmHWM:").saturating_sub(before))
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the system tells a process about itself");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes * 1024
}
