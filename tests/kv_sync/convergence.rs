//! After sessions all replicas hold the same, whatever was written where.

use syncline_core::clock::Clock as _;
use syncline_crypto::Signer as _;
use syncline_kv::item::{GrantDraft, Ops};
use syncline_kv::{Entry, GrantId, Namespace};
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::world::{Node, assert_same, clock, draft, key, root, session, signer};

/// Writers with grants that overlap, some of them passed on.
fn act(rng: &mut Rng, nodes: &[Node], grants: &mut Vec<(GrantId, GrantDraft)>) {
    let node = &nodes[rng.below(nodes.len() as u64) as usize];
    let now = node.clock.now();
    let writer = signer(20 + rng.below(4) as u8);
    let path = format!("/{}/{}", ["a", "b"][rng.below(2) as usize], rng.below(6));
    match rng.below(20) {
        0..=1 => {
            let pattern = ["/**", "/a/**", "/*/1", "/b/*"][rng.below(4) as usize];
            let mut draft = draft(writer.public_key(), pattern, Ops::Write);
            draft.stamp = node.tree.stamp(now).expect("the clock is right");
            grants.push((node.grant(draft.clone()), draft));
        }
        2 if !grants.is_empty() => {
            let (grant, _) = grants[rng.below(grants.len() as u64) as usize];
            // It may not be known there.
            let _unknown = node.tree.revoke(now, &root(), grant);
        }
        3..=4 => {
            let _denied = node.tree.delete(now, &writer, &key(&path));
        }
        5..=6 => {
            let _written = node.put(&root(), &path, &rng.below(100).to_string());
        }
        _ => {
            let _denied = node.tree.put(now, &writer, &key(&path), rng.below(100).to_string().as_bytes());
        }
    }
}

#[test]
fn any_writes_anywhere_converge_by_sessions_in_pairs() {
    for_each_seed(0..60, |seed| {
        let rng = &mut Rng::new(seed);
        let clock = clock();
        let nodes: Vec<Node> = (1..=3).map(|seed| Node::new(&clock, seed)).collect();
        let mut grants = Vec::new();
        for _ in 0..rng.below(4) + 1 {
            for _ in 0..rng.below(40) {
                act(rng, &nodes, &mut grants);
                clock.advance(std::time::Duration::from_millis(rng.below(3)));
            }
            let (from, to) = (rng.below(3) as usize, rng.below(3) as usize);
            if from != to {
                session(&nodes[from], &nodes[to]).assert_ok();
                assert_same(&nodes[from], &nodes[to]);
            }
        }
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
            session(&nodes[from], &nodes[to]).assert_ok();
        }
        assert_same(&nodes[0], &nodes[1]);
        assert_same(&nodes[1], &nodes[2]);
        assert_greatest_wins(&nodes[0]);
    });
}

/// The value of each key is the greatest of what is kept of it.
fn assert_greatest_wins(node: &Node) {
    for (path, id) in node.values() {
        let history = node.tree.history(&key(&path)).expect("memory");
        let greatest = history.iter().max_by_key(|entry| entry.order()).map(Entry::id).expect("it has a value");
        assert_eq!(*greatest.as_bytes(), id);
    }
}

#[test]
fn what_is_shadowed_is_synced_too() {
    let clock = clock();
    let namespace = Namespace::new("test", [root().public_key()]).unwrap();
    let namespace = namespace.with_on_revoke(syncline_kv::item::OnRevoke::Fallback).unwrap();
    let nodes: Vec<Node> = (1..=3).map(|seed| Node::of(&clock, seed, &namespace)).collect();
    let (one, two) = (&nodes[0], &nodes[1]);
    let grant = one.grant(GrantDraft { namespace: namespace.id(), ..draft(signer(9).public_key(), "/**", Ops::Write) });
    let older = one.put(&root(), "/k", "older");
    one.put(&signer(9), "/k", "newer");
    session(one, two).assert_ok();
    assert_eq!(two.tree.history(&key("/k")).unwrap().len(), 2);
    two.tree.revoke(clock.now(), &root(), grant).unwrap();
    assert_eq!(two.get("/k"), Some(older.clone()));
    session(two, one).assert_ok();
    assert_same(one, two);
    assert_eq!(one.get("/k"), Some(older));
}

#[test]
fn a_replica_that_was_away_for_too_long_does_not_sync() {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    session(&one, &two).assert_ok();
    clock.advance(std::time::Duration::from_secs(31 * 24 * 3_600));
    let outcome = session(&one, &two);
    assert!(matches!(&outcome.initiator, Err(syncline_core::SyncError::Critical(text)) if text.contains("no session")));
    assert_eq!(outcome.sent, (0, 0));
}
