//! Bugs on purpose, each of which must be noticed. Runs with `.ci/planted`.

use syncline_core::planted::{Bug, plant};
use syncline_testkit::cluster::{Campaign, Failure, Report};

use crate::runs::{run, run_on_one_line};
use crate::v1::V1;
use crate::v2::V2;

/// The seeds within which a bug must be noticed.
const SEEDS: u64 = 1_000;

/// Switches the bug off again, also when a test fails.
struct Planted;

impl Planted {
    fn new(bug: Bug) -> Self {
        plant(Some(bug));
        Self
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
    }
}

/// On this thread only, since that is where the bug is.
pub(crate) fn is_noticed(bug: Bug, run: impl Fn(u64) -> Result<Report, Box<Failure>> + Sync) {
    let _planted = Planted::new(bug);
    match Campaign::new(0..SEEDS).with_twice(0).with_threads(1).search(run) {
        Ok(_) => panic!("{bug:?} is not noticed within {SEEDS} seeds"),
        Err(failure) => println!("{bug:?} is noticed at seed {}: {}", failure.seed, failure.reason),
    }
}

macro_rules! noticed {
    ($($name:ident: $run:expr, $bug:ident;)*) => {
        $(#[test]
        fn $name() {
            is_noticed(Bug::$bug, $run);
        })*
    };
}

noticed! {
    v1_acknowledge_before_the_commit: run::<V1>, AcknowledgeBeforeCommit;
    v1_skip_the_verification: run::<V1>, SkipVerification;
    v1_send_twice: run::<V1>, SendTwice;
    v1_lose_a_back_pressured_item: run::<V1>, LoseBackPressured;
    v1_treat_a_cut_as_the_end: run::<V1>, CutIsEnd;
    v1_resume_one_too_far: run::<V1>, ResumeOneTooFar;
    v2_acknowledge_before_the_commit: run::<V2>, AcknowledgeBeforeCommit;
    v2_skip_the_verification: run::<V2>, SkipVerification;
    v2_send_twice: run_on_one_line::<V2>, SendTwice;
    v2_lose_a_back_pressured_item: run::<V2>, LoseBackPressured;
    v2_treat_a_cut_as_the_end: run::<V2>, CutIsEnd;
    v2_resume_one_too_far: run::<V2>, ResumeOneTooFar;
    v2_echo: run_on_one_line::<V2>, Echo;
    v2_summary_not_updated: run::<V2>, SummaryNotUpdated;
}

/// Else a bug could be noticed that is not there.
#[test]
fn without_a_bug_nothing_is_noticed() {
    Campaign::new(0..20).with_twice(0).with_threads(1).run(run::<V1>);
    Campaign::new(0..20).with_twice(0).with_threads(1).run(run::<V2>);
    Campaign::new(0..20).with_twice(0).with_threads(1).run(run_on_one_line::<V2>);
}
