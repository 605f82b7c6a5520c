//! Writes operations to logs of one's own: [`LogWriter`].

use std::sync::Arc;

use futures::lock::Mutex;
use syncline_crypto::{Hash, PublicKey, Signer};
use thiserror::Error;

use crate::store::{Appended, Link, LogId, LogStore, NewOperation, StoreError, Tip};
use crate::{Body, EncodeError, EncodedOperation, Extensions, Header, Operation, SignHeaderError};

/// An operation that is yet to get its place in a log and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers fill it in")]
pub struct Draft<E = ()> {
    /// The body; an empty one is the same as none.
    pub body: Option<Body>,
    /// What the application adds to the header. Peers derive the log id from it, so it must name the log.
    pub extensions: Option<E>,
    /// When it was written, by the application's clock.
    pub timestamp: u64,
    /// Operations of others that it follows.
    pub previous: Vec<Hash>,
    /// Whether everything before it in its log is to be deleted. The extensions must say so as well, for peers.
    pub prunes: bool,
}

impl<E> Draft<E> {
    /// A draft with a body and extensions, at time 0.
    pub fn new(body: Option<Body>, extensions: Option<E>) -> Self {
        Self { body, extensions, timestamp: 0, previous: Vec::new(), prunes: false }
    }
}

/// The most bytes of an operation, header and body together, that a [`LogWriter`] publishes: a little under 8 MiB. In
/// either encoding it fits into one message under the default [`Limits`](crate::sync::Limits) of a peer.
pub const OPERATION_LEN_MAX: usize = (8 << 20) - (64 << 10);

/// Why operations were not published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The header could not be signed.
    #[error("operation cannot be signed")]
    Sign(#[from] SignHeaderError),
    /// The operation could not be encoded.
    #[error("operation cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The store failed.
    #[error("log store failed")]
    Store(#[from] StoreError),
    /// Somebody else who holds the same key wrote to the log at the same time. Find out who it is before you try again:
    /// two writers with one key make a fork, and the store may have kept the evidence of this one.
    #[error("log was written to by somebody else meanwhile")]
    Contended,
    /// An operation is longer than [`OPERATION_LEN_MAX`]. No peer with the default limits could receive it, nor anything
    /// behind it in its log. Split the content over several operations.
    #[error("operation of {len} bytes exceeds the limit of {}", OPERATION_LEN_MAX)]
    TooLarge {
        /// Bytes of header and body.
        len: usize,
    },
    /// The log is at its last sequence number.
    #[error("log is full")]
    Full,
}

/// Writes operations to the logs of one author.
///
/// Two operations with one place in a log are a fork, whoever wrote them, so **make one writer per key** and share it: its
/// calls wait for each other. Clones share it too.
///
/// ```
/// use std::sync::Arc;
/// use syncline_crypto::SigningKey;
/// use syncline_log::store::MemoryStore;
/// use syncline_log::{Body, Draft, LogWriter, SeqNum};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let key = Arc::new(SigningKey::from_bytes(&[7; 32]));
/// let writer = LogWriter::new(MemoryStore::<String>::new(), key);
/// let drafts = ["hello", "world"].map(|text| Draft::<()>::new(Some(Body::new(text)), None));
/// let published = writer.publish("chat".to_owned(), drafts).await?;
/// assert_eq!(published[1].header.seq_num, SeqNum::new(1));
/// assert_eq!(published[1].header.backlink, Some(published[0].hash));
/// # Ok::<(), syncline_log::PublishError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct LogWriter<S> {
    store: S,
    signer: Arc<dyn Signer>,
    turn: Arc<Mutex<()>>,
}

impl<S> LogWriter<S> {
    /// A writer of `signer`'s logs in `store`.
    pub fn new(store: S, signer: Arc<dyn Signer>) -> Self {
        Self { store, signer, turn: Arc::new(Mutex::new(())) }
    }

    /// Whose logs these are.
    #[must_use]
    pub fn author(&self) -> PublicKey {
        self.signer.public_key()
    }

    /// Appends operations to one log, in one transaction, and returns them as they were signed.
    ///
    /// Sequence numbers and backlinks continue the log as it is stored. When it returns, the operations are durable.
    ///
    /// # Errors
    ///
    /// [`PublishError`]. Nothing is stored then, but for two cases: a [`PublishError::Store`] whose outcome is unknown, and
    /// a [`PublishError::Contended`] after drafts that prune. Read the log's tip to know.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave all operations stored or none. Read the log's tip to know.
    pub async fn publish<L, E>(
        &self,
        log_id: L,
        drafts: impl IntoIterator<Item = Draft<E>>,
    ) -> Result<Vec<Operation<E>>, PublishError>
    where
        L: LogId,
        E: Extensions,
        S: LogStore<L>,
    {
        let drafts: Vec<Draft<E>> = drafts.into_iter().collect();
        let _turn = self.turn.lock().await;
        let tip = self.store.tip(self.author(), log_id.clone()).await?;
        let (published, batch) = sign_all(tip, &*self.signer, &log_id, drafts)?;
        let outcomes = self.store.append(batch).await?;
        let all_new = outcomes.iter().all(|outcome| *outcome == Appended::New);
        if all_new { Ok(published) } else { Err(PublishError::Contended) }
    }
}

