//! The contract of `AsyncSigner` as a suite, two signers that keep it, and broken ones that the suite must catch.

mod signers;
mod suite;

use std::panic::{AssertUnwindSafe, catch_unwind};

use signers::{Approvals, Break, InProcess};

#[test]
fn a_signer_that_answers_at_once_keeps_the_contract() {
    suite::keeps_contract(&InProcess::new());
}

#[test]
fn a_signer_that_answers_later_keeps_the_contract() {
    suite::keeps_contract(&Approvals::new(Break::Nothing));
}

#[test]
fn the_suite_catches_broken_signers() {
    for what in Break::ALL {
        let outcome = catch_unwind(AssertUnwindSafe(|| suite::keeps_contract(&Approvals::new(what))));
        assert!(outcome.is_err(), "the suite let {what:?} pass");
    }
}
