//! Rights: who may read, what a revocation does, and what a server must not send.

use std::time::Duration;

use syncline_core::SyncError;
use syncline_core::clock::Timestamp;

use super::world::{World, key, text};
use syncline_core::clock::{Clock, Hlc};
use syncline_kv::client::{Dirtiness, State, Value, WatchLimits};
use syncline_kv::item::{EntryDraft, GrantDraft, Leaves, Ops, Quota, Reads, Value as ItemValue};
use syncline_kv::path::{KeyFilter, Pattern, Subtree};

fn draft(world: &World, audience: syncline_crypto::PublicKey, pattern: &str, ops: Ops) -> GrantDraft {
    GrantDraft {
        namespace: world.namespace.id(),
        parent: None,
        issuer: world.root.public_key(),
        audience,
        pattern: Pattern::new(pattern).expect("a pattern"),
        ops,
        depth: 0,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: Hlc::new(world.clock.now(), 0),
    }
}

#[test]
fn a_stranger_learns_only_that_it_may_not_read() {
    let mut world = World::with_reads(Reads::Granted);
    let (tree, client) = (world.tree(), world.client());
    world.put(&tree, "/x", "secret");
    let subscription = client.subscribe_key("/x").expect("a key");
    let below = client.subscribe_prefix(Subtree::all(), KeyFilter::default());
    let denied = State { value: Value::Unknown, dirtiness: Dirtiness::Denied };
    for remote in [None, Some(World::who(9).1)] {
        let link = world.connect(&client, &world.server(&tree).with_remote(remote));
        world.settle();
        world.put(&tree, "/x", "another secret");
        world.settle();
        assert_eq!(subscription.state(), denied);
        assert_eq!((below.entries().len(), below.dirtiness()), (0, Dirtiness::Denied));
        link.cut();
        world.settle();
    }
}

#[test]
fn rights_that_come_open_a_subscription_and_rights_that_go_close_it() {
    let mut world = World::with_reads(Reads::Granted);
    let (tree, client, (_, reader)) = (world.tree(), world.client(), World::who(9));
    world.put(&tree, "/a/x", "1");
    world.put(&tree, "/b", "no");
    let below = client.subscribe_prefix(Subtree::below(&key("/a")), KeyFilter::default());
    let other = client.subscribe_key("/b").expect("a key");
    world.connect(&client, &world.server(&tree).with_remote(reader));
    world.settle();
    assert_eq!(below.dirtiness(), Dirtiness::Denied);
    let grant = draft(&world, reader, "/a/**", Ops::Read);
    let grant = tree.grant(world.clock.now(), &world.root, grant).expect("a root may grant");
    world.settle();
    assert_eq!((below.entries().len(), below.dirtiness()), (1, Dirtiness::Clean));
    assert_eq!(other.dirtiness(), Dirtiness::Denied);
    tree.revoke(world.clock.now(), &world.root, grant.id()).expect("a root may revoke");
    world.put(&tree, "/a/y", "2");
    world.settle();
    assert_eq!((below.entries().len(), below.dirtiness()), (1, Dirtiness::Denied));
}

#[test]
fn a_grant_to_read_that_runs_out_is_noticed_without_a_change() {
    let mut world = World::with_reads(Reads::Granted);
    let (tree, client, (_, reader)) = (world.tree(), world.client(), World::who(9));
    world.put(&tree, "/a/x", "1");
    let mut grant = draft(&world, reader, "/a/**", Ops::Read);
    let end = world.clock.now() + Duration::from_secs(60);
    grant.not_after = Some(end);
    tree.grant(world.clock.now(), &world.root, grant).expect("a root may grant");
    let subscription = client.subscribe_key("/a/x").expect("a key");
    world.connect(&client, &world.server(&tree).with_remote(reader));
    world.wait(Duration::from_secs(59));
    assert_eq!(subscription.dirtiness(), Dirtiness::Clean);
    world.wait(Duration::from_secs(12));
    assert_eq!(subscription.dirtiness(), Dirtiness::Denied);
}

#[test]
fn a_revocation_is_told_and_the_value_goes_at_once() {
    let mut world = World::new();
    let (tree, lagging, client) = (world.tree(), world.tree(), world.client());
    let (writer, public) = World::who(5);
    let grant = draft(&world, public, "/**", Ops::Write);
    let grant = tree.grant(world.clock.now(), &world.root, grant).expect("a root may grant");
    let now = world.clock.now();
    tree.put(now, &writer, &key("/x"), &b"theirs"[..]).expect("puts");
    world.copy(&tree, &lagging);
    let subscription = client.subscribe_key("/x").expect("a key");
    let values = world.record(subscription.values());
    let link = world.connect(&client, &world.server(&tree));
    world.settle();
    tree.revoke(world.clock.now(), &world.root, grant.id()).expect("a root may revoke");
    world.settle();
    assert_eq!(subscription.state(), State { value: Value::Absent, dirtiness: Dirtiness::Clean });
    // A replica that has not heard of it has nothing that counts.
    link.cut();
    world.connect(&client, &world.server(&lagging));
    world.settle();
    assert_eq!(subscription.value(), Value::Absent);
    assert_eq!(subscription.dirtiness(), Dirtiness::Pending);
    let told: Vec<Option<String>> = values.take().iter().map(|value| value.entry().map(text)).collect();
    assert_eq!(told, [None, Some("theirs".to_owned()), None]);
    assert_eq!(values.take(), []);
}

