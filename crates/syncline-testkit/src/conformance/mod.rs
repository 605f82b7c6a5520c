//! Suites for those who implement our traits. Each is a function to call from one `#[test]`; it panics with the rule that
//! is broken.

mod database;

pub use database::{database, database_with_reopen};