type Signed<L, E> = (Vec<Operation<E>>, Vec<NewOperation<L>>);

fn sign_all<L: LogId, E: Extensions>(
    mut tip: Option<Tip>,
    signer: &dyn Signer,
    log_id: &L,
    drafts: impl IntoIterator<Item = Draft<E>>,
) -> Result<Signed<L, E>, PublishError> {
    let (mut published, mut batch) = (Vec::new(), Vec::new());
    for draft in drafts {
        let mut header = Header::new(signer.public_key());
        if let Some(tip) = tip {
            header.seq_num = tip.seq_num.checked_next().ok_or(PublishError::Full)?;
            header.backlink = Some(tip.hash);
        }
        header.timestamp = draft.timestamp;
        header.previous = draft.previous;
        header.extensions = draft.extensions;
        let operation = Operation::sign(header, draft.body, signer)?;
        tip = Some(Tip { seq_num: operation.header.seq_num, hash: operation.hash });
        let encoded = EncodedOperation::from_operation(&operation)?;
        let len = encoded.header_bytes().len() + encoded.body().map_or(0, bytes::Bytes::len);
        if len > OPERATION_LEN_MAX {
            return Err(PublishError::TooLarge { len });
        }
        batch.push(NewOperation {
            log_id: log_id.clone(),
            operation: encoded,
            link: if draft.prunes { Link::Prunes } else { Link::Next },
        });
        published.push(operation);
    }
    Ok((published, batch))
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use syncline_crypto::SigningKey;

    use super::*;
    use crate::SeqNum;
    use crate::store::{MemoryStore, SeqRange};

    fn writer() -> LogWriter<MemoryStore<u64>> {
        LogWriter::new(MemoryStore::new(), Arc::new(SigningKey::from_bytes(&[7; 32])))
    }

    fn draft(text: &'static str) -> Draft {
        Draft::new(Some(Body::new(text)), None)
    }

    async fn seq_nums(writer: &LogWriter<MemoryStore<u64>>) -> Vec<u64> {
        let page = writer.store.read(writer.author(), 0, SeqRange::ALL, usize::MAX).await.unwrap();
        page.operations.iter().map(|operation| operation.seq_num.get()).collect()
    }

    #[tokio::test]
    async fn each_call_continues_the_log() {
        let writer = writer();
        let first = writer.publish(0, [draft("a"), draft("b")]).await.unwrap();
        let second = writer.publish(0, [draft("c")]).await.unwrap();
        assert_eq!(second[0].header.seq_num, SeqNum::new(2));
        assert_eq!(second[0].header.backlink, Some(first[1].hash));
        assert_eq!(seq_nums(&writer).await, [0, 1, 2]);
    }

    #[tokio::test]
    async fn calls_wait_for_each_other() {
        let writer = writer();
        let calls = (0..20).map(|_| async { writer.publish(0, [draft("a"), draft("b")]).await });
        for published in join_all(calls).await {
            published.unwrap();
        }
        assert_eq!(seq_nums(&writer).await, (0..40).collect::<Vec<_>>());
        assert!(writer.store.forks(writer.author(), 0).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_draft_that_prunes_leaves_only_itself() {
        let writer = writer();
        let last = Draft { prunes: true, ..draft("c") };
        writer.publish(0, [draft("a"), draft("b"), last]).await.unwrap();
        assert_eq!(seq_nums(&writer).await, [2]);
    }

    #[tokio::test]
    async fn what_no_peer_could_receive_is_not_published() {
        let writer = writer();
        let publish = |len: usize| writer.publish::<u64, ()>(0, [Draft::new(Some(Body::new(vec![0; len])), None)]);
        publish(OPERATION_LEN_MAX - 200).await.unwrap();
        assert!(matches!(publish(OPERATION_LEN_MAX).await, Err(PublishError::TooLarge { .. })));
        assert_eq!(seq_nums(&writer).await, [0], "and nothing is stored of it");
    }

    #[test]
    fn a_log_has_a_last_place() {
        let tip = Some(Tip { seq_num: SeqNum::MAX, hash: Hash::digest(b"") });
        let key = SigningKey::from_bytes(&[7; 32]);
        assert!(matches!(sign_all(tip, &key, &0_u64, [draft("a")]), Err(PublishError::Full)));
    }
}
