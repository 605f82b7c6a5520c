//! One session between two large trees that differ a little: how many round trips, how many bytes.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, sink};
use syncline_core::clock::{Clock, Hlc, ManualClock, Timestamp};
use syncline_core::{SyncError, SyncProtocol};
use syncline_crypto::Signer;
use syncline_kv::item::{EntryDraft, Leaves, Reads, Value};
use syncline_kv::sync::{KvQuery, KvSync};
use syncline_kv::{Item, Key, Namespace, Tree};
use syncline_storage::MemoryDb;
use syncline_testkit::cheap::{CheapSigner, CheapVerifier};
use syncline_testkit::net::{Conditions, End, Link, Sim, Step};

const LATENCY: Duration = Duration::from_millis(100);
const ROUND_TRIP: Duration = Duration::from_millis(200);

fn namespace(root: &CheapSigner) -> Namespace {
    Namespace::new("wide", [root.public_key()]).and_then(|it| it.with_reads(Reads::Public)).expect("a namespace")
}

fn entry(root: &CheapSigner, namespace: &Namespace, number: usize, version: u64) -> Item {
    let draft = EntryDraft {
        namespace: namespace.id(),
        key: Key::new(&format!("/{}/{number}", number % 97)).expect("a key"),
        value: Value::from(&number.to_be_bytes()[..]),
        stamp: Hlc::new(Timestamp::from_millis(1_000 + version), 0),
        author: root.public_key(),
        leaves: Leaves::default(),
        previous: None,
    };
    Item::Entry(draft.sign(root).expect("signs"))
}

async fn side(sync: KvSync, query: Option<KvQuery>, mut end: End) -> Result<(), SyncError> {
    let mut app = sink::drain().sink_map_err(|never| -> SyncError { match never {} });
    let (tx, rx) = (Box::new(&mut end.tx as _), Box::new(&mut end.rx as _));
    match query {
        Some(query) => Arc::new(sync).initiate(query, tx, rx, Box::new(&mut app as _)).await,
        None => Arc::new(sync).accept(tx, rx, Box::new(&mut app as _)).await,
    }
}

/// Round trips until two trees with so many keys, of which so many differ, are equal, and until both sides know that; and bytes
/// beside those of the items.
fn difference(keys: usize, differing: usize) -> ((f64, f64), usize) {
    let root = CheapSigner::from_seed(1);
    let (namespace, clock) = (namespace(&root), ManualClock::new(Timestamp::from_millis(10_000_000)));
    let open = |seed: u8| {
        let builder = Tree::builder().verifier(Arc::new(CheapVerifier));
        let tree = builder.open(Arc::new(MemoryDb::new()), &namespace).expect("memory opens");
        (KvSync::new(tree.clone(), Arc::new(clock.clone()), [seed; 32]).with_timer(Arc::new(clock.clone())), tree)
    };
    let ((sync_a, a), (sync_b, b)) = (open(1), open(2));
    let common: Vec<Item> = (0..keys).map(|number| entry(&root, &namespace, number, 0)).collect();
    let third = differing / 3;
    let step = (keys / third.max(1)).max(1);
    let of_a: Vec<Item> = (0..third).map(|nth| entry(&root, &namespace, keys + nth, 0)).collect();
    let mut of_b: Vec<Item> = (0..third).map(|nth| entry(&root, &namespace, 2 * keys + nth, 0)).collect();
    of_b.extend((0..differing - 2 * third).map(|nth| entry(&root, &namespace, (nth * step) % keys, 1)));
    for (tree, own) in [(&a, &of_a), (&b, &of_b)] {
        tree.apply(clock.now(), common.clone()).expect("memory");
        tree.apply(clock.now(), own.clone()).expect("memory");
    }
    let payload: usize = of_a.iter().chain(&of_b).map(|item| item.encoded().len()).sum();
    let conditions = || Conditions::new().with_latency(LATENCY).with_capacity(64 << 20);
    let Link { a: one, b: other, a_to_b, b_to_a } = Link::new(&clock, conditions(), conditions());
    let mut sim = Sim::new(&clock);
    let began = clock.now();
    let one = sim.spawn("one", side(sync_a, Some(KvQuery::all(namespace.id())), one));
    let other = sim.spawn("other", side(sync_b, None, other));
    let is_same = || a.root().expect("memory").hash == b.root().expect("memory").hash;
    let (mut same_at, mut looked_at) = (None, began);
    while sim.step().expect("both end") != Step::Idle {
        if same_at.is_none() && looked_at < clock.now() {
            looked_at = clock.now();
            same_at = is_same().then_some(looked_at);
        }
    }
    assert_eq!((one.take(), other.take()), (Some(Ok(())), Some(Ok(()))));
    let trips = |until: Timestamp| until.since(began).as_secs_f64() / ROUND_TRIP.as_secs_f64();
    let took = (trips(same_at.unwrap_or(clock.now())), trips(clock.now()));
    drop(sim);
    assert!(is_same());
    assert_eq!(a.root().expect("memory").entries as usize, keys + 2 * third);
    let bytes = usize::try_from(a_to_b.written() + b_to_a.written()).expect("not that many");
    (took, bytes.saturating_sub(payload))
}

/// Whether that is as little as it should be.
fn cheap(keys: usize, differing: usize) -> String {
    let ((equal, over), overhead) = difference(keys, differing);
    // One to agree what it is about, two and a half to compare, one to send what is missing and to hear that it came.
    assert!(equal < 4.6 && over < 4.6, "equal after {equal} round trips, over after {over}");
    // A rateless sketch takes 76 bytes for each difference, ranges ten times as many.
    assert!(overhead <= 200 * differing, "{overhead} bytes");
    format!("{differing} of {keys} differ: {equal:.1} round trips, {overhead} bytes beside the items")
}

#[test]
fn s15_a_difference_takes_one_session_of_few_round_trips() {
    println!("{}", cheap(3_000, 300));
}

#[test]
#[ignore = "takes minutes without optimisation"]
fn s15_a_thousand_of_a_hundred_thousand() {
    println!("{}", cheap(100_000, 1_000));
}
