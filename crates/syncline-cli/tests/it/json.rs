//! What `--json` prints is what the README lists, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::world::{Lines, World};

/// The fields that the README lists for each type.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let readme = include_str!("../../README.md");
    let rows = readme.lines().skip_while(|line| *line != "| `type` | fields |").skip(2);
    let mut types = BTreeMap::new();
    for row in rows.take_while(|row| row.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        for kind in words(cells[0]) {
            types.insert(kind, words(cells[1]).into_iter().collect());
        }
    }
    types
}

/// Checks an object's fields, except where the README says it in words.
#[track_caller]
fn check(line: &str) -> Value {
    let record: Value = serde_json::from_str(line).unwrap();
    let kind = record["type"].as_str().unwrap();
    let found: BTreeSet<String> = record.as_object().unwrap().keys().filter(|key| *key != "type").cloned().collect();
    let expected = match kind {
        "live" => BTreeSet::new(),
        "unsigned" => ["path", "issuer"].map(str::to_owned).into(),
        "signed" => ["path", "grant"].map(str::to_owned).into(),
        kind => documented().remove(kind).unwrap_or_else(|| panic!("{kind} is not documented")),
    };
    assert_eq!(found, expected, "{line}");
    record
}

/// The object with ids and times left out.
fn stable(record: &Value) -> String {
    let mut text = record.to_string();
    for word in record.to_string().split('"') {
        let is_id = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id {
            text = text.replace(word, "ID");
        } else if word.len() == 24 && word.ends_with('Z') && word.starts_with("20") {
            text = text.replace(word, "TIME");
        }
    }
    text
}

#[test]
fn records_have_the_fields_that_are_documented() {
    let world = World::new();
    let json = |dir: &str, who: &str, args: &[&str]| world.ok(dir, who, &[&["--json"], args].concat());
    check(&json("a", "root", &["keygen", "root.key"]));
    let team = world.key("team");
    let namespace = check(&json("a", "root", &["kv", "init", "--name", "n", "--fallback", "--public"]));
    let expected = r#"{"id":"ID","name":"n","on_revoke":"fallback","reads":"public","roots":["ID"],"rotation_threshold":1,"type":"namespace"}"#;
    assert_eq!(stable(&namespace), expected);
    let grant = ["kv", "grant", "--to", &team, "--pattern", "/t/**", "--ops", "read-write"];
    let grant = check(&json("a", "root", &grant));
    let expected = r#"{"at":"TIME","audience":"ID","bytes":null,"depth":0,"entries":null,"id":"ID","issuer":"ID","not_after":null,"not_before":null,"ops":"read-write","parent":null,"pattern":"/t/**","state":"live","type":"grant"}"#;
    assert_eq!(stable(&grant), expected);
    json("a", "root", &["kv", "put", "/t/a", "old"]);
    let entry = check(&json("a", "team", &["kv", "put", "/t/a", "new"]));
    let expected = r#"{"at":"TIME","author":"ID","entry":"ID","grants":["ID"],"key":"/t/a","previous":"ID","type":"entry","value":{"text":"new"}}"#;
    assert_eq!(stable(&entry), expected);
    json("a", "team", &["kv", "put", "/t/b", "x"]);
    check(&json("a", "root", &["kv", "status"]));
    check(&json("a", "root", &["kv", "get", "/t/a"]));
    check(json("a", "root", &["kv", "ls"]).lines().next().unwrap());
    let explanation = check(&json("a", "team", &["kv", "explain", "/t/a"]));
    let expected = r#"{"allowed":true,"by":"grants","chains":[["ID"]],"key":"/t/a","misses":[],"op":"write","reason":null,"type":"explanation","who":"ID"}"#;
    assert_eq!(stable(&explanation), expected);
    check(json("a", "root", &["kv", "who-can", "/t/a"]).lines().next().unwrap());
    check(&json("a", "root", &["kv", "export", "bundle"]));
    check(&json("a", "root", &["kv", "import", "bundle"]));
    let root = namespace["roots"][0].as_str().unwrap();
    let unsigned =
        ["kv", "grant", "--to", &team, "--pattern", "/u", "--ops", "write", "--unsigned", "u", "--issuer", root];
    check(&json("a", "root", &unsigned));
    check(&json("a", "root", &["kv", "sign", "u", "s"]));
    check(&json("a", "root", &["kv", "grant", "--complete", "s"]));
    let id = grant["id"].as_str().unwrap();
    let expected = r#"{"dry_run":true,"fallback":["/t/a"],"grant":"ID","grants":["ID"],"revocation":null,"type":"revocation","unset":["/t/b"]}"#;
    assert_eq!(stable(&check(&json("a", "root", &["kv", "revoke", id, "--dry-run"]))), expected);
    check(&json("a", "root", &["kv", "revoke", id]));
    assert_eq!(world.ok("a", "root", &["kv", "get", "/t/a"]), "old", "the policy is to fall back");
    let error = world.run("a", "team", &["--json", "kv", "put", "/t/a", "1"]);
    let error = check(&String::from_utf8(error.stderr).unwrap());
    assert_eq!(error["code"], "denied");
}

#[test]
fn records_of_agents_and_watches_have_them_too() {
    let world = World::with_namespace();
    world.ok("a", "root", &["kv", "put", "/a", "1"]);
    let agent = world.agent("a", "root", &["--listen", "127.0.0.1:0"]);
    check(&agent.lines.seen[0]);
    check(&world.ok("a", "root", &["--json", "kv", "status"]));
    let mut command = world.for_replica("a", "root");
    let mut watch = Lines::of(command.args(["--json", "kv", "watch"]));
    check(&watch.next());
    check(&watch.next());
    world.ok("a", "root", &["kv", "rm", "/a"]);
    assert_eq!(check(&watch.next())["type"], "removed");
    watch.end();
    agent.end();
}

#[test]
fn bytes_that_are_no_text_are_hex() {
    let world = World::with_namespace();
    std::fs::write(world.path("bytes"), [0xff, 0x00]).unwrap();
    world.ok("a", "root", &["kv", "put", "/a", "@bytes"]);
    let entry = check(&world.ok("a", "root", &["--json", "kv", "get", "/a"]));
    assert_eq!(entry["value"]["hex"], "ff00");
    let entry = check(&world.ok("a", "root", &["--json", "kv", "rm", "/a"]));
    assert!(entry["value"].is_null());
}
