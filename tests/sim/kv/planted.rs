//! Bugs on purpose in trees, agents and sessions. Runs with `.ci/planted`.

use syncline_core::planted::Bug;
use syncline_testkit::cluster::Campaign;

use super::runs::run;
use crate::planted::is_noticed;

macro_rules! noticed {
    ($($name:ident: $bug:ident;)*) => {
        $(#[test]
        fn $name() {
            is_noticed(Bug::$bug, run);
        })*
    };
}

noticed! {
    kv_skip_the_verification: SkipVerification;
    kv_acknowledge_before_the_commit: AcknowledgeBeforeCommit;
    kv_drop_a_revocation: DropRevocation;
    kv_take_a_stolen_grant: SignerNotBound;
    kv_skip_a_links_pattern: SkipLinkPattern;
    kv_accept_beyond_the_skew: AcceptBeyondSkew;
    kv_resurrect_after_unset: ResurrectAfterUnset;
    kv_quota_off_by_one: QuotaOffByOne;
    kv_forget_the_reverse_index: ForgetReverseIndex;
    kv_publish_before_the_commit: PublishBeforeCommit;
    kv_do_not_check_the_right_to_read: SkipReadCheck;
    kv_drop_what_was_announced: DropAnnounced;
}

#[test]
fn without_a_bug_nothing_is_noticed_in_trees() {
    Campaign::new(0..20).with_twice(0).with_threads(1).run(run);
}
