//! The protocol of `syncline-log` keeps the contract that the suite checks.
