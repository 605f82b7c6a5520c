#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
pub mod blocking;
mod database;
mod error;
mod fault;
mod group;
mod limits;
mod memory;
mod range;
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub mod redb;
mod table;
mod trace;

#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use self::redb::RedbDb;
pub use batch::{Batch, Op, Precondition};
pub use blocking::{Blocking, Inline, JobLost};
pub use database::{Database, Direction, Durability, Scan, Snapshot};
pub use error::{CommitError, StorageError, StorageErrorKind};
pub use fault::{CommitFault, FaultCounts, FaultDb, FaultScript, Remains};
pub use group::{GroupCommit, GroupLimits};
pub use limits::Limits;
pub use memory::MemoryDb;
pub use range::KeyRange;
pub use table::{CodecError, KeyCodec, KeyPrefix, Table, TableId, TableScan, ValueCodec};
pub use trace::{TraceDb, TraceEvent, TraceOutcome};
