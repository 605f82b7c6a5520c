#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod compare;
mod error;
mod hash_reconciler;
mod item;
mod limits;
mod lthash;
mod memory_set;
#[cfg(test)]
mod play;
mod position;
mod range;
mod reconciler;
#[cfg(test)]
mod reconciler_tests;
mod set;
mod siphash;
mod sketch;
mod sketch_reconciler;
mod stored;
#[cfg(test)]
mod testing;
mod tree;
#[cfg(test)]
mod vector_tests;
mod wire;

pub use error::{IndexError, ReconcileError};
pub use hash_reconciler::HashReconciler;
pub use item::{IdPart, Item, ItemId, SetKey};
pub use limits::Limits;
pub use lthash::LtHash;
pub use memory_set::MemorySet;
pub use position::{Bound, Fingerprint, Span};
pub use range::{Nonce, RangeConfig, RangeReconciler};
pub use reconciler::{Need, Reconciler, Step};
pub use set::{ReconcileSet, SummaryIndex};
pub use sketch::{DecodeError, Decoder, Difference, Side, Sketch, Symbol, estimate_difference};
pub use sketch_reconciler::{SketchConfig, SketchReconciler};
pub use stored::{Change, StoredSet, StoredView};
pub use tree::TreeIndex;
