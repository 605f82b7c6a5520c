//! What is below a path: the initial set, a mark, then changes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{World, key, text};
use syncline_kv::client::{Dirtiness, SetEvent, WatchLimits};
use syncline_kv::path::{KeyFilter, Subtree};

fn told(events: &[SetEvent]) -> Vec<String> {
    let line = |event: &SetEvent| match event {
        SetEvent::Added(entry) => format!("+{}={}", entry.key(), text(entry)),
        SetEvent::Updated(entry) => format!("~{}={}", entry.key(), text(entry)),
        SetEvent::Removed(key) => format!("-{key}"),
        SetEvent::Live => "live".to_owned(),
    };
    events.iter().map(line).collect()
}

#[test]
fn the_initial_set_then_live_then_changes() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    for (path, text) in [("/a/1", "x"), ("/a/2", "y"), ("/b", "z"), ("/a/gone", "")] {
        world.put(&tree, path, text);
    }
    world.delete(&tree, "/a/gone");
    let below = client.subscribe_prefix(Subtree::below(&key("/a")), KeyFilter::default());
    let events = world.record(below.events());
    let link = world.connect(&client, &world.server(&tree));
    world.settle();
    assert_eq!(told(&events.take()), ["+/a/1=x", "+/a/2=y", "live"]);
    world.put(&tree, "/a/1", "x2");
    world.settle();
    world.put(&tree, "/a/3", "w");
    world.put(&tree, "/c", "no");
    world.settle();
    world.delete(&tree, "/a/2");
    world.settle();
    assert_eq!(told(&events.take()), ["~/a/1=x2", "+/a/3=w", "-/a/2"]);
    let again = world.record(below.events());
    world.settle();
    assert_eq!(told(&again.take()), ["+/a/1=x2", "+/a/3=w", "live"]);
    assert_eq!(link.upstream(), (1, 0));
}

#[test]
fn keys_removed_while_offline_are_told_and_leave() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    for path in ["/a/1", "/a/2", "/a/3"] {
        world.put(&tree, path, "");
    }
    let below = client.subscribe_prefix(Subtree::all(), KeyFilter::default());
    let events = world.record(below.events());
    let link = world.connect(&client, &world.server(&tree));
    world.settle();
    events.take();
    link.cut();
    world.settle();
    world.delete(&tree, "/a/2");
    world.settle();
    assert_eq!((below.entries().len(), below.dirtiness()), (3, Dirtiness::Disconnected));
    world.connect(&client, &world.server(&tree));
    world.settle();
    assert_eq!(told(&events.take()), ["-/a/2"]);
    assert_eq!((below.entries().len(), below.dirtiness()), (2, Dirtiness::Clean));
}

#[test]
fn a_deletion_that_was_forgotten_meanwhile_is_believed_in_time() {
    let mut world = World::new();
    let (tree, other, client) = (world.tree(), world.tree(), world.client());
    world.put(&tree, "/a/1", "");
    let below = client.subscribe_prefix(Subtree::all(), KeyFilter::default());
    let link = world.connect(&client, &world.server(&tree));
    world.settle();
    link.cut();
    // Another replica that never had it, or has it no more: nobody can tell.
    world.connect(&client, &world.server(&other));
    world.settle();
    assert_eq!((below.entries().len(), below.dirtiness()), (1, Dirtiness::Pending));
    world.wait(Duration::from_secs(30));
    assert_eq!((below.entries().len(), below.dirtiness()), (0, Dirtiness::Clean));
}

#[test]
fn ordered_filters_say_the_same_of_what_there_is_and_of_what_changes() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let rules = KeyFilter::new(["/a/**", "!/a/b/**", "/a/b/c"]).expect("rules");
    let paths = ["/a/x", "/a/b/c", "/a/b/d", "/z"];
    let below = client.subscribe_prefix(Subtree::all(), rules.clone());
    let live = world.record(below.events());
    world.connect(&client, &world.server(&tree));
    world.settle();
    for path in paths {
        world.put(&tree, path, "1");
        world.settle();
    }
    assert_eq!(told(&live.take()), ["live", "+/a/x=1", "+/a/b/c=1"]);
    let late = client.subscribe_prefix(Subtree::all(), rules);
    let snapshot = world.record(late.events());
    world.settle();
    assert_eq!(told(&snapshot.take()), ["+/a/b/c=1", "+/a/x=1", "live"]);
    let keys: Vec<String> = late.entries().keys().map(ToString::to_string).collect();
    assert_eq!(keys, ["/a/b/c", "/a/x"]);
}

#[test]
fn a_client_that_falls_behind_is_told_anew_and_what_is_remembered_is_bounded() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let mut limits = WatchLimits::default();
    (limits.behind_keys, limits.page_keys) = (4, 3);
    let server = world.server(&tree).with_limits(limits);
    for number in 0..50 {
        world.put(&tree, &format!("/k/{number}"), "old");
    }
    let below = client.subscribe_prefix(Subtree::all(), KeyFilter::default());
    let events = world.record(below.events());
    world.connect_by(&client, &server, 100);
    world.settle();
    let mut set = BTreeMap::new();
    for number in 0..50 {
        let path = format!("/k/{number}");
        if number % 3 == 0 {
            world.delete(&tree, &path);
        } else {
            world.put(&tree, &path, "new");
        }
    }
    world.settle();
    for event in events.take() {
        match event {
            SetEvent::Added(entry) | SetEvent::Updated(entry) => drop(set.insert(entry.key().clone(), entry)),
            SetEvent::Removed(key) => drop(set.remove(&key)),
            SetEvent::Live => {}
        }
    }
    let expected = tree.list(&syncline_kv::tree::Listing::of(Subtree::all())).expect("lists");
    assert_eq!(set.into_values().collect::<Vec<_>>(), expected.entries);
    assert_eq!(below.entries().into_values().collect::<Vec<_>>(), expected.entries);
    assert_eq!(below.dirtiness(), Dirtiness::Clean);
}
