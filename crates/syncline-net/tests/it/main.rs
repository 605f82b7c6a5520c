//! The public API against well-behaved, slow, broken and hostile peers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod fallback;
mod hostile;
mod lifecycle;
mod limits;
mod logs;
mod pool;
#[cfg(feature = "quic")]
mod quic;
mod schedule;
mod sessions;
mod support;
