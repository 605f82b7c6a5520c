//! Figures beside the original's: `cargo lab compare`.

pub(crate) mod figure;
pub(crate) mod kv;
mod limit;
pub(crate) mod log;
pub(crate) mod reconcile;
mod redb;
pub(crate) mod report;
mod session;
