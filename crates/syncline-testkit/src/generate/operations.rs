//! Operations, one after the other, as an author writes them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncline_crypto::{Hash, PublicKey, SigningKey};
use syncline_log::store::Tip;
use syncline_log::{Body, Extension, Header, Link, Operation, PruneFlag, SeqNum};

/// Extensions as applications on p2panda have them: the log's id and the prune flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "tests build it")]
pub struct LogExtensions {
    /// The log that the operation belongs to.
    #[serde(rename = "l")]
    pub log_id: u64,
    /// Whether everything before it may be deleted.
    #[serde(rename = "p", default, skip_serializing_if = "PruneFlag::is_not_set")]
    pub prune: PruneFlag,
}

impl Extension<u64> for LogExtensions {
    fn extract(header: &Header<Self>) -> Option<u64> {
        header.extensions.as_ref().map(|extensions| extensions.log_id)
    }
}

impl Extension<PruneFlag> for LogExtensions {
    fn extract(header: &Header<Self>) -> Option<PruneFlag> {
        header.extensions.as_ref().map(|extensions| extensions.prune)
    }
}

/// What the next operation is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests build it")]
pub struct Step {
    /// The body; an empty one is none.
    pub body: Bytes,
    /// The author's time.
    pub timestamp: u64,
    /// Operations of others.
    pub previous: Vec<Hash>,
    /// Whether the prune flag is set.
    pub prunes: bool,
    /// Numbers to leave out before it. Only after a prune flag does a log stay whole with that.
    pub skip: u64,
}

impl Step {
    /// An operation with this body, at time 0.
    #[must_use]
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// How the operation may follow what its log has.
    #[must_use]
    pub fn link(&self) -> Link {
        if self.prunes { Link::Prunes } else { Link::Next }
    }
}

/// Writes one log. A clone of it writes another history of the same log: a fork.
#[derive(Clone, Debug)]
pub struct Author {
    key: SigningKey,
    log_id: u64,
    tip: Option<Tip>,
}

impl Author {
    /// At the beginning of the log.
    #[must_use]
    pub fn new(key: SigningKey, log_id: u64) -> Self {
        Self { key, log_id, tip: None }
    }

    /// Behind this operation, which need not exist.
    #[must_use]
    pub fn at(key: SigningKey, log_id: u64, tip: Tip) -> Self {
        Self { key, log_id, tip: Some(tip) }
    }

    /// Who signs.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// The log.
    #[must_use]
    pub fn log_id(&self) -> u64 {
        self.log_id
    }

    /// The operation that was written last.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// Writes the next operation.
    ///
    /// # Panics
    ///
    /// If the log is at its last sequence number.
    pub fn write(&mut self, step: Step) -> Operation<LogExtensions> {
        let mut header = Header::new(self.key.public_key());
        if let Some(tip) = self.tip {
            let next = tip.seq_num.get().checked_add(1).and_then(|next| next.checked_add(step.skip));
            let Some(next) = next else { panic!("a log ends at {}", SeqNum::MAX) };
            header.seq_num = SeqNum::new(next);
            header.backlink = Some(tip.hash);
        } else if step.skip > 0 {
            header.seq_num = SeqNum::new(step.skip);
            header.backlink = Some(Hash::digest(b"never written"));
        }
        header.timestamp = step.timestamp;
        header.previous = step.previous;
        header.extensions = Some(LogExtensions { log_id: self.log_id, prune: PruneFlag::new(step.prunes) });
        let operation = match Operation::sign(header, Some(Body::new(step.body)), &self.key) {
            Ok(operation) => operation,
            Err(error) => panic!("a header whose fields go together was not signed: {error:?}"),
        };
        self.tip = Some(Tip { seq_num: operation.header.seq_num, hash: operation.hash });
        operation
    }
}
