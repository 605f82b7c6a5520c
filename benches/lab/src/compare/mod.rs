//! Figures beside the original's: `cargo lab compare`.

pub(crate) mod figure;
#[allow(dead_code, reason = "`cargo lab compare kv` waits for our side of it")]
pub(crate) mod kv;
mod limit;
pub(crate) mod log;
pub(crate) mod reconcile;
mod redb;
pub(crate) mod report;
mod session;
