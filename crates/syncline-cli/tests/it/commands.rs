//! Every command, on a database and through an agent: it makes no difference.

use std::fs;

use crate::world::{World, said, with_input};

#[test]
fn on_a_database() {
    everything(&World::with_namespace());
}

#[test]
fn through_an_agent() {
    let world = World::with_namespace();
    let agent = world.agent("a", "root", &[]);
    everything(&world);
    assert!(world.ok("a", "root", &["--json", "kv", "status"]).contains("\"agent\":true"));
    agent.end();
    assert!(!world.path("a/control.sock").exists());
    assert!(world.ok("a", "root", &["--json", "kv", "status"]).contains("\"agent\":false"));
    assert_eq!(world.ok("a", "root", &["kv", "get", "/v/text"]), "word", "it is all stored");
}

#[test]
fn after_an_agent_was_killed() {
    let world = World::with_namespace();
    world.agent("a", "root", &[]).kill();
    assert!(world.path("a/control.sock").exists(), "it could not clean up");
    everything(&world);
    world.agent("a", "root", &[]).end();
}

fn everything(world: &World) {
    let [team, ann] = ["team", "ann"].map(|who| world.key(who));
    values(world);
    listing(world);
    conditions(world);
    let grant = granting(world, &team, &ann);
    explaining(world, &team, &grant);
    revoking(world, &grant);
    offline(world, &team);
}

fn values(world: &World) {
    fs::write(world.path("bytes"), [0, 1, 0xff, b'\n']).unwrap();
    let text = world.ok("a", "root", &["kv", "put", "/v/text", "word"]);
    assert!(text.starts_with("set /v/text "), "{text}");
    assert_eq!(world.ok("a", "root", &["-q", "kv", "put", "/v/file", "@bytes"]), "");
    world.ok("a", "root", &["kv", "put", "/v/at", "@@home"]);
    world.ok("a", "root", &["kv", "put", "/v/minus", "-1"]);
    let mut stdin = world.for_replica("a", "root");
    stdin.args(["kv", "put", "/v/stdin", "-"]);
    said(with_input(stdin, b"from\x1b[31m afar"));

    let get = |key| world.run("a", "root", &["kv", "get", key]).stdout;
    assert_eq!(get("/v/text"), b"word", "the bytes, and no end of line");
    assert_eq!(get("/v/file"), [0, 1, 0xff, b'\n']);
    assert_eq!(get("/v/at"), b"@home");
    assert_eq!(get("/v/minus"), b"-1");
    assert_eq!(get("/v/stdin"), b"from\x1b[31m afar");
    assert_eq!(world.run("a", "root", &["kv", "get", "/v/file", "--raw"]).stdout, [0, 1, 0xff, b'\n']);

    world.ok("a", "root", &["kv", "rm", "/v/minus"]);
    for gone in ["/v/minus", "/v/never"] {
        assert!(world.fails(4, "a", "root", &["kv", "get", gone]).contains("has no value here"));
        world.fails(4, "a", "root", &["kv", "rm", gone]);
    }
}

fn listing(world: &World) {
    let ls = |args: &[&str]| world.ok("a", "root", &[&["kv", "ls"], args].concat());
    assert_eq!(ls(&[]), "/v/at\n/v/file\n/v/stdin\n/v/text");
    assert_eq!(ls(&["/v", "--filter", "/v/**", "!/v/*t", "/v/at"]), "/v/at\n/v/file\n/v/stdin");
    assert_eq!(ls(&["/v/text"]), "", "what is below a key, not the key");
    assert_eq!(ls(&["/nothing"]), "");
    let long = ls(&["-l"]);
    assert!(long.contains("/v/stdin = from\\u{1b}[31m afar"), "{long}");
    assert!(long.contains("/v/file = \\u{0}\\u{1}\\xff\\n"), "{long}");
}

fn conditions(world: &World) {
    let put = ["--json", "kv", "put", "/v/cas", "1", "--if-absent"];
    let first = world.ok("a", "root", &put);
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    let id = first["entry"].as_str().unwrap();
    assert!(world.fails(5, "a", "root", &put).contains(id), "it says what is there");
    world.ok("a", "root", &["kv", "put", "/v/cas", "2", "--if-latest", id]);
    world.fails(5, "a", "root", &["kv", "put", "/v/cas", "3", "--if-latest", id]);
    assert_eq!(world.ok("a", "root", &["kv", "get", "/v/cas"]), "2");
    let second: serde_json::Value =
        serde_json::from_str(&world.ok("a", "root", &["--json", "kv", "get", "/v/cas"])).unwrap();
    assert_eq!(second["previous"].as_str(), Some(id), "what it replaced is named");
}

