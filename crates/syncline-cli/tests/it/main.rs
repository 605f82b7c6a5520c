//! The tool as its users run it: the real program, in directories of its own. Nothing here depends on how fast the machine is:
//! what will be so is waited for, with a deadline that only a fault reaches.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod agents;
mod bundles;
mod commands;
mod faults;
mod json;
mod keys;
mod many;
mod readme;
mod world;
