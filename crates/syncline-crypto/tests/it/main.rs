//! Tests of the public API.

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
