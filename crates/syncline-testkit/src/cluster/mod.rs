//! A cluster of nodes on one thread under virtual time: sessions between them, everything that goes wrong on the way, and
//! what must hold all the same.
//!
//! A [`Scenario`] says what its [`Node`]s are, and nothing about faults. [`run`] draws everything else from a seed: which
//! nodes meet when, what the lines between them are like, what is cut, held back, damaged, cancelled, which disks fail in
//! which commit, who crashes and comes back from what was durable, whose clock is wrong. It has two phases (as TigerBeetle's
//! VOPR has):
//!
//! 1. *Safety*: the nodes work and meet while faults happen. After whatever a node commits, its invariants are checked.
//! 2. *Liveness*: nobody works and nothing fails any more, all are up and can reach each other. Within a stated time the
//!    cluster must have converged, and every session that should end must have ended.
//!
//! Faults are drawn as by a swarm (Groce et al., "Swarm testing", 2012): each kind is on in half of the seeds, each with a
//! rate of its own, so that some seeds have all of one kind and nothing that hides it. See [`Faults`].
//!
//! Beside sessions there are datagrams, for what is gossiped: [`Journal::send`] and [`Node::receive`].
//!
//! All that happens goes into a [`Trace`](Report::trace), a hash that is the same each time for one seed. A run that fails
//! tells its seed, what was on, and the last events: [`Failure`]. Many runs are a [`Campaign`].
//!
//! ```
//! use std::time::Duration;
//!
//! use futures::future::{Either, LocalBoxFuture, select};
//! use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
//! use syncline_core::clock::{Clock, Timer};
//! use syncline_storage::{Batch, Durability, StorageError};
//! use syncline_testkit::cluster::{self, Campaign, Check, Context, Node, Options, Scenario, Session};
//! use syncline_testkit::seed::Rng;
//!
//! /// Each node keeps the greatest number that it has heard of.
//! struct Greatest;
//! #[derive(Clone)]
//! struct Keeper(Context);
//!
//! impl Keeper {
//!     fn get(&self) -> Result<u8, StorageError> {
//!         Ok(self.0.database().snapshot()?.get(b"k")?.map_or(0, |value| value[0]))
//!     }
//!     fn raise(&self, value: u8) -> Result<(), Box<dyn std::error::Error>> {
//!         if value > self.get()? {
//!             let mut batch = Batch::new();
//!             batch.put("k", vec![value]);
//!             self.0.database().commit(batch, Durability::Immediate)?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! impl Node for Keeper {
//!     fn step(&mut self, rng: &mut Rng) -> LocalBoxFuture<'static, String> {
//!         let done = self.raise(rng.below(256) as u8);
//!         async move { format!("{done:?}") }.boxed_local()
//!     }
//!     fn initiate(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
//!         let (keeper, mut end, clock) = (self.clone(), session.end, self.0.clock().clone());
//!         let talk = async move {
//!             let mine = keeper.get()?;
//!             end.tx.write_all(&[mine]).await?;
//!             end.tx.flush().await?;
//!             let mut theirs = [0];
//!             end.rx.read_exact(&mut theirs).await?;
//!             keeper.raise(theirs[0])?;
//!             Ok::<_, Box<dyn std::error::Error>>(format!("{mine} for {}", theirs[0]))
//!         };
//!         async move {
//!             // Lines fall silent; a protocol without a deadline hangs, and the run says so.
//!             match select(Box::pin(talk), clock.sleep_until(clock.now() + Duration::from_secs(30))).await {
//!                 Either::Left((result, _)) => result.map_err(|err| err.to_string()),
//!                 Either::Right(_) => Err("the peer is silent".to_owned()),
//!             }
//!         }
//!         .boxed_local()
//!     }
//!     fn accept(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
//!         self.initiate(session)
//!     }
//!     fn check(&mut self, _: Check) -> Result<(), String> {
//!         Ok(())
//!     }
//! }
//!
//! impl Scenario for Greatest {
//!     type Node = Keeper;
//!     fn start(&mut self, context: Context) -> Result<Keeper, String> {
//!         Ok(Keeper(context))
//!     }
//!     fn converged(&mut self, nodes: &mut [Keeper]) -> Result<(), String> {
//!         let all: Vec<u8> = nodes.iter().map(|node| node.get().unwrap_or(0)).collect();
//!         if all.windows(2).all(|two| two[0] == two[1]) { Ok(()) } else { Err(format!("{all:?}")) }
//!     }
//! }
//!
//! // In your crate this is the body of one `#[test]`.
//! Campaign::from_env(0..10).run(|seed| {
//!     // A damaged byte would be taken for a greater number: this protocol needs lines that do not lie.
//!     let options = Options::draw(seed, 2..=5).without_corruption();
//!     cluster::run(&mut Greatest, seed, &options)
//! });
//! ```

mod campaign;
mod clock;
mod engine;
mod faults;
mod lines;
mod options;
mod report;
mod scenario;
mod storage;

#[cfg(test)]
mod tests;

pub use campaign::{Campaign, Totals};
pub use clock::NodeClock;
pub use engine::run;
pub use faults::{Faults, Rate};
pub use options::Options;
pub use report::{Failure, Reason, Report};
pub use scenario::{Check, Context, Journal, Node, NodeId, Scenario, Session, SessionId};
