//! Concrete engines are seen only by the module that adapts them, so they cannot be in a public signature elsewhere.

use super::{code_lines, root, sources};

/// An engine, and the folders or files that may name it.
const ADAPTERS: &[(&str, &[&str])] = &[
    ("redb::", &["crates/syncline-storage/src/redb", "crates/syncline-testkit/src/disk"]),
    ("quinn::", &["crates/syncline-net/src/quic"]),
    ("foca::", &["crates/syncline-gossip/src/swim"]),
    ("rustls::", &["crates/syncline-net/src/quic"]),
    ("ed25519_dalek::", &["crates/syncline-crypto/src/signing_key", "crates/syncline-crypto/src/public_key"]),
    ("ed25519_zebra::", &["crates/syncline-crypto/src/batch", "crates/syncline-crypto/src/verify"]),
];

/// Whether code names a crate: `redb::X`, `use redb::X`, but not `crate::redb::X`.
fn names(code: &str, engine: &str) -> bool {
    code.match_indices(engine).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':')
    })
}

#[test]
fn engines_stay_in_their_adapters() {
    for (path, text) in sources(&root().join("crates")) {
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        if !relative.contains("/src/") || relative.ends_with("tests.rs") || relative.contains("/tests/") {
            continue;
        }
        for (line, code) in code_lines(&text) {
            for (engine, homes) in ADAPTERS {
                let at_home = homes.iter().any(|home| relative.starts_with(home));
                assert!(at_home || !names(code, engine), "{relative}:{line} names {engine}: {code}");
            }
        }
    }
}

#[test]
fn the_rule_itself_tells_a_crate_from_a_module() {
    assert!(names("use redb::Database;", "redb::"));
    assert!(names("fn open(db: redb::Database)", "redb::"));
    assert!(!names("use crate::redb::RedbDb;", "redb::"));
    assert!(!names("use super::myredb::X;", "redb::"));
}
