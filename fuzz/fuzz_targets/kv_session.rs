//! `syncline-kv/1`, either side: any messages, at any time, from a peer that takes what it likes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_fuzz::Event;
use syncline_fuzz::kv::{Message, play};

fuzz_target!(|input: (u8, Vec<Event<Message>>)| play(input.0, input.1));
