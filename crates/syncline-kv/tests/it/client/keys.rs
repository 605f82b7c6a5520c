//! Keys: kept up to date, through connections and servers, shared, and forgotten.

use std::time::Duration;

use futures::executor::block_on;
use futures::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::world::{World, key, text};
use syncline_kv::client::{Dirtiness, State, Value};
use syncline_kv::tree::Tree;

fn value(value: &Value) -> Option<String> {
    value.entry().map(text)
}

#[test]
fn s18_a_client_keeps_a_list_of_key_subscriptions_up_to_date_locally() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let paths: Vec<String> = (0..100).map(|number| format!("/k/{number:02}")).collect();
    let subscriptions: Vec<_> = paths.iter().map(|path| client.subscribe_key(path).expect("a key")).collect();
    let link = world.connect(&client, &world.server(&tree));
    for change in 0..1_000_usize {
        let path = &paths[change * 37 % paths.len()];
        if change % 11 == 3 {
            world.delete(&tree, path);
        } else {
            world.put(&tree, path, &change.to_string());
        }
        if change % 7 == 0 {
            world.settle();
        }
    }
    world.settle();
    for subscription in &subscriptions {
        let latest = tree.get(subscription.key()).expect("reads");
        assert_eq!(subscription.value().entry(), latest.as_ref());
        assert_eq!(subscription.dirtiness(), Dirtiness::Clean);
    }
    let keys: Vec<String> = client.keys().iter().map(ToString::to_string).collect();
    assert_eq!(keys, paths);
    assert_eq!(link.upstream(), (100, 0));
}

#[test]
fn s19_state_persists_through_different_connections() {
    let mut world = World::new();
    let (first, second, client) = (world.tree(), world.tree(), world.client());
    world.put(&first, "/x", "cached");
    world.copy(&first, &second);
    let subscription = client.subscribe_key("/x").expect("a key");
    let link = world.connect(&client, &world.server(&first));
    world.settle();
    let states = world.record(subscription.states());
    world.settle();
    link.cut();
    world.settle();
    let state = subscription.state();
    assert_eq!((value(&state.value).as_deref(), state.dirtiness), (Some("cached"), Dirtiness::Disconnected));
    world.put(&second, "/x", "new");
    world.connect(&client, &world.server(&second));
    world.settle();
    assert_eq!(value(&subscription.value()).as_deref(), Some("new"));
    let told = states.take();
    let told: Vec<_> = told.iter().map(|state| (value(&state.value), state.dirtiness)).collect();
    let state = |text: &str, dirtiness| (Some(text.to_owned()), dirtiness);
    assert_eq!(told.first(), Some(&state("cached", Dirtiness::Clean)));
    assert_eq!(told.get(1), Some(&state("cached", Dirtiness::Disconnected)));
    assert_eq!(told.last(), Some(&state("new", Dirtiness::Clean)));
    assert!(told.iter().all(|(value, _)| value.is_some()), "{told:?}");
    assert!(told.windows(2).all(|two| two[0] != two[1]), "{told:?}");
}

#[test]
fn s19_fail_over_tells_nothing_twice() {
    let mut world = World::new();
    let (first, second, client) = (world.tree(), world.tree(), world.client());
    world.put(&first, "/x", "one");
    world.copy(&first, &second);
    let subscription = client.subscribe_key("/x").expect("a key");
    let values = world.record(subscription.values());
    let links = [world.connect(&client, &world.server(&first)), world.connect(&client, &world.server(&second))];
    world.settle();
    assert_eq!((links[0].upstream(), links[1].upstream()), ((1, 0), (0, 0)));
    links[0].cut();
    world.settle();
    assert_eq!(links[1].upstream(), (1, 0));
    assert_eq!(subscription.dirtiness(), Dirtiness::Clean);
    let told: Vec<_> = values.take().iter().map(value).collect();
    assert_eq!(told, [None, Some("one".to_owned())]);
}

#[test]
fn s20a_unknown_is_not_absent_is_not_present() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let subscription = client.subscribe_key("/x").expect("a key");
    assert_eq!(subscription.value(), Value::Unknown);
    world.connect(&client, &world.server(&tree));
    world.settle();
    assert_eq!(subscription.value(), Value::Absent);
    let entry = world.put(&tree, "/x", "");
    world.settle();
    assert_eq!(subscription.value(), Value::Present(entry));
    world.delete(&tree, "/x");
    world.settle();
    assert_eq!(subscription.value(), Value::Absent);
}

