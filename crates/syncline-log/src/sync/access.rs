use std::fmt::Debug;

use async_trait::async_trait;
use syncline_core::TopicQuery;
use syncline_crypto::PublicKey;

/// Decides whether a peer may sync a topic.
///
/// It is asked once per session, before the topic is looked up. A peer that is refused cannot tell that from a topic
/// that does not exist.
///
/// # Contract
///
/// - `remote` is the key that the transport has proven, `None` if there is none. To refuse the unauthenticated is the
///   implementation's part.
/// - The topic may come from a peer: no value may panic.
#[async_trait]
pub trait Access<T: TopicQuery>: Debug + Send + Sync {
    /// Whether `remote` may sync `topic`.
    async fn is_allowed(&self, remote: Option<&PublicKey>, topic: &T) -> bool;
}

/// Allows every peer every topic: the default.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit struct that has nothing to add")]
pub struct AllowAll;

#[async_trait]
impl<T: TopicQuery> Access<T> for AllowAll {
    async fn is_allowed(&self, _remote: Option<&PublicKey>, _topic: &T) -> bool {
        true
    }
}
