//! Sessions between our log sync and the original, p2panda-sync 0.3.1 and 0.4.0.
//!
//! Everything here speaks of stores in a neutral form ([`image::Image`]): a scenario is generated, built into the stores
//! of both contestants, synced by real protocol implementations over a real byte stream, and read back.
//!
//! A failing case names its seed; `SEED=<number>` runs that one alone, in every combination.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "a test that cannot go on has failed, and says so")]

mod author;
mod edge;
mod exchange;
mod golden;
mod image;
mod io;
mod original;
mod ours;
mod peer;
mod peril;
mod random;
mod scenario;
mod transcript;
mod wire;
