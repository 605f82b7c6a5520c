//! Tests of the public interface.

mod database;
