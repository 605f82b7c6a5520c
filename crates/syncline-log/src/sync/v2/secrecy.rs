//! What a session shows of its topic, and to whom.

use std::fmt::{self, Debug};

use async_trait::async_trait;
use syncline_core::TopicQuery;

/// A secret that those share who may know of a topic: 32 random bytes, handed out with the invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct TopicKey([u8; 32]);

impl TopicKey {
    /// Takes 32 bytes that nobody can guess.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Debug for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TopicKey(..)")
    }
}

/// The topics that are not shown to strangers, and their keys.
///
/// # Contract
///
/// A peer that accepts compares what it is shown with every topic of [`secret_topics`](Self::secret_topics), at some 200 ns
/// each. A topic with a key is never named in clear, and cannot be synced by naming it in clear.
#[async_trait]
pub trait TopicKeys<T: TopicQuery>: Debug + Send + Sync {
    /// The key of a topic; `None` if it may be named in clear.
    async fn key(&self, topic: &T) -> Option<TopicKey>;

    /// All topics that have a key.
    async fn secret_topics(&self) -> Vec<(T, TopicKey)>;
}

/// No topic is secret: the default.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit struct that has nothing to add")]
pub struct NoSecrets;

#[async_trait]
impl<T: TopicQuery> TopicKeys<T> for NoSecrets {
    async fn key(&self, _topic: &T) -> Option<TopicKey> {
        None
    }

    async fn secret_topics(&self) -> Vec<(T, TopicKey)> {
        Vec::new()
    }
}

/// 16 bytes that no other session has.
pub(super) type Nonce = [u8; 16];

/// 16 bytes that only those can make who know the session's key.
pub(super) type Mac = [u8; 16];

/// What both peers derive from the topic, and from its key if it has one.
#[derive(Clone)]
pub(super) struct SessionKey {
    key: [u8; 32],
    is_secret: bool,
}

/// What a MAC is for. No two are made over the same bytes.
#[derive(Clone, Copy)]
enum Purpose {
    Topic = 0,
    Summary = 1,
    Accept = 2,
    Initiate = 3,
    RangesOfInitiator = 4,
    RangesOfAcceptor = 5,
}

impl SessionKey {
    pub(super) fn new(topic: &[u8], secret: Option<&TopicKey>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline-log/2 2026 session");
        hasher.update(&secret.map_or([0; 32], |key| key.0));
        hasher.update(&[secret.is_some().into()]);
        hasher.update(topic);
        Self { key: *hasher.finalize().as_bytes(), is_secret: secret.is_some() }
    }

    pub(super) fn is_secret(&self) -> bool {
        self.is_secret
    }

    fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Mac {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[purpose as u8]);
        for part in parts {
            hasher.update(part);
        }
        let mut mac = [0; 16];
        hasher.finalize_xof().fill(&mut mac);
        mac
    }

    /// What the initiator shows in place of a secret topic.
    pub(super) fn topic(&self, initiator: &Nonce) -> Mac {
        self.mac(Purpose::Topic, &[initiator])
    }

    /// What the initiator says of its summary: who has the same one sees that, and nobody sees more.
    pub(super) fn summary(&self, initiator: &Nonce, count: u64, digest: &[u8; 32]) -> Mac {
        self.mac(Purpose::Summary, &[initiator, &count.to_le_bytes(), digest])
    }

    /// That the acceptor knows the topic.
    pub(super) fn accept(&self, initiator: &Nonce, acceptor: &Nonce) -> Mac {
        self.mac(Purpose::Accept, &[initiator, acceptor])
    }

    /// That the initiator knows it, now and not at another time.
    pub(super) fn initiate(&self, initiator: &Nonce, acceptor: &Nonce) -> Mac {
        self.mac(Purpose::Initiate, &[initiator, acceptor])
    }

    /// The nonces under which ranges are compared, initiator's first: who does not know the key cannot tell what is compared.
    pub(super) fn ranges(&self, initiator: &Nonce, acceptor: &Nonce) -> (Nonce, Nonce) {
        let parts: [&[u8]; 2] = [initiator, acceptor];
        (self.mac(Purpose::RangesOfInitiator, &parts), self.mac(Purpose::RangesOfAcceptor, &parts))
    }
}

impl Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").field("is_secret", &self.is_secret).finish_non_exhaustive()
    }
}

/// Compares two MACs in constant time.
pub(super) fn is_same(a: &Mac, b: &Mac) -> bool {
    // blake3's hashes compare in constant time.
    let wide = |mac: &Mac| {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(mac);
        blake3::Hash::from_bytes(bytes)
    };
    wide(a) == wide(b)
}
