//! The one way in, for what is made here and for what peers send.

use std::sync::Arc;

use syncline_core::clock::Timestamp;
use syncline_crypto::{PublicKey, Signature, SignedMessage};
use syncline_storage::{Batch, Durability};

use super::error::KvError;
use super::feed::lock;
use super::lookup::has;
use super::verdict::Verdict;
use super::work::{Finished, Work};
use super::{Inner, Tree, Writer};
use crate::authority::{Admission, Awaited, SystemItem};
use crate::item::Item;

/// Items that are committed at once. More than that come in several batches.
const ITEMS_AT_ONCE: usize = 16_384;

impl Tree {
    /// Takes in items, made here or sent by a peer, in any order, and says what became of each.
    ///
    /// What is stored is durable when this returns. Items are decided about in the order in which they rest on each other:
    /// rotations, grants, revocations, entries; a bad one does not hinder the others. All that is decided together is
    /// committed together, up to 16 384 items.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Commit`], [`KvError::Corrupt`]: nothing was applied, or only the batches before. After
    /// [`CommitError::Unknown`](syncline_storage::CommitError::Unknown) open the database and the tree again.
    pub fn apply(&self, now: Timestamp, items: Vec<Item>) -> Result<Vec<Verdict>, KvError> {
        self.apply_from(now, items, None)
    }

    /// The same for what a peer brought, which [feeds](Self::feed) tell on.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn apply_from(
        &self,
        now: Timestamp,
        items: Vec<Item>,
        from: Option<PublicKey>,
    ) -> Result<Vec<Verdict>, KvError> {
        let origin = from.map_or(Origin::Anywhere, Origin::Peer);
        let mut writer = self.inner.writer();
        let mut verdicts = Vec::with_capacity(items.len());
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let chunk = items.by_ref().take(ITEMS_AT_ONCE).collect();
            verdicts.append(&mut self.inner.apply(&mut writer, now, chunk, origin, |_| {})?);
        }
        Ok(verdicts)
    }
}

/// Who made the items that are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// This tree did, just now: their stamps are its own, also when the clock was set back since it gave them.
    Here,
    /// Anybody; it is not known who brought them.
    #[default]
    Anywhere,
    /// Anybody; this peer brought them.
    Peer(PublicKey),
}

/// What signs an item: by whom, what, how.
type SignedParts = (PublicKey, Vec<u8>, Signature);

impl Inner {
    /// Decides about items and commits them in one batch, to which `also` may add rows. Then sweeps what grants that ended
    /// leave behind.
    pub(super) fn apply(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        items: Vec<Item>,
        origin: Origin,
        also: impl FnOnce(&mut Batch),
    ) -> Result<Vec<Verdict>, KvError> {
        let snapshot = self.db.snapshot()?;
        let mut work = Work::new(self, &*snapshot, writer, now);
        work.origin = origin;
        let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(items.len());
        for item in &items {
            verdicts.push(work.triage_item(item)?);
        }
        self.check_signatures(&items, &mut verdicts);
        // A position of `None` is an item that had waited, and whose verdict nobody asked for now.
        let mut pending: Vec<(Option<usize>, Item)> = items
            .into_iter()
            .enumerate()
            .filter(|(at, _)| verdicts.get(*at).is_some_and(Option::is_none))
            .map(|(at, item)| (Some(at), item))
            .collect();
        pending.sort_by_key(|(_, item)| precedence(item));
        let mut queue = std::collections::VecDeque::from(pending);
        while let Some((at, item)) = queue.pop_front() {
            let verdict = work.item(item.clone())?;
            if let Verdict::Waiting(awaited) = &verdict {
                writer.waiting.keep(&self.limits, *awaited, item);
            } else if let (true, Some(awaited)) = (has(&work.authority, &item), awaited_by_others(&item)) {
                // Also if it is dead. Entries come last, when it is known what was revoked.
                let (entries, mut system): (Vec<Item>, Vec<Item>) =
                    writer.waiting.take(&awaited).into_iter().partition(|item| matches!(item, Item::Entry(_)));
                queue.extend(entries.into_iter().map(|item| (None, item)));
                system.sort_by_key(|item| std::cmp::Reverse(precedence(item)));
                for item in system {
                    queue.push_front((None, item));
                }
            }
            if let Some(slot) = at.and_then(|at| verdicts.get_mut(at)) {
                *slot = Some(verdict);
            }
        }
        also(&mut work.batch);
        let finished = work.finish()?;
        drop(snapshot);
        self.commit(writer, now, finished)?;
        // Each was given one, or is in the queue that is empty now.
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Known)).collect())
    }

    /// Commits, and only then lets anybody know.
    pub(super) fn commit(&self, writer: &mut Writer, now: Timestamp, finished: Finished) -> Result<(), KvError> {
        let Finished { batch, changed, stored, removed, origin, system, authority, last, held, killed, roots_changed } =
            finished;
        if batch.is_empty() {
            return Ok(());
        }
        self.db.commit(batch, Durability::Immediate)?;
        writer.last = last;
        writer.held = held;
        if !system.is_empty() {
            self.publish(Arc::clone(&authority));
        }
        self.tell(&changed, &system);
        self.feed(system, stored, origin, removed);
        let ended = killed.into_iter().filter(|grant| !authority.is_live_grant(*grant));
        self.sweep(writer, now, ended.collect(), roots_changed)
    }

    /// Tells feeds, what others rest on first.
    fn feed(&self, mut items: Vec<Item>, stored: Vec<Item>, origin: Origin, removed: bool) {
        let mut feeds = lock(&self.feeds);
        if feeds.is_empty() {
            return;
        }
        items.sort_by_key(precedence);
        items.extend(stored);
        let from = if let Origin::Peer(peer) = &origin { Some(peer) } else { None };
        feeds.tell(&items, from, removed);
    }

    /// Checks the signatures of the items that have no verdict yet, all at once.
    fn check_signatures(&self, items: &[Item], verdicts: &mut [Option<Verdict>]) {
        let mut parts: Vec<SignedParts> = Vec::with_capacity(items.len());
        let mut owners = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            if verdicts.get(at).is_some_and(Option::is_none) {
                push_signed(item, &mut parts);
                owners.resize(parts.len(), at);
            }
        }
        let messages: Vec<SignedMessage<'_>> =
            parts.iter().map(|(key, message, signature)| SignedMessage::new(key, message, signature)).collect();
        for invalid in self.verifier.verify_batch(&messages).invalid() {
            if let Some(verdict) = owners.get(invalid).and_then(|at| verdicts.get_mut(*at)) {
                *verdict = Some(Verdict::BadSignature);
            }
        }
    }
}

