//! Suites for those who implement our traits. Each is a function to call from one `#[test]`; it panics with the rule that
//! is broken.
//!
//! | you implement | call |
//! |---|---|
//! | [`SyncProtocol`](syncline_core::SyncProtocol) | [`sync_protocol`] |
//! | [`Database`](syncline_storage::Database) | [`database`], [`database_with_reopen`] |
//! | [`LogStore`](syncline_log::store::LogStore) | [`log_store`], [`log_store_with_reopen`] |

mod database;
mod log_store;
mod sync_protocol;

pub use database::{database, database_with_reopen};
pub use log_store::{cursor_store, log_store, log_store_with_reopen};
pub use sync_protocol::{Pair, Rule, Side, Summary, SyncProtocolSuite, Violation, sync_protocol};
