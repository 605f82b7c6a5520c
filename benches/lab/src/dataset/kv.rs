//! Signed entries of a key-value store, and the grants that allow them.

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::SigningKey;
use syncline_kv::item::{EntryDraft, GrantDraft, Leaves, Ops, Quota, Value};
use syncline_kv::{Grant, Item, Key, Namespace, Pattern};

use super::{Dataset, Kind, Log, Noise, Operation};

/// Milliseconds since 1970 of the first write.
const FIRST: u64 = 1_700_000_000_000;

/// Milliseconds between a value and a later one.
const LATER: u64 = 86_400_000;

/// How many services there are, and what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Services, each with an author and a grant of its own.
    pub(crate) services: u64,
    /// Keys of each.
    pub(crate) keys: u64,
    /// Bytes of a value.
    pub(crate) value: usize,
    /// Keys that have a later value too, spread over all.
    pub(crate) updated: u64,
}

fn root() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// The namespace of all entries here.
pub(crate) fn namespace() -> Namespace {
    Namespace::new("lab", [root().public_key()]).expect("a name and a root make a namespace")
}

/// First the grants, a log of one operation each; then the keys, as logs of one or two operations: their values.
pub(super) fn dataset(shape: Shape) -> Dataset {
    let (namespace, root) = (namespace(), root());
    let mut noise = Noise::new();
    let (mut logs, mut keys) = (Vec::new(), Vec::new());
    let total = shape.services * shape.keys;
    for service in 0..shape.services {
        let mut secret = [7; 32];
        secret[..8].copy_from_slice(&service.to_le_bytes());
        let author = SigningKey::from_bytes(&secret);
        let grant = grant(&namespace, &root, &author, service);
        for nth in 0..shape.keys {
            let id = service * shape.keys + nth;
            let is_updated = (id + 1) * shape.updated / total > id * shape.updated / total;
            let path = format!("/svc/{service:05}/limits/{nth:05}");
            let draft = |at, value: &[u8]| EntryDraft {
                namespace: namespace.id(),
                key: Key::new(&path).expect("a path"),
                value: Value::from(value),
                stamp: Hlc::new(Timestamp::from_millis(at), 0),
                author: author.public_key(),
                leaves: Leaves::new([grant.id()]).expect("one"),
                previous: None,
            };
            let versions = (0..=u64::from(is_updated)).map(|version| {
                let draft = draft(FIRST + id + version * LATER, &noise.bytes(shape.value));
                operation(&Item::Entry(draft.sign(&author).expect("the author's own draft")))
            });
            let operations = versions.collect();
            keys.push(Log { author: *author.public_key().as_bytes(), id: shape.services + id, operations });
        }
        let operations = vec![operation(&Item::Grant(grant))];
        logs.push(Log { author: *root.public_key().as_bytes(), id: service, operations });
    }
    logs.append(&mut keys);
    Dataset { kind: Kind::Kv, logs }
}

/// Lets one author write the keys of one service.
fn grant(namespace: &Namespace, root: &SigningKey, author: &SigningKey, service: u64) -> Grant {
    let draft = GrantDraft {
        namespace: namespace.id(),
        parent: None,
        issuer: root.public_key(),
        audience: author.public_key(),
        pattern: Pattern::new(&format!("/svc/{service:05}/**")).expect("a pattern"),
        ops: Ops::Write,
        depth: 0,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: Hlc::new(Timestamp::from_millis(FIRST), 0),
    };
    draft.sign(root).expect("the root's own draft")
}

/// All of the item is the header.
fn operation(item: &Item) -> Operation {
    Operation { header: item.encoded().to_vec(), body: Vec::new() }
}
