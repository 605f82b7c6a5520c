//! Tests of the public API.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and stops")]

mod async_signer;
mod batch;
mod craft;
mod domain;
mod keys;
mod other_rules;
mod rfc8032;
mod rule;
mod seeded;
mod signer;
mod text;
