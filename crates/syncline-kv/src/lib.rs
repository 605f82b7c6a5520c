#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod agent;
pub mod authority;
pub mod item;
pub mod path;
pub mod tree;

pub use item::{Entry, EntryId, Grant, GrantId, Item, Namespace, NamespaceId, Revocation, Value};
pub use path::{Key, Pattern, Subtree};
pub use tree::{KvError, Tree, Verdict};
