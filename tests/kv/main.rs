//! The tree under random histories: whatever the order, the partition and the repetition, replicas that know the same are the
//! same, and are what the written rules say.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod merge;
mod model;
mod world;
