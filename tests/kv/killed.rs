//! S1: a process that is killed while it writes, and what is there when its tree is opened again.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use syncline_kv::item::OnRevoke;
use syncline_kv::{Key, Tree};
use syncline_storage::{Database, RedbDb};
use syncline_testkit::seed::Rng;

use crate::support::{at, grant, key, limited, namespace, person, root, text};

const CHILD: &str = "SYNCLINE_KV_KILLED";
const NAME: &str = "killed::s1_what_was_acknowledged_survives_sigkill";
const KEYS: u64 = 20;

fn reopen(path: &Path) -> Tree {
    let db: Arc<dyn Database> = Arc::new(RedbDb::create(path).expect("opens"));
    // Sweeps of several batches, that are killed in the middle.
    let limits = crate::support::limits(|limits| limits.sweep = 3);
    limited(&db, &namespace(OnRevoke::Fallback), limits).expect("opens")
}

/// A key of the root's, that is written again and again.
fn counter(nth: u64) -> Key {
    key(&format!("/count/{}", nth % KEYS))
}

/// Writes for ever, and says what is done. In each round a member gets a grant, writes and is revoked.
fn child(path: &Path, begin: u64) {
    let tree = reopen(path);
    let said = |what: std::fmt::Arguments<'_>| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{what}").and_then(|()| out.flush()).expect("the parent listens");
    };
    for nth in begin.. {
        tree.put(at(nth), &root(), &counter(nth), nth.to_string().as_bytes()).expect("puts");
        said(format_args!("done {nth}"));
        if nth % 7 == 0 {
            let member = person(1_000 + nth);
            let mut draft = crate::support::draft(&tree, &member, "/temporary/**");
            draft.quota = syncline_kv::item::Quota { entries: Some(10), bytes: None };
            let granted = tree.grant(at(nth), &root(), draft).expect("grants");
            for each in 0..10 {
                let path = key(&format!("/temporary/{each}"));
                tree.put(at(nth), &member, &path, &b"v"[..]).expect("puts");
            }
            tree.revoke(at(nth), &root(), granted.id()).expect("revokes");
            said(format_args!("gone {nth}"));
        }
    }
}

#[test]
fn s1_what_was_acknowledged_survives_sigkill() {
    if let Ok(path) = std::env::var(CHILD) {
        let (path, begin) = path.rsplit_once('@').expect("a path and a number");
        return child(Path::new(path), begin.parse().expect("a number"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tree");
    let mut rng = Rng::new(syncline_testkit::seed::from_env().unwrap_or(1));
    let (mut next, mut acknowledged) = (1, BTreeMap::new());
    for _ in 0..25 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([NAME, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{}@{next}", path.display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut left = 1 + rng.below(40);
        let mut note = |line: &str| {
            let done = line.rsplit_once("done ").and_then(|(_, nth)| nth.parse::<u64>().ok());
            if let Some(nth) = done {
                acknowledged.insert(nth % KEYS, nth);
                next = nth + 1;
            }
            done.is_some() || line.contains("gone ")
        };
        while left > 0 {
            let Some(Ok(line)) = lines.next() else { panic!("the child ended by itself") };
            left -= u64::from(note(&line));
        }
        child.kill().expect("kills");
        for line in lines.map_while(Result::ok) {
            note(&line);
        }
        child.wait().expect("ends");

        let tree = reopen(&path);
        tree.check().expect("what is stored agrees with what was recomputed");
        for (nth, value) in &acknowledged {
            let found = text(&tree, counter(*nth).as_str()).expect("acknowledged").parse::<u64>().expect("a number");
            // One more may have been stored and not acknowledged.
            assert!(found >= *value && found <= next, "{found} where {value} was acknowledged");
        }
        let authority = tree.authority();
        let live = authority.grants().filter(|granted| authority.is_live_grant(granted.id())).count();
        assert!(live <= 25, "all but those of the rounds that were killed are revoked");
        let rest =
            tree.list(&syncline_kv::tree::Listing::of(syncline_kv::Subtree::below(&key("/temporary")))).expect("lists");
        let allowed = rest.entries.iter().all(|entry| authority.live_leaves(entry.leaves()).next().is_some());
        assert!(allowed, "nothing of who was revoked is left");
        grant(&tree, &person(7), "/after/**");
        next += 1;
    }
}
