//! What becomes of what came: verified and stored by the tree, and only then handed on.

use std::collections::BTreeSet;

use bytes::Bytes;
use syncline_core::FromSync;
use syncline_core::clock::Timestamp;
use syncline_crypto::PublicKey;
use syncline_reconcile::SummaryIndex as _;

use super::event::Event;
use super::query::KvQuery;
use super::session::{Failure, Received, Session};
use super::sets::Terms;
use super::wire::{Refused, RefusedCode};
use crate::item::{Item, RevocationId};
use crate::path::Key;
use crate::tree::{KvError, Verdict};

/// Something that the peer sent.
#[derive(Clone, Debug)]
pub(super) enum Arrival {
    Item(Bytes),
    /// The peer did not take something.
    Refused(Refused),
}

impl Arrival {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Item(item) => item.len(),
            Self::Refused(refused) => 40 + refused.revocation.as_ref().map_or(0, Bytes::len),
        }
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// For the application.
    pub(super) new: Vec<FromSync<KvQuery>>,
    /// For the observer.
    pub(super) events: Vec<Event>,
    pub(super) duplicates: u64,
    pub(super) rejected: u64,
    /// Whether the peer is to be told of refusals.
    pub(super) has_refusals: bool,
    /// Whether all was taken, or never will be: nothing is lost if this side goes down.
    pub(super) is_settled: bool,
}

/// An item of a batch that the tree is to decide about.
struct Candidate {
    item: Item,
    /// Whether it came as an item, not with a refusal.
    is_offered: bool,
}

impl Session {
    /// Has a batch verified and stored.
    pub(super) fn apply(&self, now: Timestamp, terms: &Terms, batch: Vec<Arrival>) -> Result<Applied, Failure> {
        let mut applied = Applied { is_settled: true, ..Applied::default() };
        let version = self.version()?;
        let (mut candidates, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for arrival in batch {
            let (bytes, is_offered) = match arrival {
                Arrival::Item(bytes) => (Some(bytes), true),
                Arrival::Refused(told) => {
                    refused.push((told.id, told.code));
                    (told.revocation, false)
                }
            };
            let Some(bytes) = bytes else { continue };
            match Item::decode(&bytes) {
                Ok(item) => candidates.push(Candidate { item, is_offered }),
                Err(err) => {
                    applied.rejected += 1;
                    applied.events.push(Event::Undecodable(err));
                }
            }
        }
        candidates.retain(|candidate| self.is_for_the_tree(candidate, version, &mut applied));
        self.decide(now, terms, candidates, &mut applied)?;
        self.remember(terms, &refused)?;
        Ok(applied)
    }

    /// How many grants and such are known here.
    fn version(&self) -> Result<u64, KvError> {
        Ok(self.tree.view()?.system.len()?)
    }

    /// Whether the tree is to decide about an item. All others are refused without a look at their signatures.
    fn is_for_the_tree(&self, candidate: &Candidate, version: u64, applied: &mut Applied) -> bool {
        let item = &candidate.item;
        if !candidate.is_offered {
            // Only a revocation comes with a refusal.
            return matches!(item, Item::Revocation(_));
        }
        if let Item::Entry(entry) = item
            && !self.query.prefix.contains(entry.key())
        {
            applied.rejected += 1;
            applied.events.push(Event::Outside { item: item.clone() });
            return false;
        }
        let id = item.id_bytes();
        let before = self.who().and_then(|who| self.memory.refused_before(&who, version, &id));
        let Some(code) = before else { return true };
        applied.rejected += 1;
        applied.events.push(Event::RefusedBefore { item: item.clone() });
        self.refuse(id, code, None, applied);
        false
    }

    fn decide(
        &self,
        now: Timestamp,
        terms: &Terms,
        candidates: Vec<Candidate>,
        applied: &mut Applied,
    ) -> Result<(), Failure> {
        if candidates.is_empty() {
            return Ok(());
        }
        let keys: BTreeSet<Key> = candidates.iter().filter_map(|candidate| key_of(&candidate.item)).collect();
        let (items, offered): (Vec<Item>, Vec<bool>) =
            candidates.into_iter().map(|candidate| (candidate.item, candidate.is_offered)).unzip();
        {
            // Before they are stored, and somebody asks what has changed.
            let mut received = self.received();
            items.iter().for_each(|item| received.echoes.add(item.id_bytes()));
        }
        if let Some(changed) = self.changes.take() {
            self.note(changed, None);
        }
        let verdicts = self.tree.apply_from(now, items.clone(), self.remote)?;
        if let Some(changed) = self.changes.take() {
            // A session that stays open looks at all that changed. For one that ends, a write of our own in just this moment is
            // for the next.
            self.note(changed, (!terms.live).then_some(&keys));
        }
        let version = self.version()?;
        for ((item, verdict), is_offered) in items.into_iter().zip(verdicts).zip(offered) {
            self.judge(item, verdict, is_offered, version, applied);
        }
        Ok(())
    }

    /// What an item's fate means for the application and for the peer.
    fn judge(&self, item: Item, verdict: Verdict, is_offered: bool, version: u64, applied: &mut Applied) {
        match &verdict {
            Verdict::Applied | Verdict::Ineffective | Verdict::Shadowed { .. } => {
                applied.new.push(FromSync::Data { header: item.encoded().to_vec(), payload: None });
            }
            Verdict::Known | Verdict::Superseded { .. } => applied.duplicates += 1,
            // Kept on the disk.
            Verdict::Quarantined { .. } => {}
            Verdict::Waiting(_) | Verdict::Full => applied.is_settled = false,
            _ => applied.rejected += 1,
        }
        if let Some((code, revocation)) = refusal(&verdict).filter(|_| is_offered) {
            let id = item.id_bytes();
            // Room may be made for it without anything else changing.
            // The id of a rotation says nothing about who signed it: it may come with more signatures.
            let is_lasting = code != RefusedCode::OverQuota && !matches!(item, Item::RootRotate(_));
            if let Some(who) = self.who().filter(|_| is_lasting) {
                self.memory.refused_by_us(who, version, id, code);
            }
            self.refuse(id, code, revocation, applied);
        }
        applied.events.push(Event::Verdict { item, verdict });
    }

    /// Tells the peer that an item was not taken, if there is room for it.
    fn refuse(&self, id: [u8; 32], code: RefusedCode, revocation: Option<RevocationId>, applied: &mut Applied) {
        let mut received = self.received();
        if received.refusals.len() >= self.limits.refusals_max() {
            return;
        }
        let revocation = revocation.filter(|revocation| received.show(*revocation));
        let authority = self.tree.authority();
        let found = revocation.and_then(|revocation| authority.revocation(&revocation));
        let revocation = found.map(|found| Item::Revocation(found.clone()).encoded());
        received.refusals.push_back(Refused { id, code, revocation });
        applied.has_refusals = true;
    }

    /// What the peer refused is not offered to it again before it knows other grants and such.
    fn remember(&self, terms: &Terms, refused: &[([u8; 32], RefusedCode)]) -> Result<(), Failure> {
        let Some(who) = self.who().filter(|_| !refused.is_empty()) else { return Ok(()) };
        // Once grants and such are reconciled the peer has those that are here.
        let version = if terms.on_rejection { terms.their_counts.system } else { self.version()? };
        for (id, code) in refused.iter().filter(|(_, code)| is_lasting(*code, terms.on_rejection)) {
            self.memory.refused_by_them(who, version, *id, *code);
        }
        Ok(())
    }

    /// Notes a session that both sides completed.
    pub(super) fn close(&self, terms: &Terms, is_settled: bool) -> Result<(), Failure> {
        if let Some(remote) = self.remote.filter(|_| is_settled && !terms.on_rejection && self.query.is_whole()) {
            self.make_room_for(&remote)?;
            self.tree.note_synced(&remote, self.began)?;
        }
        Ok(())
    }

    /// Strangers must not make a tree remember, and wait for, ever more peers.
    fn make_room_for(&self, remote: &PublicKey) -> Result<(), KvError> {
        let mut peers = self.tree.freshness()?.peers;
        peers.remove(remote);
        while peers.len() >= self.limits.peers_max().max(1) {
            let oldest = peers.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer);
            let Some(oldest) = oldest else { break };
            self.tree.forget_peer(&oldest)?;
            peers.remove(&oldest);
        }
        Ok(())
    }
}

