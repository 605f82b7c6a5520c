use futures::executor::block_on;
use syncline_crypto::Ed25519;
use syncline_log::store::Appended;
use syncline_log::{LogStore as _, MemoryStore, validate};

use super::*;
use crate::seed::Rng;

fn shape() -> LogShape {
    LogShape { operations: 40, prunes_per_mille: 150, previous_max: 3, ..LogShape::default() }
}

#[test]
fn one_seed_gives_one_log() {
    let generate = |seed| {
        let mut rng = Rng::new(seed);
        let key = signing_key(&mut rng);
        log(&mut rng, &key, 3, &shape()).into_iter().map(|operation| operation.hash).collect::<Vec<_>>()
    };
    assert_eq!(generate(1), generate(1));
    assert_ne!(generate(1), generate(2));
}

#[test]
fn what_is_generated_is_valid_and_whole() {
    let mut rng = Rng::new(5);
    for key in signing_keys(&mut rng, 3) {
        let batch = new_operations(&log(&mut rng, &key, 9, &shape()));
        for new in &batch {
            validate::operation(&new.operation, &Ed25519).unwrap();
        }
        let store = MemoryStore::<u64>::new();
        let outcomes = block_on(store.append(batch)).unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == Appended::New), "{outcomes:?}");
    }
}

#[test]
fn keys_come_in_order_and_differ() {
    let keys = signing_keys(&mut Rng::new(1), 20);
    assert!(keys.is_sorted_by(|a, b| a.public_key() < b.public_key()));
}
