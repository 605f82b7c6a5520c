//! What is made here.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_core::clock::{Hlc, HlcClock, Timestamp};
use syncline_crypto::{PublicKey, Signature, Signer};

use super::apply::Origin;
use super::error::KvError;
use super::rows::Slot;
use super::verdict::Verdict;
use super::work::Work;
use super::writer::Writer;
use super::{Inner, Tree};
use crate::authority::{Authorization, Op};
use crate::item::{
    Endorsements, Entry, EntryDraft, EntryId, Grant, GrantDraft, GrantId, Item, Leaves, RootRotate, RotateDraft,
    Unsigned, Value,
};
use crate::path::Key;

/// What a write depends on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PutOptions {
    /// Write only if this is the entry that decides about the key; `Some(None)` if there must be none. Compared with what is
    /// known here: another replica may write at the same time, and then both entries name the same
    /// [`previous`](Entry::previous).
    pub expected: Option<Option<EntryId>>,
}

impl PutOptions {
    /// Write only if the key's latest entry is this one.
    #[must_use]
    pub fn if_latest(entry: EntryId) -> Self {
        Self { expected: Some(Some(entry)) }
    }

    /// Write only if nothing is known of the key.
    #[must_use]
    pub fn if_absent() -> Self {
        Self { expected: Some(None) }
    }
}

/// A grant whose signature is still to come, for example from an [`AsyncSigner`](syncline_crypto::AsyncSigner) that people
/// tend once a day.
#[derive(Clone, Debug)]
pub struct GrantRequest {
    unsigned: Unsigned,
}

impl GrantRequest {
    /// What is to be signed, and by whom. [`Unsigned::request`] is what a signer gets.
    #[must_use]
    pub fn unsigned(&self) -> &Unsigned {
        &self.unsigned
    }
}

impl Tree {
    /// Sets a key. The stamp is greater than all that this tree has seen, and the author's best live grants are named.
    ///
    /// # Errors
    ///
    /// [`KvError::Denied`] with the rule that fails, [`KvError::OverQuota`], [`KvError::ValueTooLong`], [`KvError::Clock`],
    /// [`KvError::Sign`], and those of the database. Nothing was written.
    pub fn put(
        &self,
        now: Timestamp,
        signer: &(impl Signer + ?Sized),
        key: &Key,
        value: impl Into<Value>,
    ) -> Result<Entry, KvError> {
        self.put_with(now, signer, key, value, &PutOptions::default())
    }

    /// The same under a condition.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`KvError::Conflict`] with what is there.
    pub fn put_with(
        &self,
        now: Timestamp,
        signer: &(impl Signer + ?Sized),
        key: &Key,
        value: impl Into<Value>,
        options: &PutOptions,
    ) -> Result<Entry, KvError> {
        self.inner.put(&mut *self.inner.writer()?, now, signer, key, value.into(), options)
    }

    /// Deletes a key: sets it to a tombstone, which other replicas get like a value.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn delete(&self, now: Timestamp, signer: &(impl Signer + ?Sized), key: &Key) -> Result<Entry, KvError> {
        self.put(now, signer, key, Value::Tombstone)
    }

    /// A stamp that is greater than all that this tree has given or seen, for those who make items by themselves. It is taken
    /// into account from then on, but is not durable before something is stored.
    ///
    /// # Errors
    ///
    /// [`KvError::Clock`].
    pub fn stamp(&self, now: Timestamp) -> Result<Hlc, KvError> {
        self.inner.stamp(&mut *self.inner.writer()?, now)
    }

    /// Issues a grant, after checking that it gives nothing that its issuer does not have.
    ///
    /// # Errors
    ///
    /// [`KvError::Mint`] with the reason, for a pattern that is too wide with a key that shows it; [`KvError::Sign`],
    /// [`KvError::NotApplied`], and those of the database.
    pub fn grant(&self, now: Timestamp, signer: &(impl Signer + ?Sized), draft: GrantDraft) -> Result<Grant, KvError> {
        let request = self.request_grant(now, draft)?;
        let signature = signer.sign(&request.unsigned.message())?;
        self.complete_grant(now, &request, &signature)
    }

    /// Checks a grant and makes what its issuer is to sign, now or much later.
    ///
    /// # Errors
    ///
    /// [`KvError::Mint`], [`KvError::Item`].
    pub fn request_grant(&self, now: Timestamp, draft: GrantDraft) -> Result<GrantRequest, KvError> {
        self.inner.authority().check_mint(&draft, now)?;
        Ok(GrantRequest { unsigned: draft.unsigned()? })
    }

    /// Applies a grant that was signed at last.
    ///
    /// # Errors
    ///
    /// [`KvError::NotApplied`] if the signature does not count, or the issuer may no longer grant; those of the database.
    pub fn complete_grant(
        &self,
        now: Timestamp,
        request: &GrantRequest,
        signature: &Signature,
    ) -> Result<Grant, KvError> {
        let grant = Grant::decode(request.unsigned.complete(signature))?;
        self.inner.apply_own(&mut *self.inner.writer()?, now, vec![Item::Grant(grant.clone())])?;
        Ok(grant)
    }

    /// The draft of the next rotation, to these roots. Those of the present ones that are neither among them nor `retired` are
    /// distrusted altogether. Each root that agrees signs [`RotateDraft::unsigned`], and [`Endorsements`] collects that.
    ///
    /// # Errors
    ///
    /// [`KvError::Clock`].
    pub fn draft_rotation(
        &self,
        now: Timestamp,
        roots: impl IntoIterator<Item = PublicKey>,
        retired: BTreeMap<PublicKey, Hlc>,
    ) -> Result<RotateDraft, KvError> {
        let stamp = self.stamp(now)?;
        let authority = self.inner.authority();
        Ok(authority.roots().next(authority.namespace().id(), roots, retired, stamp))
    }

    /// Applies a rotation that enough roots have signed.
    ///
    /// # Errors
    ///
    /// [`KvError::NotApplied`] if they have not, or another rotation came before; those of the database.
    pub fn rotate(&self, now: Timestamp, endorsements: &Endorsements) -> Result<RootRotate, KvError> {
        let rotation = endorsements.finish()?;
        self.inner.apply_own(&mut *self.inner.writer()?, now, vec![Item::RootRotate(rotation.clone())])?;
        Ok(rotation)
    }
}

