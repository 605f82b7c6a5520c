//! Agents that find each other, on sockets of this machine.

use serde_json::Value;

use crate::world::{Lines, World, mode};

/// Two replicas on which an agent runs each. The second has a key of its own, and may read.
fn two() -> (World, crate::world::Agent, crate::world::Agent) {
    let world = World::with_namespace();
    let other = world.key("other");
    world.grant("a", "root", &other, "/**", &["--ops", "read"]);
    world.ok("b", "other", &["kv", "init", "--from", "a/namespace"]);
    let one = world.agent("a", "root", &["--listen", "127.0.0.1:0"]);
    let two = world.agent("b", "other", &["--listen", "127.0.0.1:0", "--peer", &one.addr()]);
    (world, one, two)
}

#[test]
fn what_is_put_on_one_is_seen_on_the_other() {
    let (world, one, two) = two();
    world.ok("a", "root", &["kv", "put", "/from/a", "1"]);
    world.until("1", "b", "other", &["kv", "get", "/from/a"]);

    // Any key can be used at any agent: the agent's own says nothing about who writes.
    let team = world.key("team");
    let grant = world.grant("b", "root", &team, "/team/**", &["--ops", "write"]);
    world.ok("b", "team", &["kv", "put", "/team/x", "2"]);
    world.until("2", "a", "root", &["kv", "get", "/team/x"]);
    world.ok("a", "root", &["kv", "revoke", &grant]);
    world.until("/from/a", "b", "other", &["kv", "ls"]);
    world.fails(3, "b", "team", &["kv", "put", "/team/x", "3"]);

    let status: Value = serde_json::from_str(&world.ok("b", "other", &["--json", "kv", "status"])).unwrap();
    assert_eq!(status["members"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(status["members"][0]["up"], true, "{status}");
    assert_eq!(format!("{}@{}", status["peer_id"].as_str().unwrap(), status["listen"].as_str().unwrap()), two.addr());
    one.end();
    two.end();
}

#[test]
fn a_watch_tells_what_is_there_and_then_what_changes() {
    let world = World::with_namespace();
    for key in ["/w/a", "/w/b", "/other"] {
        world.ok("a", "root", &["kv", "put", key, "1"]);
    }
    let text = world.fails(1, "a", "root", &["kv", "watch"]);
    assert!(text.contains("needs an agent") && text.contains("syncline kv agent"), "{text}");

    let agent = world.agent("a", "root", &[]);
    let mut command = world.for_replica("a", "root");
    let mut watch = Lines::of(command.args(["--json", "kv", "watch", "/w", "--filter", "/**", "!/w/hidden"]));
    let mut next = || serde_json::from_str::<Value>(&watch.next()).unwrap();
    for key in ["/w/a", "/w/b"] {
        let record = next();
        assert_eq!((&record["type"], &record["key"]), (&"entry".into(), &key.into()));
    }
    assert_eq!(next()["type"], "live");
    world.ok("a", "root", &["kv", "put", "/other", "2"]);
    world.ok("a", "root", &["kv", "put", "/w/hidden", "2"]);
    world.ok("a", "root", &["kv", "put", "/w/c", "2"]);
    let record = next();
    assert_eq!((&record["key"], &record["value"]["text"]), (&"/w/c".into(), &"2".into()));
    world.ok("a", "root", &["kv", "rm", "/w/a"]);
    let record = next();
    assert_eq!((&record["type"], &record["key"]), (&"removed".into(), &"/w/a".into()));
    watch.end();
    agent.end();
}

#[test]
fn one_agent_for_a_directory_and_only_its_owner_talks_to_it() {
    let world = World::with_namespace();
    let agent = world.agent("a", "root", &[]);
    assert_eq!(mode(&world.path("a/control.sock")), 0o600);
    assert_eq!(mode(&world.path("a")), 0o700);
    let text = world.fails(5, "a", "root", &["kv", "agent"]);
    assert!(text.contains("an agent runs"), "{text}");
    agent.end();
    world.agent("a", "root", &[]).end();
}

/// Three agents, each of which is told of the first alone.
#[cfg(feature = "swim")]
#[test]
fn members_find_each_other_by_swim() {
    let world = World::with_namespace();
    let names = ["one", "two", "three"];
    let keys = names.map(|who| world.key(who));
    for key in &keys {
        world.grant("a", "root", key, "/**", &["--ops", "read"]);
    }
    world.ok("a", "root", &["kv", "export", "all.bundle"]);
    let ports = names.map(|_| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    });
    let seed = format!("{}@127.0.0.1:{}", keys[0], ports[0]);
    let mut agents = Vec::new();
    for (who, port) in names.into_iter().zip(ports) {
        world.ok(who, who, &["kv", "init", "--from", "all.bundle"]);
        world.ok(who, who, &["kv", "import", "all.bundle"]);
        let addr = format!("127.0.0.1:{port}");
        agents.push(world.agent(who, who, &["--listen", "127.0.0.1:0", "--swim", &addr, "--swim-seed", &seed]));
    }
    world.ok("three", "root", &["kv", "put", "/x", "1"]);
    for who in names {
        world.until("1", who, who, &["kv", "get", "/x"]);
    }
    let members = || {
        let status: Value = serde_json::from_str(&world.ok("two", "two", &["--json", "kv", "status"])).unwrap();
        status["members"].as_array().unwrap().iter().filter(|member| member["up"] == true).count()
    };
    let begin = std::time::Instant::now();
    while members() < 2 {
        assert!(begin.elapsed() < crate::world::DEADLINE, "the third was not found");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    agents.into_iter().for_each(crate::world::Agent::end);
}
