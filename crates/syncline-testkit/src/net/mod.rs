//! A network of one thread under virtual time: streams with latency, bandwidth, small buffers and faults, and the executor
//! that runs peers over them.
//!
//! ```
//! use std::time::Duration;
//!
//! use futures::{AsyncReadExt, AsyncWriteExt};
//! use syncline_core::clock::{Clock, ManualClock, Timestamp};
//! use syncline_testkit::net::{Conditions, Link, Sim};
//!
//! let clock = ManualClock::new(Timestamp::ZERO);
//! let slow = Conditions::new().with_latency(Duration::from_millis(200)).with_bandwidth(1_000);
//! let Link { a, b, .. } = Link::new(&clock, slow.clone(), slow);
//!
//! let mut sim = Sim::new(&clock);
//! sim.spawn("sender", async move {
//!     let mut a = a;
//!     a.tx.write_all(&[7; 500]).await
//! });
//! let received = sim.spawn("receiver", async move {
//!     let mut b = b;
//!     let mut bytes = Vec::new();
//!     b.rx.read_to_end(&mut bytes).await.map(|_| bytes)
//! });
//! sim.run()?;
//! assert_eq!(received.take().unwrap()?, [7; 500]);
//! assert_eq!(clock.now(), Timestamp::from_millis(500 + 200)); // and no real time has passed
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod conditions;
mod sim;
mod stream;

pub use conditions::{Conditions, Cut};
pub use sim::{Handle, Sim, SimError, Step, TaskId};
pub use stream::{End, Link, SimReader, SimWriter, Tap, one_way};

#[cfg(test)]
mod tests;
