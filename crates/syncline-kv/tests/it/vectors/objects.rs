//! Namespaces and signed objects, from their fields.

use std::collections::BTreeMap;

use bytes::Bytes;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Ed25519, Hash, PublicKey, SignedMessage, SigningKey, Verifier as _};
use syncline_kv::item::{
    BlobRef, Endorsements, EntryDraft, GrantDraft, Item, Leaves, Namespace, OnRevoke, Ops, Quota, Reads,
    RevocationDraft, RotateDraft, Unsigned, Value,
};
use syncline_kv::path::{Key, Pattern};

use super::file::{
    EntryFields, Fields, GrantFields, NamespaceVector, ObjectVector, RotationFields, SignerVector, ValueFields,
    Vectors, hex, number, unhex,
};

/// Everything that is signed, for the other parts of the file.
pub(crate) struct Objects {
    pub(crate) signers: BTreeMap<String, SignerVector>,
    pub(crate) namespaces: Vec<NamespaceVector>,
    pub(crate) objects: Vec<ObjectVector>,
}

impl Objects {
    pub(crate) fn new() -> Self {
        let names = ["root", "second root", "team", "member", "outsider", "third root"];
        let signers = names.iter().zip(1..).map(|(name, seed)| {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let vector = SignerVector { secret_key: hex([seed; 32]), public_key: key.public_key().to_string() };
            ((*name).to_owned(), vector)
        });
        Self { signers: signers.collect(), namespaces: Vec::new(), objects: Vec::new() }
    }

    fn add_namespace(&mut self, name: &str, roots: &[&str], threshold: u8, on_revoke: &str, reads: &str) {
        let mut vector = NamespaceVector {
            name: name.to_owned(),
            roots: roots.iter().map(|root| (*root).to_owned()).collect(),
            rotation_threshold: threshold,
            on_revoke: on_revoke.to_owned(),
            reads: reads.to_owned(),
            encoded: String::new(),
            id: String::new(),
        };
        let namespace = namespace(&self.signers, &vector);
        (vector.encoded, vector.id) = (hex(namespace.encoded()), namespace.id().to_string());
        self.namespaces.push(vector);
    }

    /// Adds an object and gives its id.
    pub(crate) fn add(&mut self, namespace: &str, name: &str, fields: Fields) -> String {
        assert!(self.objects.iter().all(|known| known.name != name), "{name} is there already");
        let (body, item) = build(&self.signers, namespace_id(&self.namespaces, namespace), &fields);
        let id = hex(item.id_bytes());
        self.objects.push(ObjectVector {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            fields,
            body: hex(body),
            id: id.clone(),
            item: hex(item.encoded()),
        });
        id
    }

    pub(crate) fn get(&self, name: &str) -> &ObjectVector {
        self.objects.iter().find(|object| object.name == name).unwrap_or_else(|| panic!("no object {name}"))
    }
}

pub(crate) fn made() -> Objects {
    let mut objects = Objects::new();
    objects.add_namespace("vectors", &["root", "second root"], 2, "unset", "granted");
    objects.add_namespace("fallback", &["root"], 1, "fallback", "public");
    objects.add_namespace("other", &["team"], 1, "unset", "granted");
    super::histories::add_objects(&mut objects);
    objects
}

pub(crate) fn signer(signers: &BTreeMap<String, SignerVector>, name: &str) -> SigningKey {
    let vector = signers.get(name).unwrap_or_else(|| panic!("no signer {name}"));
    let key = SigningKey::from_bytes(&bytes_32(&vector.secret_key));
    assert_eq!(key.public_key().to_string(), vector.public_key, "{name}");
    key
}

fn public(signers: &BTreeMap<String, SignerVector>, name: &str) -> PublicKey {
    signer(signers, name).public_key()
}

fn bytes_32(text: &str) -> [u8; 32] {
    unhex(text)[..].try_into().expect("32 bytes")
}

fn id<T: From<Hash>>(text: &str) -> T {
    Hash::from_bytes(bytes_32(text)).into()
}

fn stamp(text: &str) -> Hlc {
    Hlc::from_bits(number(text))
}

