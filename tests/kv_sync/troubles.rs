//! Streams that end early, peers that fall silent, bytes that are not the protocol, and little room.

use std::time::Duration;

use syncline_core::SyncError;
use syncline_crypto::Signer as _;
use syncline_kv::item::Ops;
use syncline_kv::sync::{KvQuery, Limits};
use syncline_kv::{Item, Namespace};
use syncline_testkit::net::{Conditions, Cut};
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::raw;
use crate::world::{
    App, Node, Outcome, assert_same, clock, draft, root, session, session_between, session_with, signer,
};

/// Two nodes that have something of every kind for each other.
fn pair() -> (Node, Node) {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.put_some(&root(), "/common", 1);
    session(&one, &two).assert_ok();
    one.grant(draft(signer(9).public_key(), "/w/**", Ops::Write));
    let revoked = two.grant(draft(signer(10).public_key(), "/x/**", Ops::Write));
    two.put(&signer(10), "/x/1", "gone");
    two.tree.revoke(syncline_core::clock::Clock::now(&clock), &root(), revoked).unwrap();
    one.put_some(&signer(9), "/w", 1);
    two.put_some(&root(), "/two", 1);
    (one, two)
}

fn run(nodes: &(Node, Node), there: Conditions, back: Conditions) -> Outcome {
    let query = KvQuery::all(nodes.0.tree.id());
    session_with(&nodes.0.clock, (there, back), query, &nodes.0.sync, &nodes.1.sync)
}

/// The same with as little as there can be.
fn small_pair() -> (Node, Node) {
    let clock = clock();
    let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
    one.grant(draft(signer(9).public_key(), "/w/**", Ops::Write));
    two.put(&root(), "/two", "x");
    (one, two)
}

/// Cuts sessions after every so many bytes. Says how many sides ended well nevertheless.
fn cut_each(pair: impl Fn() -> (Node, Node), step: usize) -> usize {
    let (there, back) = run(&pair(), Conditions::new(), Conditions::new()).sent;
    let mut finished = 0;
    for (len, turned) in [(there, false), (back, true)] {
        for offset in (0..len).step_by(step) {
            let nodes = pair();
            let cut = Conditions::new().with_cut(offset, Cut::Close);
            let outcome = match turned {
                false => run(&nodes, cut, Conditions::new()),
                true => run(&nodes, Conditions::new(), cut),
            };
            let ended = [&outcome.initiator, &outcome.acceptor];
            assert!(ended.iter().any(|ended| ended.is_err()), "cut at {offset}, turned {turned}");
            assert!(!ended.iter().any(|ended| matches!(ended, Err(SyncError::Critical(_)))), "{ended:?}");
            finished += ended.iter().filter(|ended| ended.is_ok()).count();
            for node in [&nodes.0, &nodes.1] {
                assert!(node.events().iter().all(|event| event == "Applied" || event == "Known"), "cut at {offset}");
            }
            session(&nodes.0, &nodes.1).assert_ok();
            assert_same(&nodes.0, &nodes.1);
        }
    }
    finished
}

#[test]
fn a_session_that_is_cut_anywhere_fails_and_the_next_makes_it_up() {
    // A side is done early only where the last message of the other was cut.
    assert!(cut_each(small_pair, 1) <= 8);
    assert!(cut_each(pair, 29) <= 8);
}

#[test]
fn a_silent_peer_is_left_after_a_deadline() {
    let (there, back) = run(&pair(), Conditions::new(), Conditions::new()).sent;
    for (offset, turned) in
        (0..there).step_by(37).map(|at| (at, false)).chain((0..back).step_by(37).map(|at| (at, true)))
    {
        let nodes = pair();
        let silent = Conditions::new().with_cut(offset, Cut::Stall);
        let outcome = match turned {
            false => run(&nodes, silent, Conditions::new()),
            true => run(&nodes, Conditions::new(), silent),
        };
        assert!(outcome.initiator.is_err() || outcome.acceptor.is_err());
        session(&nodes.0, &nodes.1).assert_ok();
        assert_same(&nodes.0, &nodes.1);
    }
}

#[test]
fn both_sides_send_much_at_once_through_little_room() {
    for capacity in [1, 64, 4_096] {
        let clock = clock();
        let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
        one.put_some(&root(), "/common", 5);
        session(&one, &two).assert_ok();
        one.put_some(&root(), "/one", 300);
        two.put_some(&root(), "/two", 300);
        let limits = Limits::default().with_window_bytes(1).with_page_bytes(1).with_batch_items_max(2);
        let limits = limits.with_batch_bytes_max(1);
        let small = |node: &Node| node.sync.clone().with_limits(limits.clone());
        let room = Conditions::new().with_capacity(capacity).with_latency(Duration::from_millis(1));
        let apps = (App::new(&clock).with_delay(Duration::from_millis(3)), App::new(&clock));
        let query = KvQuery::all(one.tree.id());
        session_between(&clock, (room.clone(), room), query, (small(&one), small(&two)), apps).assert_ok();
        assert_same(&one, &two);
    }
}

#[test]
fn damaged_sessions_fail_or_end_well_and_never_critically() {
    let whole = run(&pair(), Conditions::new(), Conditions::new());
    let (there, back) = whole.sent;
    for_each_seed(0..150, |seed| {
        let rng = &mut Rng::new(seed);
        let nodes = pair();
        let mask = 1 << rng.below(8);
        let corrupt = |len: u64, rng: &mut Rng| Conditions::new().with_corrupt(rng.below(len), mask);
        let outcome = match rng.below(2) {
            0 => run(&nodes, corrupt(there, rng), Conditions::new()),
            _ => run(&nodes, Conditions::new(), corrupt(back, rng)),
        };
        for ended in [&outcome.initiator, &outcome.acceptor] {
            assert!(!matches!(ended, Err(SyncError::Critical(_))), "{ended:?}");
        }
        session(&nodes.0, &nodes.1).assert_ok();
        assert_same(&nodes.0, &nodes.1);
    });
}

