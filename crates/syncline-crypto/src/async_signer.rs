//! Signing that takes its time: tokens, other machines, people who approve.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use crate::{SignError, SignRequest, Signature, Ticket};

/// Signs when it can, which may be hours from now.
///
/// A caller [submits](AsyncSigner::submit) a request and has either the signature at once or a [`Ticket`] to
/// [poll](AsyncSigner::poll) with. The trait knows nothing of workflows, of executors or of who calls; the methods are
/// plain functions, and what "async" means is that no call waits for the signature to be made. It is object-safe.
///
/// # Contract for implementers
///
/// 1. *Quick.* `submit`, `poll` and `cancel` do their own I/O (write a file, ask a device) and return; they never wait
///    for a person or for a machine that may be off. They may block as long as their I/O does: callers on an executor go
///    where blocking work goes. They never panic on what a device or a file says.
/// 2. *Idempotent.* Two requests with one [idempotency key](SignRequest::idempotency_key) and the same
///    [work](SignRequest::work) are one. Submitting again has no further effect in the world: no second approval is
///    asked for, no second message is signed. It returns where the request stands: `Ready` with the signature or
///    `Pending` with a ticket (the same one or another one that works). This holds across restarts of caller and signer,
///    concurrently, and after the answer was fetched, for as long as the signer remembers, which it documents; a signer
///    that remembers durably says so by [`dedupes_submit`](SignerCaps::dedupes_submit).
/// 3. *Same key, other work* is [`SignError::Conflict`], and the first request is not disturbed. The fence and the
///    deadline are not part of the work: a retry may carry a greater fence.
/// 4. *Valid.* A signature that it returns is valid for [`message`](SignRequest::message) under
///    [`key_id`](SignRequest::key_id); a signer that gets signatures from elsewhere checks them before it hands them
///    out. (The caller [checks](SignRequest::check) too.)
/// 5. *Final.* Once `Ready`, always `Ready`, with a valid signature (the same bytes, unless the scheme draws random
///    ones). Once `Rejected`, always `Rejected`, and no signature comes out under this idempotency key any more. `Unknown`
///    may follow either when the signer has forgotten, never before.
/// 6. *Tickets* work for as long as the request is remembered, in any process, whoever submitted. A ticket that the signer
///    never gave out, or gave out for something forgotten, is `Unknown`, no error and no panic.
/// 7. *Errors.* [`SignError::Unavailable`] alone says that the same call may work later. The request may or may not have
///    been taken when `submit` fails so; submitting again finds out, by 2.
/// 8. *Caps are promises.* What [`caps`](AsyncSigner::caps) claims, holds; they stay the same while the value lives.
///
/// # Contract for callers
///
/// - Store the intent (the request with its idempotency key) durably *before* `submit`, and the ticket after; on a crash
///   in between submit again.
/// - For work of which there must be only one, bind the message to its epoch durably before the first `submit`. Neither
///   leases nor deadlines are a replacement. Only a signer that [keeps epochs](SignerCaps::keeps_epochs) guards the
///   rest of the way.
/// - Polling is harmless at any rate, but `retry_after` is the signer's wish. Being pending is no failure and does not
///   count as one.
/// - On `Unknown` submit again with the same idempotency key.
pub trait AsyncSigner: Send + Sync + Debug {
    /// What this signer promises beyond the contract, and what it is like.
    fn caps(&self) -> SignerCaps;

    /// Hands in a request, or asks where an earlier one with the same idempotency key stands.
    ///
    /// # Errors
    ///
    /// - [`UnknownKey`](SignError::UnknownKey), [`MessageTooLong`](SignError::MessageTooLong): this signer cannot do it.
    /// - [`Conflict`](SignError::Conflict): the idempotency key was used for other work.
    /// - [`EpochTaken`](SignError::EpochTaken), [`Fenced`](SignError::Fenced): from signers that keep them.
    /// - [`Rejected`](SignError::Rejected): the request was rejected before and stays so.
    /// - [`Unavailable`](SignError::Unavailable): try again; whether the request was taken is not known.
    /// - [`Failed`](SignError::Failed): somebody must repair the signer first.
    fn submit(&self, request: &SignRequest) -> Result<Submitted, SignError>;

