//! The rows of a tree. `docs/spec/kv-storage.md` has the layout.

use bytes::{BufMut, Bytes, BytesMut};
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Hash, PublicKey};
use syncline_storage::{CodecError, KeyRange, Snapshot, StorageError, Table, TableId, ValueCodec};

use super::error::{Corruption, KvError};
use crate::authority::Authority;
use crate::item::{Entry, EntryId, GrantId, Leaves, Order, Quota};
use crate::path::{Key, Subtree};

/// Namespace to its number in this database, so that rows need not repeat 32 bytes.
pub(super) const NUMBERS: Table<[u8; 32], u32> = Table::new(TableId(0x20));
/// Number to the namespace's description.
pub(super) const DESCRIPTIONS: Table<(u32,), Bytes> = Table::new(TableId(0x21));
/// The greatest stamp that was given or seen.
pub(super) const CLOCKS: Table<(u32,), u64> = Table::new(TableId(0x22));
/// Grants, revocations and rotations, by kind and id.
pub(super) const SYSTEM: Table<(u32, u8, [u8; 32]), Bytes> = Table::new(TableId(0x23));
/// Key and slot to the entry.
pub(super) const ENTRIES: Table<(u32, String, [u8; 16]), EntryRow> = Table::new(TableId(0x24));
/// What allows an entry (a grant, or a root) or limits it (a grant with a quota), its key's rank, its key and slot: what to
/// visit when that ends, or is exceeded.
pub(super) const UNDER: Table<UnderColumns, Bytes> = Table::new(TableId(0x25));
/// How much there is under a grant that has a quota.
pub(super) const USAGE: Table<(u32, [u8; 32]), UsageRow> = Table::new(TableId(0x26));
/// Entries from the future, by when they are due.
pub(super) const QUARANTINE: Table<(u32, u64, [u8; 32]), Bytes> = Table::new(TableId(0x27));
/// Tombstones by their stamp, to when they came.
pub(super) const TOMBSTONES: Table<(u32, u64, String, [u8; 16]), Bytes> = Table::new(TableId(0x28));
/// Keys whose tombstone was collected, and which one.
pub(super) const COLLECTED: Table<(u32, String), MarkRow> = Table::new(TableId(0x29));
/// Known peers: what they have passed.
pub(super) const PEERS: Table<(u32, [u8; 32]), u64> = Table::new(TableId(0x2a));

/// How often the namespace was opened: whoever opened it last may write.
pub(super) const OPENINGS: Table<(u32,), u64> = Table::new(TableId(0x2b));
/// There if rows of [`UNDER`] are still to be written, for grants that came back to life.
pub(super) const REVIVING: Table<(u32,), Bytes> = Table::new(TableId(0x2c));

/// Namespace, kind of the authority, its 32 bytes, rank, key, slot.
pub(super) type UnderColumns = (u32, u8, [u8; 32], u64, String, [u8; 16]);

/// Which of a key's entries compete for one place: those that the same grants allow, or that the same root wrote.
///
/// Whether an entry is live depends on nothing else, so that the greatest of a slot is all that has to be kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) [u8; 16]);

impl Slot {
    pub(super) fn of(entry: &Entry) -> Self {
        Self::by(entry.leaves(), entry.author())
    }

    pub(super) fn by(leaves: &Leaves, author: &PublicKey) -> Self {
        let mut hasher = syncline_crypto::Hasher::new();
        if leaves.is_root() {
            hasher.update(author.as_bytes());
        }
        for leaf in leaves.as_slice() {
            hasher.update(leaf.as_bytes());
        }
        let mut slot = [0; 16];
        slot.copy_from_slice(hasher.finalize().as_bytes().split_at(16).0);
        Self(slot)
    }
}

