//! Crash tests for a [`Database`](syncline_storage::Database) of your own.
//!
//! - [`Workload`] commits random batches, remembers which were acknowledged, and tells after each reopening whether the
//!   database holds what it must. How the crash is made is yours: a simulated disk, a fault injector, a power switch.
//! - [`survives_kills`] runs writers in a child process, kills that at random moments, and checks what is left.

mod kill;
mod workload;

#[cfg(test)]
mod tests;

pub use kill::{KillReport, KillTest, survives_kills};
pub use workload::{Breach, Workload};
