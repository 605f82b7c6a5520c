//! Requests and answers, as CBOR arrays that begin with their kind.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use syncline_core::cbor::{Reader, Writer};
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Hash, PublicKey};
use syncline_kv::tree::{Affected, DryRun, Root};
use syncline_kv::{EntryId, GrantId, Item, Key, Namespace, NamespaceId, Subtree, Verdict};
use syncline_net::{PeerAddr, PeerId};

use super::{ControlError, ControlLimits};
use crate::NodeStatus;

/// What a tool asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Apply(Vec<Bytes>),
    Latest(Key),
    History(Key),
    List { subtree: Subtree, after: Option<Key>, limit: u64, tombstones: bool },
    System,
    Stamp,
    DryRun { grant: GrantId, limit: u64 },
    Status,
    Watch(Subtree),
    Export,
}

impl Request {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        let mut out = Writer::new(&mut bytes);
        match self {
            Self::Apply(items) => {
                out.array(2).unsigned(1);
                write_all(&mut out, items);
            }
            Self::Latest(key) => _ = out.array(2).unsigned(2).text(key.as_str()),
            Self::History(key) => _ = out.array(2).unsigned(3).text(key.as_str()),
            Self::List { subtree, after, limit, tombstones } => {
                out.array(5).unsigned(4).text(subtree.as_str());
                write_key(&mut out, after.as_ref());
                out.unsigned(*limit).bool(*tombstones);
            }
            Self::System => _ = out.array(1).unsigned(5),
            Self::Stamp => _ = out.array(1).unsigned(6),
            Self::DryRun { grant, limit } => _ = out.array(3).unsigned(7).bytes(grant.as_bytes()).unsigned(*limit),
            Self::Status => _ = out.array(1).unsigned(8),
            Self::Watch(subtree) => _ = out.array(2).unsigned(9).text(subtree.as_str()),
            Self::Export => _ = out.array(1).unsigned(10),
        }
        bytes.freeze()
    }

    pub(super) fn decode(bytes: &Bytes, limits: &ControlLimits) -> Result<Self, ControlError> {
        let mut reader = Reader::new(bytes);
        let fields = reader.array()?;
        let kind = reader.unsigned()?;
        let request = match (kind, fields) {
            (1, Some(2)) => Self::Apply(read_all(&mut reader, limits.items)?),
            (2, Some(2)) => Self::Latest(read_key(&mut reader)?),
            (3, Some(2)) => Self::History(read_key(&mut reader)?),
            (4, Some(5)) => Self::List {
                subtree: read_text(&mut reader)?,
                after: if reader.null() { None } else { Some(read_key(&mut reader)?) },
                limit: reader.unsigned()?,
                tombstones: reader.bool()?,
            },
            (5, Some(1)) => Self::System,
            (6, Some(1)) => Self::Stamp,
            (7, Some(3)) => {
                Self::DryRun { grant: GrantId::from_bytes(*reader.byte_array()?), limit: reader.unsigned()? }
            }
            (8, Some(1)) => Self::Status,
            (9, Some(2)) => Self::Watch(read_text(&mut reader)?),
            (10, Some(1)) => Self::Export,
            (kind, _) => return Err(ControlError::Malformed(format!("a request of kind {kind}"))),
        };
        ended(&reader)?;
        Ok(request)
    }
}

/// What a replica answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Response {
    Fault(Fault),
    Verdicts(Vec<ItemVerdict>),
    /// Entries of one key.
    Entries(Vec<Bytes>),
    Page {
        entries: Vec<Bytes>,
        next: Option<Key>,
    },
    /// The head of what `System` is answered with; parts and an end follow.
    System {
        now: Timestamp,
        namespace: Namespace,
    },
    /// Items of the system set.
    Items(Vec<Bytes>),
    /// The end of a stream.
    End,
    Stamp(Hlc),
    DryRun(Box<DryRunReport>),
    Status(Box<ReplicaReport>),
    /// The value of a key, or that it has none.
    Change {
        key: Key,
        entry: Option<Bytes>,
    },
    /// What was there has been told.
    Live,
    /// Grants, revocations or roots changed.
    Authority,
    /// Too much has changed: all that is there follows again, and what does not follow is gone.
    Reset,
    /// A piece of a bundle.
    Chunk(Bytes),
}