#[test]
fn s20b_whether_it_is_dirty() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    world.put(&tree, "/x", "one");
    let subscription = client.subscribe_key("/x").expect("a key");
    let states = world.record(subscription.states());
    // By a stream of a few bytes at a time, each state is seen.
    let link = world.connect_by(&client, &world.server(&tree), 2);
    world.settle();
    world.put(&tree, "/x", "two");
    world.settle();
    link.cut();
    world.settle();
    let told: Vec<_> = states.take().iter().map(|state| (value(&state.value), state.dirtiness)).collect();
    let (one, two) = (Some("one".to_owned()), Some("two".to_owned()));
    let expected = [
        (None, Dirtiness::Disconnected),
        (None, Dirtiness::Pending),
        (one.clone(), Dirtiness::Pending),
        (one.clone(), Dirtiness::Clean),
        (one, Dirtiness::Pending),
        (two.clone(), Dirtiness::Clean),
        (two, Dirtiness::Disconnected),
    ];
    assert_eq!(told, expected);
}

#[test]
fn s21_two_subscriptions_on_one_key_share_one_upstream() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let link = world.connect(&client, &world.server(&tree));
    let first = client.subscribe_key("/x").expect("a key");
    let second = client.subscribe(key("/x"));
    world.settle();
    assert_eq!(link.upstream(), (1, 0));
    assert_eq!(client.keys(), [key("/x")]);
    let entry = world.put(&tree, "/x", "one");
    world.settle();
    assert_eq!((first.value(), second.value()), (Value::Present(entry.clone()), Value::Present(entry)));
    assert!(client.subscribe_key("x").is_err());
    assert!(client.subscribe_key("/x//y").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Writes, subscriptions and single turns of the tasks, in any order, over streams that hold any number of bytes.
    #[test]
    fn s21_no_event_is_lost_between_snapshot_and_live(
        capacity in 1..300_usize,
        steps in proptest::collection::vec((0..4_u8, 0..3_usize, 0..12_usize), 1..80),
    ) {
        let mut world = World::new();
        let (tree, client) = (world.tree(), world.client());
        let paths = ["/a/x", "/a/y", "/b"];
        let below = client.subscribe_prefix("/a".parse().expect("a path"), Default::default());
        let mut subscriptions = Vec::new();
        world.connect_by(&client, &world.server(&tree), capacity);
        for (number, (what, which, turns)) in steps.into_iter().enumerate() {
            match what {
                0 => subscriptions.push(client.subscribe_key(paths[which]).expect("a key")),
                1 => world.delete(&tree, paths[which]),
                _ => drop(world.put(&tree, paths[which], &number.to_string())),
            }
            (0..turns).for_each(|_| world.step());
        }
        world.settle();
        for subscription in &subscriptions {
            let latest = tree.get(subscription.key()).expect("reads");
            prop_assert_eq!(subscription.value().entry().cloned(), latest);
            prop_assert_eq!(subscription.dirtiness(), Dirtiness::Clean);
        }
        for path in ["/a/x", "/a/y"] {
            prop_assert_eq!(below.entries().get(&key(path)).cloned(), tree.get(&key(path)).expect("reads"));
        }
        prop_assert_eq!(below.dirtiness(), Dirtiness::Clean);
    }
}

#[test]
fn s23_culled_after_a_short_delay_and_forgotten() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let entry = world.put(&tree, "/x", "one");
    let link = world.connect(&client, &world.server(&tree));
    let subscription = client.subscribe_key("/x").expect("a key");
    world.settle();
    drop(subscription);
    world.wait(Duration::from_millis(9_999));
    let again = client.subscribe_key("/x").expect("a key");
    assert_eq!(again.state(), State { value: Value::Present(entry), dirtiness: Dirtiness::Clean });
    world.settle();
    assert_eq!(link.upstream(), (1, 0));
    drop(again);
    world.wait(Duration::from_secs(10));
    assert_eq!(client.keys(), []);
    assert_eq!(link.upstream(), (1, 1));
    let later = client.subscribe_key("/x").expect("a key");
    assert_eq!(later.state(), State { value: Value::Unknown, dirtiness: Dirtiness::Pending });
    world.settle();
    assert_eq!(link.upstream(), (2, 1));
    assert_eq!(later.dirtiness(), Dirtiness::Clean);
}

