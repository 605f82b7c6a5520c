//! What becomes of what came: verified, stored, and only then handed on.

use std::sync::Arc;

use bytes::Bytes;
use syncline_core::session::report_items_refused;
use syncline_core::{FromSync, SyncError, TopicQuery};
use syncline_crypto::Hash;
use syncline_storage::blocking;

use super::LogSyncV2;
use super::event::{Event, PayloadOutcome};
use super::machine::{Applied, LogName, Received};
use crate::ingest::{Outcome, Rejection, Undecodable, Verdict, append, check, insert_undecodable};
use crate::store::{LogId, LogStore, ScopeIndex};
use crate::{EncodedOperation, SeqNum};

impl<T, L, S> LogSyncV2<T, L, S>
where
    T: TopicQuery,
    L: LogId,
    S: LogStore<L>,
{
    /// Verifies and stores a batch.
    pub(super) async fn apply(
        &self,
        scope: &Arc<ScopeIndex<L>>,
        batch: Vec<Received<L>>,
    ) -> Result<Applied<T, L>, SyncError> {
        let mut operations = Vec::with_capacity(batch.len());
        let mut applied = Applied::default();
        for received in batch {
            match received {
                Received::Operation { log, header, body } => operations.push((log, header, body)),
                Received::Body { operation, body } => self.apply_body(scope, operation, body, &mut applied).await?,
            }
        }
        if !operations.is_empty() {
            self.apply_operations(scope, operations, &mut applied).await?;
        }
        Ok(applied)
    }

    async fn apply_operations(
        &self,
        scope: &Arc<ScopeIndex<L>>,
        batch: Vec<(LogName<L>, Bytes, Option<Bytes>)>,
        applied: &mut Applied<T, L>,
    ) -> Result<(), SyncError> {
        let (scope, classify, verifier) = (Arc::clone(scope), Arc::clone(&self.classify), Arc::clone(&self.verifier));
        let verification = self.verification;
        let job = move || {
            let (mut operations, mut undecodable) = (Vec::with_capacity(batch.len()), Vec::new());
            let mut logs = Vec::with_capacity(batch.len());
            let mut parts = Vec::with_capacity(batch.len());
            // Where among all that came those are that could be decoded.
            let mut decoded = Vec::with_capacity(batch.len());
            for (at, (log, header, body)) in batch.into_iter().enumerate() {
                match EncodedOperation::decode(header.clone(), body.clone()) {
                    Ok(operation) => {
                        operations.push(operation);
                        decoded.push(at);
                    }
                    Err(err) => undecodable.push(Undecodable { place: operations.len(), header: header.clone(), err }),
                }
                logs.push(log);
                parts.push((header, body));
            }
            let mut items = check(operations, &scope, &*classify, &*verifier, verification);
            for (item, at) in items.iter_mut().zip(decoded) {
                let said: Option<&LogName<L>> = logs.get(at);
                let is_as_said = said.is_some_and(|(author, log_id)| {
                    item.operation.public_key() == *author
                        && item.place.as_ref().map_or(true, |place| place.0 == *log_id)
                });
                if !is_as_said {
                    item.place = Err(Rejection::OtherLog);
                }
            }
            (items, undecodable, logs, parts)
        };
        let checked = blocking::run(&*self.blocking, job).await;
        let (items, undecodable, logs, parts) =
            checked.map_err(|err| SyncError::Critical(format!("verification did not finish: {err}")))?;
        let verdicts = insert_undecodable(append(&self.store, items).await?, undecodable);
        let (mut duplicates, mut rejected) = (0, 0);
        for ((verdict, log), (header, body)) in verdicts.into_iter().zip(logs).zip(parts) {
            match &verdict.outcome {
                Outcome::Stored => {
                    applied
                        .new
                        .push(FromSync::Data { header: header.to_vec(), payload: body.map(|body| body.to_vec()) });
                }
                Outcome::Known => duplicates += 1,
                Outcome::Forked(_) | Outcome::Rejected(_) => rejected += 1,
            }
            self.judge(verdict, log, applied);
        }
        report_items_refused(duplicates, rejected);
        Ok(())
    }

    /// What an operation's fate means for the rest of its log.
    fn judge(&self, verdict: Verdict<L>, log: LogName<L>, applied: &mut Applied<T, L>) {
        let seq_num = verdict.operation.map_or(SeqNum::ZERO, |operation| operation.seq_num);
        applied.faults += u64::from(verdict.outcome.is_peer_fault());
        match &verdict.outcome {
            Outcome::Stored | Outcome::Known => match applied.peer_has.last_mut() {
                Some((last, height)) if *last == log => *height = (*height).max(seq_num),
                _ => applied.peer_has.push((log, seq_num)),
            },
            Outcome::Forked(_) => applied.forked.push((log, seq_num)),
            Outcome::Rejected(why) => {
                applied.has_gaps |= matches!(why, Rejection::Gap { .. });
                if applied.stopped.last() != Some(&log) {
                    applied.stopped.push(log);
                }
            }
        }
        if let Some(observer) = &self.observer {
            observer.tell(Event::Verdict(verdict));
        }
    }

    async fn apply_body(
        &self,
        scope: &ScopeIndex<L>,
        operation: Hash,
        body: Option<Bytes>,
        applied: &mut Applied<T, L>,
    ) -> Result<(), SyncError> {
        let outcome = match body {
            None => PayloadOutcome::Missing,
            Some(body) => self.store_body(scope, operation, body, applied).await?,
        };
        applied.faults += u64::from(outcome == PayloadOutcome::Invalid);
        if let Some(observer) = &self.observer {
            observer.tell(Event::Payload { operation, outcome });
        }
        Ok(())
    }

    async fn store_body(
        &self,
        scope: &ScopeIndex<L>,
        hash: Hash,
        body: Bytes,
        applied: &mut Applied<T, L>,
    ) -> Result<PayloadOutcome, SyncError> {
        let Some(located) = self.locate(scope, hash).await? else { return Ok(PayloadOutcome::Unknown) };
        if located.body.is_some() {
            return Ok(PayloadOutcome::Known);
        }
        let operation = EncodedOperation::decode(located.header, Some(body.clone()));
        let operation = operation.map_err(|err| SyncError::Critical(format!("the log store has no header: {err}")))?;
        if operation.check_body().is_err() {
            return Ok(PayloadOutcome::Invalid);
        }
        let is_added = self.store.add_payload(hash, body.clone()).await.map_err(super::store_failed)?;
        if !is_added {
            return Ok(PayloadOutcome::Known);
        }
        let header = operation.header_bytes().to_vec();
        applied.new.push(FromSync::Data { header, payload: Some(body.to_vec()) });
        Ok(PayloadOutcome::Stored)
    }
}
