//! What is to be sent, and from where in the store.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::machine::Scope;
use super::wire;
use crate::SeqNum;
use crate::store::{Heights, LogId, Page, SeqRange};
use crate::sync::Encoding;
#[cfg(syncline_planted)]
use syncline_core::planted;
use syncline_crypto::PublicKey;

/// A run of operations of one log that the peer lacks.
#[derive(Debug)]
pub(super) struct Missing<L> {
    pub(super) author: PublicKey,
    pub(super) log_id: L,
    pub(super) range: SeqRange,
}

/// The runs that the peer lacks, in the order in which they are sent: by author, log and sequence number.
pub(super) fn missing<L: LogId>(ours: &Scope<L>, theirs: &Heights<L>) -> VecDeque<Missing<L>> {
    let mut missing = VecDeque::new();
    for (author, logs) in &ours.heights {
        let known = theirs.get(author);
        for (log_id, height) in logs {
            let from = match known.and_then(|known| known.get(log_id)) {
                None => Some(SeqNum::ZERO),
                // At the greatest number there is nothing left to lack.
                Some(theirs) => theirs.checked_next(),
            };
            #[cfg(syncline_planted)]
            let from = match from {
                Some(next) if next > SeqNum::ZERO && planted::is(planted::Bug::ResumeOneTooFar) => next.checked_next(),
                from => from,
            };
            if let Some(from) = from.filter(|from| from <= height) {
                let range = SeqRange::new(from, *height);
                missing.push_back(Missing { author: *author, log_id: log_id.clone(), range });
            }
        }
    }
    missing
}

/// Encoded messages that wait to be taken, and the runs they come from.
#[derive(Debug)]
pub(super) struct Outbox<L> {
    encoding: Encoding,
    bytes: BytesMut,
    /// Operations among `bytes`.
    items: u64,
    missing: VecDeque<Missing<L>>,
}

impl<L: LogId> Outbox<L> {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: BytesMut::new(), items: 0, missing: VecDeque::new() }
    }

    pub(super) fn set_missing(&mut self, missing: VecDeque<Missing<L>>) {
        self.missing = missing;
    }

    /// The run to read next.
    pub(super) fn next_missing(&self) -> Option<&Missing<L>> {
        self.missing.front()
    }

    /// Encodes a page of the first run, which then starts after it, or is over.
    pub(super) fn push_page(&mut self, page: &Page) {
        for operation in &page.operations {
            wire::encode_data(&mut self.bytes, self.encoding, &operation.header, operation.body.as_deref());
        }
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::SendTwice)
            && let Some(last) = page.operations.last()
        {
            wire::encode_data(&mut self.bytes, self.encoding, &last.header, last.body.as_deref());
        }
        self.items += page.operations.len() as u64;
        match (self.missing.front_mut(), page.next) {
            (Some(run), Some(next)) if next <= run.range.to => run.range.from = next,
            _ => {
                self.missing.pop_front();
            }
        }
    }

    pub(super) fn push_done(&mut self) {
        wire::encode_done(&mut self.bytes);
    }

    pub(super) fn push_have(
        &mut self,
        topic: &[u8],
        scope: &Scope<L>,
    ) -> Result<(), ciborium::ser::Error<std::io::Error>> {
        wire::encode_have(&mut self.bytes, topic, &scope.logs, &scope.heights)
    }

    /// Takes what is encoded so far, with the number of operations in it.
    pub(super) fn take(&mut self) -> Option<(Bytes, u64)> {
        if self.bytes.is_empty() {
            return None;
        }
        Some((self.bytes.split().freeze(), std::mem::take(&mut self.items)))
    }
}