impl Work<'_> {
    /// What can be said of an item before its signature is looked at.
    fn triage_item(&mut self, item: &Item) -> Result<Option<Verdict>, KvError> {
        if item.namespace() != self.authority.namespace().id() {
            return Ok(Some(Verdict::OtherNamespace));
        }
        let Item::Entry(entry) = item else {
            return Ok(has(&self.authority, item).then_some(Verdict::Known));
        };
        let max = self.inner.limits.value_len();
        let found = entry.value().inline_len();
        if found > max {
            let too_long = crate::item::ItemError::TooLong { field: "value", found: found as u64, max: max as u64 };
            return Ok(Some(Verdict::Malformed(too_long)));
        }
        self.triage(entry)
    }

    /// Decides about an item whose signatures count.
    fn item(&mut self, item: Item) -> Result<Verdict, KvError> {
        let system = match item.clone() {
            Item::Entry(entry) => return self.entry(entry),
            Item::Grant(grant) => SystemItem::Grant(grant),
            Item::Revocation(revocation) => SystemItem::Revocation(revocation),
            Item::RootRotate(rotation) => SystemItem::RootRotate(rotation),
        };
        Ok(match Arc::make_mut(&mut self.authority).admit(system) {
            Admission::Added(effects) => {
                self.killed.extend(effects.killed);
                self.roots_changed |= effects.roots_changed;
                let verdict = self.standing_of(&item);
                self.system.push(item);
                verdict
            }
            Admission::Known => Verdict::Known,
            Admission::Waiting(awaited) => Verdict::Waiting(awaited),
            Admission::Refused(refusal) => Verdict::Refused(refusal),
            Admission::Full => Verdict::Full,
        })
    }

    /// A grant may be admitted and dead at once.
    fn standing_of(&self, item: &Item) -> Verdict {
        let Item::Grant(grant) = item else { return Verdict::Applied };
        let id = grant.id();
        if self.authority.is_live_grant(id) {
            return Verdict::Applied;
        }
        Verdict::Revoked { grant: id, revocation: self.authority.revocation_of_chain(&id).map(|found| found.id()) }
    }
}

/// In which order items of different kinds rest on each other.
fn precedence(item: &Item) -> u8 {
    match item {
        Item::RootRotate(_) => 0,
        Item::Grant(_) => 1,
        Item::Revocation(_) => 2,
        Item::Entry(_) => 3,
    }
}

/// What others may have waited for, if they waited for this item.
fn awaited_by_others(item: &Item) -> Option<Awaited> {
    match item {
        Item::Grant(grant) => Some(Awaited::Grant(grant.id())),
        Item::RootRotate(rotation) => Some(Awaited::Rotation(rotation.id().into())),
        Item::Revocation(_) | Item::Entry(_) => None,
    }
}

fn push_signed(item: &Item, parts: &mut Vec<SignedParts>) {
    match item {
        Item::Entry(entry) => parts.push((*entry.author(), entry.message(), entry.signature())),
        Item::Grant(grant) => parts.push((*grant.issuer(), grant.message(), grant.signature())),
        Item::Revocation(found) => parts.push((*found.revoker(), found.message(), found.signature())),
        Item::RootRotate(rotation) => {
            let message = rotation.message();
            let each = rotation.signatures().iter().map(|(key, signature)| (*key, message.clone(), *signature));
            parts.extend(each);
        }
    }
}

