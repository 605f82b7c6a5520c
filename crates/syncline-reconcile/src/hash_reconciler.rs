//! Reconciliation by one hash over everything.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::range::{Digest, Greeted};
use crate::wire::{Reader, kind};
use crate::{
    Bound, Item, ItemId, Need, Nonce, RangeConfig, RangeReconciler, ReconcileError, ReconcileSet, Reconciler, Span,
    Step,
};

/// Compares one hash over everything, and lists everything on both sides if it differs: what kvgossip does. The
/// baseline that the others are measured by, and good enough for sets of a few dozen items.
///
/// Bytes and memory in proportion to the sets. A peer that has only [`RangeReconciler`] can be talked to: it answers by
/// ranges.
#[derive(Debug)]
pub struct HashReconciler {
    /// The first message, the digests, and what happens if the peer answers by ranges.
    ranges: RangeReconciler,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Fresh,
    /// Both send their lists.
    Listing(Box<Listing>),
    Ranges,
    Done,
    Failed,
}

#[derive(Debug, Default)]
struct Listing {
    /// Where this side's list goes on.
    next: Option<Bound>,
    /// Whether nothing of it is left.
    is_exhausted: bool,
    /// Whether the peer was told so.
    is_sent: bool,
    theirs: BTreeSet<ItemId>,
    is_received: bool,
    /// Whether the peer has said something.
    is_answered: bool,
    /// What the peer shows if it has the same in common, once that is known.
    expected: Option<Digest>,
}

impl HashReconciler {
    /// One side of a session over a whole set. Of the configuration only the longest message and the limits count, unless
    /// the peer answers by ranges. `nonce` is 16 random bytes, for this session only.
    #[must_use]
    pub fn new(config: RangeConfig, nonce: Nonce) -> Self {
        Self { ranges: RangeReconciler::new(config, nonce), phase: Phase::Fresh }
    }

    /// The same for two sides that know both nonces already, from the protocol around. Both must be made in this way.
    #[must_use]
    pub fn with_nonces(config: RangeConfig, ours: Nonce, theirs: Nonce) -> Self {
        Self { ranges: RangeReconciler::with_nonces(config, ours, theirs), phase: Phase::Fresh }
    }

    fn step(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError> {
        let Some(&head) = message.first() else {
            return Err(ReconcileError::Malformed("it ends too early"));
        };
        match std::mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Fresh if head & !kind::OPEN_FLAGS == kind::OPEN => self.on_open(set, head, message),
            Phase::Listing(listing) if head & !kind::IDS_FLAGS == kind::IDS => self.on_ids(set, head, message, listing),
            Phase::Listing(listing) if head == kind::NEXT | kind::DIGEST && listing.expected.is_some() => {
                let mut reader = self.body(message)?;
                self.check(&mut reader, listing.expected)?;
                reader.end()?;
                self.phase = Phase::Done;
                Ok(Step::default())
            }
            Phase::Listing(listing) if !listing.is_answered => self.delegate(set, message),
            Phase::Ranges => self.delegate(set, message),
            Phase::Fresh | Phase::Listing(_) => Err(ReconcileError::Malformed("an unknown kind of message")),
            Phase::Done | Phase::Failed => Err(ReconcileError::OutOfTurn),
        }
    }

