//! The public API, as a user of the crate sees it.

mod ported;
mod slow_store;
mod support;
