//! Floors 0 to 2, but for the adapters, open no socket, start no runtime, spawn no task and read no clock.

use super::{code_lines, crates, dependencies, root, sources};

/// Crates that may: adapters, tools for tests, and what stands above.
const MAY: &[&str] =
    &["syncline-net", "syncline-raft", "syncline-testkit", "syncline-gossip", "syncline-cli", "syncline"];

/// Features of tokio that are data structures only.
const TOKIO_ALLOWED: &[&str] = &["sync"];

const FORBIDDEN: &[&str] = &[
    "std::net::",
    "tokio::net",
    "tokio::spawn",
    "tokio::runtime",
    "thread::spawn",
    "thread::Builder",
    "SystemTime::now",
    "Instant::now",
    "rand::rng",
    "getrandom",
];

/// The one file that reads the wall clock, for those who ask for it by name.
const CLOCK: &str = "crates/syncline-core/src/clock/mod.rs";

fn quiet_crates() -> Vec<(String, toml::Table)> {
    crates().into_iter().filter(|(name, _)| !MAY.contains(&name.as_str())).collect()
}

#[test]
fn no_runtime_among_the_dependencies() {
    for (name, manifest) in quiet_crates() {
        let dependencies = dependencies(&manifest);
        for runtime in ["quinn", "async-std", "smol", "rand", "getrandom", "rustls"] {
            assert!(!dependencies.iter().any(|name| name == runtime), "{name} must not depend on {runtime}");
        }
        let Some(tokio) = manifest["dependencies"].get("tokio") else { continue };
        let features = tokio.get("features").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        for feature in features.iter().filter_map(toml::Value::as_str) {
            assert!(TOKIO_ALLOWED.contains(&feature), "{name} must not use tokio's {feature}");
        }
    }
}

#[test]
fn no_socket_task_clock_or_randomness_in_the_sources() {
    for (name, _) in quiet_crates() {
        for (path, text) in sources(&root().join("crates").join(&name).join("src")) {
            if path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests") {
                continue;
            }
            for (line, code) in code_lines(&text) {
                let found = FORBIDDEN.iter().find(|forbidden| code.contains(**forbidden));
                let allowed = root().join(CLOCK) == path && code.contains("SystemTime::now");
                assert!(found.is_none() || allowed, "{}:{line}: {}", path.display(), code);
            }
        }
    }
}
