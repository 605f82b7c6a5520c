//! What `--json` prints. Each line is one of these objects; `type` says which. Fields are only ever added.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use syncline_crypto::PublicKey;
use syncline_kv::item::Ops;
use syncline_kv::{Entry, Grant, Value};

use crate::failure::Code;
use crate::times::rfc3339;

/// What went wrong; goes to standard error.
#[derive(Debug, Serialize)]
pub struct Failed<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub code: Code,
    pub message: &'a str,
    pub hints: &'a [String],
}

/// A key that was made.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "key")]
pub struct KeyRecord {
    pub public_key: PublicKey,
    pub path: String,
}

/// A namespace that was described.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "namespace")]
pub struct NamespaceRecord {
    pub id: String,
    pub name: String,
    pub roots: Vec<PublicKey>,
    pub rotation_threshold: u8,
    pub on_revoke: &'static str,
    pub reads: &'static str,
}

impl NamespaceRecord {
    pub fn of(namespace: &syncline_kv::Namespace) -> Self {
        use syncline_kv::item::{OnRevoke, Reads};
        Self {
            id: namespace.id().to_string(),
            name: namespace.name().to_owned(),
            roots: namespace.roots().to_vec(),
            rotation_threshold: namespace.rotation_threshold(),
            on_revoke: match namespace.on_revoke() {
                OnRevoke::Unset => "unset",
                OnRevoke::Fallback => "fallback",
            },
            reads: match namespace.reads() {
                Reads::Granted => "granted",
                Reads::Public => "public",
            },
        }
    }
}

/// An entry: the value of a key, or its deletion.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "entry")]
pub struct EntryRecord {
    pub key: String,
    /// Null if it was deleted.
    #[serde(serialize_with = "value")]
    pub value: Value,
    pub entry: String,
    pub author: PublicKey,
    pub at: String,
    pub grants: Vec<String>,
    pub previous: Option<String>,
}

impl EntryRecord {
    pub fn of(entry: &Entry) -> Self {
        Self {
            key: entry.key().to_string(),
            value: entry.value().clone(),
            entry: entry.id().to_string(),
            author: *entry.author(),
            at: rfc3339(entry.stamp().wall()),
            grants: entry.leaves().as_slice().iter().map(ToString::to_string).collect(),
            previous: entry.previous().map(|id| id.to_string()),
        }
    }
}

/// `{"text": …}` if the bytes are UTF-8, else `{"hex": …}`; `{"blob": hash, "len": …}` for what is kept elsewhere.
fn value<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Tombstone => serializer.serialize_none(),
        Value::Inline(bytes) => {
            let mut map = serializer.serialize_map(Some(1))?;
            match std::str::from_utf8(bytes) {
                Ok(text) => map.serialize_entry("text", text)?,
                Err(_) => map.serialize_entry("hex", &hex(bytes))?,
            }
            map.end()
        }
        Value::Blob(blob) => {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("blob", &blob.hash)?;
            map.serialize_entry("len", &blob.len)?;
            map.end()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is behind which everything of a watch is news.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "live")]
pub struct LiveRecord {}

/// A key of a watch that has no value any more.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "removed")]
pub struct RemovedRecord {
    pub key: String,
}

/// A grant.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "grant")]
pub struct GrantRecord {
    pub id: String,
    pub parent: Option<String>,
    pub issuer: PublicKey,
    pub audience: PublicKey,
    pub pattern: String,
    pub ops: &'static str,
    pub depth: u8,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    pub entries: Option<u64>,
    pub bytes: Option<u64>,
    pub at: String,
    /// `live`, `revoked`, `expired`, `not-yet`, or `dead` if a root behind it is not trusted any more.
    pub state: &'static str,
}

impl GrantRecord {
    pub fn of(grant: &Grant, state: &'static str) -> Self {
        let fields = grant.fields();
        Self {
            id: grant.id().to_string(),
            parent: fields.parent.map(|id| id.to_string()),
            issuer: fields.issuer,
            audience: fields.audience,
            pattern: fields.pattern.to_string(),
            ops: ops(fields.ops),
            depth: fields.depth,
            not_before: fields.not_before.map(rfc3339),
            not_after: fields.not_after.map(rfc3339),
            entries: fields.quota.entries,
            bytes: fields.quota.bytes,
            at: rfc3339(fields.stamp.wall()),
            state,
        }
    }
}

/// The operations as the command line has them.
pub fn ops(ops: Ops) -> &'static str {
    match ops {
        Ops::Read => "read",
        Ops::Write => "write",
        Ops::ReadWrite => "read-write",
    }
}

/// What is to be signed elsewhere.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "unsigned")]
pub struct UnsignedRecord {
    pub path: String,
    pub issuer: PublicKey,
}

/// What was signed for elsewhere.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "signed")]
pub struct SignedRecord {
    pub path: String,
    pub grant: String,
}

/// A revocation that was made, or looked at beforehand.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "revocation")]
pub struct RevocationRecord {
    /// Null if it was only looked at.
    pub revocation: Option<String>,
    pub grant: String,
    pub dry_run: bool,
    /// Live grants that end: this one and those below it. Null when it was done.
    pub grants: Option<Vec<String>>,
    /// Keys that lose their value. Under the policy `fallback` null when it was done: they are not looked for.
    pub unset: Option<Vec<String>>,
    /// Keys that get an older value.
    pub fallback: Vec<String>,
}

/// Why somebody may do something, or may not.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "explanation")]
pub struct ExplanationRecord {
    pub who: PublicKey,
    pub key: String,
    pub op: &'static str,
    pub allowed: bool,
    /// `root`, `public`, `grants` or `denied`.
    pub by: &'static str,
    /// The chains that allow it, each from the root down.
    pub chains: Vec<Vec<String>>,
    /// Why not; null if it is allowed.
    pub reason: Option<String>,
    /// What each grant lacks.
    pub misses: Vec<MissRecord>,
}

#[derive(Debug, Serialize)]
pub struct MissRecord {
    pub grant: String,
    pub reason: String,
}

/// Somebody who may do something.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "authorized")]
pub struct AuthorizedRecord {
    pub who: PublicKey,
    pub by: &'static str,
    pub grants: Vec<String>,
}

/// A bundle that was written.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "export")]
pub struct ExportRecord {
    pub bytes: u64,
}

/// A bundle that was read.
#[derive(Debug, Default, Serialize)]
#[serde(tag = "type", rename = "import")]
pub struct ImportRecord {
    pub new: u64,
    pub known: u64,
    pub refused: u64,
    /// Why, of the first that were refused.
    pub reasons: Vec<String>,
}

/// What a replica has and how it is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "status")]
pub struct StatusRecord {
    pub namespace: String,
    pub name: String,
    /// Equal on two replicas exactly if they have the same.
    pub root: String,
    pub entries: u64,
    pub system: u64,
    /// Whether an agent runs.
    pub agent: bool,
    pub peer_id: Option<PublicKey>,
    pub listen: Option<String>,
    pub members: Vec<MemberRecord>,
    pub away_too_long: bool,
}

/// A peer of an agent.
#[derive(Debug, Serialize)]
pub struct MemberRecord {
    pub peer: PublicKey,
    pub addr: Option<String>,
    pub up: bool,
    /// When the last complete session with it began.
    pub synced: Option<String>,
}

/// An agent that is ready.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "agent")]
pub struct AgentRecord {
    pub peer_id: PublicKey,
    /// What others give as --peer; null if it does not listen.
    pub addr: Option<String>,
    pub socket: String,
}