    /// Asks for the answer to an earlier request. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](SignError::Unavailable) and [`Failed`](SignError::Failed), as in `submit`. What became of the
    /// request is never an error here but a [`SignPoll`].
    fn poll(&self, ticket: &Ticket) -> Result<SignPoll, SignError>;

    /// Asks that the request be dropped. As given: not supported, and nothing changes.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](SignError::Unavailable) and [`Failed`](SignError::Failed): it is not known whether the request was
    /// dropped; asking again, or polling, tells.
    fn cancel(&self, _ticket: &Ticket) -> Result<CancelOutcome, SignError> {
        Ok(CancelOutcome::Unsupported)
    }
}

/// What a signer promises and what it is like. Starts with no promises; set the fields that hold.
///
/// ```
/// use syncline_crypto::SignerCaps;
///
/// let mut caps = SignerCaps::default();
/// caps.dedupes_submit = true;
/// caps.max_message_len = 64 * 1024;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignerCaps {
    /// Idempotency keys are remembered durably: submitting again is harmless even after a restart of the signer. Without
    /// it the same message may be signed (or put before people) twice.
    pub dedupes_submit: bool,
    /// The signer durably keeps, per key, which message each epoch was signed for, and refuses a second one with
    /// [`SignError::EpochTaken`].
    pub keeps_epochs: bool,
    /// The signer durably keeps the greatest fence seen per idempotency key and refuses a lesser one with
    /// [`SignError::Fenced`].
    pub keeps_fences: bool,
    /// [`cancel`](AsyncSigner::cancel) can succeed.
    pub cancels: bool,
    /// The longest message it signs, in bytes.
    pub max_message_len: usize,
    /// How long a signature usually takes, as a hint for the first poll; `None` if it is not known.
    pub typical_latency: Option<Duration>,
    /// What a node must offer to run this signer (say `hsm`), for schedulers to match.
    pub tags: BTreeSet<String>,
}

impl SignerCaps {
    /// [`max_message_len`](SignerCaps::max_message_len) unless set: 1 MiB.
    pub const DEFAULT_MAX_MESSAGE_LEN: usize = 1024 * 1024;
}

impl Default for SignerCaps {
    fn default() -> Self {
        Self {
            dedupes_submit: false,
            keeps_epochs: false,
            keeps_fences: false,
            cancels: false,
            max_message_len: Self::DEFAULT_MAX_MESSAGE_LEN,
            typical_latency: None,
            tags: BTreeSet::new(),
        }
    }
}

/// Where a request stands after it was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle both, and there is no third")]
pub enum Submitted {
    /// Signed.
    Ready(Signature),
    /// Taken; the signature comes later.
    Pending {
        /// What to poll with.
        ticket: Ticket,
        /// When the signer would like to be asked first; `None` leaves it to the caller.
        retry_after: Option<Duration>,
    },
}

/// Where a request stands when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle each; a new one would change the contract")]
pub enum SignPoll {
    /// Not yet.
    Pending {
        /// When the signer would like to be asked next; `None` leaves it to the caller.
        retry_after: Option<Duration>,
    },
    /// Signed.
    Ready(Signature),
    /// There will be no signature under this idempotency key.
    Rejected {
        /// Why.
        rejection: Rejection,
    },
    /// The signer does not know the ticket: forgotten, lost, or never its own.
    Unknown,
}

/// Why a request ended without a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The caller cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// Its [deadline](SignRequest::not_after_ms) went by.
    #[error("not signed before its deadline")]
    Expired,
    /// Whoever decides said no.
    #[error("refused: {reason}")]
    Refused {
        /// In the words of the one who refused, for people to read; nothing is decided by it.
        reason: String,
    },
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle each; a new one would change the contract")]
pub enum CancelOutcome {
    /// Dropped: no signature comes out under this idempotency key any more. Also when it was cancelled before.
    Cancelled,
    /// It was signed or rejected already; poll for the answer.
    TooLate,
    /// The signer does not know the ticket.
    Unknown,
    /// The signer cannot cancel. The request goes on.
    Unsupported,
}
