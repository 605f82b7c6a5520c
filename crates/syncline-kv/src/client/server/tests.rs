//! The serving machine, input by input: what is read when, and in which order.

use std::collections::BTreeSet;

use bytes::BytesMut;
use syncline_core::clock::Timestamp;
use syncline_core::machine::{Input, Machine, Output};

use super::super::WatchLimits;
use super::super::wire::{Message, Scope, encode};
use super::machine::ServerMachine;
use super::reads::{Request, Response, Standing, Values, What};
use crate::item::NamespaceId;
use crate::path::{Key, Subtree};
use crate::tree::Changed;

const NOW: Timestamp = Timestamp::from_millis(5);

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn changed(path: &str) -> Response {
    Response::Changed(Changed { keys: BTreeSet::from([key(path)]), ..Changed::default() })
}

/// Nothing was found.
fn nothing(id: u64, path: &str) -> Response {
    Response::Read(id, Some(Values { items: vec![], found: vec![(key(path), None)], next: None, held: false }))
}

/// The requests that a machine makes, watching aside.
fn requests(machine: &mut ServerMachine) -> Vec<Request> {
    std::iter::from_fn(|| machine.poll())
        .filter_map(|output| if let Output::Request(request) = output { Some(request) } else { None })
        .collect()
}

fn respond(machine: &mut ServerMachine, response: Response) -> Vec<Request> {
    machine.handle(NOW, Input::Response(response)).unwrap();
    requests(machine)
}

/// A machine whose client has subscribed to this, and the first request.
fn subscribed(scopes: &[Scope], limits: WatchLimits) -> (ServerMachine, Vec<Request>) {
    let namespace = NamespaceId::from_bytes([1; 32]);
    let mut machine = ServerMachine::new(NOW, namespace, None, limits);
    let mut bytes = BytesMut::new();
    encode(&mut bytes, &Message::Hello { version_min: 1, version_max: 1, namespace });
    for (id, scope) in (0..).zip(scopes) {
        encode(&mut bytes, &Message::Subscribe { id, scope: scope.clone(), deletions: false });
    }
    machine.handle(NOW, Input::Received(&bytes)).unwrap();
    let first = requests(&mut machine);
    (machine, first)
}

#[test]
fn what_changes_while_the_first_page_is_read_is_read_again() {
    for (scope, path) in [(Scope::Key(key("/x")), "/x"), (Scope::Below(Subtree::all()), "/x")] {
        let (mut machine, first) = subscribed(&[scope], WatchLimits::default());
        assert!(matches!(first[..], [Request::Read { id: 0, .. }]));
        assert!(respond(&mut machine, changed(path)).is_empty(), "one request at a time");
        // It was read before the change.
        let mut again = respond(&mut machine, nothing(0, path));
        if matches!(again[..], [Request::Revocations(_)]) {
            again = respond(&mut machine, Response::Revocations(vec![], false));
        }
        match &again[..] {
            [Request::Read { what: What::Key(again), .. }] => assert_eq!(*again, key(path)),
            [Request::Read { what: What::Keys(again), .. }] => assert_eq!(*again, BTreeSet::from([key(path)])),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn revocations_come_behind_the_values_that_they_change() {
    let scopes = [Scope::Key(key("/x")), Scope::Key(key("/y"))];
    let (mut machine, _) = subscribed(&scopes, WatchLimits::default());
    respond(&mut machine, nothing(0, "/x"));
    respond(&mut machine, nothing(1, "/y"));
    assert!(respond(&mut machine, Response::Revocations(vec![], false)).is_empty());
    let authority = Changed { authority: true, ..Changed::default() };
    let check = respond(&mut machine, Response::Changed(authority));
    assert!(matches!(check[..], [Request::Check(_)]));
    let standing = Standing { allowed: true, held: false };
    let first = respond(&mut machine, Response::Checked { age: None, scopes: vec![(0, standing), (1, standing)] });
    assert!(matches!(first[..], [Request::Read { id: 0, .. }]));
    assert!(matches!(respond(&mut machine, nothing(0, "/x"))[..], [Request::Read { id: 1, .. }]));
    assert!(matches!(respond(&mut machine, nothing(1, "/y"))[..], [Request::Revocations(_)]));
    let more = respond(&mut machine, Response::Revocations(vec![], true));
    assert!(matches!(more[..], [Request::Revocations(_)]));
    assert!(respond(&mut machine, Response::Revocations(vec![], false)).is_empty());
}

#[test]
fn of_a_path_with_more_changes_than_are_remembered_everything_is_read_again() {
    let limits = WatchLimits { behind_keys: 2, ..WatchLimits::default() };
    let (mut machine, _) = subscribed(&[Scope::Below(Subtree::all()), Scope::Below("/a".parse().unwrap())], limits);
    let nothing = |id| Response::Read(id, Some(Values { items: vec![], found: vec![], next: None, held: false }));
    respond(&mut machine, nothing(0));
    respond(&mut machine, nothing(1));
    respond(&mut machine, Response::Revocations(vec![], false));
    let reads = respond(&mut machine, changed("/a/1"));
    // The nearer one takes its key along; of what changes now there is room for that one's only.
    assert!(matches!(&reads[..], [Request::Read { id: 1, what: What::Keys(keys), .. }] if keys.len() == 1));
    assert!(respond(&mut machine, changed("/a/2")).is_empty());
    let reads = respond(&mut machine, nothing(1));
    assert!(matches!(&reads[..], [Request::Read { id: 0, what: What::Page { after: None, .. }, .. }]), "{reads:?}");
    let reads = respond(&mut machine, nothing(0));
    assert!(matches!(&reads[..], [Request::Read { id: 1, what: What::Keys(_), .. }]), "{reads:?}");
    assert!(respond(&mut machine, nothing(1)).is_empty());
}
