//! What happens to a batch: place, check the body, verify all signatures together, append in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use syncline_core::{SyncError, TopicMap, TopicQuery};
use syncline_crypto::{PublicKey, SignedMessage, Verifier};
use syncline_storage::Blocking;

use super::event::OperationRef;
use super::{Classify, Outcome, Rejection, Verdict};
use crate::store::{Appended, Link, LogId, LogStore, Logs, NewOperation};
use crate::validate::Invalid;
use crate::{DecodeError, EncodedOperation};

pub(super) struct Pipeline<T, L, S> {
    pub(super) topic_map: Arc<dyn TopicMap<T, Logs<L>>>,
    pub(super) store: Arc<S>,
    pub(super) classify: Arc<dyn Classify<L>>,
    pub(super) verifier: Arc<dyn Verifier>,
    pub(super) blocking: Arc<dyn Blocking>,
}

impl<T, L, S> Clone for Pipeline<T, L, S> {
    fn clone(&self) -> Self {
        Self {
            topic_map: Arc::clone(&self.topic_map),
            store: Arc::clone(&self.store),
            classify: Arc::clone(&self.classify),
            verifier: Arc::clone(&self.verifier),
            blocking: Arc::clone(&self.blocking),
        }
    }
}

/// A topic's logs, for looking up.
pub(super) type ScopeIndex<L> = BTreeMap<PublicKey, BTreeSet<L>>;

/// The result of one run.
pub(super) enum Step<T, L> {
    Scope(T, Arc<ScopeIndex<L>>),
    Verdicts(Vec<Verdict<L>>),
}

/// An operation on its way.
struct Item<L> {
    operation: EncodedOperation,
    place: Result<(L, Link), Rejection>,
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
        undecodable: Vec<(usize, DecodeError)>,
    ) -> BoxFuture<'static, Result<Step<T, L>, SyncError>> {
        async move {
            let (classify, verifier) = (Arc::clone(&self.classify), Arc::clone(&self.verifier));
            let job = move || check(operations, &scope, &*classify, &*verifier);
            let items = syncline_storage::run(&*self.blocking, job).await;
            let items = items.map_err(|err| SyncError::Critical(format!("verification did not finish: {err}")))?;
            let verdicts = self.append(items).await?;
            Ok(Step::Verdicts(insert_undecodable(verdicts, undecodable)))
        }
        .boxed()
    }

    async fn append(&self, items: Vec<Item<L>>) -> Result<Vec<Verdict<L>>, SyncError> {
        let mut batch = Vec::with_capacity(items.len());
        let mut verdicts = Vec::with_capacity(items.len());
        // The places in `verdicts` of what is in `batch`.
        let mut appended_at = Vec::with_capacity(items.len());
        for Item { operation, place } in items {
            let hash = operation.hash();
            let (author, seq_num) = (*operation.public_key(), operation.seq_num());
            let (log_id, outcome) = match place {
                Ok((log_id, link)) => {
                    appended_at.push(verdicts.len());
                    batch.push(NewOperation { log_id: log_id.clone(), operation, link });
                    (Some(log_id), Outcome::Stored)
                }
                Err(rejection) => (None, Outcome::Rejected(rejection)),
            };
            verdicts.push(Verdict { operation: Some(OperationRef { hash, author, seq_num }), log_id, outcome });
        }
        if batch.is_empty() {
            return Ok(verdicts);
        }
        let expected = batch.len();
        let outcomes = self.store.append(batch).await;
        let outcomes = outcomes.map_err(|err| SyncError::Critical(format!("the log store failed: {err}")))?;
        if outcomes.len() != expected {
            return Err(SyncError::Critical("the log store did not answer for every operation".into()));
        }
        for (at, outcome) in appended_at.into_iter().zip(outcomes) {
            if let Some(verdict) = verdicts.get_mut(at) {
                let seq_num = verdict.operation.map(|operation| operation.seq_num);
                verdict.outcome = outcome_of(outcome, seq_num.unwrap_or_default());
            }
        }
        Ok(verdicts)
    }
}

fn outcome_of(appended: Appended, found: crate::SeqNum) -> Outcome {
    match appended {
        Appended::New => Outcome::Stored,
        Appended::Known | Appended::Pruned => Outcome::Known,
        Appended::Forked(fork) => Outcome::Forked(fork),
        Appended::Gap { expected } => {
            Outcome::Rejected(Rejection::Invalid(Invalid::SequenceGap { expected, found }))
        }
        Appended::Backlink => Outcome::Rejected(Rejection::Invalid(Invalid::Backlink)),
    }
}

/// Everything that needs no store. Runs where blocking is allowed.
fn check<L: LogId>(
    operations: Vec<EncodedOperation>,
    scope: &ScopeIndex<L>,
    classify: &dyn Classify<L>,
    verifier: &dyn Verifier,
) -> Vec<Item<L>> {
    let mut items: Vec<Item<L>> = operations
        .into_iter()
        .map(|operation| Item { place: place(&operation, scope, classify), operation })
        .collect();
    let candidates: Vec<(usize, Vec<u8>)> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| item.place.is_ok())
        .map(|(at, item)| (at, item.operation.signed_bytes()))
        .collect();
    let signed: Vec<SignedMessage<'_>> = candidates
        .iter()
        .map(|(at, message)| {
            let operation = &items[*at].operation;
            SignedMessage::new(operation.public_key(), message, operation.signature())
        })
        .collect();
    let verdict = verifier.verify_batch(&signed);
    let invalid: Vec<usize> = candidates
        .iter()
        .enumerate()
        .filter(|(nth, _)| !verdict.is_valid(*nth))
        .map(|(_, (at, _))| *at)
        .collect();
    for at in invalid {
        items[at].place = Err(Rejection::Invalid(Invalid::Signature));
    }
    items
}

fn place<L: LogId>(
    operation: &EncodedOperation,
    scope: &ScopeIndex<L>,
    classify: &dyn Classify<L>,
) -> Result<(L, Link), Rejection> {
    let logs = scope.get(operation.public_key()).ok_or(Rejection::AuthorOutOfScope)?;
    let place = classify.place(operation).ok_or(Rejection::Unplaced)?;
    if !logs.contains(&place.log_id) {
        return Err(Rejection::LogOutOfScope);
    }
    operation.check_body()?;
    Ok((place.log_id, place.link))
}

/// Puts the verdicts on what could not be decoded where those came.
fn insert_undecodable<L>(verdicts: Vec<Verdict<L>>, undecodable: Vec<(usize, DecodeError)>) -> Vec<Verdict<L>> {
    if undecodable.is_empty() {
        return verdicts;
    }
    let mut all = Vec::with_capacity(verdicts.len() + undecodable.len());
    let mut undecodable = undecodable.into_iter().peekable();
    let mut verdicts = verdicts.into_iter();
    for place in 0.. {
        while let Some((_, err)) = undecodable.next_if(|(at, _)| *at <= place) {
            let outcome = Outcome::Rejected(Rejection::Header(err));
            all.push(Verdict { operation: None, log_id: None, outcome });
        }
        let Some(verdict) = verdicts.next() else { break };
        all.push(verdict);
    }
    all
}
