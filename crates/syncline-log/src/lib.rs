#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod ingest;
pub mod operation;
pub mod store;
pub mod sync;
pub mod validate;
mod writer;

pub use ingest::Ingest;
pub use operation::{
    Body, DecodeError, EncodeError, EncodedOperation, Extension, Extensions, Header, Operation, PruneFlag, SeqNum,
    SignHeaderError,
};
pub use store::{
    AnyLogStore, Appended, DatabaseStore, Fork, Heights, Link, LiveStore, LogId, LogStore, Logs, MemoryStore,
    NewOperation, SeqRange, StoreError,
};
pub use sync::{LogSync, LogSyncV2, StoredLogSync};
pub use validate::Invalid;
pub use writer::{Draft, LogWriter, OPERATION_LEN_MAX, PublishError};
