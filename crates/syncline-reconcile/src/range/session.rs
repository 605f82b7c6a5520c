//! What a running session keeps.

use super::part::{Owed, Sent, Waiting};
use super::salt::{Digest, Salt, Widths};
use super::verdict::Common;
use super::view::{Mark, View};
use crate::wire::{Reader, kind};
use crate::{Bound, ItemId, ReconcileError, Span};

/// What a running session keeps.
#[derive(Debug)]
pub(super) struct Session {
    /// Nothing yet at the opener before the first answer.
    pub(super) salt: Option<Salt>,
    /// Behind the last item.
    pub(super) end: Mark,
    pub(super) owed: Waiting<Owed>,
    pub(super) sent: Waiting<Sent>,
    /// Whether the last message sent showed the digest of what both have in common.
    pub(super) is_shown: bool,
    pub(super) common: Common,
    /// What was found to be only here.
    pub(super) found: Vec<ItemId>,
    /// That of it which was found in earlier runs, in order.
    pub(super) excluded: Vec<ItemId>,
}

/// What the opener says of the sketch of its set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// How many symbols it keeps.
    pub(crate) symbols: u64,
    /// Whether it takes symbols that it did not ask for.
    pub(crate) is_streamed: bool,
}

/// What the first message says.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) session: Box<Session>,
    pub(super) count: u64,
    pub(super) is_equal: bool,
    pub(super) offer: Option<Offer>,
}

/// What stands before the answers of a message.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) digest: Option<Digest>,
    /// A new run, with how many items the sender compares in it and their fingerprint.
    pub(super) again: Option<(u64, u64)>,
}

impl Session {
    pub(super) fn new(span: Span) -> Self {
        Self {
            salt: None,
            end: Mark::default(),
            owed: Waiting::default(),
            sent: Waiting::default(),
            is_shown: false,
            common: Common::new(span),
            found: Vec::new(),
            excluded: Vec::new(),
        }
    }

    /// Whether neither side has anything to answer.
    pub(super) const fn is_settled(&self) -> bool {
        self.owed.is_empty() && self.sent.is_empty()
    }

    pub(super) fn pending(&self) -> usize {
        self.owed.bytes() + self.sent.bytes()
    }
}

impl Head {
    pub(super) fn read(flags: u8, reader: &mut Reader<'_>, widths: Widths) -> Result<Self, ReconcileError> {
        let mut head = Self::default();
        if flags & kind::DIGEST != 0 {
            head.digest = Some(reader.array()?);
        }
        if flags & kind::AGAIN != 0 {
            if head.digest.is_some() {
                return Err(ReconcileError::Malformed("a digest that is equal, and a new run"));
            }
            head.again = Some((reader.varint()?, reader.low(widths.fingerprint)?));
        }
        Ok(head)
    }
}

/// The marks of a session's span. `end` becomes that behind everything.
pub(super) fn root(view: &View<'_>, span: &Span, end: &mut Mark) -> Result<(Mark, Mark), ReconcileError> {
    *end = view.last_mark()?;
    let mut bounds = Vec::new();
    if span.from != Bound::MIN {
        bounds.push(span.from.clone());
    }
    bounds.extend(span.to.clone());
    let mut marks = view.marks(&bounds)?.into_iter();
    let from = if span.from == Bound::MIN { Mark::default() } else { marks.next().unwrap_or(*end) };
    Ok((from, marks.next().unwrap_or(*end)))
}
