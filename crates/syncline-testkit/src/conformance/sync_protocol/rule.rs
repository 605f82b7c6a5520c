use std::fmt;

use syncline_core::{FromSync, SyncError, TopicQuery};
use thiserror::Error;

use super::session::{Ended, Seen};

/// A side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a session has two sides")]
pub enum Side {
    /// The side that opens the session and names the topic.
    Initiator,
    /// The side that answers.
    Acceptor,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Initiator, Self::Acceptor];

    pub(super) fn index(self) -> usize {
        match self {
            Self::Initiator => 0,
            Self::Acceptor => 1,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initiator => "initiator",
            Self::Acceptor => "acceptor",
        })
    }
}

/// A rule of the contract of [`SyncProtocol`](syncline_core::SyncProtocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A session of two peers that agree completes.
    Completes,
    /// The streams are borrowed: a protocol neither closes them nor waits for their end.
    LeavesStreamsOpen,
    /// The application gets `HandshakeSuccess` exactly once, with the session's topic.
    HandshakeOnce,
    /// The application gets `HandshakeSuccess` before any data.
    HandshakeFirst,
    /// What arrives does not depend on how bytes are cut, nor on how fast the application is.
    SameItems,
    /// What is written is flushed before an answer is awaited.
    Flushes,
    /// Reading and writing go on together, so that small buffers do no harm.
    NeedsNoBuffer,
    /// A session whose stream ended early is not a success.
    CutIsNoSuccess,
    /// A session whose stream has ended ends.
    Ends,
    /// A protocol that waits does not ask to be polled again and again.
    Rests,
    /// Nothing that a peer does makes a protocol panic.
    NoPanic,
    /// Nothing that a peer does is `Critical`.
    NotCritical,
    /// An application that is gone is `Critical`.
    ApplicationGoneIsCritical,
    /// A session that is dropped leaves the protocol fit for the next.
    DropLeavesProtocolFit,
    /// An initiator that does not know its own topic fails as `Critical` and sends nothing.
    UnknownTopic,
    /// An acceptor that does not support a topic says `UnexpectedBehaviour`, and nothing to its application.
    UnsupportedTopic,
    /// The fixture builds the same session each time. Not a rule for the protocol: else the suite cannot tell what a side
    /// needs.
    FixtureRepeats,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completes => "a session of two peers that agree completes",
            Self::LeavesStreamsOpen => {
                "a protocol neither closes the streams, which are borrowed, nor waits for their end"
            }
            Self::HandshakeOnce => "the application gets `HandshakeSuccess` exactly once, with the session's topic",
            Self::HandshakeFirst => "the application gets `HandshakeSuccess` before any data",
            Self::SameItems => "what arrives depends neither on how bytes are cut nor on how fast the application is",
            Self::Flushes => "what is written is flushed before an answer is awaited",
            Self::NeedsNoBuffer => "reading and writing go on together, so that small buffers do no harm",
            Self::CutIsNoSuccess => "a session whose stream ended early is not a success",
            Self::Ends => "a session whose stream has ended ends",
            Self::Rests => "a protocol that waits does not ask to be polled again and again",
            Self::NoPanic => "nothing that a peer does makes a protocol panic",
            Self::NotCritical => "nothing that a peer does is `Critical`",
            Self::ApplicationGoneIsCritical => "an application that is gone is `Critical`",
            Self::DropLeavesProtocolFit => "a session that is dropped leaves the protocol fit for the next",
            Self::UnknownTopic => "an initiator that does not know its own topic fails as `Critical` and sends nothing",
            Self::UnsupportedTopic => {
                "an acceptor that does not support a topic says `UnexpectedBehaviour`, and nothing to its application"
            }
            Self::FixtureRepeats => "the fixture builds the same session each time",
        })
    }
}

/// A rule that is broken, and how to see it.
#[derive(Clone, Debug, Error)]
#[error("broken: {rule}\n  {side}, {when}: {saw}\n  to see it again: SEED={seed}")]
pub struct Violation {
    rule: Rule,
    side: Side,
    when: String,
    saw: String,
    seed: u64,
}

impl Violation {
    pub(super) fn new(evidence: Evidence, side: Side, when: String, seed: u64) -> Self {
        Self { rule: evidence.rule, side, when, saw: evidence.saw, seed }
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Who broke it.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }
}

/// A broken rule and what shows it.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) rule: Rule,
    pub(super) saw: String,
}

pub(super) fn evidence(rule: Rule, saw: impl Into<String>) -> Evidence {
    Evidence { rule, saw: saw.into() }
}

/// What holds in any session, whatever the peer does.
pub(super) fn always<T: TopicQuery>(seen: &Seen<T>) -> Result<(), Evidence> {
    match &seen.ended {
        Ended::Panicked(message) => return Err(evidence(Rule::NoPanic, format!("panicked: {message}"))),
        Ended::Spins => {
            return Err(evidence(Rule::Rests, format!("asked for a poll {} times without rest", seen.polls)));
        }
        Ended::Err(SyncError::Critical(text)) if !seen.may_be_critical => {
            return Err(evidence(Rule::NotCritical, format!("returned Critical({text:?})")));
        }
        _ => {}
    }
    if seen.closed_stream {
        return Err(evidence(Rule::LeavesStreamsOpen, "closed its stream"));
    }
    handshake(&seen.events)
}

fn handshake<T: TopicQuery>(events: &[FromSync<T>]) -> Result<(), Evidence> {
    let is_handshake = |event: &&FromSync<T>| matches!(event, FromSync::HandshakeSuccess(_));
    let count = events.iter().filter(is_handshake).count();
    if count > 1 {
        return Err(evidence(Rule::HandshakeOnce, format!("sent HandshakeSuccess {count} times")));
    }
    if events.first().is_some_and(|first| !is_handshake(&first)) {
        return Err(evidence(Rule::HandshakeFirst, "sent data to the application first"));
    }
    Ok(())
}

/// A side that has not read all that it needs must end, and not well.
pub(super) fn no_false_success<T: TopicQuery>(seen: &Seen<T>, needs: u64) -> Result<(), Evidence> {
    match &seen.ended {
        Ended::Ok if seen.read < needs => {
            let saw = format!("returned Ok after {} of the {needs} bytes that it needs", seen.read);
            Err(evidence(Rule::CutIsNoSuccess, saw))
        }
        Ended::Waits => Err(evidence(Rule::Ends, format!("waits for ever, having read {} bytes", seen.read))),
        _ => Ok(()),
    }
}
