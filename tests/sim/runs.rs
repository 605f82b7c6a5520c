//! The runs.

use std::env;
use std::time::Duration;

use syncline_testkit::cluster::{self, Campaign, Failure, Faults, Options, Report};

use crate::node::LogScenario;
use crate::protocol::Protocol;
use crate::v1::V1;
use crate::v2::V2;

/// Runs one seed.
pub(crate) fn run<P: Protocol>(seed: u64) -> Result<Report, Box<Failure>> {
    let mut options = Options::draw(seed, 2..=5);
    if P::IS_LIVE {
        options = options.with_session_time_max(None);
    }
    cluster::run(&mut LogScenario::<P>::draw(seed, options.nodes()), seed, &options)
}

/// Runs one seed with two nodes that have one session at a time.
pub(crate) fn run_on_one_line<P: Protocol>(seed: u64) -> Result<Report, Box<Failure>> {
    let options = Options::draw(seed, 2..=2).with_sessions_per_pair_max(1);
    let faults = Faults { duplicate_per_mille: 0, ..options.faults().clone() };
    let options = options.with_faults(faults).with_session_time_max(None);
    cluster::run(&mut LogScenario::<P>::draw(seed, 2).on_one_line(), seed, &options)
}

#[test]
fn on_one_line_nothing_comes_twice_and_nothing_comes_back_by_v2() {
    let totals = Campaign::from_env(0..100).run(run_on_one_line::<V2>);
    println!("v2 on one line: {totals}");
}

#[test]
fn stores_of_v1_agree_whatever_happens() {
    let totals = Campaign::from_env(0..200).run(run::<V1>);
    println!("v1: {totals}");
}

#[test]
fn stores_of_v2_agree_whatever_happens() {
    let totals = Campaign::from_env(0..200).run(run::<V2>);
    println!("v2: {totals}");
}

/// Runs as long as `SOAK_SECONDS` says, half an hour otherwise.
#[test]
#[ignore = "takes half an hour"]
fn soak() {
    let seconds = env::var("SOAK_SECONDS").map_or(1800, |text| text.parse().expect("SOAK_SECONDS is a number"));
    let campaign = Campaign::new(1_000_000..u64::MAX).with_budget(Duration::from_secs(seconds));
    println!("v2: {}", campaign.run(run::<V2>));
}
