//! `p2panda-log-sync-v1`: the wire protocol of p2panda-sync 0.2.0 to 0.4.0, as a state machine.
//!
//! ```text
//! initiator                         acceptor
//!   Have(topic, heights)  ------->
//!                         <-------  Data*, Done, Have(topic, heights)
//!   Data*, Done           ------->
//! ```
//!
//! Where the original is lenient about what it should refuse, or mistakes a cut stream for success, this follows the
//! sequence above; `docs/spec/log-v1.md` lists the differences.

mod machine;
mod outbox;
mod wire;

pub(super) use machine::{LogMachine, Request, Response, Role, Scope};
