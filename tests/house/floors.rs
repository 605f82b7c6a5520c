//! Arrows between crates point down only.

use super::{crates, dependencies};

/// The floor of each crate, and its side: `log`, `kv` and `workflow` stand beside each other.
const FLOORS: &[(&str, u8)] = &[
    ("syncline-core", 0),
    ("syncline-crypto", 0),
    ("syncline-storage", 0),
    ("syncline-reconcile", 0),
    ("syncline-log", 1),
    ("syncline-kv", 1),
    ("syncline-workflow", 1),
    ("syncline-keyserver", 2),
    ("syncline-raft", 2),
    ("syncline-net", 2),
    ("syncline-testkit", 2),
    ("syncline-gossip", 3),
    ("syncline-cli", 3),
    ("syncline", 3),
];

/// Pairs on one floor that may see each other, above first.
const ALLOWED: &[(&str, &str)] = &[
    ("syncline-raft", "syncline-keyserver"),
    ("syncline-reconcile", "syncline-storage"),
    ("syncline-cli", "syncline-gossip"),
    ("syncline", "syncline-gossip"),
];

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn may_depend(from: &str, to: &str) -> bool {
    match (floor(from), floor(to)) {
        (Some(from_floor), Some(to_floor)) => to_floor < from_floor || ALLOWED.contains(&(from, to)),
        _ => false,
    }
}

#[test]
fn every_crate_has_a_floor() {
    for name in crates().keys() {
        assert!(floor(name).is_some(), "{name} has no floor: add it here and to ARCHITECTURE.md");
    }
}

#[test]
fn dependencies_point_down_only() {
    for (name, manifest) in crates() {
        for dependency in dependencies(&manifest).iter().filter(|name| name.starts_with("syncline")) {
            assert!(may_depend(&name, dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_rule_itself_refuses_what_it_should() {
    assert!(!may_depend("syncline-core", "syncline-log"), "up");
    assert!(!may_depend("syncline-log", "syncline-kv"), "sideways");
    assert!(!may_depend("syncline-kv", "syncline-workflow"), "sideways");
    assert!(may_depend("syncline-keyserver", "syncline-workflow"));
    assert!(may_depend("syncline-raft", "syncline-keyserver"));
}

#[test]
fn published_crates_carry_what_registries_and_docs_need() {
    for (name, manifest) in crates() {
        let package = manifest["package"].as_table().expect("a package");
        for field in ["description", "keywords", "categories", "readme", "license", "repository", "rust-version"] {
            assert!(package.contains_key(field), "{name} has no {field}");
        }
        let docs = package.get("metadata").and_then(|metadata| metadata.get("docs")).and_then(|docs| docs.get("rs"));
        assert!(docs.is_some(), "{name} has no metadata for its documentation");
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{name} does not share the lints");
        for file in ["README.md", "CHANGELOG.md"] {
            assert!(super::root().join("crates").join(&name).join(file).exists(), "{name} has no {file}");
        }
    }
}
