//! What a peer may cost.

use crate::ReconcileError;

/// What one session may take, whatever the peer sends. Exceeding any of them is [`ReconcileError::Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Messages received. 65 536 by default: a million items offered in messages of 4 KiB take some 1 500.
    pub messages: u64,
    /// Bytes of one message received. 1 MiB by default. Must not be less than what the peer's configuration lets it send.
    pub message_len: usize,
    /// Bytes received, all messages together. 256 MiB by default.
    pub bytes: u64,
    /// Parts of one message: fingerprints, lists and answers. 131 072 by default, more than what fits into 1 MiB of them in
    /// an honest session.
    pub parts: u64,
    /// Items reported, here and there together. 16 777 216 by default. Each that is reported as here takes 32 bytes until
    /// the session ends.
    pub ids: u64,
    /// Bytes of what waits for an answer of either side. 64 MiB by default. An honest session takes a few messages' worth:
    /// a message counts about ten times its bytes.
    pub pending: usize,
    /// How often the sets are compared again, under fresh salts, if they differ although no difference was found. 3 by
    /// default. Each time both sides hash their whole set, once per message.
    pub salted_runs: u8,
}

impl Limits {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self {
        messages: 1 << 16,
        message_len: 1 << 20,
        bytes: 256 << 20,
        parts: 1 << 17,
        ids: 1 << 24,
        pending: 64 << 20,
        salted_runs: 3,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What has been used up of the [`Limits`].
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    limits: Limits,
    messages: u64,
    bytes: u64,
    ids: u64,
}

impl Budget {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { limits, messages: 0, bytes: 0, ids: 0 }
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a message that came.
    pub(crate) fn message(&mut self, len: usize) -> Result<(), ReconcileError> {
        within("bytes in a message", len as u64, self.limits.message_len as u64)?;
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(len as u64);
        within("messages", self.messages, self.limits.messages)?;
        within("bytes received", self.bytes, self.limits.bytes)
    }

    /// Counts items that are about to be reported.
    pub(crate) fn ids(&mut self, more: usize) -> Result<(), ReconcileError> {
        self.ids = self.ids.saturating_add(more as u64);
        within("items that differ", self.ids, self.limits.ids)
    }

    pub(crate) fn parts(&self, parts: u64) -> Result<(), ReconcileError> {
        within("parts in a message", parts, self.limits.parts)
    }

    pub(crate) fn pending(&self, bytes: usize) -> Result<(), ReconcileError> {
        within("bytes waiting for an answer", bytes as u64, self.limits.pending as u64)
    }
}

fn within(what: &'static str, used: u64, limit: u64) -> Result<(), ReconcileError> {
    if used > limit { Err(ReconcileError::Budget { what, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_at_its_edge() {
        let limits = Limits { messages: 2, message_len: 10, bytes: 15, parts: 3, ids: 4, pending: 5, salted_runs: 0 };
        let mut budget = Budget::new(limits);
        assert!(budget.message(11).is_err());
        budget.message(10).expect("ten bytes are allowed");
        budget.clone().message(6).expect_err("sixteen in all are not");
        budget.message(5).expect("fifteen in all are allowed");
        budget.message(0).expect_err("a third message is not");
        budget.parts(3).expect("three parts");
        budget.parts(4).expect_err("four parts");
        budget.pending(5).expect("five bytes");
        budget.pending(6).expect_err("six bytes");
        budget.ids(4).expect("four items");
        budget.ids(1).expect_err("a fifth item");
    }
}