fn granting(world: &World, team: &str, ann: &str) -> String {
    let text = world.fails(3, "a", "team", &["kv", "put", "/svc/api/limits/rps", "500"]);
    assert!(text.contains("has no grants") && text.contains("kv explain"), "{text}");
    let limits = ["--ops", "write", "--depth", "1", "--entries", "10", "--not-after", "30d"];
    let grant = world.grant("a", "root", team, "/svc/*/limits/**", &limits);
    world.ok("a", "team", &["kv", "put", "/svc/api/limits/rps", "500"]);
    world.fails(3, "a", "team", &["kv", "put", "/svc/api/owner", "me"]);

    let mint = |pattern| ["kv", "grant", "--to", ann, "--pattern", pattern, "--ops", "write"];
    let text = world.fails(3, "a", "team", &mint("/svc/**"));
    assert!(text.contains("is for /svc/*/limits/**, which /svc/") && text.contains(&grant), "{text}");
    let text = world.fails(3, "a", "ann", &mint("/svc/**"));
    assert!(text.contains("is no root, and has no grant to pass on"), "{text}");
    // The parent is found, and so are its limits.
    let passed = world.ok("a", "team", &[&["--json"], &mint("/svc/api/limits/*")[..]].concat());
    let passed: serde_json::Value = serde_json::from_str(&passed).unwrap();
    assert_eq!(passed["parent"].as_str(), Some(&*grant));
    assert_eq!(passed["entries"].as_u64(), Some(10));
    assert!(passed["not_after"].is_string());
    world.ok("a", "ann", &["kv", "put", "/svc/api/limits/burst", "50"]);

    // With two that fit, one has to be chosen.
    let other = world.grant("a", "root", team, "/svc/api/**", &["--ops", "write", "--depth", "1"]);
    let text = world.fails(2, "a", "team", &mint("/svc/api/limits/x"));
    assert!(text.contains(&grant) && text.contains(&other) && text.contains("--parent"), "{text}");
    let chosen = [&mint("/svc/api/limits/x")[..], &["--parent", &other[..8]]].concat();
    world.ok("a", "team", &chosen);
    world.ok("a", "root", &["kv", "revoke", &other]);

    let tree = world.ok("a", "root", &["kv", "grants"]);
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines.len(), 2, "{tree}");
    assert!(lines[0].starts_with(&grant[..12]) && lines[0].contains("may be passed on once"), "{tree}");
    assert!(lines[1].starts_with("└─ ") && lines[1].contains("write /svc/api/limits/*"), "{tree}");
    let all = world.ok("a", "root", &["kv", "grants", "--all"]);
    assert_eq!(all.matches("[revoked]").count(), 2, "{all}");
    grant
}

fn explaining(world: &World, team: &str, grant: &str) {
    let text = world.ok("a", "team", &["kv", "explain", "/svc/api/limits/rps"]);
    assert!(text.contains("may write /svc/api/limits/rps:") && text.contains(&grant[..12]), "{text}");
    assert!(world.ok("a", "root", &["kv", "explain", "/x"]).contains("it is a root"));
    let output = world.run("a", "root", &["kv", "explain", team, "/other"]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("may not write /other:") && text.contains("which /other is not in"), "{text}");
    let output = world.run("a", "root", &["kv", "explain", team, "/svc/api/limits/rps", "--op", "read"]);
    assert_eq!(output.status.code(), Some(3), "it may write, not read");
    let who = world.ok("a", "root", &["kv", "who-can", "/svc/api/limits/rps"]);
    assert!(who.contains("(root)") && who.contains(&format!("{team} by {}", &grant[..12])), "{who}");
    assert_eq!(who.lines().count(), 3, "the root, the team and Ann: {who}");
}

fn revoking(world: &World, grant: &str) {
    let before = world.ok("a", "root", &["kv", "ls"]);
    let text = world.ok("a", "root", &["kv", "revoke", &grant[..10], "--dry-run"]);
    assert!(text.starts_with("would end 2 grants:"), "{text}");
    assert!(text.ends_with("unset /svc/api/limits/burst\nunset /svc/api/limits/rps"), "{text}");
    assert_eq!(world.ok("a", "root", &["kv", "ls"]), before, "nothing has changed");
    let text = world.fails(3, "a", "ann", &["kv", "revoke", grant]);
    assert!(text.contains("may not revoke"), "{text}");
    let text = world.ok("a", "root", &["kv", "revoke", grant]);
    assert!(text.contains("unset 2 keys"), "{text}");
    assert!(!world.ok("a", "root", &["kv", "ls"]).contains("/svc"));
    let text = world.fails(3, "a", "ann", &["kv", "put", "/svc/api/limits/burst", "1"]);
    assert!(text.contains("is revoked"), "{text}");
    assert_eq!(world.ok("a", "root", &["kv", "grants"]), "");
    assert!(world.ok("a", "root", &["kv", "revoke", grant, "--dry-run"]).contains("nothing would change"));
}

/// A root whose key is on another machine.
fn offline(world: &World, team: &str) {
    let root = said(world.command().args(["-q", "keygen", "--force", "unused.key"]).output().unwrap());
    let grant = |issuer: &str, out: &str| {
        let args = ["kv", "grant", "--to", team, "--pattern", "/off/**", "--ops", "write", "--unsigned", out];
        world.run("a", "nobody", &[&args[..], &["--issuer", issuer]].concat())
    };
    assert_eq!(grant(&root, "no.grant").status.code(), Some(3), "who is no root has nothing to grant");
    let who = world.ok("a", "root", &["--json", "kv", "who-can", "/off/x"]);
    let who: serde_json::Value = serde_json::from_str(&who).unwrap();
    said(grant(who["who"].as_str().unwrap(), "wish.grant"));
    world.fails(3, "elsewhere", "team", &["kv", "sign", "wish.grant", "signed.grant"]);
    let text = world.ok("elsewhere", "root", &["kv", "sign", "wish.grant", "signed.grant"]);
    assert!(text.contains("write /off/**"), "it says what is signed: {text}");
    world.fails(5, "elsewhere", "root", &["kv", "sign", "wish.grant", "signed.grant"]);
    world.ok("a", "nobody", &["kv", "grant", "--complete", "signed.grant"]);
    world.ok("a", "team", &["kv", "put", "/off/x", "1"]);
    world.fails(2, "a", "nobody", &["kv", "grant", "--complete", "wish.grant"]);
    for file in ["wish.grant", "signed.grant"] {
        fs::remove_file(world.path(file)).unwrap();
    }
}
