//! What a run found out.

use serde::Serialize;

use super::{Link, Traffic, Workload};
use crate::contestant::Receive;

/// All results of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The simulated connection.
    pub link: Link,
    /// What the nodes did with what they received.
    pub receive: Receive,
    /// How often each session ran over loopback.
    pub loopback_runs: usize,
    /// The workloads.
    pub workloads: Vec<Workload>,
    /// One for each workload and protocol of its kind.
    pub outcomes: Vec<Outcome>,
    /// Time against RTT.
    pub by_rtt: Vec<RttPoint>,
    /// Time and bytes against difference.
    pub by_difference: Vec<DifferencePoint>,
}

/// What one protocol needed for one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The protocol.
    pub protocol: String,
    /// The workload.
    pub workload: String,
    /// Operations, or entries and grants, that the two sides lacked together.
    pub lacking: u64,
    /// Bytes of their headers and bodies: the least that has to go over the wire.
    pub lacking_bytes: u64,
    /// Virtual seconds over the link until both sides returned. Computing takes no virtual time; see the CPU times.
    pub link_s: f64,
    /// How many round trips the session takes if nothing else costs time: its virtual time over a link with a round trip
    /// of one second, any bandwidth and any window. A half is one way.
    pub round_trips: f64,
    /// What the initiator sent over the link. A message is a run of writes up to a flush: what is handed to the transport at
    /// once.
    pub up: Traffic,
    /// What the acceptor sent over the link.
    pub down: Traffic,
    /// Operations that came although they were there, or came twice; or entries whose key has a later one.
    pub redundant: u64,
    /// Seconds over TCP on this machine, both sides on one thread.
    pub loopback_s: f64,
    /// CPU seconds of the initiator's session and application over loopback, the system's part included.
    pub initiator_cpu_s: f64,
    /// The same of the acceptor.
    pub acceptor_cpu_s: f64,
    /// How far the resident memory of a process grew at most during the session over loopback, with both sides in it; what
    /// was resident before, data and stores, is not counted. `None` if it was not measured.
    pub memory_bytes: Option<u64>,
}

impl Outcome {
    /// Bytes both ways.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.up.bytes + self.down.bytes
    }

    /// CPU seconds of both sides.
    #[must_use]
    pub fn cpu_s(&self) -> f64 {
        self.initiator_cpu_s + self.acceptor_cpu_s
    }
}

/// Time over the link with another round trip.
#[derive(Clone, Debug, Serialize)]
pub struct RttPoint {
    /// The protocol.
    pub protocol: String,
    /// The workload.
    pub workload: String,
    /// Milliseconds of a round trip.
    pub rtt_ms: u64,
    /// Virtual seconds.
    pub link_s: f64,
}

/// The workload for time against difference of logs.
pub const DIFFERENCE: &str = "difference";

/// The workload for time against difference of keys.
pub const KV_DIFFERENCE: &str = "kv-difference";

/// Time and bytes over the link when the initiator lacks so many operations.
#[derive(Clone, Debug, Serialize)]
pub struct DifferencePoint {
    /// The protocol.
    pub protocol: String,
    /// The workload: [`DIFFERENCE`] or [`KV_DIFFERENCE`], if the plan has no others.
    pub workload: String,
    /// Operations, or keys, that are lacking.
    pub difference: u64,
    /// Virtual seconds.
    pub link_s: f64,
    /// Bytes both ways.
    pub bytes: u64,
}
