//! Tests of the public interface.

mod database;
mod log_store;
mod sync_protocol;
