//! Keeps the layering of the workspace, as ARCHITECTURE.md describes it, by reading manifests and sources.

#![expect(clippy::expect_used, reason = "what a test cannot read it cannot judge")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

mod engines;
mod floors;
mod readme;
mod runtimes;

/// The workspace's root folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in a folder of the root").to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

fn manifest(path: &Path) -> toml::Table {
    read(path).parse().unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// The manifests of all crates under `crates/`, by name.
fn crates() -> BTreeMap<String, toml::Table> {
    let folder = root().join("crates");
    let entries = fs::read_dir(&folder).expect("the folder crates exists");
    let manifests = entries.filter_map(|entry| {
        let path = entry.expect("the folder can be listed").path().join("Cargo.toml");
        path.exists().then(|| manifest(&path))
    });
    manifests.map(|manifest| (manifest["package"]["name"].as_str().expect("a name").to_owned(), manifest)).collect()
}

/// The names of what a manifest depends on at run time.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// All Rust sources below a folder, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display())) {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// The lines of a source that are code, without comments and without what follows a unit test module's head.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.take_while(|(_, line)| *line != "mod tests {").filter(|(_, line)| !line.starts_with("//"))
}