#[test]
fn s20c_the_last_of_a_burst_is_told_and_no_writer_waits_for_a_slow_reader() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let mut subscription = client.subscribe_key("/x").expect("a key");
    let mut slow = subscription.values();
    world.connect(&client, &world.server(&tree));
    world.settle();
    assert_eq!(block_on(subscription.value_changed()), Some(Value::Absent));
    // Nobody reads anything meanwhile: were a writer to wait, this would hang.
    let last = (0..1_000).map(|number| world.put(&tree, "/x", &number.to_string())).last();
    world.settle();
    assert_eq!(block_on(subscription.value_changed()).as_ref().and_then(Value::entry), last.as_ref());
    assert_eq!(subscription.value_changed().now_or_never(), None);
    assert_eq!(slow.next().now_or_never().flatten().as_ref().and_then(Value::entry), last.as_ref());
    assert_eq!(slow.next().now_or_never(), None);
}

#[test]
fn s20d_dirtiness_has_a_stream_of_its_own() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let subscription = client.subscribe_key("/x").expect("a key");
    let dirtiness = world.record(subscription.dirtiness_changes());
    let values = world.record(subscription.values());
    let link = world.connect(&client, &world.server(&tree));
    world.settle();
    link.cut();
    world.settle();
    let told = dirtiness.take();
    assert_eq!(told.first(), Some(&Dirtiness::Disconnected));
    assert_eq!(told[told.len() - 2..], [Dirtiness::Clean, Dirtiness::Disconnected]);
    assert_eq!(values.take(), [Value::Unknown, Value::Absent]);
}

#[test]
fn a_replica_that_lags_is_stale_and_not_believed() {
    let mut world = World::new();
    let (fresh, lagging, client) = (world.tree(), world.tree(), world.client());
    world.put(&fresh, "/x", "old");
    world.copy(&fresh, &lagging);
    world.put(&fresh, "/x", "new");
    let subscription = client.subscribe_key("/x").expect("a key");
    let link = world.connect(&client, &world.server(&fresh));
    world.settle();
    link.cut();
    world.connect(&client, &world.server(&lagging));
    world.settle();
    let seen = |subscription: &syncline_kv::client::KeySubscription| {
        (value(&subscription.value()).unwrap_or_default(), subscription.dirtiness())
    };
    assert_eq!(seen(&subscription), ("new".to_owned(), Dirtiness::Pending));
    world.wait(Duration::from_secs(30));
    assert_eq!(seen(&subscription), ("new".to_owned(), Dirtiness::Stale));
    world.copy(&fresh, &lagging);
    world.settle();
    assert_eq!(seen(&subscription), ("new".to_owned(), Dirtiness::Clean));
}

#[test]
fn a_quiet_session_stays_and_a_silent_one_ends() {
    let mut world = World::new();
    let (tree, client): (Tree, _) = (world.tree(), world.client());
    let subscription = client.subscribe_key("/x").expect("a key");
    let link = world.connect(&client, &world.server(&tree));
    world.wait(Duration::from_secs(3_600));
    assert_eq!(subscription.dirtiness(), Dirtiness::Clean);
    assert!(link.client.borrow().is_none() && link.server.borrow().is_none());
    client.close();
    world.settle();
    assert_eq!((link.client.take(), link.server.take()), (Some(Ok(())), Some(Ok(()))));
}

#[test]
fn s21_no_event_is_lost_with_a_writer_on_another_thread() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let (root, now) = (world.root.clone(), syncline_core::clock::Clock::now(&world.clock));
    world.connect_by(&client, &world.server(&tree), 500);
    let below = client.subscribe_prefix("/k".parse().expect("a path"), Default::default());
    let mut subscriptions = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..600_u32 {
                let path = key(&format!("/k/{}", number % 20));
                tree.put(now, &root, &path, &number.to_be_bytes()[..]).expect("puts");
            }
        });
        let mut number = 0;
        while !writer.is_finished() {
            if number % 50 == 0 && subscriptions.len() < 20 {
                subscriptions.push(client.subscribe(key(&format!("/k/{}", subscriptions.len()))));
            }
            number += 1;
            world.step();
        }
    });
    world.settle();
    for subscription in &subscriptions {
        let latest = tree.get(subscription.key()).expect("reads");
        assert_eq!((subscription.value().entry().cloned(), subscription.dirtiness()), (latest, Dirtiness::Clean));
    }
    let latest = tree.list(&syncline_kv::tree::Listing::of("/k".parse().expect("a path"))).expect("lists");
    assert_eq!(below.entries().into_values().collect::<Vec<_>>(), latest.entries);
    assert_eq!((latest.entries.len(), below.dirtiness()), (20, Dirtiness::Clean));
}
