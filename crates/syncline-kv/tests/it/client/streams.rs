//! Streams: independent, and over when their subscription or client is.

use futures::executor::block_on;
use futures::{FutureExt, StreamExt};

use super::world::{World, key};
use syncline_kv::client::{Dirtiness, State, Value};

#[test]
fn s22_unsubscribe_terminates_it() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    world.connect(&client, &world.server(&tree));
    let mut first = client.subscribe_key("/x").expect("a key");
    let second = client.subscribe_key("/x").expect("a key");
    let third = client.subscribe_key("/x").expect("a key");
    let of_first = (world.record(first.values()), world.record(first.dirtiness_changes()));
    let of_second = world.record(second.states());
    let of_third = world.record(third.values());
    world.settle();
    first.unsubscribe();
    first.unsubscribe();
    drop(third);
    world.settle();
    assert!(of_first.0.has_ended() && of_first.1.has_ended() && of_third.has_ended());
    assert_eq!(block_on(first.value_changed()), None);
    assert_eq!(first.state(), State::default());
    assert_eq!(block_on(first.values().next()), None);
    let entry = world.put(&tree, "/x", "one");
    world.settle();
    assert!(!of_second.has_ended());
    assert_eq!(second.value(), Value::Present(entry));
    drop(first);
    assert_eq!(client.keys(), [key("/x")]);
}

#[test]
fn s24_streams_are_independent_and_end_with_the_client() {
    let mut world = World::new();
    let (tree, client) = (world.tree(), world.client());
    let link = world.connect(&client, &world.server(&tree));
    let subscription = client.subscribe_key("/x").expect("a key");
    let below = client.subscribe_prefix("/".parse().expect("a path"), Default::default());
    let values = [world.record(subscription.values()), world.record(subscription.values())];
    let dirtiness = world.record(subscription.dirtiness_changes());
    let states = world.record(subscription.states());
    let events = world.record(below.events());
    let mut unread = subscription.values();
    world.settle();
    world.put(&tree, "/x", "one");
    world.settle();
    let told = values[0].take();
    assert_eq!(told, values[1].take());
    assert_eq!(told.last(), Some(&subscription.value()));
    assert_eq!(dirtiness.take().last(), Some(&Dirtiness::Clean));
    assert_eq!(states.take().last(), Some(&subscription.state()));
    client.close();
    world.settle();
    assert!(values.iter().all(super::world::Recorded::has_ended));
    assert!(dirtiness.has_ended() && states.has_ended() && events.has_ended());
    assert_eq!(unread.next().now_or_never(), Some(None));
    assert_eq!(client.keys(), []);
    let late = client.subscribe_key("/x").expect("a key");
    assert_eq!(late.values().next().now_or_never(), Some(None));
    assert_eq!(link.client.take(), Some(Ok(())));
    assert_eq!(link.server.take(), Some(Ok(())));
}
