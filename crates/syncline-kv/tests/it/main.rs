//! Tests of the public interface.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod client;
mod tree;
mod vectors;
