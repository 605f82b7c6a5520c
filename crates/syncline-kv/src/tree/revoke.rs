//! Revoking a grant, and what that does before it is done.

use std::collections::BTreeSet;

use syncline_core::clock::Timestamp;
use syncline_crypto::Signer;
use syncline_storage::{Direction, KeyCodec as _, Snapshot};

use super::apply::Origin;
use super::error::{Corruption, KvError};
use super::lookup::may_revoke;
use super::rows::{By, Slot, UNDER, UnderColumns, entries_of};
use super::verdict::Verdict;
use super::work::is_live;
use super::writer::Writer;
use super::{Inner, Tree};
use crate::authority::{Authority, Authorization, Op};
use crate::item::{Entry, EntryDraft, EntryId, GrantId, Item, Leaves, OnRevoke, Revocation, RevocationDraft, Value};
use crate::path::Key;

/// Tombstones that are signed and committed at once.
const TOMBSTONES_AT_ONCE: usize = 4_096;

/// What a revocation does to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Affected {
    /// The key.
    pub key: Key,
    /// The entry that decides about it now and will no longer count.
    pub entry: EntryId,
    /// The best entry that is still valid, which takes its place under [`OnRevoke::Fallback`].
    pub fallback: Option<EntryId>,
}

/// What a revocation would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRun {
    /// The grant and all that was delegated from it, as far as they are live.
    pub grants: Vec<GrantId>,
    /// The keys whose value is lost or falls back, in no particular order.
    pub keys: Vec<Affected>,
    /// Entries that were looked at.
    pub visited: u64,
    /// There are more keys than were asked for.
    pub is_truncated: bool,
}

/// What a revocation did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Revoked {
    /// The revocation.
    pub revocation: Revocation,
    /// The tombstones that unset what was seen under the grant; none under [`OnRevoke::Fallback`].
    pub tombstones: Vec<Entry>,
    /// Keys that fall back although the policy is to unset them, since the revoker may not write them now: its own grant has
    /// expired, or has no room.
    pub not_unset: Vec<Key>,
    /// Entries that were looked at.
    pub visited: u64,
}

impl Revoked {
    fn by(revocation: Revocation) -> Self {
        Self { revocation, tombstones: Vec::new(), not_unset: Vec::new(), visited: 0 }
    }
}

impl Tree {
    /// What revoking a grant would do, at most `limit` keys of it. Looks at the entries under the grant and what was delegated
    /// from it, and at no others.
    ///
    /// # Errors
    ///
    /// [`KvError::UnknownGrant`], [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn dry_run(&self, grant: GrantId, limit: usize) -> Result<DryRun, KvError> {
        let snapshot = self.inner.db.snapshot()?;
        self.inner.dry_run(&*snapshot, grant, limit)
    }

    /// Revokes a grant for good, and with it all that was delegated from it.
    ///
    /// Under [`OnRevoke::Unset`] the keys whose value rests on it are deleted by the revoker in the same batch, if they are at
    /// most 4 096; else before it, in several: should that be interrupted, revoke again. What the revoker has not seen counts as
    /// never written. A grant that the same key revoked before is left as it is.
    ///
    /// # Errors
    ///
    /// [`KvError::UnknownGrant`], [`KvError::NotRevoker`], [`KvError::Sign`], [`KvError::Clock`], and those of the database.
    pub fn revoke(&self, now: Timestamp, signer: &(impl Signer + ?Sized), grant: GrantId) -> Result<Revoked, KvError> {
        self.inner.revoke(&mut *self.inner.writer()?, now, signer, grant)
    }
}

impl Inner {
    fn dry_run(&self, snapshot: &dyn Snapshot, grant: GrantId, limit: usize) -> Result<DryRun, KvError> {
        let authority = self.authority();
        if authority.grant(&grant).is_none() {
            return Err(KvError::UnknownGrant(grant));
        }
        let family: Vec<GrantId> =
            authority.family(grant).into_iter().filter(|grant| authority.is_live_grant(*grant)).collect();
        let ended: BTreeSet<GrantId> = family.iter().copied().collect();
        let (mut seen, mut run) = (BTreeSet::new(), DryRun { grants: family.clone(), ..DryRun::default() });
        for leaf in family {
            let (kind, id) = By::Grant(leaf).columns();
            for row in snapshot.scan(UNDER.prefix(&(self.number, kind, id)), Direction::Forward)? {
                let corrupt = |_| KvError::Corrupt(Corruption::Index);
                let (row, _) = row?;
                let row = UnderColumns::decode_all(row.get(1..).unwrap_or_default()).map_err(corrupt)?;
                run.visited += 1;
                let key = Key::new(&row.4).map_err(|_| KvError::Corrupt(Corruption::Index))?;
                if !seen.insert(key.clone()) {
                    continue;
                }
                let Some(affected) = self.affected(snapshot, &authority, &ended, key)? else { continue };
                if run.keys.len() == limit {
                    run.is_truncated = true;
                    return Ok(run);
                }
                run.keys.push(affected);
            }
        }
        Ok(run)
    }

