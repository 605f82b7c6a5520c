//! Messages of any bytes to each reconciler, opened or not, over a small set.
//!
//! Nothing panics or takes more than its limits; what is reported is in the set, each item once; and none is done unless
//! the digests agree, which garbage does not bring about.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use syncline_reconcile::{
    Bound, HashReconciler, Item, ItemId, Limits, MemorySet, Nonce, RangeConfig, RangeReconciler, ReconcileSet,
    Reconciler, SetKey, SketchConfig, SketchReconciler, Span,
};

#[derive(Arbitrary, Debug)]
struct Script {
    kind: u8,
    is_opener: bool,
    is_exchanged: bool,
    items: u8,
    /// Messages. A first byte of 0 stands for the next message of an honest peer whose set is another.
    messages: Vec<Vec<u8>>,
}

fn item(n: u8) -> Item {
    let mut bytes = [n; 32];
    bytes[1] = n.wrapping_mul(167);
    Item::new(vec![n >> 5; usize::from(n & 3)], ItemId::from_bytes(bytes))
}

fn set(items: impl IntoIterator<Item = u8>) -> MemorySet {
    let items = items.into_iter().map(item).collect();
    MemorySet::from_items(&SetKey::from_bytes([7; 32]), 96, items).expect("each item once")
}

fn side(script: &Script, nonces: [Nonce; 2]) -> Box<dyn Reconciler> {
    let [ours, theirs] = nonces;
    let mut limits = Limits::DEFAULT;
    limits.messages = 64;
    limits.ids = 4_096;
    let mut ranges = RangeConfig::DEFAULT;
    ranges.limits = limits;
    ranges.leaf = 8;
    ranges.fan_out = 4;
    let mut sketch = SketchConfig::DEFAULT;
    sketch.ranges = ranges;
    sketch.first = 16;
    sketch.streamed = script.kind & 8 != 0;
    let from = Bound { key: vec![1], id_prefix: Vec::new() };
    match (script.kind & 3, script.is_exchanged) {
        (0, false) => Box::new(RangeReconciler::new(ranges, ours)),
        (0, true) => Box::new(RangeReconciler::with_nonces(ranges, ours, theirs)),
        (1, false) => Box::new(SketchReconciler::new(sketch, ours)),
        (1, true) => Box::new(SketchReconciler::with_nonces(sketch, ours, theirs)),
        (2, false) => Box::new(HashReconciler::new(ranges, ours)),
        (2, true) => Box::new(HashReconciler::with_nonces(ranges, ours, theirs)),
        _ => Box::new(RangeReconciler::new(ranges, ours).over(Span { from, to: None })),
    }
}

fuzz_target!(|script: Script| {
    let nonces = [1, 2].map(|byte| Nonce::from_bytes([byte; 16]));
    let (ours, theirs) = (set(0..script.items), set((3..script.items.saturating_add(4)).filter(|n| n % 7 != 0)));
    let mut victim = side(&script, nonces);
    let mut peer = side(&script, [nonces[1], nonces[0]]);
    let mut reported = BTreeSet::new();
    let mut is_honest = true;

    // What the honest peer would send next.
    let mut honest = if script.is_opener {
        let open = victim.open(&ours).expect("a session can be opened").reply.expect("with a message");
        peer.receive(&theirs, &open).expect("an honest opening").reply
    } else {
        peer.open(&theirs).expect("a session can be opened").reply
    };
    for message in script.messages {
        let message = match (message.first(), honest.take()) {
            (Some(0), Some(next)) => next.to_vec(),
            (_, next) => {
                honest = next;
                is_honest = false;
                message
            }
        };
        let Ok(step) = victim.receive(&ours, &message) else {
            assert!(!is_honest, "an honest peer is refused");
            assert!(!victim.is_done());
            return;
        };
        for item in &step.have {
            assert!(ours.contains(&item.key, &item.id).expect("in memory"), "not of the set");
            assert!(reported.insert(item.clone()), "reported twice");
        }
        if is_honest && let Some(reply) = step.reply {
            honest = peer.receive(&theirs, &reply).expect("an honest session").reply;
        }
    }
});
