//! A tree in a file that proves itself: every item with its signatures, and the description of the namespace.
//!
//! `docs/spec/kv.md` has the format.

use std::io::{self, Read, Write};

use bytes::Bytes;
use syncline_core::clock::Timestamp;
use syncline_crypto::{Hash, Hasher};
use syncline_storage::{Direction, Snapshot};
use thiserror::Error;

use super::Tree;
use super::error::{Corruption, KvError};
use super::rows::{ENTRIES, SYSTEM, readable};
use super::verdict::Verdict;
use crate::item::{Item, ItemError, Namespace};

const MAGIC: &[u8; 16] = b"syncline kv v1\r\n";

/// Items that are applied at once when a bundle is read.
const AT_ONCE: usize = 1_024;

/// Bytes of items that are applied at once, about.
const BYTES_AT_ONCE: usize = 4 << 20;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Export {
    /// Items.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What became of the items of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// Items that are new here.
    pub new: u64,
    /// Items that were here, or are superseded by what is.
    pub known: u64,
    /// Items that were not taken, with the first 100 verdicts.
    pub refused: u64,
    /// The verdicts on the first 100 that were not taken.
    pub verdicts: Vec<Verdict>,
}

/// Why a bundle could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The file or stream failed.
    #[error("the bundle cannot be read or written")]
    Io(#[from] io::Error),
    /// It is no bundle, or one of a newer version.
    #[error("this is not a bundle of version 1")]
    Magic,
    /// It ends early. What came before was applied.
    #[error("the bundle ends early; what came before was applied")]
    Truncated,
    /// The hash at its end does not fit. All items were verified one by one nevertheless.
    #[error("the bundle was changed or damaged on its way")]
    Hash,
    /// A record is longer than any item.
    #[error("a record of {len} bytes where at most {max} are possible")]
    TooLong {
        /// Bytes of the record.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The description of the namespace cannot be read.
    #[error("the description of the namespace: {0}")]
    Namespace(ItemError),
    /// It is a bundle of another namespace.
    #[error("the bundle belongs to the namespace {found}")]
    OtherNamespace {
        /// Its namespace.
        found: crate::item::NamespaceId,
    },
    /// The tree failed.
    #[error(transparent)]
    Tree(#[from] KvError),
}

impl Tree {
    /// Writes all that is kept, as of one time: rotations, grants, revocations, entries that count.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`], [`BundleError::Tree`].
    pub fn export(&self, to: &mut dyn Write) -> Result<Export, BundleError> {
        // In this order, a revocation that comes in between leaves its entries out.
        let snapshot = self.inner.db.snapshot().map_err(KvError::from)?;
        let authority = self.inner.authority();
        let number = self.inner.number;
        let mut out = Writer { to, hasher: Hasher::new(), export: Export::default() };
        out.raw(MAGIC)?;
        out.record(&self.namespace().encoded())?;
        for item in system_items(&*snapshot, number)? {
            out.item(&item.encoded())?;
        }
        for row in ENTRIES.scan_prefix(&*snapshot, &(number,), Direction::Forward).map_err(KvError::from)? {
            let (_, row) = readable(row, Corruption::Entry)?;
            let entry = row.entry;
            // What is not swept yet is left out.
            if authority.is_live(entry.leaves(), entry.author(), entry.stamp()) {
                out.item(&Item::Entry(entry).encoded())?;
            }
        }
        out.end()
    }
}

/// What others rest on first, so that an importer need not let many wait. All of them are in memory anyway, with the authority.
fn system_items(snapshot: &dyn Snapshot, number: u32) -> Result<Vec<Item>, KvError> {
    let mut items = Vec::new();
    for row in SYSTEM.scan_prefix(snapshot, &(number,), Direction::Forward)? {
        let (_, bytes) = readable(row, Corruption::System)?;
        items.push(Item::decode(&bytes).map_err(|_| KvError::Corrupt(Corruption::System))?);
    }
    // Depth falls along a chain. The sort leaves those that do not rest on each other in the order of their ids.
    items.sort_by_key(|item| match item {
        Item::RootRotate(rotation) => (0, rotation.fields().index),
        Item::Grant(grant) => (1, u64::from(u8::MAX - grant.fields().depth)),
        Item::Revocation(_) | Item::Entry(_) => (2, 0),
    });
    Ok(items)
}

struct Writer<'a> {
    to: &'a mut dyn Write,
    hasher: Hasher,
    export: Export,
}

impl Writer<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.to.write_all(bytes)?;
        self.hasher.update(bytes);
        self.export.bytes += bytes.len() as u64;
        Ok(())
    }

    fn record(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        let too_long = || BundleError::TooLong { len: bytes.len(), max: Item::LEN_MAX };
        let len = u32::try_from(bytes.len()).map_err(|_| too_long())?;
        self.raw(&len.to_be_bytes())?;
        self.raw(bytes)
    }

    fn item(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.export.items += 1;
        self.record(bytes)
    }

    fn end(mut self) -> Result<Export, BundleError> {
        self.raw(&[0; 4])?;
        let hash = self.hasher.finalize();
        self.to.write_all(hash.as_bytes())?;
        self.export.bytes += Hash::LEN as u64;
        self.to.flush()?;
        Ok(self.export)
    }
}

