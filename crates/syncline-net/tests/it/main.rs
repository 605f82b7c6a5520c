//! The public API against well-behaved, slow, broken and hostile peers.

mod hostile;
mod lifecycle;
mod limits;
mod pool;
#[cfg(feature = "quic")]
mod quic;
mod schedule;
mod sessions;
mod support;
