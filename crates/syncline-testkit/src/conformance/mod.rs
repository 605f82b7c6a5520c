//! Suites for those who implement our traits. Each is a function to call from one `#[test]`; it panics with the rule that
//! is broken.

mod database;
mod log_store;

pub use database::{database, database_with_reopen};
pub use log_store::{cursor_store, log_store, log_store_with_reopen};
