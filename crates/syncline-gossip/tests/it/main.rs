//! Replicas on real sockets. Nothing here depends on how fast the machine is: conditions are waited for, with a deadline that
//! only a fault reaches.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod links;
mod nodes;
mod world;
