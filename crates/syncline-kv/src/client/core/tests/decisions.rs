//! Which value is shown, and how clean it is called, case by case.

use std::time::Duration;

use super::world::{CATCH_UP, CULL_AFTER, Tell, World, at, item, key, scope};
use crate::client::core::{ClientCore, ConnectionId, Fault};
use crate::client::wire::{Message, Scope};
use crate::client::{Dirtiness, Value};
use crate::item::Entry;
use crate::path::Subtree;

const X: &str = "/x";

fn seen(core: &ClientCore) -> (Option<Entry>, Dirtiness) {
    let value = core.value(&scope(X), &key(X));
    (value.entry().cloned(), core.dirtiness(&scope(X)))
}

fn subscribes(core: &mut ClientCore, connection: ConnectionId) -> Vec<Message> {
    core.outgoing(connection).0
}

#[test]
fn dirty_then_clean_then_dirty_then_clean_and_dirty_while_disconnected() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    core.subscribe(now, &scope(X));
    assert_eq!(seen(&core), (None, Dirtiness::Disconnected));
    let a = core.welcome(now);
    assert_eq!(seen(&core), (None, Dirtiness::Pending));
    let (one, two) = (world.put(X, 1), world.put(X, 2));
    core.says(now, a, 0, Some(&one), X);
    assert_eq!(seen(&core), (Some(one.clone()), Dirtiness::Clean));
    core.tell(now, a, Message::Changed(0)).unwrap();
    assert_eq!(seen(&core), (Some(one), Dirtiness::Pending));
    core.tell(now, a, Message::Value { id: 0, entry: two.clone() }).unwrap();
    assert_eq!(seen(&core), (Some(two.clone()), Dirtiness::Clean));
    core.disconnected(now, a);
    assert_eq!(seen(&core), (Some(two), Dirtiness::Disconnected));
}

#[test]
fn unknown_absent_and_present_are_three_things() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    core.subscribe(now, &scope(X));
    let a = core.welcome(now);
    assert_eq!(core.value(&scope(X), &key(X)), Value::Unknown);
    core.says(now, a, 0, None, X);
    assert_eq!(core.value(&scope(X), &key(X)), Value::Absent);
    let entry = world.put(X, 1);
    core.tell(now, a, Message::Value { id: 0, entry: entry.clone() }).unwrap();
    assert_eq!(core.value(&scope(X), &key(X)), Value::Present(entry));
    let deletion = world.entry(X, 2, None, true);
    core.tell(now, a, Message::Value { id: 0, entry: deletion }).unwrap();
    assert_eq!(core.value(&scope(X), &key(X)), Value::Absent);
}

#[test]
fn two_subscriptions_are_one_upstream() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    let a = core.welcome(now);
    let first = core.subscribe(now, &scope(X));
    let second = core.subscribe(now, &scope(X));
    let subscribe = Message::Subscribe { id: 0, scope: scope(X), deletions: false };
    assert_eq!(subscribes(&mut core, a), [subscribe]);
    core.unsubscribe(now, first);
    core.unsubscribe(now, first);
    core.timeout(at(1_000_000));
    assert_eq!(core.scopes().count(), 1);
    assert!(core.is_subscribed(second));
}

#[test]
fn culled_after_a_delay_and_not_before() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    let a = core.welcome(now);
    let first = core.subscribe(now, &scope(X));
    let entry = world.put(X, 1);
    core.says(now, a, 0, Some(&entry), X);
    subscribes(&mut core, a);
    core.unsubscribe(now, first);
    assert_eq!(core.next_timeout(), Some(now + CULL_AFTER));
    let just_before = at(9_999);
    core.timeout(just_before);
    let again = core.subscribe(just_before, &scope(X));
    assert_eq!(seen(&core), (Some(entry), Dirtiness::Clean));
    assert_eq!(subscribes(&mut core, a), []);
    core.unsubscribe(just_before, again);
    core.timeout(just_before + CULL_AFTER);
    assert_eq!(core.scopes().count(), 0);
    assert_eq!(subscribes(&mut core, a), [Message::Unsubscribe(0)]);
    core.subscribe(at(30_000), &scope(X));
    assert_eq!(seen(&core), (None, Dirtiness::Pending));
    let subscribe = Message::Subscribe { id: 1, scope: scope(X), deletions: false };
    assert_eq!(subscribes(&mut core, a), [subscribe]);
}

