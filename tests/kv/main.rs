//! The tree: what it says of single operations, what is left after faults, and under random histories: whatever the order, the
//! partition and the repetition, replicas that know the same are the same, and are what the written rules say.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod authorizing;
mod bundles;
mod clocks;
mod collecting;
mod contents;
mod faults;
mod hostile;
mod killed;
mod merge;
mod model;
mod quotas;
mod revoking;
mod support;
mod watching;
mod world;