/// A dry run that came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DryRunReport {
    pub(super) grants: Vec<GrantId>,
    pub(super) keys: Vec<(Key, EntryId, Option<EntryId>)>,
    pub(super) visited: u64,
    pub(super) is_truncated: bool,
}

impl DryRunReport {
    pub(super) fn of(run: &DryRun) -> Self {
        let of = |affected: &Affected| (affected.key.clone(), affected.entry, affected.fallback);
        Self {
            grants: run.grants.clone(),
            keys: run.keys.iter().map(of).collect(),
            visited: run.visited,
            is_truncated: run.is_truncated,
        }
    }
}

impl Response {
    pub(super) fn kind(&self) -> u64 {
        match self {
            Self::Fault(_) => 0,
            Self::Verdicts(_) => 1,
            Self::Entries(_) => 2,
            Self::Page { .. } => 3,
            Self::System { .. } => 4,
            Self::Items(_) => 5,
            Self::End => 6,
            Self::Stamp(_) => 7,
            Self::DryRun(_) => 8,
            Self::Status(_) => 9,
            Self::Change { .. } => 10,
            Self::Live => 11,
            Self::Authority => 12,
            Self::Reset => 13,
            Self::Chunk(_) => 14,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        let mut out = Writer::new(&mut bytes);
        let kind = self.kind();
        match self {
            Self::Fault(fault) => _ = out.array(3).unsigned(kind).unsigned(fault.kind.code()).text(&fault.text),
            Self::Verdicts(verdicts) => {
                out.array(2).unsigned(kind).array(verdicts.len() as u64);
                verdicts.iter().for_each(|verdict| verdict.write(&mut out));
            }
            Self::Entries(items) | Self::Items(items) => {
                out.array(2).unsigned(kind);
                write_all(&mut out, items);
            }
            Self::Page { entries, next } => {
                out.array(3).unsigned(kind);
                write_all(&mut out, entries);
                write_key(&mut out, next.as_ref());
            }
            Self::System { now, namespace } => {
                out.array(3).unsigned(kind).unsigned(now.as_millis()).bytes(&namespace.encoded());
            }
            Self::End | Self::Live | Self::Authority | Self::Reset => _ = out.array(1).unsigned(kind),
            Self::Stamp(stamp) => _ = out.array(2).unsigned(kind).unsigned(stamp.to_bits()),
            Self::DryRun(run) => {
                out.array(5).unsigned(kind);
                run.write(&mut out);
            }
            Self::Status(report) => {
                out.array(2).unsigned(kind);
                report.write(&mut out);
            }
            Self::Change { key, entry } => {
                out.array(3).unsigned(kind).text(key.as_str());
                match entry {
                    Some(entry) => out.bytes(entry),
                    None => out.null(),
                };
            }
            Self::Chunk(chunk) => _ = out.array(2).unsigned(kind).bytes(chunk),
        }
        bytes.freeze()
    }

    pub(super) fn decode(bytes: &Bytes) -> Result<Self, ControlError> {
        let mut reader = Reader::new(bytes);
        let fields = reader.array()?;
        let kind = reader.unsigned()?;
        let response = match (kind, fields) {
            (0, Some(3)) => Self::Fault(Fault {
                kind: FaultKind::of_code(reader.unsigned()?),
                text: String::from_utf8_lossy(&reader.text()?).into_owned(),
            }),
            (1, Some(2)) => Self::Verdicts(read_list(&mut reader, ItemVerdict::read)?),
            (2, Some(2)) => Self::Entries(read_all(&mut reader, usize::MAX)?),
            (3, Some(3)) => Self::Page {
                entries: read_all(&mut reader, usize::MAX)?,
                next: if reader.null() { None } else { Some(read_key(&mut reader)?) },
            },
            (4, Some(3)) => Self::System {
                now: Timestamp::from_millis(reader.unsigned()?),
                namespace: Namespace::decode(&reader.bytes()?)?,
            },
            (5, Some(2)) => Self::Items(read_all(&mut reader, usize::MAX)?),
            (6, Some(1)) => Self::End,
            (7, Some(2)) => Self::Stamp(Hlc::from_bits(reader.unsigned()?)),
            (8, Some(5)) => Self::DryRun(Box::new(DryRunReport::read(&mut reader)?)),
            (9, Some(2)) => Self::Status(Box::new(ReplicaReport::read(&mut reader)?)),
            (10, Some(3)) => Self::Change {
                key: read_key(&mut reader)?,
                entry: if reader.null() { None } else { Some(read_bytes(&mut reader)?) },
            },
            (11, Some(1)) => Self::Live,
            (12, Some(1)) => Self::Authority,
            (13, Some(1)) => Self::Reset,
            (14, Some(2)) => Self::Chunk(read_bytes(&mut reader)?),
            (kind, _) => return Err(ControlError::Malformed(format!("an answer of kind {kind}"))),
        };
        ended(&reader)?;
        Ok(response)
    }
}

/// Why a replica does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// What kind of reason.
    pub kind: FaultKind,
    /// The reason, for people.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What kind of reason a [`Fault`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The request is malformed, or asks for too much.
    Request,
    /// The tree did not do it; the text says why.
    Tree,
    /// A kind that a later version has.
    Other(u64),
}

