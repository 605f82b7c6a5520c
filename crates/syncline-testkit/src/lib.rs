#![doc = include_str!("../README.md")]

pub mod cheap;
pub mod cluster;
pub mod conformance;
pub mod crash;
#[cfg(feature = "redb")]
pub mod disk;
pub mod generate;
pub mod net;
pub mod seed;

/// The pages of the guide whose code needs this crate, so that it is compiled and run.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/protocol.md")]
    struct Protocol;
    #[doc = include_str!("../../../docs/guide/topic_map.md")]
    struct TopicMap;
    #[doc = include_str!("../../../docs/guide/simulate.md")]
    struct Simulate;
}
