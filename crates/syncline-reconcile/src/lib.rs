#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod item;
mod limits;
mod lthash;
mod memory_set;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod play;
mod position;
mod range;
mod reconciler;
mod set;
mod siphash;
mod sketch;
mod stored;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking")]
mod testing;
mod tree;
mod wire;

pub use error::{IndexError, ReconcileError};
pub use item::{IdPart, Item, ItemId, SetKey};
pub use limits::Limits;
pub use lthash::LtHash;
pub use memory_set::MemorySet;
pub use position::{Bound, Fingerprint, Span};
pub use range::{Nonce, RangeConfig, RangeReconciler};
pub use reconciler::{Need, Reconciler, Step};
pub use set::{ReconcileSet, SummaryIndex};
pub use sketch::{DecodeError, Decoder, Difference, Side, Sketch, Symbol, estimate_difference};
pub use stored::{Change, StoredSet, StoredView};
pub use tree::TreeIndex;
