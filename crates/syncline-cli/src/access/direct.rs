//! A replica that nobody else has open.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use syncline_core::clock::Hlc;
use syncline_crypto::SigningKey;
use syncline_kv::authority::Authority;
use syncline_kv::item::Item;
use syncline_kv::tree::{Import, ImportReport, Listing, PutOptions, Revoked};
use syncline_kv::{Entry, Grant, GrantId, Key, KvError, Namespace, Subtree, Tree, Value, Verdict};
use syncline_storage::{RedbDb, StorageErrorKind};

use super::{Access, Ended, Preview, Watch, needs_agent};
use crate::failure::{Failure, Result};
use crate::home::Home;
use crate::out::record::{ExportRecord, ImportRecord, StatusRecord};
use crate::times::now;

/// How long a command waits for another one to be done with the database.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Keys that a look at a revocation lists at the most.
const PREVIEW_MAX: usize = 100_000;

/// A tree that this program has opened.
#[derive(Debug)]
pub struct Direct {
    tree: Tree,
    namespace: Namespace,
}

impl Direct {
    pub fn open(home: &Home, namespace: &Namespace) -> Result<Self> {
        Ok(Self { tree: open_tree(&home.database()?, namespace)?, namespace: namespace.clone() })
    }
}

/// Opens the tree of a database, which is made if there is none.
pub fn open_tree(path: &Path, namespace: &Namespace) -> Result<Tree> {
    let begin = Instant::now();
    let db = loop {
        match RedbDb::create(path) {
            Ok(db) => break db,
            // Commands are short, so it is free again soon.
            Err(err) if err.kind() == StorageErrorKind::Locked && begin.elapsed() < WAIT_MAX => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(err) if err.kind() == StorageErrorKind::Locked => {
                return Err(Failure::from(err).hint("another command works on it, or an agent that does not answer"));
            }
            Err(err) => return Err(err.into()),
        }
    };
    Ok(Tree::open(Arc::new(db), namespace)?)
}

#[async_trait]
impl Access for Direct {
    async fn authority(&self) -> Result<Arc<Authority>> {
        Ok(self.tree.authority())
    }

    async fn latest(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(self.tree.latest(key)?)
    }

    async fn list(&self, listing: Listing) -> Result<(Vec<Entry>, Option<Key>)> {
        let page = self.tree.list(&listing)?;
        Ok((page.entries, page.next))
    }

    async fn stamp(&self) -> Result<Hlc> {
        Ok(self.tree.stamp(now())?)
    }

    async fn put(&self, signer: &SigningKey, key: &Key, value: Value, options: &PutOptions) -> Result<Entry> {
        Ok(self.tree.put_with(now(), signer, key, value, options)?)
    }

    async fn issue(&self, grant: Grant) -> Result<()> {
        let verdicts = self.tree.apply(now(), vec![Item::Grant(grant)])?;
        match verdicts.into_iter().find(|verdict| !verdict.is_stored() || *verdict == Verdict::Ineffective) {
            Some(verdict) => Err(KvError::NotApplied(Box::new(verdict)).into()),
            None => Ok(()),
        }
    }

    async fn dry_run(&self, grant: GrantId) -> Result<Preview> {
        let run = self.tree.dry_run(grant, PREVIEW_MAX)?;
        let keys = run.keys.into_iter().map(|affected| (affected.key, affected.fallback.is_some()));
        Ok(Preview::new(run.grants, keys, run.is_truncated, self.namespace.on_revoke()))
    }

    async fn revoke(&self, signer: &SigningKey, grant: GrantId) -> Result<Ended> {
        Ok(ended(self.tree.revoke(now(), signer, grant)?))
    }

    async fn export(&self, to: &mut (dyn Write + Send)) -> Result<ExportRecord> {
        Ok(ExportRecord { bytes: self.tree.export(&mut &mut *to)?.bytes })
    }

    async fn import(&self, from: Box<dyn Read + Send>) -> Result<ImportRecord> {
        Ok(imported(Import::open(from)?.apply_to(&self.tree, now())?))
    }

    async fn status(&self) -> Result<StatusRecord> {
        let root = self.tree.root()?;
        Ok(StatusRecord {
            namespace: self.namespace.id().to_string(),
            name: self.namespace.name().to_owned(),
            root: root.hash.to_string(),
            entries: root.entries,
            system: root.system,
            agent: false,
            peer_id: None,
            listen: None,
            members: Vec::new(),
            away_too_long: matches!(self.tree.check_not_away(now()), Err(KvError::AwayTooLong { .. })),
        })
    }

    async fn watch(&self, _subtree: &Subtree) -> Result<Box<dyn Watch>> {
        Err(needs_agent("a watch"))
    }
}

fn ended(revoked: Revoked) -> Ended {
    let mut unset: Vec<Key> = revoked.tombstones.iter().map(|entry| entry.key().clone()).collect();
    unset.sort();
    Ended { revocation: revoked.revocation.id(), unset, not_unset: revoked.not_unset }
}

fn imported(report: ImportReport) -> ImportRecord {
    let reasons = report.verdicts.iter().map(ToString::to_string).collect();
    ImportRecord { new: report.new, known: report.known, refused: report.refused, reasons }
}
