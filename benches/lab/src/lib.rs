//! Measures Syncline beside what it is compared with, and protocols of one's own beside both.
//!
//! [`run`] runs protocols over a simulated link and over loopback; [`contestant`] has the trait behind which they stand.
//! A program with contestants of its own hands them to [`cli::main`] and is then a `cargo lab` that knows them.

pub mod cli;
mod compare;
pub mod contestant;
mod dataset;
pub mod output;
pub mod progress;
pub mod reconcile;
pub mod run;

pub use contestant::{Contestant, Contestants, KeyValue, Native};
pub use dataset::{Dataset, Extensions, Holdings, Kind, Log, Operation, Topic};