#[test]
fn messages_in_any_order_are_refused_or_borne() {
    let nothing = |node: &Node| raw::hello(node.tree.id(), "", 1);
    for_each_seed(0..300, |seed| {
        let rng = &mut Rng::new(seed);
        let (node, _) = pair();
        let mut said = nothing(&node);
        for _ in 0..rng.below(8) {
            said.extend(match rng.below(9) {
                0 => raw::item(&[0, 1, 2]),
                1 => [&[0x83, 0x03, rng.below(2) as u8, 0x42][..], &[rng.below(256) as u8, rng.below(256) as u8]]
                    .concat(),
                2 => raw::message(&[8, rng.below(3)]),
                3 => vec![0x83, 0x09, rng.below(3) as u8, 0xf5],
                4 => [&[0x84, 0x07, 0x58, 0x20][..], &[7; 32], &[0x00, 0xf6]].concat(),
                kind => raw::message(&[kind]),
            });
        }
        let (ended, ..) = raw::say(&node, said);
        assert!(!matches!(ended, Err(SyncError::Critical(_))), "{ended:?}");
    });
}

#[test]
fn limits_hold_at_their_edge() {
    let clock = clock();
    let fresh = || {
        let (one, two) = (Node::new(&clock, 1), Node::new(&clock, 2));
        one.put_some(&root(), "/a", 10);
        (one, two)
    };
    let with = |limits: Limits| {
        let (one, two) = fresh();
        let query = KvQuery::all(one.tree.id());
        let two_sync = two.sync.clone().with_limits(limits);
        session_with(&clock, (Conditions::new(), Conditions::new()), query, &one.sync, &two_sync)
    };
    with(Limits::default().with_items_received_max(10)).assert_ok();
    let failed = |limits: Limits, text: &str| {
        let outcome = with(limits);
        let err = format!("{:?}", outcome.acceptor);
        assert!(err.contains(text), "{err}");
    };
    failed(Limits::default().with_items_received_max(9), "more than 9 items");
    let bytes = with(Limits::default()).sent.0;
    with(Limits::default().with_bytes_received_max(bytes)).assert_ok();
    failed(Limits::default().with_bytes_received_max(bytes - 1), "bytes in a session");
    // Where both hold something the differences are counted.
    let differences = |max| {
        let (one, two) = fresh();
        two.put_some(&root(), "/b", 5);
        let query = KvQuery::all(one.tree.id());
        let limits = Limits::default().with_differences_max(max);
        let sync = |node: &Node| node.sync.clone().with_limits(limits.clone());
        session_with(&clock, (Conditions::new(), Conditions::new()), query, &sync(&one), &sync(&two))
    };
    differences(15).assert_ok();
    assert!(differences(14).initiator.is_err() && differences(14).acceptor.is_err());
}

#[test]
fn refusals_beyond_the_limit_are_not_told() {
    let clock = clock();
    let mut node = Node::new(&clock, 1);
    let elsewhere = Namespace::new("other", [root().public_key()]).unwrap();
    let other = Node::of(&clock, 2, &elsewhere);
    let entries = (0..6).map(|number| other.put(&root(), &format!("/a/{number}"), "x"));
    let items: Vec<_> = entries.map(|entry| Item::Entry(entry).encoded()).collect();
    node.sync = node.sync.with_limits(Limits::default().with_refusals_max(4));
    let (ended, heard) = raw::offer(&node, &items);
    assert_eq!((ended, heard.refused().0.len()), (Ok(()), 4));
}

#[test]
fn a_message_over_the_limit_is_refused_when_it_is_claimed() {
    let clock = clock();
    let node = Node::new(&clock, 1);
    let said = |len: u32| {
        let mut said = raw::hello(node.tree.id(), "", 0);
        said.push(0x5a);
        said.extend(len.to_be_bytes());
        raw::say(&node, said).0
    };
    let limit = Limits::default().frame_len_max() as u32;
    assert!(matches!(said(limit), Err(SyncError::InvalidEncoding(_))), "with its head it is too long");
    assert!(matches!(said(limit - 5), Err(SyncError::UnexpectedBehaviour(_))), "this one only ended too early");
}

#[test]
fn a_wrong_number_of_items_is_an_error() {
    let clock = clock();
    let entry = Item::Entry(Node::new(&clock, 2).put(&root(), "/a", "x")).encoded();
    for (number, text) in [(0, "sent 0 items where 1 came"), (2, "sent 2 items where 1 came")] {
        let node = Node::new(&clock, 1);
        let said =
            [raw::hello(node.tree.id(), "", 0), raw::item(&entry), raw::message(&[4]), raw::message(&[8, number])];
        let (ended, ..) = raw::say(&node, said.concat());
        assert!(format!("{ended:?}").contains(text), "{ended:?}");
    }
}

#[test]
fn more_refusals_than_items_are_an_error() {
    let clock = clock();
    let node = Node::new(&clock, 1);
    let refused = [&[0x84, 0x07, 0x58, 0x20][..], &[7; 32], &[0x00, 0xf6]].concat();
    let said = [raw::hello(node.tree.id(), "", 0), refused].concat();
    let (ended, ..) = raw::say(&node, said);
    assert!(format!("{ended:?}").contains("refused more items"), "{ended:?}");
}
