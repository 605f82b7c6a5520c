//! Connections that break: what arrived is kept, the next session goes on from there, and in the end both have all.

use syncline_core::SyncError;
use syncline_testkit::generate::LogShape;
use syncline_testkit::net::{Conditions, Cut};
use syncline_testkit::seed::{self, Rng};

use crate::world::{Topic, World, clock, session};

fn random_conditions(rng: &mut Rng, cut_within: u64) -> Conditions {
    let conditions = Conditions::new()
        .with_latency(std::time::Duration::from_millis(rng.below(300)))
        .with_capacity(1 + rng.index(5_000))
        .with_random_chunks(rng.next_u64());
    let cut = if rng.chance(1, 2) { Cut::Reset } else { Cut::Close };
    if rng.chance(2, 3) { conditions.with_cut(rng.below(cut_within), cut) } else { conditions }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let operations = 1 + rng.index(20);
    let shape = LogShape { operations, body_max: 300, prunes_per_mille: 50, previous_max: 2 };
    let (authors, logs) = (1 + rng.index(3), 1 + rng.below(3));
    let world = World::new(&mut rng, authors, logs, &shape);
    let one = world.node(|operations| rng.index(operations.len() + 1));
    let two = world.node(|operations| rng.index(operations.len() + 1));
    let clock = clock();
    let (mut succeeded, mut failed) = (0, 0);
    while succeeded < 2 {
        // The longer it takes, the later the cuts: with cuts at random places a session may never get through.
        let within = 2_000 << failed.min(10);
        let conditions = (random_conditions(&mut rng, within), random_conditions(&mut rng, within));
        let protocols = (world.protocol(&one), world.protocol(&two));
        let apps = (world.ingest(&one), world.ingest(&two));
        let outcome = session(&clock, conditions, Topic(1), protocols, apps);
        for result in [&outcome.initiator, &outcome.acceptor] {
            assert!(!matches!(result, Err(SyncError::Critical(_))), "{result:?}");
        }
        let (a, b) = &outcome.apps;
        assert_eq!((a.report().rejected(), b.report().rejected()), (0, 0));
        if outcome.initiator.is_ok() && outcome.acceptor.is_ok() {
            succeeded += 1;
            assert_eq!(world.contents(&one), world.contents(&two), "both are done and differ");
        } else {
            failed += 1;
        }
    }
    // Nobody held more of a log than its author wrote, so both now hold the longer part of each.
    let nothing_new = session(
        &clock,
        Default::default(),
        Topic(1),
        (world.protocol(&one), world.protocol(&two)),
        (world.ingest(&one), world.ingest(&two)),
    );
    assert_eq!((nothing_new.apps.0.report().stored(), nothing_new.apps.1.report().known()), (0, 0));
}

#[test]
fn whatever_breaks_both_stores_agree_in_the_end() {
    seed::for_each_seed(0..200, run);
}