/// A bundle that is being read.
pub struct Import<R> {
    source: Source<R>,
    namespace: Namespace,
}

impl<R: Read> Import<R> {
    /// Reads the beginning, up to the description of the namespace. That it is the right one is for the caller to check, by
    /// its id.
    ///
    /// # Errors
    ///
    /// [`BundleError`].
    pub fn open(from: R) -> Result<Self, BundleError> {
        let mut source = Source { from, hasher: Hasher::new() };
        let mut magic = [0; MAGIC.len()];
        source.fill(&mut magic)?;
        if &magic != MAGIC {
            return Err(BundleError::Magic);
        }
        let description = source.record()?.ok_or(BundleError::Truncated)?;
        Ok(Self { source, namespace: Namespace::decode(&description).map_err(BundleError::Namespace)? })
    }

    /// The namespace whose bundle it is.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Applies all items to a tree of the same namespace. Every signature and every chain is checked, as if a peer had sent
    /// them. May be repeated, also after a failure.
    ///
    /// # Errors
    ///
    /// [`BundleError`]; what came before is applied.
    pub fn apply_to(mut self, tree: &Tree, now: Timestamp) -> Result<ImportReport, BundleError> {
        if tree.id() != self.namespace.id() {
            return Err(BundleError::OtherNamespace { found: self.namespace.id() });
        }
        let mut report = ImportReport::default();
        let (mut items, mut bytes) = (Vec::new(), 0);
        let read = loop {
            let record = match self.source.record() {
                Ok(Some(record)) => record,
                Ok(None) => break self.source.check_hash(),
                Err(err) => break Err(err),
            };
            bytes += record.len();
            match Item::decode(&record) {
                Ok(item) => items.push(item),
                Err(err) => report.count(Verdict::Malformed(err)),
            }
            if items.len() >= AT_ONCE || bytes >= BYTES_AT_ONCE {
                bytes = 0;
                report.take(tree.apply(now, std::mem::take(&mut items))?);
            }
        };
        // Each proves itself, also if what came behind it is lost.
        report.take(tree.apply(now, items)?);
        read.map(|()| report)
    }
}

/// What is read, and the hash over it.
struct Source<R> {
    from: R,
    hasher: Hasher,
}

impl<R: Read> Source<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BundleError> {
        self.from.read_exact(bytes).map_err(|err| match err.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::Truncated,
            _ => BundleError::Io(err),
        })?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// The next record; none at the end.
    fn record(&mut self) -> Result<Option<Bytes>, BundleError> {
        let mut len = [0; 4];
        self.fill(&mut len)?;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if len > Item::LEN_MAX {
            return Err(BundleError::TooLong { len, max: Item::LEN_MAX });
        }
        if len == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; len];
        self.fill(&mut bytes)?;
        Ok(Some(bytes.into()))
    }

    fn check_hash(&mut self) -> Result<(), BundleError> {
        let expected = self.hasher.finalize();
        let mut hash = [0; Hash::LEN];
        self.fill(&mut hash)?;
        if expected.as_bytes() == &hash { Ok(()) } else { Err(BundleError::Hash) }
    }
}

impl<R> std::fmt::Debug for Import<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl ImportReport {
    fn take(&mut self, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            self.count(verdict);
        }
    }

    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Applied | Verdict::Ineffective | Verdict::Shadowed { .. } => self.new += 1,
            Verdict::Known | Verdict::Superseded { .. } => self.known += 1,
            verdict => {
                self.refused += 1;
                if self.verdicts.len() < 100 {
                    self.verdicts.push(verdict);
                }
            }
        }
    }
}
