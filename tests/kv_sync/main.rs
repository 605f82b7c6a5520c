//! `syncline-kv/1` between whole nodes, under virtual time.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod access;
mod basics;
mod contract;
mod convergence;
mod live;
mod raw;
mod rejection;
mod review;
mod troubles;
mod vectors;
mod world;
