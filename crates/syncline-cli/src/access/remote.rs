//! A replica that an agent has open, reached by its control socket.
//!
//! The agent is asked for what is needed to decide and to sign; a tree in memory does that as the replica itself would, and what
//! was signed is handed in.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use syncline_core::clock::Hlc;
use syncline_crypto::{PublicKey, SigningKey};
use syncline_gossip::control::{Client, ControlError, MemberReport, VerdictKind, connect_unix};
use syncline_kv::authority::{Authority, Authorization, Op};
use syncline_kv::item::{Item, OnRevoke};
use syncline_kv::tree::{Import, Listing, PutOptions};
use syncline_kv::{Entry, Grant, GrantId, Key, Namespace, Pattern, Subtree, Tree, Value};
use tokio::io::AsyncWrite;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::handing_in::HandingIn;
use super::watching::Watching;
use super::{Access, Ended, Preview, Watch};
use crate::failure::{Code, Failure, Result};
use crate::home::Home;
use crate::out::record::{ExportRecord, ImportRecord, MemberRecord, StatusRecord};
use crate::times::{now, rfc3339};

/// Items that are handed in at once.
pub(super) const ITEMS_AT_ONCE: usize = 1_000;

/// An agent.
#[derive(Debug)]
pub struct Remote {
    client: Mutex<Client<UnixStream>>,
    namespace: Namespace,
    socket: std::path::PathBuf,
}

impl Remote {
    /// The agent of a directory, if one runs.
    pub async fn connect(home: &Home, namespace: &Namespace) -> Result<Option<Self>> {
        let socket = home.socket()?;
        let mut client = match connect_unix(&socket).await {
            Ok(client) => client,
            // There is no socket, or one that an agent which was killed has left.
            Err(ControlError::Io(err)) if is_nobody(&err) => return Ok(None),
            Err(err) => return Err(failed(err)),
        };
        let found = client.status().await.map_err(failed)?.namespace;
        if found != namespace.id() {
            let text = format!("the agent has the namespace {found}, and this directory describes {}", namespace.id());
            return Err(Failure::new(Code::Conflict, text).hint("end the agent and start it again"));
        }
        Ok(Some(Self { client: Mutex::new(client), namespace: namespace.clone(), socket }))
    }

    /// A tree in memory that knows who may do what.
    async fn system_tree(&self) -> Result<Tree> {
        let system = self.client.lock().await.system().await.map_err(failed)?;
        Ok(system.tree()?)
    }

    /// Hands in items, all of which must be taken.
    async fn hand_in(&self, items: &[Item]) -> Result<()> {
        let mut client = self.client.lock().await;
        for items in items.chunks(ITEMS_AT_ONCE) {
            let verdicts = client.apply(items).await.map_err(failed)?;
            if let Some(verdict) = verdicts.iter().find(|verdict| !verdict.kind.is_stored()) {
                return Err(Failure::new(code_of(verdict.kind), format!("the agent did not take it: {verdict}")));
            }
        }
        Ok(())
    }