#[test]
fn a_server_that_lags_does_not_turn_time_back() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    core.subscribe(now, &scope(X));
    let (one, two, three) = (world.put(X, 1), world.put(X, 2), world.put(X, 3));
    let a = core.welcome(now);
    core.says(now, a, 0, Some(&two), X);
    let b = core.welcome(now);
    assert_eq!(subscribes(&mut core, b), []);
    core.disconnected(now, a);
    assert_eq!(seen(&core), (Some(two.clone()), Dirtiness::Pending));
    core.says(now, b, 0, Some(&one), X);
    assert_eq!(seen(&core), (Some(two.clone()), Dirtiness::Pending));
    assert_eq!(core.next_timeout(), Some(now + CATCH_UP));
    core.timeout(now + CATCH_UP);
    assert_eq!(seen(&core), (Some(two), Dirtiness::Stale));
    core.tell(at(40_000), b, Message::Value { id: 0, entry: three.clone() }).unwrap();
    assert_eq!(seen(&core), (Some(three), Dirtiness::Clean));
}

#[test]
fn that_there_is_none_is_taken_from_a_server_that_knew_better_and_from_others_in_time() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    core.subscribe(now, &scope(X));
    let one = world.put(X, 1);
    let a = core.welcome(now);
    core.says(now, a, 0, Some(&one), X);
    core.tell(now, a, Message::Absent { id: 0, key: key(X) }).unwrap();
    assert_eq!(seen(&core), (None, Dirtiness::Clean));

    core.tell(now, a, Message::Value { id: 0, entry: one.clone() }).unwrap();
    core.disconnected(now, a);
    let b = core.welcome(now);
    core.says(now, b, 0, None, X);
    assert_eq!(seen(&core), (Some(one), Dirtiness::Pending));
    core.timeout(now + CATCH_UP);
    assert_eq!(core.value(&scope(X), &key(X)), Value::Absent);
    assert_eq!(core.dirtiness(&scope(X)), Dirtiness::Clean);
}

#[test]
fn a_proven_revocation_wins_at_once() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    core.subscribe(now, &scope(X));
    let (grant, old) = (world.grant(1), world.put(X, 1));
    let new = world.entry(X, 2, Some(grant.id()), false);
    let a = core.welcome(now);
    core.tell(now, a, item(grant.clone())).unwrap();
    core.says(now, a, 0, Some(&new), X);
    core.disconnected(now, a);
    let b = core.welcome(now);
    let named = subscribes(&mut core, b);
    let subscribe = Message::Subscribe { id: 0, scope: scope(X), deletions: true };
    assert_eq!(named, [Message::Know(vec![grant.id()]), subscribe]);
    core.says(now, b, 0, Some(&old), X);
    assert_eq!(seen(&core), (Some(new.clone()), Dirtiness::Pending));
    core.tell(now, b, item(world.revocation(grant.id()))).unwrap();
    assert_eq!(seen(&core), (Some(old.clone()), Dirtiness::Clean));
    // A server that has not heard of it shows nothing new.
    core.disconnected(now, b);
    let c = core.welcome(now);
    core.says(now, c, 0, Some(&new), X);
    assert_eq!(seen(&core), (Some(old), Dirtiness::Pending));
}