    /// What becomes of a key without these grants.
    fn affected(
        &self,
        snapshot: &dyn Snapshot,
        authority: &Authority,
        ended: &BTreeSet<GrantId>,
        key: Key,
    ) -> Result<Option<Affected>, KvError> {
        let entries = entries_of(snapshot, self.number, &key)?;
        let survives = |entry: &Entry| {
            let leaves = entry.leaves();
            leaves.is_root() || authority.live_leaves(leaves).any(|leaf| !ended.contains(&leaf))
        };
        let mut live: Vec<&(Slot, Entry)> = entries.iter().filter(|(_, entry)| is_live(authority, entry)).collect();
        live.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.order()));
        let Some((_, first)) = live.first() else { return Ok(None) };
        if survives(first) {
            return Ok(None);
        }
        let fallback = live.iter().map(|(_, entry)| entry).find(|entry| survives(entry)).map(Entry::id);
        Ok(Some(Affected { key, entry: first.id(), fallback }))
    }

    fn revoke(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        signer: &(impl Signer + ?Sized),
        grant: GrantId,
    ) -> Result<Revoked, KvError> {
        let (authority, revoker) = (self.authority(), signer.public_key());
        let stamp = self.stamp(writer, now)?;
        if authority.grant(&grant).is_none() {
            return Err(KvError::UnknownGrant(grant));
        }
        if !may_revoke(&authority, &revoker, &grant, stamp) {
            return Err(KvError::NotRevoker { grant, revoker });
        }
        if let Some(found) = authority.revocations_of(&grant).find(|found| *found.revoker() == revoker)
            && !authority.is_live_grant(grant)
        {
            return Ok(Revoked::by(found.clone()));
        }
        let namespace = authority.namespace();
        let revocation = RevocationDraft { namespace: namespace.id(), grant, revoker, stamp }.sign(signer)?;
        let mut revoked = Revoked::by(revocation);
        let mut tombstones = Vec::new();
        if namespace.on_revoke() == OnRevoke::Unset {
            let run = self.dry_run(&*self.db.snapshot()?, grant, usize::MAX)?;
            revoked.visited = run.visited;
            let ended = run.grants.into_iter().collect();
            for affected in run.keys {
                match self.unset(writer, now, signer, &ended, affected)? {
                    Ok(tombstone) => tombstones.push(tombstone),
                    Err(key) => revoked.not_unset.push(key),
                }
            }
        }
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::ResurrectAfterUnset) {
            tombstones.clear();
        }
        self.apply_revocation(writer, now, tombstones, &mut revoked)?;
        Ok(revoked)
    }

    /// Applies tombstones, as many at once as is good, and in the end the revocation.
    fn apply_revocation(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        mut tombstones: Vec<Entry>,
        revoked: &mut Revoked,
    ) -> Result<(), KvError> {
        let mut roomless = Vec::new();
        while tombstones.len() > TOMBSTONES_AT_ONCE {
            let rest = tombstones.split_off(TOMBSTONES_AT_ONCE);
            let some = std::mem::replace(&mut tombstones, rest);
            roomless.append(&mut self.apply_tombstones(writer, now, some, None, revoked)?);
        }
        // With the revocation goes what it ends, and that may make room.
        tombstones.append(&mut roomless);
        let revocation = Item::Revocation(revoked.revocation.clone());
        let roomless = self.apply_tombstones(writer, now, tombstones, Some(revocation), revoked)?;
        revoked.not_unset.extend(roomless.iter().map(|entry| entry.key().clone()));
        Ok(())
    }

    /// Gives the tombstones for which a quota leaves no room.
    fn apply_tombstones(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        tombstones: Vec<Entry>,
        revocation: Option<Item>,
        revoked: &mut Revoked,
    ) -> Result<Vec<Entry>, KvError> {
        let mut items: Vec<Item> = tombstones.iter().cloned().map(Item::Entry).collect();
        items.extend(revocation);
        let mut roomless = Vec::new();
        let verdicts = self.apply(writer, now, items, Origin::Here, |_| {})?;
        let mut tombstones = tombstones.into_iter();
        for verdict in verdicts {
            match (tombstones.next(), verdict) {
                (Some(tombstone), verdict) if verdict.is_stored() => revoked.tombstones.push(tombstone),
                (Some(tombstone), Verdict::OverQuota { .. }) => roomless.push(tombstone),
                (None, verdict) if verdict.is_stored() => {}
                (_, verdict) => return Err(KvError::NotApplied(Box::new(verdict))),
            }
        }
        Ok(roomless)
    }

    /// The tombstone of a key by the revoker, or the key if the revoker may not write it.
    fn unset(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        signer: &(impl Signer + ?Sized),
        ended: &BTreeSet<GrantId>,
        affected: Affected,
    ) -> Result<Result<Entry, Key>, KvError> {
        let (authority, author) = (self.authority(), signer.public_key());
        let stamp = self.stamp(writer, now)?;
        let leaves = match authority.authorize(&author, &affected.key, Op::Write, stamp.wall()) {
            Ok(Authorization::Root | Authorization::Public) => Leaves::default(),
            Ok(Authorization::Grants(grants)) => {
                let leaves = Leaves::new(grants.into_iter().filter(|grant| !ended.contains(grant)))?;
                if leaves.is_root() {
                    return Ok(Err(affected.key));
                }
                leaves
            }
            Err(_) => return Ok(Err(affected.key)),
        };
        let draft = EntryDraft {
            namespace: authority.namespace().id(),
            key: affected.key,
            value: Value::Tombstone,
            stamp,
            author,
            leaves,
            previous: Some(affected.entry),
        };
        Ok(Ok(draft.sign(signer)?))
    }
}