#[test]
fn a_second_server_that_proves_a_revocation_is_believed_at_once() {
    let mut world = World::new();
    let (first, second, client) = (world.tree(), world.tree(), world.client());
    let (writer, public) = World::who(5);
    let grant = draft(&world, public, "/**", Ops::Write);
    let grant = first.grant(world.clock.now(), &world.root, grant).expect("a root may grant");
    world.copy(&first, &second);
    // Written where the revocation has not come, so that nobody deletes it; there it counts as never made.
    let now = world.clock.now();
    first.put(now, &writer, &key("/x"), &b"theirs"[..]).expect("puts");
    second.revoke(now, &world.root, grant.id()).expect("a root may revoke");
    let subscription = client.subscribe_key("/x").expect("a key");
    let link = world.connect(&client, &world.server(&first));
    world.settle();
    assert!(subscription.value().entry().is_some());
    let values = world.record(subscription.values());
    world.settle();
    link.cut();
    world.connect(&client, &world.server(&second));
    world.settle();
    assert_eq!(subscription.state(), State { value: Value::Absent, dirtiness: Dirtiness::Clean });
    assert_eq!(values.take().len(), 2);
}

#[test]
fn what_waits_in_quarantine_is_said() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    world.put(&tree, "/x", "now");
    let subscription = client.subscribe_key("/x").expect("a key");
    world.connect(&client, &world.server(&tree));
    world.settle();
    let ahead = world.clock.now() + Duration::from_secs(300);
    let entry = EntryDraft {
        namespace: world.namespace.id(),
        key: key("/x"),
        value: ItemValue::from(&b"later"[..]),
        stamp: Hlc::new(ahead, 0),
        author: world.root.public_key(),
        leaves: Leaves::default(),
        previous: None,
    };
    let entry = entry.sign(&world.root).expect("signs");
    world.apply(&tree, entry.clone());
    world.wait(Duration::from_secs(20));
    assert_eq!(subscription.dirtiness(), Dirtiness::Quarantined);
    world.wait(Duration::from_secs(230));
    tree.release(world.clock.now()).expect("releases");
    world.wait(Duration::from_secs(20));
    assert_eq!(subscription.state(), State { value: Value::Present(entry), dirtiness: Dirtiness::Clean });
}

#[test]
fn a_server_that_does_not_sync_is_stale_if_that_matters() {
    let mut world = World::new();
    let mut config = syncline_kv::client::ClientConfig::default();
    config.fresh_within = Some(Duration::from_secs(60));
    let (tree, client) = (world.tree(), world.client_with(config));
    let peer = World::who(7).1;
    let subscription = client.subscribe_key("/x").expect("a key");
    world.connect(&client, &world.server(&tree));
    world.settle();
    assert_eq!(subscription.dirtiness(), Dirtiness::Stale);
    tree.note_synced(&peer, world.clock.now()).expect("notes");
    world.wait(Duration::from_secs(11));
    assert_eq!(subscription.dirtiness(), Dirtiness::Clean);
    world.wait(Duration::from_secs(50));
    assert_eq!(subscription.dirtiness(), Dirtiness::Stale);
}

#[test]
fn a_session_has_so_many_subscriptions_and_no_more() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let mut limits = WatchLimits::default();
    limits.subscriptions = 3;
    let link = world.connect(&client, &world.server(&tree).with_limits(limits));
    let three: Vec<_> = ["/1", "/2", "/3"].iter().map(|path| client.subscribe_key(path).expect("a key")).collect();
    world.settle();
    assert!(three.iter().all(|one| one.dirtiness() == Dirtiness::Clean));
    let _fourth = client.subscribe_key("/4").expect("a key");
    world.settle();
    assert!(matches!(link.server.take(), Some(Err(SyncError::UnexpectedBehaviour(_)))));
    assert!(matches!(link.client.take(), Some(Err(SyncError::UnexpectedBehaviour(_)))));
    assert_eq!(three[0].dirtiness(), Dirtiness::Disconnected);
}

#[test]
fn a_server_of_another_namespace_is_no_server() {
    let mut world = World::new();
    let other = World::with_reads(Reads::Granted);
    let (tree, client) = (other.tree(), world.client());
    let subscription = client.subscribe_key("/x").expect("a key");
    let link = world.connect(&client, &world.server(&tree));
    world.settle();
    assert!(matches!(link.client.take(), Some(Err(SyncError::UnexpectedBehaviour(_)))));
    assert_eq!(subscription.dirtiness(), Dirtiness::Disconnected);
    assert!(world.clock.now() >= Timestamp::ZERO);
}
