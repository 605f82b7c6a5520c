//! Clusters under virtual time, with everything that goes wrong: what holds at any moment, and what holds once faults have
//! stopped.
//!
//! `SEED=17` runs one seed, `SEEDS=2000` so many. `cargo test -p syncline-tests --test sim -- --ignored soak` runs as long
//! as `SOAK_SECONDS` says.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod app;
mod forge;
mod kv;
mod node;
#[cfg(syncline_planted)]
mod planted;
mod protocol;
mod runs;
mod v1;
mod v2;
mod world;
