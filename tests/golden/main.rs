//! Operations against the crate that they have to be compatible with, and against the vectors of `docs/spec`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod compat;
mod vectors;
