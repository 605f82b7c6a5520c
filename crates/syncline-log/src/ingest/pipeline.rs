//! What happens to a batch: place, check the body, verify all signatures together, append in one transaction.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use syncline_core::{SyncError, TopicMap, TopicQuery};
use syncline_crypto::{SignedMessage, Verifier, VerifyError};
use syncline_storage::Blocking;

use super::{Classify, OperationRef, Outcome, Rejection, Verdict, Verification};
use crate::store::{Appended, Link, LogId, LogStore, Logs, NewOperation, ScopeIndex};
use crate::validate::{self, Invalid};
use crate::{DecodeError, EncodedOperation};

pub(super) struct Pipeline<T, L, S> {
    pub(super) topic_map: Arc<dyn TopicMap<T, Logs<L>>>,
    pub(super) store: Arc<S>,
    pub(super) classify: Arc<dyn Classify<L>>,
    pub(super) verifier: Arc<dyn Verifier>,
    pub(super) blocking: Arc<dyn Blocking>,
    pub(super) verification: Verification,
}

impl<T, L, S> Clone for Pipeline<T, L, S> {
    fn clone(&self) -> Self {
        Self {
            topic_map: Arc::clone(&self.topic_map),
            store: Arc::clone(&self.store),
            classify: Arc::clone(&self.classify),
            verifier: Arc::clone(&self.verifier),
            blocking: Arc::clone(&self.blocking),
            verification: self.verification,
        }
    }
}

/// The result of one run.
pub(super) enum Step<T, L> {
    Scope(T, Arc<ScopeIndex<L>>),
    Verdicts(Vec<Verdict<L>>),
}

/// A header that is none.
pub(crate) struct Undecodable {
    /// How many that could be decoded came before.
    pub(crate) place: usize,
    pub(crate) header: Bytes,
    pub(crate) err: DecodeError,
}

/// An operation on its way.
pub(crate) struct Item<L> {
    pub(crate) operation: EncodedOperation,
    pub(crate) place: Result<(L, Link), Rejection>,
}

impl<T, L, S> Pipeline<T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    /// Finds out which logs the topic covers.
    pub(super) fn scope(self: Arc<Self>, topic: T) -> BoxFuture<'static, Result<Step<T, L>, SyncError>> {
        async move {
            let Some(logs) = self.topic_map.get(&topic).await else {
                return Err(SyncError::Critical(format!("topic {topic:?} is not known here any more")));
            };
            let index = logs.into_iter().map(|(author, logs)| (author, logs.into_iter().collect())).collect();
            Ok(Step::Scope(topic, Arc::new(index)))
        }
        .boxed()
    }

    /// Judges and stores a batch.
    pub(super) fn run(
        self: Arc<Self>,
        scope: Arc<ScopeIndex<L>>,
        operations: Vec<EncodedOperation>,
        undecodable: Vec<Undecodable>,
    ) -> BoxFuture<'static, Result<Step<T, L>, SyncError>> {
        async move {
            let (classify, verifier) = (Arc::clone(&self.classify), Arc::clone(&self.verifier));
            let verification = self.verification;
            let job = move || check(operations, &scope, &*classify, &*verifier, verification);
            let items = syncline_storage::blocking::run(&*self.blocking, job).await;
            let items = items.map_err(|err| SyncError::Critical(format!("verification did not finish: {err}")))?;
            let verdicts = append(&*self.store, items).await?;
            Ok(Step::Verdicts(insert_undecodable(verdicts, undecodable)))
        }
        .boxed()
    }
}

/// Appends what has a place, and says what became of each.
pub(crate) async fn append<L: LogId, S: LogStore<L>>(
    store: &S,
    items: Vec<Item<L>>,
) -> Result<Vec<Verdict<L>>, SyncError> {
    let mut batch = Vec::with_capacity(items.len());
    let mut verdicts = Vec::with_capacity(items.len());
    // The places in `verdicts` of what is in `batch`.
    let mut appended_at = Vec::with_capacity(items.len());
    for Item { operation, place } in items {
        let (hash, header) = (operation.hash(), operation.header_bytes().clone());
        let (author, seq_num) = (operation.public_key(), operation.seq_num());
        let (log_id, outcome) = match place {
            Ok((log_id, link)) => {
                appended_at.push(verdicts.len());
                batch.push(NewOperation { log_id: log_id.clone(), operation, link });
                (Some(log_id), Outcome::Stored)
            }
            Err(rejection) => (None, Outcome::Rejected(rejection)),
        };
        let operation = Some(OperationRef { hash, author, seq_num });
        verdicts.push(Verdict { operation, header, log_id, outcome });
    }
    if batch.is_empty() {
        return Ok(verdicts);
    }
    let expected = batch.len();
    let outcomes = store.append(batch).await;
    let outcomes = outcomes.map_err(|err| SyncError::Critical(format!("the log store failed: {err}")))?;
    if outcomes.len() != expected {
        return Err(SyncError::Critical("the log store did not answer for every operation".into()));
    }
    for (at, outcome) in appended_at.into_iter().zip(outcomes) {
        if let Some(verdict) = verdicts.get_mut(at) {
            verdict.outcome = outcome.into();
        }
    }
    Ok(verdicts)
}

impl From<Appended> for Outcome {
    fn from(appended: Appended) -> Self {
        match appended {
            Appended::New => Self::Stored,
            Appended::Known | Appended::Pruned => Self::Known,
            Appended::Forked(fork) => Self::Forked(fork),
            Appended::Gap { expected } => Self::Rejected(Rejection::Gap { expected }),
            Appended::Backlink => Self::Rejected(Rejection::Backlink),
        }
    }
}

