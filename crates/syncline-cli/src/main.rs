#![doc = include_str!("../README.md")]
#![expect(unreachable_pub, reason = "in a program, `pub` says what other modules use")]

fn main() {}
