//! The one way in, for what is made here and for what peers send.

use std::collections::VecDeque;
use std::sync::Arc;

use syncline_core::clock::Timestamp;
use syncline_crypto::{Hash, PublicKey, Signature, SignedMessage};
use syncline_storage::{Batch, Durability};

use super::error::KvError;
use super::feed::tell_feeds;
use super::finish::Finished;
use super::lookup::{has, may_revoke};
use super::verdict::Verdict;
use super::work::Work;
use super::writer::Writer;
use super::{Inner, Tree};
use crate::authority::{Admission, Awaited, SystemItem};
use crate::item::{GrantId, Item};

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
    /// [`KvError::Storage`], [`KvError::Commit`], [`KvError::Corrupt`]: nothing was applied, or only the batches before, or what
    /// came of them was not finished; then the next call that writes finishes it. After
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
        let mut writer = self.inner.writer()?;
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

/// An item to be decided about, and whose verdict that is: nobody's if the item had waited.
type Pending = (Option<usize>, Item);

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
        let pending = in_order(items, &verdicts);
        let mut taken = Vec::new();
        let decided = self.decide(&mut work, writer, pending, &mut verdicts, &mut taken).and_then(|()| {
            also(&mut work.batch);
            work.finish()
        });
        // An engine that copies what a snapshot still shows need not do so.
        drop(snapshot);
        let done = decided.and_then(|finished| self.commit(writer, now, finished));
        if let Err(err) = done {
            // They may not have been stored, so they wait on.
            for (awaited, item) in taken {
                writer.waiting.keep(&self.limits, awaited, item);
            }
            return Err(err);
        }
        // Each was given one.
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Known)).collect())
    }

    /// Decides about each of the pending items, and about what waited for them.
    fn decide(
        &self,
        work: &mut Work<'_>,
        writer: &mut Writer,
        mut pending: VecDeque<Pending>,
        verdicts: &mut [Option<Verdict>],
        taken: &mut Vec<(Awaited, Item)>,
    ) -> Result<(), KvError> {
        while let Some((at, item)) = pending.pop_front() {
            work.is_own = work.origin == Origin::Here && at.is_some();
            let verdict = work.item(item.clone())?;
            if let Verdict::Waiting(awaited) = &verdict {
                writer.waiting.keep(&self.limits, *awaited, item);
            } else if let (true, Some(awaited)) = (has(&work.authority, &item), awaited_by_others(&item)) {
                // Also if it is dead. Entries come last, when it is known what was revoked.
                let mut freed = writer.waiting.take(&awaited);
                taken.extend(freed.iter().map(|item| (awaited, item.clone())));
                freed.sort_by_key(precedence);
                let entries = freed.split_off(freed.partition_point(Item::is_system));
                pending.extend(entries.into_iter().map(|item| (None, item)));
                freed.into_iter().rev().for_each(|item| pending.push_front((None, item)));
            }
            if let Some(slot) = at.and_then(|at| verdicts.get_mut(at)) {
                *slot = Some(verdict);
            }
        }
        Ok(())
    }

    /// Commits, and only then lets anybody know.
    pub(super) fn commit(&self, writer: &mut Writer, now: Timestamp, finished: Finished) -> Result<(), KvError> {
        let Finished { batch, changed, stored, removed, origin, system, authority, last, held, .. } = finished;
        if batch.is_empty() {
            return Ok(());
        }
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::PublishBeforeCommit) {
            self.publish(Arc::clone(&authority));
        }
        self.write(writer, batch, Durability::Immediate)?;
        (writer.last, writer.stored, writer.held) = (last, last, held);
        if !system.is_empty() {
            self.publish(Arc::clone(&authority));
        }
        self.tell(&changed, &system);
        self.feed(system, stored, origin, removed);
        let ended: Vec<GrantId> =
            finished.killed.into_iter().filter(|grant| !authority.is_live_grant(*grant)).collect();
        let swept = self.sweep(writer, now, &ended, finished.roots_changed, finished.revived);
        // What is durable is done all the same. The next call finishes it.
        writer.in_doubt |= swept.is_err();
        swept
    }

    /// Tells feeds, what others rest on first.
    fn feed(&self, mut items: Vec<Item>, stored: Vec<Item>, origin: Origin, removed: bool) {
        items.sort_by_key(precedence);
        items.extend(stored);
        let from = if let Origin::Peer(peer) = &origin { Some(peer) } else { None };
        tell_feeds(&self.feeds, &items, from, removed);
    }

    /// Checks the signatures of the items that have no verdict yet, all at once.
    fn check_signatures(&self, items: &[Item], verdicts: &mut [Option<Verdict>]) {
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::SkipVerification) {
            return;
        }
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
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::DropRevocation)
            && !self.is_own
            && matches!(item, Item::Revocation(_))
        {
            return Ok(Verdict::Applied);
        }
        let system = match item.clone() {
            Item::Entry(entry) => return self.entry(entry),
            Item::Grant(grant) => SystemItem::Grant(grant),
            Item::Revocation(revocation) => SystemItem::Revocation(revocation),
            Item::RootRotate(rotation) => SystemItem::RootRotate(rotation),
        };
        let roots_before = self.authority.roots().last();
        Ok(match Arc::make_mut(&mut self.authority).admit(system) {
            Admission::Added(effects) => {
                self.killed.extend(effects.killed);
                self.revived.extend(effects.revived);
                self.roots_changed |= effects.roots_changed;
                let is_effective = self.is_effective(&item, roots_before);
                self.system.push(item);
                if is_effective { Verdict::Applied } else { Verdict::Ineffective }
            }
            Admission::Known => Verdict::Known,
            Admission::Waiting(awaited) => Verdict::Waiting(awaited),
            Admission::Refused(refusal) => Verdict::Refused(refusal),
            Admission::Full => Verdict::Full,
        })
    }

    /// Whether what was admitted just now counts.
    fn is_effective(&self, item: &Item, roots_before: Hash) -> bool {
        match item {
            Item::Grant(grant) => self.authority.is_live_grant(grant.id()),
            Item::Revocation(revocation) => {
                may_revoke(&self.authority, revocation.revoker(), &revocation.grant(), revocation.stamp())
            }
            Item::RootRotate(_) => self.authority.roots().last() != roots_before,
            Item::Entry(_) => true,
        }
    }
}

/// The items that have no verdict yet, those first on which others rest.
fn in_order(items: Vec<Item>, verdicts: &[Option<Verdict>]) -> VecDeque<Pending> {
    let undecided = |at: &usize| verdicts.get(*at).is_some_and(Option::is_none);
    let mut pending: Vec<Pending> =
        items.into_iter().enumerate().filter(|(at, _)| undecided(at)).map(|(at, item)| (Some(at), item)).collect();
    pending.sort_by_key(|(_, item)| precedence(item));
    pending.into()
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
