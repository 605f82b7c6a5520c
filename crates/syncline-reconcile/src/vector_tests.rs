//! `docs/spec/vectors/reconcile.json`: sessions, byte by byte.

use serde_json::{Value, json};

use crate::play::NaiveSet;
use crate::testing::id;
use crate::{
    Bound, HashReconciler, Item, Nonce, RangeConfig, RangeReconciler, ReconcileSet, Reconciler, SketchConfig,
    SketchReconciler, Span,
};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/reconcile.json");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// A set of numbers, given as ranges.
fn set(session: &Value, side: &str) -> NaiveSet {
    let ranges = session[side].as_array().unwrap().iter();
    let numbers = ranges.flat_map(|range| number(&range[0])..number(&range[1]));
    let items = numbers.map(|n| Item::new(u32::try_from(n).unwrap().to_be_bytes(), id(n)));
    let mask = if session["sums_are_zero"].as_bool().unwrap() { 0 } else { u64::MAX };
    NaiveSet::with(items, mask, usize::try_from(number(&session["symbols"])).unwrap())
}

fn side(session: &Value, byte: u8, other: u8) -> Box<dyn Reconciler> {
    let (config, nonce, theirs) = (RangeConfig::DEFAULT, Nonce::from_bytes([byte; 16]), Nonce::from_bytes([other; 16]));
    match session["reconciler"].as_str().unwrap() {
        "ranges" => Box::new(RangeReconciler::new(config, nonce)),
        "ranges, nonces exchanged" => Box::new(RangeReconciler::with_nonces(config, nonce, theirs)),
        "ranges, keys from 0000000a on" => {
            let from = Bound { key: 10_u32.to_be_bytes().to_vec(), id_prefix: Vec::new() };
            Box::new(RangeReconciler::new(config, nonce).over(Span { from, to: None }))
        }
        "sketch" => Box::new(SketchReconciler::new(SketchConfig::DEFAULT, nonce)),
        "hash" => Box::new(HashReconciler::new(config, nonce)),
        other => panic!("no reconciler {other}"),
    }
}

fn messages(session: &Value) -> Vec<String> {
    let sets = [set(session, "opener"), set(session, "responder")];
    let mut sides = [side(session, 1, 2), side(session, 2, 1)];
    let mut messages = Vec::new();
    let mut reply = sides[0].open(&sets[0]).unwrap().reply;
    while let Some(message) = reply {
        messages.push(hex(&message));
        let to = messages.len() % 2;
        reply = sides[to].receive(&sets[to] as &dyn ReconcileSet, &message).unwrap().reply;
    }
    assert!(sides.iter().all(|side| side.is_done()));
    messages
}

#[test]
fn sessions_are_as_published() {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap();
    assert_eq!(file["set_key"].as_str().unwrap(), hex(crate::testing::KEY.as_bytes()));
    let sessions = file["sessions"].as_array().unwrap();
    assert!(sessions.len() >= 8);
    for session in sessions {
        let published: Vec<_> = session["messages"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(messages(session), published, "{}", session["name"]);
    }
}

#[test]
#[ignore = "writes docs/spec/vectors/reconcile.json"]
fn writes_the_file() {
    let session = |name: &str, reconciler: &str, opener: Value, responder: Value, symbols: u64, weak: bool| {
        let mut session = json!({
            "name": name, "reconciler": reconciler, "opener": opener, "responder": responder,
            "symbols": symbols, "sums_are_zero": weak,
        });
        session["messages"] = json!(messages(&session));
        session
    };
    let sessions = [
        session("equal", "ranges", json!([[0, 3]]), json!([[0, 3]]), 0, false),
        session("nothing at the opener", "ranges", json!([]), json!([[0, 3]]), 0, false),
        session("cut and listed", "ranges", json!([[0, 100]]), json!([[0, 97], [98, 101]]), 0, false),
        session("few at the responder", "ranges", json!([[0, 200]]), json!([[7, 9]]), 0, false),
        session("exchanged", "ranges, nonces exchanged", json!([[0, 3]]), json!([[1, 4]]), 0, false),
        session("a part", "ranges, keys from 0000000a on", json!([[0, 20]]), json!([[5, 20]]), 0, false),
        session("salted", "ranges", json!([[0, 140], [141, 300]]), json!([[0, 141], [142, 300]]), 0, true),
        session("found by symbols", "sketch", json!([[0, 50]]), json!([[2, 51]]), 64, false),
        session("too much for symbols", "sketch", json!([[0, 1]]), json!([[0, 90]]), 8, false),
        session("listed", "hash", json!([[0, 3]]), json!([[1, 4]]), 0, false),
    ];
    let file = json!({ "set_key": hex(crate::testing::KEY.as_bytes()), "sessions": sessions });
    std::fs::write(PATH, serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
}