#[test]
fn what_is_revoked_is_not_shown_while_nobody_says_what_is_there_instead() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    core.subscribe(now, &scope(X));
    let grant = world.grant(1);
    let a = core.welcome(now);
    core.tell(now, a, item(grant.clone())).unwrap();
    core.says(now, a, 0, Some(&world.entry(X, 2, Some(grant.id()), false)), X);
    core.tell(now, a, item(world.revocation(grant.id()))).unwrap();
    assert_eq!(core.value(&scope(X), &key(X)), Value::Unknown);
}

#[test]
fn a_value_without_a_valid_chain_ends_the_connection_and_is_never_shown() {
    let (world, now) = (World::new(), at(0));
    let grant = world.grant(1);
    let of_other_key = world.put("/y", 1);
    let unfounded = world.entry(X, 1, Some(grant.id()), false);
    let mut forged = world.put(X, 1).encoded().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Entry::decode(forged.into()).unwrap();
    let stranger = World { root: world.author.clone(), ..World::new() }.put(X, 1);
    let is_not_asked: fn(&Fault) -> bool = |fault| matches!(fault, Fault::NotAsked(_));
    let cases = [
        (of_other_key, is_not_asked),
        (unfounded, |fault| matches!(fault, Fault::Unfounded(_))),
        (forged, |fault| *fault == Fault::Signature),
        (stranger, |fault| matches!(fault, Fault::Unauthorized(_))),
    ];
    for (entry, is_expected) in cases {
        let mut core = world.core();
        core.subscribe(now, &scope(X));
        let a = core.welcome(now);
        core.tell(now, a, Message::Begin(0)).unwrap();
        let fault = core.tell(now, a, Message::Value { id: 0, entry }).unwrap_err();
        assert!(is_expected(&fault), "{fault}");
        assert_eq!(core.value(&scope(X), &key(X)), Value::Unknown);
    }
}

#[test]
fn an_answer_to_what_has_ended_is_ignored_and_one_to_what_never_was_is_a_fault() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    let a = core.welcome(now);
    let id = core.subscribe(now, &scope(X));
    core.unsubscribe(now, id);
    core.timeout(at(100_000));
    core.says(at(100_000), a, 0, Some(&world.put(X, 1)), X);
    assert_eq!(core.scopes().count(), 0);
    assert_eq!(core.tell(at(100_000), a, Message::Live(1)), Err(Fault::UnknownSubscription(1)));
}

#[test]
fn a_server_that_refuses_is_left_for_one_that_does_not() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core();
    core.subscribe(now, &scope(X));
    let a = core.welcome(now);
    core.tell(now, a, Message::Denied(0)).unwrap();
    assert_eq!(seen(&core), (None, Dirtiness::Denied));
    subscribes(&mut core, a);
    let b = core.welcome(now);
    assert_eq!(subscribes(&mut core, a), [Message::Unsubscribe(0)]);
    let entry = world.put(X, 1);
    core.says(now, b, 0, Some(&entry), X);
    assert_eq!(seen(&core), (Some(entry.clone()), Dirtiness::Clean));
    core.disconnected(now, b);
    assert_eq!(seen(&core), (Some(entry.clone()), Dirtiness::Denied));
    // Rights may come later.
    core.says(now, a, 1, Some(&entry), X);
    assert_eq!(seen(&core), (Some(entry), Dirtiness::Clean));
}

#[test]
fn a_server_that_has_not_synced_in_time_is_stale() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core_with(|config| config.fresh_within = Some(Duration::from_secs(5)));
    core.subscribe(now, &scope(X));
    let a = core.welcome(now);
    core.says(now, a, 0, None, X);
    assert_eq!(seen(&core).1, Dirtiness::Stale);
    core.tell(now, a, Message::Fresh(Some(2_000))).unwrap();
    assert_eq!(seen(&core).1, Dirtiness::Clean);
    let late = core.next_timeout().unwrap();
    assert_eq!(late, at(3_001));
    core.take_touched();
    core.timeout(late);
    assert_eq!(seen(&core).1, Dirtiness::Stale);
    assert!(!core.take_touched().is_empty());
    core.tell(late, a, Message::Held { id: 0, held: true }).unwrap();
    core.tell(late, a, Message::Fresh(Some(0))).unwrap();
    assert_eq!(seen(&core).1, Dirtiness::Quarantined);
}

