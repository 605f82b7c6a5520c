//! Trees that travel in files.

use std::fs;

use crate::world::{World, said, with_input};

fn filled() -> (World, String) {
    let world = World::with_namespace();
    let team = world.key("team");
    world.grant("a", "root", &team, "/svc/**", &["--ops", "write"]);
    world.ok("a", "root", &["kv", "put", "/svc/x", "root's"]);
    world.ok("a", "team", &["kv", "put", "/svc/x", "team's"]);
    world.ok("a", "team", &["kv", "put", "/svc/y", "1"]);
    world.ok("a", "team", &["kv", "rm", "/svc/y"]);
    let root = root_of(&world, "a");
    (world, root)
}

fn root_of(world: &World, dir: &str) -> String {
    let status: serde_json::Value = serde_json::from_str(&world.ok(dir, "root", &["--json", "kv", "status"])).unwrap();
    status["root"].as_str().unwrap().to_owned()
}

#[test]
fn a_bundle_makes_another_directory_the_same() {
    let (world, root) = filled();
    world.ok("a", "root", &["kv", "export", "all.bundle"]);
    world.fails(5, "a", "root", &["kv", "export", "all.bundle"]);
    let id = world.ok("b", "nobody", &["kv", "init", "--from", "all.bundle"]);
    let text = world.ok("b", "nobody", &["--json", "kv", "import", "all.bundle"]);
    assert!(text.contains("\"refused\":0"), "{text}");
    assert_eq!(root_of(&world, "b"), root);
    assert_eq!(world.ok("b", "nobody", &["kv", "get", "/svc/x"]), "team's");
    // Once more changes nothing; a namespace of the same id can be asked for.
    assert!(world.ok("b", "nobody", &["--json", "kv", "import", "all.bundle"]).contains("\"new\":0"));
    world.ok("c", "nobody", &["kv", "init", "--from", "a/namespace", "--id", &id]);
    let text = world.fails(3, "d", "nobody", &["kv", "init", "--from", "a/namespace", "--id", &"0".repeat(64)]);
    assert!(text.contains(&id), "{text}");
}

#[test]
fn a_bundle_goes_from_agent_to_agent_through_a_pipe() {
    let (world, root) = filled();
    world.ok("b", "nobody", &["kv", "init", "--from", "a/namespace"]);
    let (one, other) = (world.agent("a", "root", &[]), world.agent("b", "root", &[]));
    let bundle = world.run("a", "root", &["kv", "export", "-"]).stdout;
    let mut import = world.for_replica("b", "nobody");
    import.args(["--json", "kv", "import", "-"]);
    let text = said(with_input(import, &bundle));
    assert!(text.contains("\"refused\":0"), "{text}");
    assert_eq!(root_of(&world, "b"), root);
    one.end();
    other.end();
    assert_eq!(root_of(&world, "b"), root);
}

#[test]
fn a_bundle_that_is_damaged_or_of_others_is_refused() {
    let (world, _) = filled();
    world.ok("a", "root", &["kv", "export", "all.bundle"]);
    let mut bytes = fs::read(world.path("all.bundle")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(world.path("changed"), &bytes).unwrap();
    fs::write(world.path("short"), &bytes[..last / 2]).unwrap();
    fs::write(world.path("other"), "no bundle at all, but long enough").unwrap();
    world.ok("b", "root", &["kv", "init", "--from", "a/namespace"]);
    for (file, text) in [("changed", "damaged"), ("short", "ends early"), ("other", "not a bundle")] {
        let said = world.fails(2, "b", "root", &["kv", "import", file]);
        assert!(said.contains(text), "{said}");
    }
    world.fails(4, "b", "root", &["kv", "import", "missing"]);
    world.ok("c", "root", &["kv", "init", "--name", "another"]);
    let text = world.fails(5, "c", "root", &["kv", "import", "all.bundle"]);
    assert!(text.contains("belongs to the namespace"), "{text}");
}
