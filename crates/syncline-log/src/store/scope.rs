//! Which logs there are, and how far they go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash as StdHash;

use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline_crypto::{Hash, PublicKey};

use crate::SeqNum;

/// What tells the logs of one author apart: a number, a text, a hash, a struct. Implemented by every type that can.
///
/// Peers exchange log ids, so their encoding by serde is part of the wire format. Equal ids must have equal encodings,
/// and reading an encoding must give the id back. A [`DatabaseStore`](crate::DatabaseStore) takes encodings of at most
/// [`LOG_ID_LEN_MAX`](crate::DatabaseStore::LOG_ID_LEN_MAX) bytes.
pub trait LogId: Clone + Debug + Ord + StdHash + Send + Sync + Serialize + DeserializeOwned + 'static {}

impl<T> LogId for T where T: Clone + Debug + Ord + StdHash + Send + Sync + Serialize + DeserializeOwned + 'static {}

/// A set of logs, by author: what belongs to a topic.
pub type Logs<L> = BTreeMap<PublicKey, Vec<L>>;

/// A set of logs, for looking up.
pub(crate) type ScopeIndex<L> = BTreeMap<PublicKey, BTreeSet<L>>;

/// The greatest sequence number of each log. Logs without operations are not in it, nor are authors without logs.
pub type Heights<L> = BTreeMap<PublicKey, BTreeMap<L, SeqNum>>;

/// The newest operation of a log. It is known also if the operation itself was pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a place and a hash are all that the next operation depends on")]
pub struct Tip {
    /// Its place: the log's height.
    pub seq_num: SeqNum,
    /// Its hash, which the next operation has as backlink.
    pub hash: Hash,
}

/// The newest operation of each log. Logs without operations are not in it, nor are authors without logs.
pub type Tips<L> = BTreeMap<PublicKey, BTreeMap<L, Tip>>;

/// One log of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSummary<L> {
    /// The author.
    pub author: PublicKey,
    /// The log.
    pub log_id: L,
    /// The prune horizon: the least place that is not pruned, one above the tip's if all are.
    pub first: SeqNum,
    /// The newest operation.
    pub tip: Tip,
}

impl<L> LogSummary<L> {
    /// For those who implement a store.
    #[must_use]
    pub fn new(author: PublicKey, log_id: L, first: SeqNum, tip: Tip) -> Self {
        Self { author, log_id, first, tip }
    }
}
