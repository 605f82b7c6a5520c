#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod agent;
pub mod authority;
pub mod client;
pub mod item;
pub mod path;
pub mod sync;
pub mod tree;

pub use item::{Entry, EntryId, Grant, GrantId, Item, Namespace, NamespaceId, Revocation, Value};
pub use path::{Key, Pattern, Subtree};
pub use sync::{KvQuery, KvSync};
pub use tree::{KvError, Tree, Verdict};

/// The pages of the guide about this crate, so that their code is compiled and run.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/kv-namespace.md")]
    struct Namespaces;
    #[doc = include_str!("../../../docs/guide/kv-revocation.md")]
    struct Revoking;
}
