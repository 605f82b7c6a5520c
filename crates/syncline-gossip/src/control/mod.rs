//! What tools say to a running replica: `syncline-kv-control/1`.
//!
//! A tool, such as a command line, applies items that it has signed itself, reads values and grants, and watches changes.
//! Private keys never travel: the replica knows nothing of the tool's, and does nothing in its own name. Whoever can open the
//! stream may read everything and hand in items, which are verified as if a peer had sent them; so the stream is one that only
//! the owner can open, such as a [Unix socket](serve_unix) in the folder of the data.
//!
//! `docs/spec/kv-control.md` says what travels, byte by byte.

mod client;
mod frame;
mod message;
mod server;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
mod watching;

use std::io;
use std::time::Duration;

use syncline_core::cbor::ReadError;
use syncline_kv::item::ItemError;
use thiserror::Error;

pub use client::{Change, Client, DryRunResult, System, WatchEvents};
pub use message::{Fault, FaultKind, ItemVerdict, MemberReport, ReplicaReport, VerdictKind};
pub use server::ControlServer;
#[cfg(unix)]
pub use unix::{UnixControl, connect_unix, serve_unix};

/// Limits of a control connection.
///
/// | limit | default | |
/// |---|---|---|
/// | bytes of a frame | 8 MiB | longer: the connection ends |
/// | items in one request | 4 096 | more: refused |
/// | entries in one page | 1 000 | |
/// | bytes of a page, and of a part of a stream, about | 1 MiB | one entry is always sent |
/// | time for the rest of a frame | 30 s | later: the connection ends |
/// | connections to a socket at a time | 16 | further ones wait |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlLimits {
    /// Bytes of a frame.
    pub frame_len: usize,
    /// Items in one request.
    pub items: usize,
    /// Entries in one page.
    pub page_entries: usize,
    /// Bytes of a page, and of a part of a stream, about.
    pub page_bytes: usize,
    /// Time for a frame that has begun, either way.
    pub frame_time: Duration,
    /// Connections to a socket at a time.
    pub connections: usize,
}

impl Default for ControlLimits {
    fn default() -> Self {
        Self {
            frame_len: 8 << 20,
            items: 4_096,
            page_entries: 1_000,
            page_bytes: 1 << 20,
            frame_time: Duration::from_secs(30),
            connections: 16,
        }
    }
}

/// Why a control connection failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The stream.
    #[error("the stream failed")]
    Io(#[from] io::Error),
    /// The other side speaks something else.
    #[error("the other side does not speak this version of the control protocol")]
    Preamble,
    /// A frame is longer than the limit.
    #[error("a frame of {len} bytes where at most {max} are taken")]
    FrameTooLong {
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The other side began a frame and did not go on, or does not take ours.
    #[error("the other side was silent for too long within a frame")]
    TimedOut,
    /// A message is malformed.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// An answer does not fit to the request.
    #[error("an answer of kind {0} was not expected")]
    Unexpected(u64),
    /// The replica said no.
    #[error("{0}")]
    Refused(Fault),
}

impl From<ReadError> for ControlError {
    fn from(err: ReadError) -> Self {
        Self::Malformed(err.to_string())
    }
}

impl From<ItemError> for ControlError {
    fn from(err: ItemError) -> Self {
        Self::Malformed(err.to_string())
    }
}