fn namespace_id(namespaces: &[NamespaceVector], name: &str) -> [u8; 32] {
    let found = namespaces.iter().find(|namespace| namespace.name == name);
    bytes_32(&found.unwrap_or_else(|| panic!("no namespace {name}")).id)
}

pub(crate) fn namespace(signers: &BTreeMap<String, SignerVector>, vector: &NamespaceVector) -> Namespace {
    let on_revoke = match vector.on_revoke.as_str() {
        "unset" => OnRevoke::Unset,
        "fallback" => OnRevoke::Fallback,
        other => panic!("{other}"),
    };
    let reads = match vector.reads.as_str() {
        "granted" => Reads::Granted,
        "public" => Reads::Public,
        other => panic!("{other}"),
    };
    Namespace::new(&vector.name, vector.roots.iter().map(|root| public(signers, root)))
        .and_then(|namespace| namespace.with_rotation_threshold(vector.rotation_threshold))
        .and_then(|namespace| namespace.with_on_revoke(on_revoke))
        .and_then(|namespace| namespace.with_reads(reads))
        .expect("a namespace")
}

/// The namespace of this name in the file.
pub(crate) fn namespace_named(file: &Vectors, name: &str) -> Namespace {
    let vector = file.namespaces.iter().find(|namespace| namespace.name == name);
    namespace(&file.signers, vector.unwrap_or_else(|| panic!("no namespace {name}")))
}

type Signers = BTreeMap<String, SignerVector>;

/// Body and item.
fn build(signers: &Signers, namespace: [u8; 32], fields: &Fields) -> (Bytes, Item) {
    match fields {
        Fields::Entry(fields) => {
            let unsigned = entry(signers, namespace, fields).unsigned().expect("an entry");
            (unsigned.body().clone(), signed(0, signers, &fields.author, &unsigned))
        }
        Fields::Grant(fields) => {
            let unsigned = grant(signers, namespace, fields).unsigned().expect("a grant");
            (unsigned.body().clone(), signed(1, signers, &fields.issuer, &unsigned))
        }
        Fields::Revocation(fields) => {
            let unsigned = RevocationDraft {
                namespace: Hash::from_bytes(namespace).into(),
                grant: id(&fields.grant),
                revoker: public(signers, &fields.revoker),
                stamp: stamp(&fields.stamp),
            }
            .unsigned();
            (unsigned.body().clone(), signed(2, signers, &fields.revoker, &unsigned))
        }
        Fields::Rotation(fields) => rotation(signers, namespace, fields),
    }
}

fn signed(kind: u8, signers: &Signers, by: &str, unsigned: &Unsigned) -> Item {
    let signature = signer(signers, by).sign(&unsigned.message());
    let mut bytes = vec![kind];
    bytes.extend(unsigned.complete(&signature));
    Item::decode(&bytes.into()).expect("a well-formed item")
}

fn entry(signers: &Signers, namespace: [u8; 32], fields: &EntryFields) -> EntryDraft {
    EntryDraft {
        namespace: Hash::from_bytes(namespace).into(),
        key: Key::new(&fields.key).expect("a key"),
        value: match &fields.value {
            ValueFields::Inline(bytes) => Value::Inline(unhex(bytes)),
            ValueFields::Blob { hash, len } => {
                Value::Blob(BlobRef { hash: Hash::from_bytes(bytes_32(hash)), len: number(len) })
            }
            ValueFields::Tombstone => Value::Tombstone,
        },
        stamp: stamp(&fields.stamp),
        author: public(signers, &fields.author),
        leaves: Leaves::new(fields.leaves.iter().map(|leaf| id(leaf))).expect("at most four"),
        previous: fields.previous.as_deref().map(id),
    }
}

fn grant(signers: &Signers, namespace: [u8; 32], fields: &GrantFields) -> GrantDraft {
    let millis = |text: &Option<String>| text.as_deref().map(|text| Timestamp::from_millis(number(text)));
    GrantDraft {
        namespace: Hash::from_bytes(namespace).into(),
        parent: fields.parent.as_deref().map(id),
        issuer: public(signers, &fields.issuer),
        audience: public(signers, &fields.audience),
        pattern: Pattern::new(&fields.pattern).expect("a pattern"),
        ops: match fields.ops {
            1 => Ops::Read,
            2 => Ops::Write,
            3 => Ops::ReadWrite,
            other => panic!("{other}"),
        },
        depth: fields.depth,
        not_before: millis(&fields.not_before),
        not_after: millis(&fields.not_after),
        quota: Quota {
            entries: fields.quota_entries.as_deref().map(number),
            bytes: fields.quota_bytes.as_deref().map(number),
        },
        stamp: stamp(&fields.stamp),
    }
}