/// Where a key stands when a quota is exceeded: the greatest goes first. The same on all replicas.
pub(super) fn rank(key: &Key) -> u64 {
    let hash = Hash::digest(key.as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// What allows an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    Grant(GrantId),
    Root(PublicKey),
    /// Does not allow but limits: a grant with a quota, at any link of a chain.
    Quota(GrantId),
}

impl By {
    pub(super) fn columns(self) -> (u8, [u8; 32]) {
        match self {
            Self::Grant(grant) => (0, *grant.as_bytes()),
            Self::Root(root) => (1, root.to_bytes()),
            Self::Quota(grant) => (2, *grant.as_bytes()),
        }
    }

    /// All that allow or limit an entry.
    pub(super) fn all(authority: &Authority, leaves: &Leaves, author: &PublicKey) -> Vec<Self> {
        if leaves.is_root() {
            return vec![Self::Root(*author)];
        }
        let leaf = leaves.as_slice().iter().map(|leaf| Self::Grant(*leaf));
        leaf.chain(quotas_of(authority, leaves).into_iter().map(|(grant, _)| Self::Quota(grant))).collect()
    }

    /// The same without grants that are dead and so have no rows.
    pub(super) fn live(authority: &Authority, leaves: &Leaves, author: &PublicKey) -> Vec<Self> {
        let mut all = Self::all(authority, leaves, author);
        all.retain(|by| !matches!(by, Self::Grant(grant) if !authority.is_live_grant(*grant)));
        all
    }
}

/// The grants with a quota that an entry counts for, each once; along a chain the one nearest to the entry first.
///
/// Dead ones too: whether an entry counts does not change for as long as it is kept.
pub(super) fn quotas_of(authority: &Authority, leaves: &Leaves) -> Vec<(GrantId, Quota)> {
    let mut quotas: Vec<(GrantId, Quota)> = Vec::new();
    for (grant, quota) in leaves.as_slice().iter().flat_map(|leaf| authority.quotas(leaf)) {
        if quotas.iter().all(|(known, _)| *known != grant) {
            quotas.push((grant, quota));
        }
    }
    quotas
}

/// A stored entry: its id, then its bytes.
#[derive(Clone, Debug)]
pub(super) struct EntryRow {
    pub(super) entry: Entry,
}

impl ValueCodec for EntryRow {
    fn encode(&self) -> Bytes {
        let encoded = self.entry.encoded();
        let mut out = BytesMut::with_capacity(32 + encoded.len());
        out.put_slice(self.entry.id().as_bytes());
        out.put_slice(encoded);
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        let Some((id, _)) = bytes.split_first_chunk::<32>() else { return Err(CodecError::Truncated) };
        let id = EntryId::from_bytes(*id);
        let entry = Entry::decode_stored(bytes.slice(32..), id).map_err(|_| CodecError::Domain)?;
        Ok(Self { entry })
    }
}

/// How much there is under a grant and all that is delegated from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UsageRow {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl ValueCodec for UsageRow {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(16);
        out.put_u64(self.entries);
        out.put_u64(self.bytes);
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        let entries = u64::decode(bytes.slice(..bytes.len().min(8)))?;
        let bytes = u64::decode(bytes.slice(bytes.len().min(8)..))?;
        Ok(Self { entries, bytes })
    }
}

/// The order of a collected tombstone, and when it was collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MarkRow {
    pub(super) order: Order,
    pub(super) at: Timestamp,
}

impl ValueCodec for MarkRow {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(80);
        out.put_u64(self.order.stamp.to_bits());
        out.put_slice(self.order.author.as_bytes());
        out.put_slice(self.order.id.as_bytes());
        out.put_u64(self.at.as_millis());
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        let Ok(bytes) = <&[u8; 80]>::try_from(&bytes[..]) else { return Err(CodecError::Truncated) };
        let (stamp, rest) = bytes.split_at(8);
        let (author, rest) = rest.split_at(32);
        let (id, at) = rest.split_at(32);
        let author = PublicKey::try_from(author).map_err(|_| CodecError::Domain)?;
        let id = id.try_into().map(EntryId::from_bytes).map_err(|_| CodecError::Domain)?;
        let order = Order { stamp: Hlc::from_bits(number(stamp)), author, id };
        Ok(Self { order, at: Timestamp::from_millis(number(at)) })
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// The rows of the entries below a path, as keys of the table.
pub(super) fn entries_in(number: u32, subtree: &Subtree) -> KeyRange {
    // A key's text is stored as it is, since it has no zero byte.
    let row = |text: &[u8]| {
        let mut row = vec![ENTRIES.id().0];
        row.extend_from_slice(&number.to_be_bytes());
        row.extend_from_slice(text);
        row
    };
    let range = ENTRIES.prefix(&(number,)).starting_at(row(&subtree.start()));
    match subtree.end() {
        Some(end) => range.before(row(&end)),
        None => range,
    }
}

/// All entries of a key, in the order of their slots.
pub(super) fn entries_of(snapshot: &dyn Snapshot, number: u32, key: &Key) -> Result<Vec<(Slot, Entry)>, KvError> {
    let rows =
        ENTRIES.scan_prefix(snapshot, &(number, key.as_str().to_owned()), syncline_storage::Direction::Forward)?;
    rows.map(|row| {
        let ((_, _, slot), row) = readable(row, Corruption::Entry)?;
        Ok((Slot(slot), row.entry))
    })
    .collect()
}

/// A row that does not decode is corruption, and this says of what.
pub(super) fn readable<T>(row: Result<T, StorageError>, what: Corruption) -> Result<T, KvError> {
    row.map_err(|err| {
        let is_codec = std::error::Error::source(&err).is_some_and(|source| source.is::<CodecError>());
        if is_codec { KvError::Corrupt(what) } else { err.into() }
    })
}
