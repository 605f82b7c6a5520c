//! Bugs on purpose, to show that the simulator finds them. Only with `--cfg syncline_planted`; nothing of it is in any other
//! build.
//!
//! One bug at a time is switched on for the current thread. The places that misbehave ask [`is`].

use std::cell::Cell;

/// A bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a test goes through all of them")]
pub enum Bug {
    /// A store says that something is durable before it is.
    AcknowledgeBeforeCommit,
    /// Signatures are not looked at.
    SkipVerification,
    /// An operation is sent twice in one session.
    SendTwice,
    /// An item for which the application has no room is dropped.
    LoseBackPressured,
    /// A stream that ends early is taken for a session that is complete.
    CutIsEnd,
    /// A live session passes an operation on to where it came from.
    Echo,
    /// A session goes on one operation behind where the last one broke.
    ResumeOneTooFar,
    /// The summary of a store does not follow a change.
    SummaryNotUpdated,
    /// A tree says that it has taken a revocation, and has not.
    DropRevocation,
    /// Anybody may use anybody's grant.
    SignerNotBound,
    /// Only the pattern of the last link of a chain of grants is looked at.
    SkipLinkPattern,
    /// Entries of the future are taken at once.
    AcceptBeyondSkew,
    /// What is revoked is not unset: what it had overtaken comes back.
    ResurrectAfterUnset,
    /// A quota lets one entry more in than it says.
    QuotaOffByOne,
    /// A tree does not note which entries rest on a grant.
    ForgetReverseIndex,
    /// Grants count before they are stored.
    PublishBeforeCommit,
    /// Everybody may read.
    SkipReadCheck,
    /// A session drops some of what it announced.
    DropAnnounced,
}

thread_local! {
    static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Switches one bug on for this thread, and all others off.
pub fn plant(bug: Option<Bug>) {
    BUG.set(bug);
}

/// Whether this bug is on.
#[must_use]
pub fn is(bug: Bug) -> bool {
    BUG.get() == Some(bug)
}