fn rotation(signers: &Signers, namespace: [u8; 32], fields: &RotationFields) -> (Bytes, Item) {
    let mut roots: Vec<PublicKey> = fields.roots.iter().map(|root| public(signers, root)).collect();
    roots.sort_unstable();
    let retired = fields.retired.iter().map(|(root, cut)| (public(signers, root), stamp(cut)));
    let draft = RotateDraft {
        namespace: Hash::from_bytes(namespace).into(),
        index: number(&fields.index),
        previous: id(&fields.previous),
        roots,
        retired: retired.collect(),
        stamp: stamp(&fields.stamp),
    };
    let mut endorsements = Endorsements::new(&draft).expect("a rotation");
    let mut body = Bytes::new();
    for name in &fields.signed_by {
        let signer = signer(signers, name);
        let unsigned = draft.unsigned(signer.public_key()).expect("a rotation");
        endorsements.add(signer.public_key(), signer.sign(&unsigned.message()));
        body = unsigned.body().clone();
    }
    (body, endorsements.finish().expect("signed").into())
}

pub(crate) fn check_namespace(file: &Vectors, vector: &NamespaceVector) {
    let built = namespace(&file.signers, vector);
    assert_eq!(hex(built.encoded()), vector.encoded, "{}", vector.name);
    let decoded = Namespace::decode(&unhex(&vector.encoded)).expect("it decodes");
    assert_eq!((decoded.id().to_string(), &decoded), (vector.id.clone(), &built), "{}", vector.name);
    assert_eq!(id_by_hand(b"syncline/kv/namespace/v1", &vector.encoded), vector.id, "{}", vector.name);
}

pub(crate) fn check(file: &Vectors, vector: &ObjectVector) {
    let (body, item) = build(&file.signers, namespace_id(&file.namespaces, &vector.namespace), &vector.fields);
    assert_eq!(hex(&body), vector.body, "{}", vector.name);
    assert_eq!(hex(item.encoded()), vector.item, "{}", vector.name);
    let decoded = Item::decode(&unhex(&vector.item)).expect("it decodes");
    assert_eq!((hex(decoded.id_bytes()), &decoded), (vector.id.clone(), &item), "{}", vector.name);
    assert_eq!(&vector.item[2..2 + vector.body.len()], vector.body, "{}", vector.name);
    let (domain, signers): (&[u8], Vec<&str>) = match &vector.fields {
        Fields::Entry(fields) => (b"syncline/kv/entry/v1", vec![&fields.author]),
        Fields::Grant(fields) => (b"syncline/kv/grant/v1", vec![&fields.issuer]),
        Fields::Revocation(fields) => (b"syncline/kv/revocation/v1", vec![&fields.revoker]),
        Fields::Rotation(fields) => (b"syncline/kv/rotation/v1", fields.signed_by.iter().map(String::as_str).collect()),
    };
    assert_eq!(id_by_hand(domain, &vector.body), vector.id, "{}", vector.name);
    let message = message_by_hand(domain, &vector.body);
    for name in signers {
        let (key, signature) = (public(&file.signers, name), signer(&file.signers, name).sign(&message));
        assert!(vector.item.contains(&signature.to_string()), "{}", vector.name);
        Ed25519.verify(SignedMessage::new(&key, &message, &signature)).expect("it counts");
    }
}

/// One byte with the length of the tag, the tag, the body.
fn message_by_hand(tag: &[u8], body: &str) -> Vec<u8> {
    let mut message = vec![u8::try_from(tag.len()).expect("a short tag")];
    message.extend(tag);
    message.extend(unhex(body));
    message
}

fn id_by_hand(tag: &[u8], body: &str) -> String {
    Hash::digest(&message_by_hand(tag, body)).to_string()
}