impl FaultKind {
    fn code(self) -> u64 {
        match self {
            Self::Request => 1,
            Self::Tree => 2,
            Self::Other(code) => code,
        }
    }

    fn of_code(code: u64) -> Self {
        match code {
            1 => Self::Request,
            2 => Self::Tree,
            code => Self::Other(code),
        }
    }
}

/// What became of an item that a tool handed in: a [`Verdict`] as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemVerdict {
    /// What kind of verdict.
    pub kind: VerdictKind,
    /// The verdict, for people.
    pub text: String,
}

impl ItemVerdict {
    pub(super) fn of(verdict: &Verdict) -> Self {
        Self { kind: VerdictKind::of(verdict), text: verdict.to_string() }
    }

    pub(super) fn malformed(text: String) -> Self {
        Self { kind: VerdictKind::Malformed, text }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(2).unsigned(self.kind.code()).text(&self.text);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ControlError> {
        fields(reader, 2)?;
        let kind = VerdictKind::of_code(reader.unsigned()?);
        Ok(Self { kind, text: String::from_utf8_lossy(&reader.text()?).into_owned() })
    }
}

impl fmt::Display for ItemVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

macro_rules! verdict_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, [$pattern:pat];)*) => {
        /// The variants of [`Verdict`] without what they hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum VerdictKind {
            $($(#[$doc])* $name,)*
            /// One that a later version has.
            Other(u64),
        }

        impl VerdictKind {
            fn of(verdict: &Verdict) -> Self {
                match verdict {
                    $($pattern => Self::$name,)*
                    _ => Self::Other(u64::MAX),
                }
            }

            fn code(self) -> u64 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }

            fn of_code(code: u64) -> Self {
                match code {
                    $($code => Self::$name,)*
                    code => Self::Other(code),
                }
            }
        }
    };
}

verdict_kinds! {
    /// Stored, and counts.
    Applied = 0, [Verdict::Applied];
    /// Stored; an entry of other grants is greater.
    Shadowed = 1, [Verdict::Shadowed { .. }];
    /// Here before.
    Known = 2, [Verdict::Known];
    /// A greater entry is here.
    Superseded = 3, [Verdict::Superseded { .. }];
    /// Its author may not do that.
    Unauthorized = 4, [Verdict::Unauthorized(_)];
    /// It rests on a revoked grant.
    Revoked = 5, [Verdict::Revoked { .. }];
    /// A former root wrote it.
    Distrusted = 6, [Verdict::Distrusted { .. }];
    /// It waits for what it rests on.
    Waiting = 7, [Verdict::Waiting(_)];
    /// It waits for its time.
    Quarantined = 8, [Verdict::Quarantined { .. }];
    /// A quota leaves no room.
    OverQuota = 9, [Verdict::OverQuota { .. }];
    /// Older than a deletion that is forgotten.
    Collected = 10, [Verdict::Collected];
    /// Not an item.
    Malformed = 11, [Verdict::Malformed(_)];
    /// Of another namespace.
    OtherNamespace = 12, [Verdict::OtherNamespace];
    /// The signature does not count.
    BadSignature = 13, [Verdict::BadSignature];
    /// Its signer may not make it.
    Refused = 14, [Verdict::Refused(_)];
    /// No room for more of its kind.
    Full = 15, [Verdict::Full];
    /// Stored, and does not count: revoked, distrusted or overtaken already.
    Ineffective = 16, [Verdict::Ineffective];
}

