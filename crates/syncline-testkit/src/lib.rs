#![doc = include_str!("../README.md")]

pub mod conformance;
#[cfg(feature = "redb")]
pub mod disk;
pub mod seed;
