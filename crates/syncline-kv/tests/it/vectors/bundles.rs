//! A bundle, and files that are none.

use std::sync::Arc;

use syncline_core::clock::Timestamp;
use syncline_kv::item::Item;
use syncline_kv::tree::{BundleError, Import, ImportReport, Tree};
use syncline_storage::MemoryDb;

use super::file::{Bundle, Damaged, Fields, Vectors, hex, name_of, number, unhex};
use super::histories::NOW;
use super::objects::{Objects, namespace, namespace_named};

/// What the bundle is made of, in no order.
const ITEMS: [&str; 10] = [
    "unset",
    "state by two grants",
    "at the beginning",
    "same stamp, root",
    "member's grant revoked by the team",
    "member's own grant",
    "member's grant",
    "over-broad grant",
    "third root for the second",
    "team's grant",
];

pub(crate) fn made(objects: &Objects) -> Bundle {
    let vector = &objects.namespaces[0];
    let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace(&objects.signers, vector)).expect("memory opens");
    let items = ITEMS.map(|name| Item::decode(&unhex(&objects.get(name).item)).expect("well-formed"));
    tree.apply(Timestamp::from_millis(NOW), items.to_vec()).expect("memory does not fail");
    let mut bytes = Vec::new();
    tree.export(&mut bytes).expect("memory does not fail");
    let text = hex(&bytes);
    let mut found: Vec<(usize, &str)> =
        ITEMS.iter().filter_map(|name| Some((text.find(&objects.get(name).item)?, *name))).collect();
    found.sort_unstable();
    Bundle {
        namespace: vector.name.clone(),
        items: found.into_iter().map(|(_, name)| name.to_owned()).collect(),
        damaged: damaged(&bytes, &objects.namespaces[1].encoded),
        bytes: text,
    }
}

/// 16 bytes of magic, a length, the description, and so on; at the end a length of 0 and 32 bytes.
fn damaged(bytes: &[u8], other: &str) -> Vec<Damaged> {
    let (len, mut all) = (bytes.len(), Vec::new());
    let mut add = |name: &str, bytes: &[u8], error: &str| {
        all.push(Damaged { name: name.to_owned(), bytes: hex(bytes), error: error.to_owned() });
    };
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    add("no bytes", &[], "Truncated");
    add("another version", &changed(13, b"2"), "Magic");
    add("cut within the description", &bytes[..40], "Truncated");
    add("cut within an item", &bytes[..len - 100], "Truncated");
    add("cut within the hash", &bytes[..len - 1], "Truncated");
    add("no description", &changed(16, &[0; 4]), "Truncated");
    add("a description that cannot be read", &changed(20, &[0x84]), "Namespace Fields");
    add("a record that is too long", &changed(16, &[0, 0x10, 0x10, 1]), "TooLong");
    add("another hash", &changed(len - 1, &[bytes[len - 1] ^ 1]), "Hash");
    let other = unhex(other);
    let mut stranger = bytes[..16].to_vec();
    stranger.extend(u32::try_from(other.len()).expect("a short description").to_be_bytes());
    stranger.extend(&other);
    add("of another namespace", &stranger, "OtherNamespace");
    all
}

fn import(file: &Vectors, bytes: &[u8]) -> Result<(Tree, ImportReport), BundleError> {
    let namespace = namespace_named(file, &file.bundle.namespace);
    let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace).expect("memory opens");
    let report = Import::open(bytes)?.apply_to(&tree, Timestamp::from_millis(NOW))?;
    Ok((tree, report))
}

pub(crate) fn check(file: &Vectors) {
    let bytes = unhex(&file.bundle.bytes);
    let (tree, report) = import(file, &bytes).expect("it is whole");
    assert_eq!((report.new, report.refused), (file.bundle.items.len() as u64, 0), "{report:?}");
    let mut again = Vec::new();
    tree.export(&mut again).expect("memory does not fail");
    assert_eq!(again, bytes);
    let places: Vec<_> = file.bundle.items.iter().map(|name| place(file, name)).collect();
    assert!(places.is_sorted() && places.len() >= 8, "{places:?}");
    let mut rest = &bytes[20 + unhex(&encoded(file)).len()..];
    for name in &file.bundle.items {
        let item = unhex(&file.objects.iter().find(|object| object.name == *name).expect("known").item);
        let record = [&u32::try_from(item.len()).expect("short").to_be_bytes()[..], &item].concat();
        rest = rest.strip_prefix(&record[..]).unwrap_or_else(|| panic!("{name} is not there"));
    }
    assert_eq!(rest.len(), 36, "a length of 0 and the hash");
    assert!(file.bundle.damaged.len() >= 8);
    for vector in &file.bundle.damaged {
        let error = import(file, &unhex(&vector.bytes)).map(|_| ()).expect_err(&vector.name);
        assert_eq!(name_of(&error), vector.error, "{}", vector.name);
    }
}

/// Where an item stands: by kind; rotations by index, grants by falling depth, entries by key; then by id.
fn place(file: &Vectors, name: &str) -> (u8, u64, String, String) {
    let object = file.objects.iter().find(|object| object.name == name).expect("known");
    let id = object.id.clone();
    match &object.fields {
        Fields::Rotation(fields) => (0, number(&fields.index), String::new(), id),
        Fields::Grant(fields) => (1, u64::from(7 - fields.depth), String::new(), id),
        Fields::Revocation(_) => (2, 0, String::new(), id),
        Fields::Entry(fields) => (3, 0, fields.key.clone(), id),
    }
}

fn encoded(file: &Vectors) -> String {
    let vector = file.namespaces.iter().find(|namespace| namespace.name == file.bundle.namespace);
    vector.expect("a namespace").encoded.clone()
}