impl VerdictKind {
    /// Whether the item is stored and counts, now or before.
    #[must_use]
    pub fn is_stored(self) -> bool {
        matches!(self, Self::Applied | Self::Shadowed | Self::Known)
    }
}

/// How a replica is, as a tool is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReplicaReport {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// The hash of all it holds.
    pub root: Hash,
    /// Entries that are kept.
    pub entries: u64,
    /// Grants, revocations and rotations.
    pub system: u64,
    /// Its key; none if it is on no network.
    pub peer_id: Option<PeerId>,
    /// Where it listens, if it does.
    pub local_addr: Option<String>,
    /// It was away for too long and must not sync.
    pub is_away_too_long: bool,
    /// Peers that it knows an address of, or has a link with.
    pub members: Vec<MemberReport>,
}

/// How it stands with a peer, as a tool is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemberReport {
    /// The peer.
    pub peer: PeerId,
    /// Where it is reached, if that is known.
    pub addr: Option<PeerAddr>,
    /// A link that was dialled here is up.
    pub dialled: bool,
    /// A link that the peer dialled is up.
    pub accepted: bool,
    /// How long a message to it and back took the last time, in microseconds.
    pub rtt: Option<Duration>,
    /// When the last complete session with it began.
    pub synced: Option<Timestamp>,
}

impl ReplicaReport {
    /// A replica that is on no network.
    pub(super) fn of_tree(namespace: NamespaceId, root: &Root) -> Self {
        Self {
            namespace,
            root: root.hash,
            entries: root.entries,
            system: root.system,
            peer_id: None,
            local_addr: None,
            is_away_too_long: false,
            members: Vec::new(),
        }
    }