impl Inner {
    pub(super) fn stamp(&self, writer: &mut Writer, now: Timestamp) -> Result<Hlc, KvError> {
        let mut clock = HlcClock::resume(writer.last, self.limits.skew);
        writer.last = clock.tick(now)?;
        Ok(writer.last)
    }

    fn put(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        signer: &(impl Signer + ?Sized),
        key: &Key,
        value: Value,
        options: &PutOptions,
    ) -> Result<Entry, KvError> {
        let (len, max) = (value.inline_len(), self.limits.value_len());
        if len > max {
            return Err(KvError::ValueTooLong { len, max });
        }
        let snapshot = self.db.snapshot()?;
        let mut work = Work::new(self, &*snapshot, writer, now);
        let authority = Arc::clone(&work.authority);
        let previous = work.key(key)?.winner(&authority).map(Entry::id);
        if options.expected.is_some_and(|expected| expected != previous) {
            return Err(KvError::Conflict { found: previous });
        }
        // The stamp may lie ahead of the clock, and has to be within what the grants allow.
        let (author, stamp) = (signer.public_key(), self.stamp(writer, now)?);
        let leaves = match authority.authorize(&author, key, Op::Write, stamp.wall())? {
            Authorization::Root | Authorization::Public => Leaves::default(),
            Authorization::Grants(grants) => Leaves::new(grants)?,
        };
        let namespace = authority.namespace().id();
        let draft = EntryDraft { namespace, key: key.clone(), value, stamp, author, leaves, previous };
        let entry = work.with_room(draft)?.sign(signer)?;
        drop(work);
        drop(snapshot);
        self.apply_own(writer, now, vec![Item::Entry(entry.clone())])?;
        Ok(entry)
    }

    /// Applies what was made here, which must count.
    pub(super) fn apply_own(&self, writer: &mut Writer, now: Timestamp, items: Vec<Item>) -> Result<(), KvError> {
        let verdicts = self.apply(writer, now, items, Origin::Here, |_| {})?;
        match verdicts.into_iter().find(|verdict| !verdict.is_stored() || *verdict == Verdict::Ineffective) {
            Some(verdict) => Err(KvError::NotApplied(Box::new(verdict))),
            None => Ok(()),
        }
    }
}

impl Work<'_> {
    /// Leaves out grants whose quota has no room. A write for which none is left is refused, though it might be kept at the cost
    /// of another.
    fn with_room(&mut self, mut draft: EntryDraft) -> Result<EntryDraft, KvError> {
        loop {
            let len = (draft.unsigned()?.body().len() + Signature::LEN) as u64;
            let slot = Slot::by(&draft.leaves, &draft.author);
            let Some(grant) = self.exceeded_by(&draft.key, slot, &draft.leaves, len)? else { return Ok(draft) };
            let is_above = |leaf: &GrantId| self.authority.quotas(leaf).any(|(link, _)| link == grant);
            let others = draft.leaves.as_slice().iter().copied().filter(|leaf| !is_above(leaf));
            draft.leaves = Leaves::new(others.collect::<Vec<_>>())?;
            if draft.leaves.is_root() {
                return Err(KvError::OverQuota { grant });
            }
        }
    }
}
