#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod book;
mod connector;
pub mod control;
mod error;
mod event;
mod gossip;
mod hub;
pub mod links;
mod node;
mod random;
mod status;
#[cfg(feature = "swim")]
#[cfg_attr(docsrs, doc(cfg(feature = "swim")))]
pub mod swim;
mod syncing;

pub use book::AddressBook;
pub use connector::NetConnector;
pub use error::{ShutdownReport, StartError};
pub use event::{Events, NodeEvent};
pub use gossip::{GossipLimits, TreeGossip};
pub use hub::Hub;
pub use links::{LinkHello, LinkLimits, LinkProtocol, LinkedPeers, Links};
pub use node::{Chores, KvNode, KvNodeBuilder};
pub use status::{MemberStatus, NodeStats, NodeStatus};