    pub(super) fn of(status: &NodeStatus) -> Self {
        let members = status.members.iter().map(|(peer, member)| MemberReport {
            peer: *peer,
            addr: member.addr.clone(),
            dialled: member.dialled,
            accepted: member.accepted,
            rtt: member.rtt,
            synced: status.synced.get(peer).copied(),
        });
        Self {
            peer_id: Some(status.peer_id),
            local_addr: status.local_addr.map(|addr| addr.to_string()),
            is_away_too_long: status.is_away_too_long,
            members: members.collect(),
            ..Self::of_tree(status.namespace, &status.root)
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(8).bytes(self.namespace.as_bytes()).bytes(self.root.as_bytes());
        out.unsigned(self.entries).unsigned(self.system);
        match &self.peer_id {
            Some(peer) => out.bytes(peer.as_bytes()),
            None => out.null(),
        };
        write_text(out, self.local_addr.as_deref());
        out.bool(self.is_away_too_long).array(self.members.len() as u64);
        self.members.iter().for_each(|member| member.write(out));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ControlError> {
        fields(reader, 8)?;
        Ok(Self {
            namespace: NamespaceId::from_bytes(*reader.byte_array()?),
            root: Hash::from_bytes(*reader.byte_array()?),
            entries: reader.unsigned()?,
            system: reader.unsigned()?,
            peer_id: if reader.null() { None } else { Some(read_peer(reader)?) },
            local_addr: if reader.null() { None } else { Some(read_text(reader)?) },
            is_away_too_long: reader.bool()?,
            members: read_list(reader, MemberReport::read)?,
        })
    }
}

impl MemberReport {
    fn write(&self, out: &mut Writer<'_>) {
        out.array(6).bytes(self.peer.as_bytes());
        write_text(out, self.addr.as_ref().map(PeerAddr::to_string).as_deref());
        out.bool(self.dialled).bool(self.accepted);
        write_number(out, self.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)));
        write_number(out, self.synced.map(Timestamp::as_millis));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ControlError> {
        fields(reader, 6)?;
        Ok(Self {
            peer: read_peer(reader)?,
            addr: if reader.null() { None } else { Some(read_text(reader)?) },
            dialled: reader.bool()?,
            accepted: reader.bool()?,
            rtt: if reader.null() { None } else { Some(Duration::from_micros(reader.unsigned()?)) },
            synced: if reader.null() { None } else { Some(Timestamp::from_millis(reader.unsigned()?)) },
        })
    }
}

impl DryRunReport {
    fn write(&self, out: &mut Writer<'_>) {
        out.array(self.grants.len() as u64);
        for grant in &self.grants {
            out.bytes(grant.as_bytes());
        }
        out.array(self.keys.len() as u64);
        for (key, entry, fallback) in &self.keys {
            out.array(3).text(key.as_str()).bytes(entry.as_bytes());
            match fallback {
                Some(entry) => out.bytes(entry.as_bytes()),
                None => out.null(),
            };
        }
        out.unsigned(self.visited).bool(self.is_truncated);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ControlError> {
        Ok(Self {
            grants: read_list(reader, |reader| Ok(GrantId::from_bytes(*reader.byte_array()?)))?,
            keys: read_list(reader, |reader| {
                fields(reader, 3)?;
                let (key, entry) = (read_key(reader)?, EntryId::from_bytes(*reader.byte_array()?));
                let fallback = if reader.null() { None } else { Some(EntryId::from_bytes(*reader.byte_array()?)) };
                Ok((key, entry, fallback))
            })?,
            visited: reader.unsigned()?,
            is_truncated: reader.bool()?,
        })
    }
}

/// Items as a tool gets them.
pub(super) fn decode_items(items: Vec<Bytes>) -> Result<Vec<Item>, ControlError> {
    items.iter().map(|bytes| Item::decode(bytes).map_err(ControlError::from)).collect()
}

fn write_all(out: &mut Writer<'_>, all: &[Bytes]) {
    out.array(all.len() as u64);
    for bytes in all {
        out.bytes(bytes);
    }
}

fn write_key(out: &mut Writer<'_>, key: Option<&Key>) {
    write_text(out, key.map(Key::as_str));
}

fn write_text(out: &mut Writer<'_>, text: Option<&str>) {
    match text {
        Some(text) => out.text(text),
        None => out.null(),
    };
}

fn write_number(out: &mut Writer<'_>, number: Option<u64>) {
    match number {
        Some(number) => out.unsigned(number),
        None => out.null(),
    };
}

fn read_list<T>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, ControlError>,
) -> Result<Vec<T>, ControlError> {
    let count = reader.array()?.ok_or_else(|| ControlError::Malformed("an array without a length".into()))?;
    // Each takes a byte at least, so that a claim alone makes nothing.
    (0..count).map(|_| read(reader)).collect()
}

fn read_all(reader: &mut Reader<'_>, max: usize) -> Result<Vec<Bytes>, ControlError> {
    let claimed = { *reader }.array()?.unwrap_or_default();
    if usize::try_from(claimed).map_or(true, |claimed| claimed > max) {
        return Err(ControlError::Malformed(format!("{claimed} items where at most {max} are taken")));
    }
    read_list(reader, read_bytes)
}

fn read_bytes(reader: &mut Reader<'_>) -> Result<Bytes, ControlError> {
    Ok(Bytes::from(reader.bytes()?.into_owned()))
}

fn read_key(reader: &mut Reader<'_>) -> Result<Key, ControlError> {
    let text = reader.text()?;
    let text = std::str::from_utf8(&text).map_err(|_| ControlError::Malformed("a key that is no text".into()))?;
    Key::new(text).map_err(|err| ControlError::Malformed(err.to_string()))
}

fn read_text<T: std::str::FromStr<Err: fmt::Display>>(reader: &mut Reader<'_>) -> Result<T, ControlError> {
    let text = reader.text()?;
    let text = std::str::from_utf8(&text).map_err(|_| ControlError::Malformed("text that is none".into()))?;
    text.parse().map_err(|err: T::Err| ControlError::Malformed(err.to_string()))
}

fn read_peer(reader: &mut Reader<'_>) -> Result<PeerId, ControlError> {
    PublicKey::from_bytes(reader.byte_array()?).map_err(|err| ControlError::Malformed(err.to_string()))
}

fn fields(reader: &mut Reader<'_>, expected: u64) -> Result<(), ControlError> {
    match reader.array()? {
        Some(found) if found == expected => Ok(()),
        _ => Err(ControlError::Malformed(format!("an array that has not {expected} fields"))),
    }
}

fn ended(reader: &Reader<'_>) -> Result<(), ControlError> {
    if reader.is_at_end() { Ok(()) } else { Err(ControlError::Malformed("bytes behind the end".into())) }
}
