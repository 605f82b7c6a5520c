#![doc = include_str!("../README.md")]

pub mod conformance;
pub mod crash;
#[cfg(feature = "redb")]
pub mod disk;
pub mod generate;
pub mod net;
pub mod seed;
