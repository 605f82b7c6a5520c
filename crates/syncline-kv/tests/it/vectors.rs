//! `docs/spec/vectors/kv.json` and `kv-storage.json`: objects, paths, histories, bundles and rows, byte by byte.
//!
//! The readers take only what the files say and build everything from its fields again. The ignored tests write the files.

mod bundles;
mod file;
mod histories;
mod malformed;
mod objects;
mod paths;
mod storage;

use std::path::PathBuf;

use file::{Vectors, read};

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "docs", "spec", "vectors", name].iter().collect()
}

fn made() -> Vectors {
    let objects = objects::made();
    let malformed = malformed::made(&objects);
    let histories = histories::made(&objects);
    let bundle = bundles::made(&objects);
    Vectors {
        about: "Objects, paths, histories and bundles of a key/value tree. See kv.md. Bytes are hex; numbers are text."
            .into(),
        now: histories::NOW.to_string(),
        paths: paths::made(),
        signers: objects.signers,
        namespaces: objects.namespaces,
        objects: objects.objects,
        malformed,
        histories,
        bundle,
    }
}

fn as_text<T: serde::Serialize>(vectors: &T) -> String {
    serde_json::to_string_pretty(vectors).expect("plain data") + "\n"
}

#[test]
fn the_files_are_what_is_made() {
    let found = std::fs::read_to_string(path("kv.json")).expect("the file is there");
    assert!(as_text(&made()) == found, "docs/spec/vectors/kv.json: see `writes_the_files`");
    let found = std::fs::read_to_string(path("kv-storage.json")).expect("the file is there");
    assert!(as_text(&storage::made()) == found, "docs/spec/vectors/kv-storage.json: see `writes_the_files`");
}

#[test]
#[ignore = "writes docs/spec/vectors/kv.json and kv-storage.json; run with `-- --ignored writes_the_files`"]
fn writes_the_files() {
    std::fs::write(path("kv.json"), as_text(&made())).expect("the file can be written");
    std::fs::write(path("kv-storage.json"), as_text(&storage::made())).expect("the file can be written");
}

#[test]
fn objects_are_as_published() {
    let file = read();
    assert!(file.namespaces.len() >= 3 && file.objects.len() >= 40);
    file.namespaces.iter().for_each(|vector| objects::check_namespace(&file, vector));
    file.objects.iter().for_each(|vector| objects::check(&file, vector));
}

#[test]
fn what_is_published_as_malformed_is_refused() {
    let file = read();
    assert!(file.malformed.len() >= 40);
    file.malformed.iter().for_each(malformed::check);
}

#[test]
fn paths_are_as_published() {
    paths::check(&read().paths);
}

#[test]
fn histories_lead_where_it_is_published() {
    let file = read();
    assert!(file.histories.len() >= 4);
    file.histories.iter().for_each(|history| histories::check(&file, history));
}

#[test]
fn bundles_are_as_published() {
    bundles::check(&read());
}
