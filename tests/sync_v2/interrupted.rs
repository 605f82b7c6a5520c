//! Sessions that break: what arrived is kept, the next session goes on from there.

use std::time::Duration;

use syncline_core::SyncError;
use syncline_log::sync::v2::Limits;
use syncline_testkit::generate::LogShape;
use syncline_testkit::net::{Conditions, Cut};
use syncline_testkit::seed::{self, Rng};

use crate::world::{World, session};

/// Some kilobytes of operations on each side.
fn apart() -> World {
    World::new(&mut Rng::new(3), 2, 2, &LogShape { operations: 6, body_max: 60, ..LogShape::default() })
}

#[test]
fn a_cut_at_any_byte_is_never_taken_for_the_end() {
    let world = apart();
    let (one, two) = (world.node_with(0), world.node_with(3));
    let whole = session(Default::default(), one.protocol(1), two.protocol(2));
    whole.assert_ok();
    let ends = [whole.sent.0, whole.sent.1];
    for (direction, end) in ends.into_iter().enumerate() {
        for at in (0..end).step_by(3) {
            for cut in [Cut::Close, Cut::Reset] {
                let (one, two) = (world.node_with(0), world.node_with(3));
                let broken = || Conditions::new().with_cut(at, cut);
                let conditions =
                    if direction == 0 { (broken(), Conditions::new()) } else { (Conditions::new(), broken()) };
                let outcome = session(conditions, one.protocol(1), two.protocol(2));
                let results = [&outcome.initiator, &outcome.acceptor];
                for result in results {
                    assert!(matches!(result, Ok(()) | Err(SyncError::UnexpectedBehaviour(_))), "{result:?}");
                }
                // Who receives the stream that is cut cannot have its end.
                assert!(results[1 - direction].is_err(), "cut at {at} of {end}, direction {direction}");
                // Who says that all is well is right about its own part.
                if results[0].is_ok() {
                    assert_eq!(one.contents(), two.contents());
                }
                if results[1].is_ok() {
                    assert_eq!(one.contents(), two.contents());
                }
                let next = session(Default::default(), one.protocol(3), two.protocol(4));
                next.assert_ok();
                assert_eq!(one.contents(), two.contents());
            }
        }
    }
}

#[test]
fn what_was_stored_is_not_sent_again() {
    let world = World::pair(2_000, 100);
    let (one, two) = (world.empty(), world.full());
    let limits = || Limits::default().with_batch_operations_max(64);
    let cut = Conditions::new().with_cut(500_000, Cut::Close);
    let broken = session((Conditions::new(), cut), one.protocol(1).with_limits(limits()), two.protocol(2));
    assert!(broken.initiator.is_err());
    let kept = one.count();
    assert!(kept > 1_000, "{kept} operations of some 1700 were kept");
    let rest = session(Default::default(), one.protocol(3).with_limits(limits()), two.protocol(4));
    rest.assert_ok();
    assert_eq!(one.contents(), two.contents());
    assert_eq!(rest.apps.0.hashes().len(), 4_000 - kept, "nothing came twice");
    assert!(!one.verdicts().iter().any(|verdict| verdict == "Known"));
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let shape = LogShape { operations: 1 + rng.index(20), body_max: 300, prunes_per_mille: 50, previous_max: 2 };
    let (authors, logs) = (1 + rng.index(3), 1 + rng.below(3));
    let world = World::new(&mut rng, authors, logs, &shape);
    let one = world.node(|_, operations| rng.index(operations.len() + 1));
    let two = world.node(|_, operations| rng.index(operations.len() + 1));
    let (mut succeeded, mut failed) = (0, 0);
    while succeeded < 2 {
        // The longer it takes, the later the cuts: with cuts at random places a session may never get through.
        let within = 2_000 << failed.min(10);
        let mut conditions = || {
            let conditions = Conditions::new()
                .with_latency(Duration::from_millis(rng.below(300)))
                .with_capacity(1 + rng.index(5_000))
                .with_random_chunks(rng.next_u64());
            let cut = if rng.chance(1, 2) { Cut::Reset } else { Cut::Close };
            if rng.chance(2, 3) { conditions.with_cut(rng.below(within), cut) } else { conditions }
        };
        let conditions = (conditions(), conditions());
        let (a, b) = (rng.below(256) as u8, rng.below(256) as u8);
        let outcome = session(conditions, one.protocol(a), two.protocol(b));
        for result in [&outcome.initiator, &outcome.acceptor] {
            assert!(!matches!(result, Err(SyncError::Critical(_))), "{result:?}");
        }
        if outcome.initiator.is_ok() && outcome.acceptor.is_ok() {
            succeeded += 1;
            assert_eq!(one.contents(), two.contents(), "both are done and differ");
        } else {
            failed += 1;
        }
    }
    for node in [&one, &two] {
        assert!(node.verdicts().iter().all(|verdict| verdict == "Stored"), "{:?}", node.verdicts());
    }
}

#[test]
fn whatever_breaks_both_stores_agree_in_the_end() {
    seed::for_each_seed(0..200, run);
}
