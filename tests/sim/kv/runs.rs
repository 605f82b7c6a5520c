//! The runs.

use std::env;
use std::time::Duration;

use syncline_testkit::cluster::{self, Campaign, Failure, Faults, Options, Rate, Report};

use syncline_testkit::seed::Rng;

use super::node::KvScenario;

/// Within how long the honest nodes must be equal once faults have stopped: until what is stamped ahead is due, agents have
/// given up their delays, and ten rounds of gossip have passed.
const LIVENESS_MAX: Duration = Duration::from_secs(240 + 60 + 30 + 10 * 45);

/// What one seed is like.
pub(crate) fn options(seed: u64) -> Options {
    let options = Options::draw(seed, 2..=6);
    // One in a hundred is a large cluster, for a shorter time.
    let is_large = seed % 100 == 99;
    let faults = Faults {
        // The wall clocks of this scenario are wrong in both directions.
        skew_max: Duration::ZERO,
        clock_jump: Rate::NEVER,
        ..options.faults().clone()
    };
    let mut rng = Rng::new(seed ^ 0x72756e);
    let options = options
        .with_faults(faults)
        .with_liveness_max(LIVENESS_MAX)
        .with_safety(Duration::from_secs(30 + rng.below(240)))
        .with_step(Rate::every(Duration::from_secs(1 + rng.below(8))));
    let options =
        if is_large { options.with_nodes(10 + rng.index(41)).with_safety(Duration::from_secs(30)) } else { options };
    // Mostly agents alone bring nodes together.
    if seed.is_multiple_of(4) { options } else { options.with_session(Rate::NEVER) }
}

/// Runs one seed.
pub(crate) fn run(seed: u64) -> Result<Report, Box<Failure>> {
    let options = options(seed);
    cluster::run(&mut KvScenario::draw(seed, options.nodes()), seed, &options)
}

#[test]
fn trees_agree_and_nobody_writes_without_a_grant() {
    let totals = Campaign::from_env(0..25).run(run);
    println!("kv: {totals}");
}

/// Runs as long as `SOAK_SECONDS` says, half an hour otherwise.
#[test]
#[ignore = "takes half an hour"]
fn soak_of_trees() {
    let seconds = env::var("SOAK_SECONDS").map_or(1800, |text| text.parse().expect("SOAK_SECONDS is a number"));
    let campaign = Campaign::new(1_000_000..u64::MAX).with_budget(Duration::from_secs(seconds));
    println!("kv: {}", campaign.run(run));
}
