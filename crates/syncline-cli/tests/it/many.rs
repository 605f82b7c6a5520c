//! More keys than go into one answer of an agent.

use std::fs;
use std::sync::Arc;

use syncline_core::clock::{Clock, SystemClock};
use syncline_crypto::SigningKey;
use syncline_kv::item::{GrantDraft, Ops, Quota};
use syncline_kv::{Key, Namespace, Pattern, Tree};
use syncline_storage::MemoryDb;

use crate::world::World;

const KEYS: usize = 2_300;

/// A replica with many keys under one grant, and its id.
fn filled() -> (World, String) {
    let world = World::with_namespace();
    let (root, team) = (secret(&world, "root"), SigningKey::from_bytes(&[9; 32]));
    let namespace = Namespace::decode(&fs::read(world.path("a/namespace")).unwrap()).unwrap();
    let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace).unwrap();
    let now = SystemClock.now();
    let draft = GrantDraft {
        namespace: namespace.id(),
        parent: None,
        issuer: root.public_key(),
        audience: team.public_key(),
        pattern: Pattern::new("/many/**").unwrap(),
        ops: Ops::Write,
        depth: 0,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: tree.stamp(now).unwrap(),
    };
    let grant = tree.grant(now, &root, draft).unwrap();
    for number in 0..KEYS {
        tree.put(now, &team, &Key::new(&format!("/many/{number:05}")).unwrap(), &b"x"[..]).unwrap();
    }
    tree.put(now, &root, &Key::new("/other").unwrap(), &b"stays"[..]).unwrap();
    tree.export(&mut fs::File::create(world.path("many.bundle")).unwrap()).unwrap();
    (world, grant.id().to_string())
}

/// The key that the program has made.
fn secret(world: &World, who: &str) -> SigningKey {
    let text = fs::read_to_string(world.path(&format!("{who}.key"))).unwrap();
    let hex = text.split_whitespace().last().unwrap();
    let bytes = (0..64).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    SigningKey::from_bytes(&bytes.collect::<Vec<_>>().try_into().unwrap())
}

fn check(world: &World, grant: &str) {
    let text = world.ok("a", "root", &["kv", "import", "many.bundle"]);
    assert_eq!(text, format!("took in {} items, 0 known before, 0 refused", KEYS + 2));
    let keys = world.ok("a", "root", &["kv", "ls"]);
    assert_eq!(keys.lines().count(), KEYS + 1);
    let text = world.ok("a", "root", &["kv", "revoke", grant]);
    assert!(text.contains(&format!("unset {KEYS} keys")), "{}", text.lines().next().unwrap());
    assert_eq!(world.ok("a", "root", &["kv", "ls"]), "/other");
    // They are deleted, and not only without a grant.
    let deleted = world.ok("a", "root", &["--json", "kv", "status"]);
    let status: serde_json::Value = serde_json::from_str(&deleted).unwrap();
    assert_eq!(status["entries"], KEYS + 1, "a tombstone for each");
}

#[test]
fn on_a_database() {
    let (world, grant) = filled();
    check(&world, &grant);
}

#[test]
fn through_an_agent() {
    let (world, grant) = filled();
    let agent = world.agent("a", "root", &[]);
    check(&world, &grant);
    agent.end();
}
