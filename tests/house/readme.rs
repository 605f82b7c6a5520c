//! What the README says is so.

use super::{crates, read, root};

#[test]
fn the_table_of_crates_is_complete() {
    let readme = read(&root().join("README.md"));
    for name in crates().keys() {
        assert!(readme.contains(&format!("[`{name}`](crates/{name})")), "README.md does not list {name}");
    }
}

#[test]
fn the_two_commands_are_there_and_in_ci() {
    let readme = read(&root().join("README.md"));
    let ci = read(&root().join(".ci/run"));
    for command in ["cargo run --release --example quickstart", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md lacks {command}");
        assert!(ci.contains(command), ".ci/run does not run {command}");
    }
}

#[test]
fn the_rust_version_is_the_manifests() {
    let manifest = super::manifest(&root().join("Cargo.toml"));
    let version = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version");
    assert!(
        read(&root().join("README.md")).contains(&format!("Rust {version}")),
        "README.md names another Rust version"
    );
}

#[test]
fn every_example_is_listed() {
    let manifest = super::manifest(&root().join("examples/Cargo.toml"));
    let readme = read(&root().join("README.md"));
    for example in manifest["example"].as_array().expect("examples") {
        let name = example["name"].as_str().expect("a name");
        assert!(readme.contains(&format!("`{name}`")), "README.md does not list the example {name}");
    }
}

#[test]
fn architecture_is_short_and_knows_every_crate() {
    let text = read(&root().join("ARCHITECTURE.md"));
    assert!(text.lines().count() <= 200, "ARCHITECTURE.md has more than 200 lines");
    for name in crates().keys() {
        assert!(text.contains(name.as_str()), "ARCHITECTURE.md does not mention {name}");
    }
}
