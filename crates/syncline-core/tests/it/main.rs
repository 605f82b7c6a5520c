//! The public API, as a user of the crate sees it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod ported;
mod slow_store;
mod support;