    fn delegate(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError> {
        let step = self.ranges.receive(set, message)?;
        self.phase = Phase::Ranges;
        Ok(step)
    }

    /// The message without its first byte, once it is counted.
    fn body<'a>(&mut self, message: &'a [u8]) -> Result<Reader<'a>, ReconcileError> {
        self.ranges.budget().message(message.len())?;
        let mut reader = Reader::new(message);
        reader.byte()?;
        Ok(reader)
    }

    fn check(&self, reader: &mut Reader<'_>, expected: Option<Digest>) -> Result<(), ReconcileError> {
        if Some(reader.array()?) == expected {
            Ok(())
        } else {
            Err(ReconcileError::Malformed("the digest is not that of what both have in common"))
        }
    }

    fn on_open(&mut self, set: &dyn ReconcileSet, head: u8, message: &[u8]) -> Result<Step, ReconcileError> {
        let reader = self.body(message)?;
        let Greeted { count, is_equal, .. } = self.ranges.greet_only(set, head, reader)?;
        if is_equal {
            let step = self.ranges.take_over(set, count, true, true)?;
            self.phase = Phase::Ranges;
            return Ok(step);
        }
        let nonce = self.ranges.nonce_to_send();
        let listing = Box::new(Listing { is_answered: true, ..Listing::default() });
        self.send(set, listing, nonce, Step::default())
    }

    fn on_ids(
        &mut self,
        set: &dyn ReconcileSet,
        head: u8,
        message: &[u8],
        mut listing: Box<Listing>,
    ) -> Result<Step, ReconcileError> {
        let mut reader = self.body(message)?;
        let has_nonce = !listing.is_answered && self.ranges.nonce_to_send().is_some();
        if (head & kind::NONCE != 0) != has_nonce {
            return Err(ReconcileError::Malformed("a nonce is missing, or one too many"));
        }
        if !listing.is_answered {
            self.ranges.take_first_answer(set, &mut reader)?;
            listing.is_answered = true;
        }
        let is_last = head & kind::LAST != 0;
        // The opener is the last to end its list, and then knows what is in common.
        let shows = is_last && listing.is_sent;
        if (head & kind::DIGEST != 0) != shows {
            return Err(ReconcileError::Malformed("the digest comes with the last ids and with no others"));
        }
        let shown = if shows { Some(reader.array::<16>()?) } else { None };
        // A side that has sent all only says so again while the other goes on.
        let is_idle = reader.is_empty();
        if listing.is_received && !(is_last && is_idle) || is_idle && !is_last && listing.is_sent {
            return Err(ReconcileError::Malformed("ids behind the last, or none where some are due"));
        }
        while !reader.is_empty() {
            if !listing.theirs.insert(ItemId::from_bytes(reader.array()?)) {
                return Err(ReconcileError::Malformed("an id comes twice"));
            }
        }
        self.ranges.budget().pending(listing.theirs.len() * ItemId::LEN)?;
        listing.is_received = is_last;
        let Some(shown) = shown else {
            return self.send(set, listing, None, Step::default());
        };
        let (mut step, digests) = self.compare(set, &listing)?;
        if digests.1 != shown {
            return Err(ReconcileError::Malformed("the digest is not that of what both have in common"));
        }
        step.reply = Some([&[kind::NEXT | kind::DIGEST][..], &digests.0].concat().into());
        self.phase = Phase::Done;
        Ok(step)
    }

    /// Finds what differs, now that everything is known; and the digests of both sides.
    fn compare(
        &mut self,
        set: &dyn ReconcileSet,
        listing: &Listing,
    ) -> Result<(Step, (Digest, Digest)), ReconcileError> {
        let mut step = Step::default();
        let mut only_theirs = listing.theirs.clone();
        set.items(&Span::ALL, &mut |key, id| {
            if !only_theirs.remove(id) {
                step.have.push(Item::new(key, *id));
            }
            ControlFlow::Continue(())
        })?;
        step.need = only_theirs.into_iter().map(Need::Id).collect();
        self.ranges.budget().ids(step.have.len() + step.need.len())?;
        let digests = self.ranges.digests_without(set, &step.have)?;
        Ok((step, digests))
    }

    /// Sends the next ids. The opener holds its end back until the peer's has come.
    fn send(
        &mut self,
        set: &dyn ReconcileSet,
        mut listing: Box<Listing>,
        nonce: Option<Nonce>,
        mut step: Step,
    ) -> Result<Step, ReconcileError> {
        let room = (self.ranges.message_len_max() - 64) / ItemId::LEN;
        let mut ids = Vec::new();
        let mut next = None;
        if !listing.is_exhausted {
            let rest = Span { from: listing.next.take().unwrap_or_default(), to: None };
            set.items(&rest, &mut |key, id| {
                if ids.len() == room * ItemId::LEN {
                    next = Some(Bound { key: key.to_vec(), id_prefix: id.as_bytes().to_vec() });
                    return ControlFlow::Break(());
                }
                ids.extend_from_slice(id.as_bytes());
                ControlFlow::Continue(())
            })?;
            listing.is_exhausted = next.is_none();
            listing.next = next;
        }
        let mut head = kind::IDS;
        let mut message = vec![head];
        if let Some(nonce) = nonce {
            head |= kind::NONCE;
            message.extend_from_slice(nonce.as_bytes());
        }
        if listing.is_exhausted && (listing.is_received || !self.ranges.is_opener()) {
            head |= kind::LAST;
            listing.is_sent = true;
            if listing.is_received {
                head |= kind::DIGEST;
                let (found, (ours, expected)) = self.compare(set, &listing)?;
                listing.expected = Some(expected);
                message.extend_from_slice(&ours);
                (step.have, step.need) = (found.have, found.need);
            }
        }
        message.extend_from_slice(&ids);
        if let Some(first) = message.first_mut() {
            *first = head;
        }
        step.reply = Some(message.into());
        self.phase = Phase::Listing(listing);
        Ok(step)
    }
}

impl Reconciler for HashReconciler {
    fn open(&mut self, set: &dyn ReconcileSet) -> Result<Step, ReconcileError> {
        if !matches!(self.phase, Phase::Fresh) {
            return Err(ReconcileError::OutOfTurn);
        }
        self.phase = Phase::Failed;
        let step = self.ranges.open(set)?;
        self.phase = Phase::Listing(Box::default());
        Ok(step)
    }

    fn receive(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError> {
        let step = self.step(set, message);
        if step.is_err() {
            self.phase = Phase::Failed;
        }
        step
    }

    fn is_done(&self) -> bool {
        match self.phase {
            Phase::Done => true,
            Phase::Ranges => self.ranges.is_done(),
            Phase::Fresh | Phase::Listing(_) | Phase::Failed => false,
        }
    }
}
