//! The operations of a range, one after the other, in bounded memory.

use futures::Stream;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use syncline_crypto::PublicKey;

use super::{LogId, LogStore, SeqRange, StoreError, StoredOperation};

/// The operations of `range` that are there, in order, read in pages of about `page_bytes` bytes.
///
/// It holds one page at a time: `page_bytes`, or one operation if that is larger. What is appended to the range while it is
/// read may come along; what is pruned in the meantime is left out. After an error the stream ends.
///
/// ```
/// use futures::TryStreamExt as _;
/// use syncline_crypto::SigningKey;
/// use syncline_log::store::stream;
/// use syncline_log::{EncodedOperation, Header, LogStore as _, MemoryStore, NewOperation, Operation, SeqRange};
///
/// # futures::executor::block_on(async {
/// let key = SigningKey::from_bytes(&[7; 32]);
/// let store = MemoryStore::<u64>::new();
/// let first = Operation::sign(Header::<()>::new(key.public_key()), Some(b"hello"[..].into()), &key)?;
/// store.append(vec![NewOperation::next(0, EncodedOperation::from_operation(&first)?)]).await?;
///
/// let mut operations = std::pin::pin!(stream(&store, key.public_key(), 0, SeqRange::ALL, 1 << 16));
/// let stored = operations.try_next().await?.expect("the log has one operation");
/// assert_eq!(stored.body.as_deref(), Some(&b"hello"[..]));
/// assert!(operations.try_next().await?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub fn stream<L: LogId, S: LogStore<L> + ?Sized>(
    store: &S,
    author: PublicKey,
    log_id: L,
    range: SeqRange,
    page_bytes: usize,
) -> impl Stream<Item = Result<StoredOperation, StoreError>> + Send + '_ {
    let pages = stream::try_unfold(Some(range), move |range| {
        let log_id = log_id.clone();
        async move {
            let Some(range) = range else { return Ok::<_, StoreError>(None) };
            let page = store.read(author, log_id, range, page_bytes).await?;
            let rest = page.next.map(|next| SeqRange::new(next, range.to));
            Ok(Some((page.operations, rest)))
        }
    });
    pages.map_ok(|operations| stream::iter(operations).map(Ok)).try_flatten()
}
