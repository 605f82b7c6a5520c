#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod operation;
pub mod store;
pub mod validate;

pub use operation::{
    Body, DecodeError, EncodeError, EncodedOperation, Extension, Extensions, Header, Operation, PruneFlag, SeqNum,
    SignHeaderError,
};
pub use store::{
    AnyLogStore, Appended, DatabaseStore, Fork, Heights, Link, LogId, LogStore, Logs, MemoryStore, NewOperation, SeqRange,
    StoreError,
};
pub use validate::Invalid;
