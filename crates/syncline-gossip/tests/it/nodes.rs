//! Five replicas, and what happens to them.

use syncline_gossip::KvNode;
use syncline_kv::Tree;
use syncline_kv::item::Ops;
use syncline_net::PeerAddr;

use crate::world::*;

/// Five replicas in a ring: each knows where the one before it is. The first belongs to the root.
async fn five() -> Vec<KvNode> {
    let first = memory();
    for number in 2..=5 {
        grant(&first, &signer(number).public_key(), "/**", Ops::ReadWrite);
    }
    let mut nodes = vec![start(first, root(), &[]).await];
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
    for node in nodes {
        let report = within("the shutdown", node.shutdown()).await;
        assert_eq!(report.tasks_left, 0);
        assert_eq!(node.node().task_count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_writes_all_have() {
    let nodes = five().await;
    until_equal(&trees(&nodes)).await;
    for (number, node) in (1..=5).zip(&nodes) {
        let key = key(&format!("/of/{number}"));
        node.tree().put(now(), &signer(number), &key, &b"here"[..]).unwrap();
    }
    for node in &nodes {
        for number in 1..=5 {
            until_value(node.tree(), &key(&format!("/of/{number}")), Some(b"here")).await;
        }
    }
    until_equal(&trees(&nodes)).await;
    shut_down(nodes).await;
}
