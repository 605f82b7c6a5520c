//! Log sync end to end, under virtual time: the contract of its trait, cuts, slow and hostile peers, both stores equal
//! afterwards.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod access;
mod contract;
mod cuts;
mod hostile;
mod pressure;
mod pruning;
mod vectors;
mod world;
