#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod cbor;
pub mod clock;
mod error;
pub mod machine;
#[cfg(syncline_planted)]
#[doc(hidden)]
pub mod planted;
mod protocol;
pub mod session;
#[cfg(test)]
mod testing;
mod topic;

pub use error::SyncError;
pub use protocol::{FromSync, SyncProtocol};
pub use topic::{TopicMap, TopicQuery};
