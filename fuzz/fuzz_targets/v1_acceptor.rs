//! Log sync, wire version 1, as acceptor: any bytes, at any time, from a peer that takes what it likes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_fuzz::{Event, play};

fuzz_target!(|script: Vec<Event>| play(false, script));
