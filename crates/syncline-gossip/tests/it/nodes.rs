//! Five replicas, and what happens to them.

use std::time::Duration;

use syncline_gossip::{Hub, KvNode};
use syncline_kv::item::Ops;
use syncline_kv::{Namespace, Tree};
use syncline_net::quic::{QuicConfig, QuicEndpoint};
use syncline_net::{Node, NodeLimits, PeerAddr};

use crate::world::*;

/// The tree of the root, in which all who take part may read and write.
fn granted() -> Tree {
    let tree = memory();
    for number in 2..=5 {
        grant(&tree, &signer(number).public_key(), "/**", Ops::ReadWrite);
    }
    tree
}

/// Five replicas in a ring: each knows where the one before it is. The first belongs to the root.
async fn five() -> Vec<KvNode> {
    let mut nodes = vec![start(granted(), root(), &[]).await];
    for number in 2..=5 {
        let before: PeerAddr = nodes.last().unwrap().peer_addr().unwrap();
        nodes.push(start(memory(), signer(number), &[before]).await);
    }
    nodes[0].peers().insert(nodes[4].peer_addr().unwrap());
    nodes
}

fn trees(nodes: &[KvNode]) -> Vec<&Tree> {
    nodes.iter().map(KvNode::tree).collect()
}

async fn shut_down(nodes: Vec<KvNode>) {
    let ends = nodes.iter().map(|node| async {
        let report = within("the shutdown", node.shutdown()).await;
        assert_eq!((report.tasks_left, node.node().task_count()), (0, 0));
    });
    futures::future::join_all(ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_writes_all_have() {
    let nodes = five().await;
    until_equal(&trees(&nodes)).await;
    for (number, node) in (1..=5).zip(&nodes) {
        node.tree().put(now(), &signer(number), &key(&format!("/of/{number}")), &b"here"[..]).unwrap();
    }
    for node in &nodes {
        for number in 1..=5 {
            until_value(node.tree(), &key(&format!("/of/{number}")), Some(b"here")).await;
        }
    }
    // All write the same key: the newest wins, everywhere.
    for (number, node) in (1..=5).zip(&nodes) {
        node.tree().put(now(), &signer(number), &key("/shared"), &[number][..]).unwrap();
    }
    until_equal(&trees(&nodes)).await;
    let values: Vec<_> = nodes.iter().map(|node| value_of(node.tree(), &key("/shared"))).collect();
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    let status = nodes[1].status().await.unwrap();
    assert!(status.members[nodes[0].peer_id()].dialled && status.stats.messages_received > 0, "{status:?}");
    // One after the other: each ends its links in order while the others stay.
    for node in &nodes {
        let report = within("the shutdown", node.shutdown()).await;
        assert_eq!((report.tasks_left, report.sessions_cut_off), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_catches_up_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tree.redb");
    let mut nodes = five().await;
    let sixth = signer(6);
    grant(nodes[0].tree(), &sixth.public_key(), "/**", Ops::ReadWrite);
    let hub = nodes[0].peer_addr().unwrap();
    let node = start(on_disk(&path), sixth.clone(), std::slice::from_ref(&hub)).await;
    nodes[0].peers().insert(node.peer_addr().unwrap());
    node.tree().put(now(), &root(), &key("/early"), &b"1"[..]).unwrap();
    until_equal(&[nodes[0].tree(), nodes[3].tree(), node.tree()]).await;

    // Dropped as it is, with links and maybe sessions.
    drop(node);
    nodes[2].tree().delete(now(), &signer(3), &key("/early")).unwrap();
    nodes[3].tree().put(now(), &signer(4), &key("/late"), &b"2"[..]).unwrap();
    until_equal(&trees(&nodes)).await;

    let reopened = std::cell::OnceCell::new();
    until("the database is free", async || {
        let Ok(db) = syncline_storage::RedbDb::open(&path) else { return false };
        reopened.set(Tree::open(std::sync::Arc::new(db), &namespace()).unwrap()).is_ok()
    })
    .await;
    let again = start(reopened.into_inner().unwrap(), sixth, &[hub]).await;
    nodes[0].peers().insert(again.peer_addr().unwrap());
    until_value(again.tree(), &key("/early"), None).await;
    until_value(again.tree(), &key("/late"), Some(b"2")).await;
    nodes.push(again);
    until_equal(&trees(&nodes)).await;
    shut_down(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_is_pushed_without_a_session() {
    // Digests are an hour away, so that only pushes carry anything.
    let hour = Duration::from_secs(3_600);
    let slow = quick().with_interval(hour).with_debounce(hour).with_debounce_max(hour).with_entropy_intervals(0);
    let first = builder(granted(), root()).config(slow.clone()).start().await.unwrap();
    let second = builder(memory(), signer(2)).config(slow).peer(first.peer_addr().unwrap()).start().await.unwrap();
    // Either may be the one to open the first session.
    first.peers().insert(second.peer_addr().unwrap());
    until_equal(&[first.tree(), second.tree()]).await;
    until("both are members", async || {
        let (first, second) = (first.status().await.unwrap(), second.status().await.unwrap());
        first.members.values().any(|member| member.is_up()) && second.members.values().any(|member| member.is_up())
    })
    .await;
    let sessions = async || {
        let (first, second) = (first.status().await.unwrap().stats, second.status().await.unwrap().stats);
        first.sessions_opened + second.sessions_opened
    };
    let before = sessions().await;
    second.tree().put(now(), &signer(2), &key("/pushed"), &b"at once"[..]).unwrap();
    until_value(first.tree(), &key("/pushed"), Some(b"at once")).await;
    // Longer than one message.
    first.tree().put(now(), &root(), &key("/long"), &[7; 1_000][..]).unwrap();
    until_value(second.tree(), &key("/long"), Some(&[7; 1_000])).await;
    assert_eq!(sessions().await, before);
    assert_eq!(first.status().await.unwrap().stats.pushed_new, 1);
    shut_down(vec![first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_lets_write_and_its_revocation_unsets_everywhere() {
    let nodes = five().await;
    let seventh = signer(7);
    until_equal(&trees(&nodes)).await;
    assert!(nodes[4].tree().put(now(), &seventh, &key("/of/seven"), &b"no"[..]).is_err(), "before the grant");
    let granted = grant(nodes[0].tree(), &seventh.public_key(), "/of/**", Ops::Write);
    until("the grant is everywhere", async || {
        nodes.iter().all(|node| node.tree().authority().is_live_grant(granted.id()))
    })
    .await;
    nodes[4].tree().put(now(), &seventh, &key("/of/seven"), &b"yes"[..]).unwrap();
    for node in &nodes {
        until_value(node.tree(), &key("/of/seven"), Some(b"yes")).await;
    }
    nodes[0].tree().revoke(now(), &root(), granted.id()).unwrap();
    for node in &nodes {
        until_value(node.tree(), &key("/of/seven"), None).await;
    }
    assert!(nodes[4].tree().put(now(), &seventh, &key("/of/seven"), &b"again"[..]).is_err());
    until_equal(&trees(&nodes)).await;
    shut_down(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_read_any_more_is_cut_off() {
    let (first, second) = (granted(), signer(2));
    let read = first.authority().grants_to(&second.public_key()).next().unwrap().id();
    let first = start(first, root(), &[]).await;
    let other = start(memory(), second, &[first.peer_addr().unwrap()]).await;
    until_equal(&[first.tree(), other.tree()]).await;
    until("the link is up", async || first.status().await.unwrap().members.values().any(|m| m.is_up())).await;
    first.tree().revoke(now(), &root(), read).unwrap();
    first.tree().put(now(), &root(), &key("/secret"), &b"s"[..]).unwrap();
    until("the link is gone", async || !first.status().await.unwrap().members.values().any(|m| m.is_up())).await;
    until("it asks again, and is refused", async || first.status().await.unwrap().stats.strangers > 1).await;
    assert_eq!(value_of(other.tree(), &key("/secret")), None);
    shut_down(vec![first, other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_serves_several_namespaces() {
    let clock = std::sync::Arc::new(syncline_core::clock::SystemClock);
    let hub = Hub::new(clock, false).unwrap();
    let endpoint = QuicEndpoint::bind(&root(), "127.0.0.1:0".parse().unwrap(), QuicConfig::default()).unwrap();
    let addr = endpoint.peer_addr().unwrap();
    let limits = NodeLimits::default().with_live_sessions();
    let node = hub.register(Node::builder().endpoint(endpoint)).limits(limits).build().unwrap();
    let other = Namespace::new("other", [root().public_key()]).unwrap();
    let open =
        |namespace: &Namespace| Tree::open(std::sync::Arc::new(syncline_storage::MemoryDb::new()), namespace).unwrap();
    let (tree, other_tree) = (granted(), open(&other));
    grant(&other_tree, &signer(2).public_key(), "/**", Ops::ReadWrite);
    let one = builder(tree.clone(), root()).on(hub.clone(), node.clone()).start().await.unwrap();
    let two = builder(other_tree, root()).on(hub.clone(), node.clone()).start().await.unwrap();
    assert!(builder(tree, root()).on(hub, node.clone()).start().await.is_err(), "a namespace twice");

    let reader = start(memory(), signer(2), std::slice::from_ref(&addr)).await;
    let other_reader = start(open(&other), signer(2), &[addr]).await;
    one.tree().put(now(), &root(), &key("/k"), &b"one"[..]).unwrap();
    two.tree().put(now(), &root(), &key("/k"), &b"two"[..]).unwrap();
    until_value(reader.tree(), &key("/k"), Some(b"one")).await;
    until_value(other_reader.tree(), &key("/k"), Some(b"two")).await;

    // One of them ends, and the other goes on.
    one.shutdown().await;
    two.tree().put(now(), &root(), &key("/k"), &b"more"[..]).unwrap();
    until_value(other_reader.tree(), &key("/k"), Some(b"more")).await;
    two.shutdown().await;
    shut_down(vec![reader, other_reader]).await;
    within("the node's shutdown", node.shutdown()).await;
    assert_eq!(node.task_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_differences_are_settled_by_sessions() {
    let (first, second) = (granted(), memory());
    let items = first.authority().grants().map(|grant| syncline_kv::Item::Grant((**grant).clone())).collect();
    second.apply(now(), items).unwrap();
    for number in 0..1_000 {
        first.put(now(), &root(), &key(&format!("/a/{number}")), &b"first"[..]).unwrap();
        second.put(now(), &signer(2), &key(&format!("/b/{number}")), &b"second"[..]).unwrap();
    }
    let first = start(first, root(), &[]).await;
    let second = start(second, signer(2), &[first.peer_addr().unwrap()]).await;
    until_equal(&[first.tree(), second.tree()]).await;
    assert_eq!(first.tree().root().unwrap().entries, 2_000);
    until("a session was completed", async || first.status().await.unwrap().stats.sessions_completed > 0).await;
    assert_eq!(first.status().await.unwrap().stats.pushed_new, 0);
    shut_down(vec![first, second]).await;
}

#[cfg(feature = "swim")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_find_each_other_from_one_seed() {
    use syncline_gossip::swim::SwimConfig;
    let config = || {
        let mut config = SwimConfig::new("127.0.0.1:0".parse().unwrap());
        config.probe = Duration::from_millis(200);
        config.answer = Duration::from_millis(100);
        config.suspect = Duration::from_secs(2);
        config.announce = Duration::from_millis(100);
        config
    };
    // Who is empty does not know who may read: all begin with the grants.
    let system: Vec<_> =
        granted().authority().grants().map(|grant| syncline_kv::Item::Grant((**grant).clone())).collect();
    let tree = || {
        let tree = memory();
        tree.apply(now(), system.clone()).unwrap();
        tree
    };
    let first = builder(tree(), root()).swim(config()).start().await.unwrap();
    let seed = first.swim().unwrap().local_addr();
    let mut nodes = vec![first];
    for number in 2..=4 {
        let config = config().seed(root().public_key(), seed);
        nodes.push(builder(tree(), signer(number)).swim(config).start().await.unwrap());
    }
    // Nobody was told of anybody but the first; yet the third and the fourth have a link.
    until("those who were not told of each other have a link", async || {
        let status = nodes[3].status().await.unwrap();
        status.members.get(nodes[2].peer_id()).is_some_and(syncline_gossip::MemberStatus::is_up)
    })
    .await;
    nodes[3].tree().put(now(), &signer(4), &key("/k"), &b"v"[..]).unwrap();
    for node in &nodes {
        until_value(node.tree(), &key("/k"), Some(b"v")).await;
    }
    // One leaves: the others dial it no more.
    let gone = nodes.remove(1);
    gone.shutdown().await;
    until("the others have crossed it out", async || {
        nodes.iter().all(|node| node.peers().get(gone.peer_id()).is_none())
    })
    .await;
    shut_down(nodes).await;
}
