//! Bugs on purpose, each of which must be noticed. Runs with `.ci/planted`.

use syncline_core::planted::{Bug, plant};
use syncline_testkit::cluster::Campaign;

use crate::protocol::Protocol;
use crate::runs::run;
use crate::v1::V1;

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
fn is_noticed<P: Protocol>(bug: Bug) {
    let _planted = Planted::new(bug);
    match Campaign::new(0..SEEDS).with_twice(0).with_threads(1).search(run::<P>) {
        Ok(_) => panic!("{bug:?} is not noticed within {SEEDS} seeds"),
        Err(failure) => println!("{bug:?} is noticed at seed {}: {}", failure.seed, failure.reason),
    }
}

macro_rules! noticed {
    ($($name:ident: $protocol:ty, $bug:ident;)*) => {
        $(#[test]
        fn $name() {
            is_noticed::<$protocol>(Bug::$bug);
        })*
    };
}

noticed! {
    v1_acknowledge_before_the_commit: V1, AcknowledgeBeforeCommit;
    v1_skip_the_verification: V1, SkipVerification;
    v1_send_twice: V1, SendTwice;
    v1_lose_a_back_pressured_item: V1, LoseBackPressured;
    v1_treat_a_cut_as_the_end: V1, CutIsEnd;
    v1_resume_one_too_far: V1, ResumeOneTooFar;
}

/// Else a bug could be noticed that is not there.
#[test]
fn without_a_bug_nothing_is_noticed() {
    Campaign::new(0..20).with_twice(0).with_threads(1).run(run::<V1>);
}