impl Received {
    /// Whether the peer was not shown this revocation before. A few thousand are kept in mind.
    fn show(&mut self, revocation: RevocationId) -> bool {
        const SHOWN_MAX: usize = 4_096;
        if self.shown.len() >= SHOWN_MAX {
            self.shown.pop_first();
        }
        self.shown.insert(revocation)
    }
}

fn key_of(item: &Item) -> Option<Key> {
    if let Item::Entry(entry) = item { Some(entry.key().clone()) } else { None }
}

/// Whether a peer that refused an item will refuse it as long as `remember`'s version stays the same.
fn is_lasting(code: RefusedCode, on_rejection: bool) -> bool {
    match code {
        RefusedCode::Collected | RefusedCode::Invalid => true,
        // Who has the same grants and such as we do decides as we do, and we hold the item: the peer lacked something, or had
        // something that we lack. It may have caught up by the next session without any change here.
        RefusedCode::Revoked | RefusedCode::Unauthorized => on_rejection,
        RefusedCode::OverQuota => false,
    }
}

/// What the peer is told, if the item will not be taken later either.
fn refusal(verdict: &Verdict) -> Option<(RefusedCode, Option<RevocationId>)> {
    Some(match verdict {
        Verdict::Revoked { revocation, .. } => (RefusedCode::Revoked, *revocation),
        Verdict::Distrusted { .. } | Verdict::Unauthorized(_) | Verdict::Refused(_) => (RefusedCode::Unauthorized, None),
        Verdict::OverQuota { .. } => (RefusedCode::OverQuota, None),
        Verdict::Collected => (RefusedCode::Collected, None),
        Verdict::Malformed(_) | Verdict::OtherNamespace => (RefusedCode::Invalid, None),
        // The id says nothing about the signature: the same item may come with one that counts.
        Verdict::BadSignature
        // What superseded it is on its way, if the peer does not have it yet.
        | Verdict::Applied
        | Verdict::Ineffective
        | Verdict::Shadowed { .. }
        | Verdict::Known
        | Verdict::Superseded { .. }
        | Verdict::Waiting(_)
        | Verdict::Quarantined { .. }
        | Verdict::Full => return None,
    })
}