/// Everything that needs no store. Runs where blocking is allowed.
pub(crate) fn check<L: LogId>(
    operations: Vec<EncodedOperation>,
    scope: &ScopeIndex<L>,
    classify: &dyn Classify<L>,
    verifier: &dyn Verifier,
    verification: Verification,
) -> Vec<Item<L>> {
    let mut items: Vec<Item<L>> =
        operations.into_iter().map(|operation| Item { place: place(&operation, scope, classify), operation }).collect();
    let candidates: Vec<usize> =
        items.iter().enumerate().filter(|(_, item)| item.place.is_ok()).map(|(at, _)| at).collect();
    let invalid = match verification {
        Verification::All => bad_signatures(&items, &candidates, verifier),
        Verification::Heads => bad_below_heads(&items, &candidates, verifier),
    };
    for (at, err) in invalid {
        items[at].place = Err(Rejection::Invalid(err));
    }
    items
}

/// As [`bad_signatures`], but of operations of which each has the hash of the one before only the last is looked at, unless
/// that one is bad.
fn bad_below_heads<L: LogId>(
    items: &[Item<L>],
    candidates: &[usize],
    verifier: &dyn Verifier,
) -> Vec<(usize, Invalid)> {
    let mut runs: Vec<&[usize]> = Vec::new();
    let mut start = 0;
    for end in 1..=candidates.len() {
        let goes_on = candidates.get(end).is_some_and(|next| continues(&items[candidates[end - 1]], &items[*next]));
        if !goes_on {
            runs.push(&candidates[start..end]);
            start = end;
        }
    }
    let heads: Vec<usize> = runs.iter().filter_map(|run| run.last().copied()).collect();
    let bad_heads = bad_signatures(items, &heads, verifier);
    // Below a bad head there may be good operations, which then have to show it themselves.
    let doubtful = runs.into_iter().filter(|run| bad_heads.iter().any(|(bad, _)| run.last() == Some(bad)));
    let doubtful: Vec<usize> = doubtful.flatten().copied().collect();
    bad_signatures(items, &doubtful, verifier)
}

/// Whether one operation's backlink is the other, in one log.
fn continues<L: LogId>(before: &Item<L>, after: &Item<L>) -> bool {
    let same_log = match (&before.place, &after.place) {
        (Ok((before, _)), Ok((after, _))) => before == after,
        _ => false,
    };
    same_log
        && before.operation.public_key() == after.operation.public_key()
        && before.operation.seq_num().checked_next() == Some(after.operation.seq_num())
        && after.operation.backlink() == Some(before.operation.hash())
}

/// Those of the candidates whose signatures do not count.
fn bad_signatures<L>(items: &[Item<L>], candidates: &[usize], verifier: &dyn Verifier) -> Vec<(usize, Invalid)> {
    #[cfg(syncline_planted)]
    if syncline_core::planted::is(syncline_core::planted::Bug::SkipVerification) {
        return Vec::new();
    }
    // One buffer for all messages: a batch allocates four times, whatever its size.
    let mut bytes = Vec::new();
    let mut parts = Vec::with_capacity(candidates.len());
    for at in candidates {
        let operation = &items[*at].operation;
        let start = bytes.len();
        let len = operation.append_signed_bytes(&mut bytes);
        parts.push((operation.public_key(), operation.signature(), start..start + len));
    }
    let signed: Vec<SignedMessage<'_>> = parts
        .iter()
        .map(|(key, signature, message)| SignedMessage::new(key, &bytes[message.clone()], signature))
        .collect();
    let verdict = verifier.verify_batch(&signed);
    let invalid = verdict.invalid().map(|nth| {
        // The batch knows which, the single check knows why.
        let why = verifier.verify(signed[nth]).err().unwrap_or(VerifyError::Mismatch);
        (candidates[nth], Invalid::Signature(why))
    });
    invalid.collect()
}

fn place<L: LogId>(
    operation: &EncodedOperation,
    scope: &ScopeIndex<L>,
    classify: &dyn Classify<L>,
) -> Result<(L, Link), Rejection> {
    let logs = scope.get(&operation.public_key()).ok_or(Rejection::AuthorOutOfScope)?;
    let place = classify.place(operation).ok_or(Rejection::Unplaced)?;
    if !logs.contains(&place.log_id) {
        return Err(Rejection::LogOutOfScope);
    }
    validate::version(operation)?;
    operation.check_body()?;
    Ok((place.log_id, place.link))
}

/// Puts the verdicts on what could not be decoded where those came.
pub(crate) fn insert_undecodable<L>(verdicts: Vec<Verdict<L>>, undecodable: Vec<Undecodable>) -> Vec<Verdict<L>> {
    if undecodable.is_empty() {
        return verdicts;
    }
    let mut all = Vec::with_capacity(verdicts.len() + undecodable.len());
    let mut undecodable = undecodable.into_iter().peekable();
    let mut verdicts = verdicts.into_iter();
    for place in 0.. {
        while let Some(Undecodable { header, err, .. }) = undecodable.next_if(|next| next.place <= place) {
            let outcome = Outcome::Rejected(Rejection::Header(err));
            all.push(Verdict { operation: None, header, log_id: None, outcome });
        }
        let Some(verdict) = verdicts.next() else { break };
        all.push(verdict);
    }
    all
}
