//! The vectors of `docs/spec/reconcile-storage.md`.

use super::*;

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/reconcile-storage.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The set that the vectors are about.
fn example() -> MemoryDb {
    let set = StoredSet::with_symbols(b"v", &SetKey::from_bytes([7; 32]), 3);
    let db = MemoryDb::new();
    let items =
        [("a", 0x01), ("a", 0x02), ("b\0", anchor())].map(|(key, n)| Item::new(key, ItemId::from_bytes([n; 32])));
    commit(&db, &set, |change| items.iter().for_each(|item| change.insert(item).unwrap()));
    commit(&db, &set, |change| assert!(change.remove(&items[1]).unwrap()));
    set.check(&*db.snapshot().unwrap()).unwrap();
    db
}

/// The least byte of which 32 make an id of level 1.
fn anchor() -> u8 {
    let level = |n: u8| layout::level_of(&Fingerprint::of(&SetKey::from_bytes([7; 32]), &ItemId::from_bytes([n; 32])));
    (3..=255).find(|n| level(*n) == 1).unwrap()
}

use crate::ItemId;

#[test]
fn rows_are_as_specified() {
    let text = std::fs::read_to_string(SPEC).unwrap();
    let table = text.split("| key | value |\n|---|---|\n").nth(1).unwrap();
    let specified: Vec<String> = table.lines().take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    let stored: Vec<String> = rows(&*example().snapshot().unwrap(), KeyRange::all())
        .into_iter()
        .map(|(key, value)| {
            // Long rows are given by their hash.
            let shown = if value.len() > 64 {
                format!("{} bytes, BLAKE3 `{}`", value.len(), blake3::hash(&value))
            } else if value.is_empty() {
                "(empty)".to_owned()
            } else {
                format!("`{}`", hex(&value))
            };
            format!("| `{}` | {shown} |", hex(&key))
        })
        .collect();
    assert_eq!(specified, stored, "\n{}\n{}", anchor(), stored.join("\n"));
}