#[test]
fn a_set_forgets_what_is_gone_and_ends_when_it_is_too_large() {
    let (world, now, below) = (World::new(), at(0), Scope::Below(Subtree::all()));
    let mut core = world.core_with(|config| config.set_keys = 2);
    core.subscribe(now, &below);
    let a = core.welcome(now);
    core.tell(now, a, Message::Begin(0)).unwrap();
    for path in ["/a", "/b"] {
        core.tell(now, a, Message::Value { id: 0, entry: world.put(path, 1) }).unwrap();
    }
    core.tell(now, a, Message::Live(0)).unwrap();
    core.disconnected(now, a);
    let b = core.welcome(now);
    let subscribe = Message::Subscribe { id: 0, scope: below.clone(), deletions: true };
    assert_eq!(subscribes(&mut core, b), [subscribe]);
    core.tell(now, b, Message::Begin(0)).unwrap();
    core.tell(now, b, Message::Value { id: 0, entry: world.entry("/a", 2, None, true) }).unwrap();
    core.tell(now, b, Message::Live(0)).unwrap();
    let keys = |core: &ClientCore| core.entries(&below).map(|entry| entry.key().to_string()).collect::<Vec<_>>();
    assert_eq!(keys(&core), ["/b"]);
    assert_eq!(core.dirtiness(&below), Dirtiness::Pending);
    core.timeout(now + CATCH_UP);
    assert_eq!(keys(&core), [""; 0]);
    assert_eq!(core.dirtiness(&below), Dirtiness::Clean);
    for (path, dirtiness) in [("/c", Dirtiness::Clean), ("/d", Dirtiness::Clean), ("/e", Dirtiness::TooLarge)] {
        core.tell(now, b, Message::Value { id: 0, entry: world.put(path, 5) }).unwrap();
        assert_eq!(core.dirtiness(&below), dirtiness);
    }
    assert_eq!(keys(&core), [""; 0]);
    assert_eq!(subscribes(&mut core, b), [Message::Unsubscribe(0)]);
}

#[test]
fn words_about_nothing_leave_nothing_behind() {
    let (world, now, below) = (World::new(), at(0), Scope::Below(Subtree::all()));
    let mut core = world.core_with(|config| config.set_keys = 2);
    core.subscribe(now, &below);
    let a = core.welcome(now);
    core.tell(now, a, Message::Begin(0)).unwrap();
    let empty = format!("{core:?}").len();
    for number in 0..1_000 {
        core.tell(now, a, Message::Absent { id: 0, key: key(&format!("/{number}")) }).unwrap();
        core.take_touched();
    }
    assert!(format!("{core:?}").len() < empty + 100);
}

#[test]
fn what_does_not_fit_into_a_session_goes_into_another() {
    let (world, now) = (World::new(), at(0));
    let mut core = world.core_with(|config| config.session.subscriptions = 2);
    let paths = ["/1", "/2", "/3"];
    let subscriptions: Vec<_> = paths.iter().map(|path| core.subscribe(now, &scope(path))).collect();
    let a = core.welcome(now);
    assert_eq!(subscribes(&mut core, a).len(), 2);
    assert_eq!(core.dirtiness(&scope("/3")), Dirtiness::Disconnected);
    let b = core.welcome(now);
    assert_eq!(subscribes(&mut core, b).len(), 1);
    assert_eq!(core.dirtiness(&scope("/3")), Dirtiness::Pending);
    core.disconnected(now, b);
    core.unsubscribe(now, subscriptions[0]);
    core.timeout(now + CULL_AFTER);
    let subscribe = Message::Subscribe { id: 2, scope: scope("/3"), deletions: false };
    assert_eq!(subscribes(&mut core, a), [Message::Unsubscribe(0), subscribe]);
}
