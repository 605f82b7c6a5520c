//! What is in `kv.json`. Bytes are hex; numbers are text, since many readers of JSON have no integers of 64 bits.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Vectors {
    pub(crate) about: String,
    /// The time at which the steps of histories are applied.
    pub(crate) now: String,
    pub(crate) paths: Paths,
    pub(crate) signers: BTreeMap<String, SignerVector>,
    pub(crate) namespaces: Vec<NamespaceVector>,
    pub(crate) objects: Vec<ObjectVector>,
    pub(crate) malformed: Vec<Malformed>,
    pub(crate) histories: Vec<History>,
    pub(crate) bundle: Bundle,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignerVector {
    pub(crate) secret_key: String,
    pub(crate) public_key: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Paths {
    pub(crate) keys: Vec<String>,
    pub(crate) refused_keys: Vec<RefusedText>,
    pub(crate) refused_patterns: Vec<RefusedText>,
    pub(crate) matches: Vec<Matches>,
    pub(crate) inclusions: Vec<Inclusions>,
    pub(crate) overlaps: Vec<Overlap>,
    /// Pattern to the path of the subtree that it is.
    pub(crate) subtrees: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefusedText {
    pub(crate) text: String,
    /// How often the text is repeated.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub(crate) times: usize,
    pub(crate) error: String,
}

fn once() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_once(times: &usize) -> bool {
    *times == 1
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Matches {
    pub(crate) pattern: String,
    pub(crate) has: Vec<String>,
    pub(crate) has_not: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Inclusions {
    pub(crate) held: Vec<String>,
    pub(crate) wanted: String,
    /// None if all is included; else a shortest key that is not. Another of that length is as good.
    pub(crate) witness: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Overlap {
    pub(crate) one: String,
    pub(crate) other: String,
    /// A key of both, if there is one. Another is as good.
    pub(crate) common: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NamespaceVector {
    pub(crate) name: String,
    /// Names of signers.
    pub(crate) roots: Vec<String>,
    pub(crate) rotation_threshold: u8,
    pub(crate) on_revoke: String,
    pub(crate) reads: String,
    pub(crate) encoded: String,
    pub(crate) id: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ObjectVector {
    pub(crate) name: String,
    pub(crate) namespace: String,
    #[serde(flatten)]
    pub(crate) fields: Fields,
    pub(crate) body: String,
    pub(crate) id: String,
    /// Kind byte, body, signature or signatures.
    pub(crate) item: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Fields {
    Entry(EntryFields),
    Grant(GrantFields),
    Revocation(RevocationFields),
    Rotation(RotationFields),
}

/// Keys are names of signers, ids are hex.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EntryFields {
    pub(crate) key: String,
    pub(crate) value: ValueFields,
    pub(crate) stamp: String,
    pub(crate) author: String,
    pub(crate) leaves: Vec<String>,
    pub(crate) previous: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueFields {
    Inline(String),
    Blob { hash: String, len: String },
    Tombstone,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GrantFields {
    pub(crate) parent: Option<String>,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) pattern: String,
    pub(crate) ops: u8,
    pub(crate) depth: u8,
    pub(crate) not_before: Option<String>,
    pub(crate) not_after: Option<String>,
    pub(crate) quota_entries: Option<String>,
    pub(crate) quota_bytes: Option<String>,
    pub(crate) stamp: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RevocationFields {
    pub(crate) grant: String,
    pub(crate) revoker: String,
    pub(crate) stamp: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RotationFields {
    pub(crate) index: String,
    pub(crate) previous: String,
    pub(crate) roots: Vec<String>,
    /// Signer to cut.
    pub(crate) retired: BTreeMap<String, String>,
    pub(crate) stamp: String,
    pub(crate) signed_by: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Malformed {
    pub(crate) name: String,
    /// A namespace's description, or an item.
    pub(crate) namespace: bool,
    pub(crate) bytes: String,
    /// The error's name, then that of what is in it.
    pub(crate) error: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) steps: Vec<Step>,
    /// Each key's deciding entry by its name, none if there is none.
    pub(crate) decides: BTreeMap<String, Option<String>>,
    /// Names of signers, in rising order of their keys.
    pub(crate) roots: Vec<String>,
    pub(crate) entries: u64,
    pub(crate) system: u64,
    pub(crate) root: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) item: String,
    pub(crate) verdict: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bundle {
    pub(crate) namespace: String,
    /// The objects in it, in their order.
    pub(crate) items: Vec<String>,
    pub(crate) bytes: String,
    pub(crate) damaged: Vec<Damaged>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Damaged {
    pub(crate) name: String,
    pub(crate) bytes: String,
    pub(crate) error: String,
}

pub(crate) fn read() -> Vectors {
    let text = std::fs::read_to_string(super::path("kv.json")).expect("the file is there");
    serde_json::from_str(&text).expect("the file is of this form")
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Bytes {
    assert!(text.len().is_multiple_of(2), "{text}");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}

pub(crate) fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// The names in what `Debug` writes of an error: `Key(DotSegment { at: 1 })` is `Key DotSegment`.
pub(crate) fn name_of(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '(').unwrap_or(text.len());
    let names = text[..end].split('(').filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()));
    names.collect::<Vec<_>>().join(" ")
}
