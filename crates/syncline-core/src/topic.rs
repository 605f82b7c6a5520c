use std::fmt::Debug;
use std::hash::Hash;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// What a peer asks to sync: the question, not the data.
///
/// A topic query travels to the remote peer as CBOR, is compared with `==`, and serves as a key. It can be a plain
/// identifier ("the chat group 7") or carry ranges, filters or priorities; what it means is agreed between the
/// applications on both sides. [`TopicMap`] turns it into what a protocol needs locally.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use syncline_core::TopicQuery;
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
/// struct ChatGroup(u64);
///
/// impl TopicQuery for ChatGroup {}
/// ```
///
/// # Contract
///
/// - `deserialize(serialize(x)) == x`, on every machine and in every version that takes part.
/// - The encoding is small: protocols bound the frame that carries it.
pub trait TopicQuery: Clone + Debug + Eq + Hash + Send + Sync + Serialize + for<'a> Deserialize<'a> {}

/// Maps a topic query to the scope `S` that a protocol syncs for it, for example the logs of a chat group.
///
/// # Contract
///
/// - `None` means that this node does not support the topic. An accepting protocol then refuses the session and
///   reveals nothing else; an initiating one fails with [`SyncError::Critical`](crate::SyncError::Critical) before it
///   sends anything.
/// - The topic may come from a peer: `get` must not panic on any value, and must not create state for unknown ones.
/// - `get` is called once per session. The answer may change from session to session.
///
/// # Cancel safety
///
/// The future may be dropped at any await point and must leave nothing half done.
#[async_trait]
pub trait TopicMap<T, S>: Debug + Send + Sync
where
    T: TopicQuery,
{
    /// The scope of `topic`, or `None` if this node does not know it.
    async fn get(&self, topic: &T) -> Option<S>;
}
