//! What does not work says why, what to do, and ends with the code that is documented.

use std::fs;

use crate::world::{World, refused, said};

#[test]
fn wrong_words_are_usage() {
    let world = World::with_namespace();
    for (args, text) in [
        (&["kv", "put", "no-slash", "1"][..], "no-slash"),
        (&["kv", "put", "/a//b", "1"], "/a//b"),
        (&["kv", "put", "/a", "@"], "name of a file"),
        (&["kv", "ls", "--filter", "[", "--", "/"], "--filter"),
        (&["kv", "revoke", "xyz"], "hex"),
        (&["kv", "revoke", &"a".repeat(65)], "hex"),
        (&["kv", "grant", "--to", "abcd", "--pattern", "/a", "--ops", "write"], "abcd"),
        (&["kv", "explain", "abcd", "/a"], "abcd is no public key"),
        (&["kv", "explain", "a"], "a is no key"),
        (&["kv", "agent", "--peer", "example.org:1"], "--peer"),
        (&["kv", "init", "--name", ""], "needs a name"),
        (&["nonsense"], "nonsense"),
    ] {
        let dir = if args[1..].first() == Some(&"init") { "new" } else { "a" };
        let said = world.fails(2, dir, "root", args);
        assert!(said.contains(text), "{args:?}: {said}");
    }
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let world = World::with_namespace();
    let text = world.fails(4, "nowhere", "root", &["kv", "get", "/a"]);
    assert!(text.contains("there is no replica in") && text.contains("kv init"), "{text}");
    assert!(!world.path("nowhere").exists(), "nothing is made by looking");
    let text = world.fails(4, "a", "root", &["kv", "revoke", "abcdef"]);
    assert!(text.contains("kv grants --all"), "{text}");
    world.fails(4, "a", "root", &["kv", "put", "/a", "@missing"]);
}

#[test]
fn what_is_there_is_not_replaced() {
    let world = World::with_namespace();
    let before = fs::read(world.path("a/namespace")).unwrap();
    let text = world.fails(5, "a", "root", &["kv", "init", "--name", "other"]);
    assert!(text.contains("there is a replica"), "{text}");
    assert_eq!(fs::read(world.path("a/namespace")).unwrap(), before);
}

#[test]
fn damaged_directories_are_said_to_be_so() {
    let world = World::with_namespace();
    fs::write(world.path("a/tree.redb"), "no database, but long enough to be looked at ".repeat(200)).unwrap();
    let text = world.fails(1, "a", "root", &["kv", "ls"]);
    assert!(text.contains("belongs to another program"), "{text}");
    fs::write(world.path("a/namespace"), "x").unwrap();
    let text = world.fails(2, "a", "root", &["kv", "ls"]);
    assert!(text.contains("describes no namespace"), "{text}");
}

#[test]
fn values_have_a_limit_and_quotas_too() {
    let world = World::with_namespace();
    fs::write(world.path("long"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(world.fails(2, "a", "root", &["kv", "put", "/a", "@long"]).contains("more than"));
    fs::write(world.path("long"), vec![b'x'; (64 << 10) + 1]).unwrap();
    assert!(world.fails(1, "a", "root", &["kv", "put", "/a", "@long"]).contains("65536"));
    let team = world.key("team");
    world.grant("a", "root", &team, "/t/**", &["--ops", "write", "--entries", "1"]);
    world.ok("a", "team", &["kv", "put", "/t/a", "1"]);
    for agent in [None, Some(world.agent("a", "root", &[]))] {
        let text = world.fails(3, "a", "team", &["kv", "put", "/t/b", "1"]);
        assert!(text.contains("quota"), "{text}");
        drop(agent);
    }
}

#[test]
fn a_closed_pipe_is_no_failure_worth_telling() {
    let world = World::with_namespace();
    world.ok("a", "root", &["kv", "put", "/a", "1"]);
    let mut command = world.for_replica("a", "root");
    let mut child = command.args(["kv", "ls"]).stdout(std::process::Stdio::piped());
    child = child.stderr(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn colours_are_for_terminals_or_for_who_insists() {
    let world = World::with_namespace();
    world.ok("a", "root", &["kv", "put", "/a", "1"]);
    assert_eq!(world.ok("a", "root", &["kv", "ls"]), "/a");
    assert_eq!(world.ok("a", "root", &["--color", "always", "kv", "ls"]), "\x1b[36m/a\x1b[0m");
    assert_eq!(world.ok("a", "root", &["--color", "never", "kv", "ls"]), "/a");
    assert!(!world.ok("a", "root", &["--color", "always", "--json", "kv", "ls"]).contains('\x1b'));
}

#[test]
fn completions_and_manual_pages_are_made() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(world.command().args(["completions", shell]).output().unwrap());
        assert!(script.contains("who-can"), "{shell}");
    }
    refused(2, world.command().args(["completions", "dos"]).output().unwrap());
    let page = said(world.command().arg("man").output().unwrap());
    assert!(page.contains(".TH") && page.contains("Exit codes"), "{page}");
    said(world.command().args(["man", "--out", "pages"]).output().unwrap());
    for page in ["syncline.1", "syncline-keygen.1", "syncline-kv.1", "syncline-kv-grant.1"] {
        assert!(world.path("pages").join(page).exists(), "{page}");
    }
}

#[test]
fn every_command_has_help_that_fits_a_terminal() {
    let world = World::new();
    let page = said(world.command().args(["kv", "--help"]).output().unwrap());
    let commands = page.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 15, "{page}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = said(world.command().args(["kv", command, "--help"]).output().unwrap());
        assert!(help.contains("Usage: syncline kv"), "{help}");
    }
}