    /// Fetches what counts for the quotas under which somebody writes a key. Without that the tree in memory could not tell that a
    /// quota is used up, and the agent would make room at the cost of another key.
    async fn fill_quotas(&self, tree: &Tree, who: &PublicKey, key: &Key) -> Result<()> {
        let authority = tree.authority();
        let Ok(Authorization::Grants(leaves)) = authority.authorize(who, key, Op::Write, now()) else { return Ok(()) };
        let limited = leaves.iter().flat_map(|leaf| authority.quotas(leaf).map(|(grant, _)| grant));
        // All that is written under a grant has its keys, so the widest beginnings are enough.
        let mut subtrees: Vec<Subtree> =
            limited.filter_map(|grant| authority.grant(&grant)).map(|grant| subtree_around(grant.pattern())).collect();
        subtrees.sort_by_key(|subtree| subtree.as_str().len());
        while let Some(subtree) = subtrees.first().cloned() {
            subtrees.retain(|other| !subtree.includes(other));
            let mut listing = Listing::of(subtree).with_tombstones();
            loop {
                let (entries, next) = self.list(listing.clone()).await?;
                tree.apply(now(), entries.into_iter().map(Item::Entry).collect())?;
                match next {
                    Some(next) => listing = listing.after(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// A tree with the values that a revocation ends, at most as many as the agent tells of, and whether there are more.
    async fn affected(&self, grant: GrantId) -> Result<(Tree, bool)> {
        let tree = self.system_tree().await?;
        let mut client = self.client.lock().await;
        let run = client.dry_run(grant, u64::MAX).await.map_err(failed)?;
        let mut items = Vec::new();
        for (key, _, _) in &run.keys {
            items.extend(client.history(key).await.map_err(failed)?.into_iter().map(Item::Entry));
        }
        tree.apply(now(), items)?;
        Ok((tree, run.is_truncated))
    }
}

#[async_trait]
impl Access for Remote {
    async fn authority(&self) -> Result<Arc<Authority>> {
        Ok(self.system_tree().await?.authority())
    }

    async fn latest(&self, key: &Key) -> Result<Option<Entry>> {
        self.client.lock().await.latest(key).await.map_err(failed)
    }

    async fn list(&self, listing: Listing) -> Result<(Vec<Entry>, Option<Key>)> {
        self.client.lock().await.list(&listing).await.map_err(failed)
    }

    async fn stamp(&self) -> Result<Hlc> {
        self.client.lock().await.stamp().await.map_err(failed)
    }

    async fn put(&self, signer: &SigningKey, key: &Key, value: Value, options: &PutOptions) -> Result<Entry> {
        let tree = self.system_tree().await?;
        // The new entry must be greater than what is there, and name it.
        let history = self.client.lock().await.history(key).await.map_err(failed)?;
        tree.apply(now(), history.into_iter().map(Item::Entry).collect())?;
        self.fill_quotas(&tree, &signer.public_key(), key).await?;
        let entry = tree.put_with(now(), signer, key, value, options)?;
        self.hand_in(&[Item::Entry(entry.clone())]).await?;
        Ok(entry)
    }

    async fn issue(&self, grant: Grant) -> Result<()> {
        self.hand_in(&[Item::Grant(grant)]).await
    }

    async fn dry_run(&self, grant: GrantId) -> Result<Preview> {
        let run = self.client.lock().await.dry_run(grant, u64::MAX).await.map_err(failed)?;
        let keys = run.keys.into_iter().map(|(key, _, older)| (key, older.is_some()));
        Ok(Preview::new(run.grants, keys, run.is_truncated, self.namespace.on_revoke()))
    }

    async fn revoke(&self, signer: &SigningKey, grant: GrantId) -> Result<Ended> {
        let mut unset: BTreeSet<Key> = BTreeSet::new();
        loop {
            let (tree, is_truncated) = self.affected(grant).await?;
            let revoked = tree.revoke(now(), signer, grant)?;
            let before = unset.len();
            unset.extend(revoked.tombstones.iter().map(|entry| entry.key().clone()));
            let has_gained = unset.len() > before;
            let mut items: Vec<Item> = revoked.tombstones.into_iter().map(Item::Entry).collect();
            // What is left has to be deleted before the revocation, since it is not told of afterwards.
            let is_last = !is_truncated || !has_gained || self.namespace.on_revoke() == OnRevoke::Fallback;
            if is_last {
                items.push(Item::Revocation(revoked.revocation.clone()));
            }
            self.hand_in(&items).await?;
            if is_last {
                let unset = unset.into_iter().collect();
                return Ok(Ended { revocation: revoked.revocation.id(), unset, not_unset: revoked.not_unset });
            }
        }
    }

    async fn export(&self, to: &mut (dyn Write + Send)) -> Result<ExportRecord> {
        let bytes = self.client.lock().await.export(&mut Blocking(to)).await.map_err(failed)?;
        Ok(ExportRecord { bytes })
    }

    async fn import(&self, from: Box<dyn Read + Send>) -> Result<ImportRecord> {
        let tree = self.system_tree().await?;
        let known: BTreeSet<[u8; 32]> = system_items(&tree.authority()).map(|item| item.id_bytes()).collect();
        let report = Import::open(from)?.apply_to(&tree, now())?;
        let reasons = report.verdicts.iter().map(ToString::to_string).collect();
        let record = ImportRecord { new: 0, known: report.known, refused: report.refused, reasons };
        let mut handing = HandingIn::new(&self.client, record);
        let authority = tree.authority();
        for item in system_items(&authority).filter(|item| !known.contains(&item.id_bytes())) {
            handing.push(item).await?;
        }
        let mut listing = Listing::of(Subtree::all()).with_tombstones();
        loop {
            let page = tree.list(&listing)?;
            for entry in page.entries {
                for entry in tree.history(entry.key())? {
                    handing.push(Item::Entry(entry)).await?;
                }
            }
            match page.next {
                Some(next) => listing = listing.after(next),
                None => return handing.finish().await,
            }
        }
    }

    async fn status(&self) -> Result<StatusRecord> {
        let report = self.client.lock().await.status().await.map_err(failed)?;
        Ok(StatusRecord {
            namespace: report.namespace.to_string(),
            name: self.namespace.name().to_owned(),
            root: report.root.to_string(),
            entries: report.entries,
            system: report.system,
            agent: true,
            peer_id: report.peer_id,
            listen: report.local_addr,
            members: report.members.iter().map(member).collect(),
            away_too_long: report.is_away_too_long,
        })
    }

    async fn watch(&self, subtree: &Subtree) -> Result<Box<dyn Watch>> {
        // The connection is the watch's from then on.
        let client = connect_unix(&self.socket).await.map_err(failed)?;
        let events = client.watch(subtree).await.map_err(failed)?;
        Ok(Box::new(Watching::new(events)))
    }
}

/// A subtree that has all keys of a pattern.
fn subtree_around(pattern: &Pattern) -> Subtree {
    let (path, _) = pattern.literal_prefix().rsplit_once('/').unwrap_or_default();
    path.parse().unwrap_or_else(|_| Subtree::all())
}

fn member(member: &MemberReport) -> MemberRecord {
    MemberRecord {
        peer: member.peer,
        addr: member.addr.as_ref().map(ToString::to_string),
        up: member.dialled || member.accepted,
        synced: member.synced.map(rfc3339),
    }
}

/// What others rest on comes first.
fn system_items(authority: &Authority) -> impl Iterator<Item = Item> + '_ {
    let mut rotations: Vec<_> = authority.rotations().cloned().collect();
    rotations.sort_by_key(|rotation| rotation.fields().index);
    let mut grants: Vec<&Arc<Grant>> = authority.grants().collect();
    grants.sort_by_key(|grant| std::cmp::Reverse(grant.fields().depth));
    let grants = grants.into_iter().map(|grant| Item::Grant(Grant::clone(grant)));
    let revocations = authority.revocations().cloned().map(Item::Revocation);
    rotations.into_iter().map(Item::RootRotate).chain(grants).chain(revocations)
}

/// A writer that may block, which nobody else waits for in a tool.
struct Blocking<'a>(&'a mut (dyn Write + Send));

impl AsyncWrite for Blocking<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// Whether nobody listens, rather than that something went wrong.
fn is_nobody(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::InvalidInput)
}

pub(super) fn failed(err: ControlError) -> Failure {
    match err {
        ControlError::Refused(fault) => Failure::new(Code::Failure, format!("the agent refused: {fault}")),
        err => {
            let code = match &err {
                ControlError::Io(err) if err.kind() == ErrorKind::PermissionDenied => Code::Denied,
                _ => Code::Failure,
            };
            Failure::new(code, "the agent cannot be talked to").because(err)
        }
    }
}

fn code_of(verdict: VerdictKind) -> Code {
    match verdict {
        VerdictKind::Unauthorized
        | VerdictKind::Revoked
        | VerdictKind::Ineffective
        | VerdictKind::Distrusted
        | VerdictKind::OverQuota
        | VerdictKind::BadSignature
        | VerdictKind::Refused => Code::Denied,
        VerdictKind::Superseded | VerdictKind::Collected => Code::Conflict,
        VerdictKind::Waiting => Code::NotFound,
        _ => Code::Failure,
    }
}
