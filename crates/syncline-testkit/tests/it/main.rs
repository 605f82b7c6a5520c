//! Tests of the public interface.

mod database;
mod log_store;
mod log_sync;
mod sync_protocol;
