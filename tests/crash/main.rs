//! What is left of a database after its machine, its process or its disk failed.
//!
//! - `power`: redb on a simulated disk that loses what was not synced, more than 20 000 times.
//! - `kill`: a child process that is killed with SIGKILL, 200 times.
//! - `nth`: a scripted scenario in which the n-th operation fails, for every n.
//!
//! `SYNCLINE_SOAK=20` makes the first of these 20 times as long; `SEED=17` runs one disk again.
//!
//! Each has tests of itself: with a disk that lies, or an engine that breaks its promise, it must fail.

mod kill;
mod ledger;
mod nth;
mod power;
