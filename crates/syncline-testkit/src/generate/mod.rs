//! Keys, operations and logs that depend on a seed alone.
//!
//! ```
//! use syncline_testkit::generate::{LogShape, log, signing_key};
//! use syncline_testkit::seed::Rng;
//!
//! let mut rng = Rng::new(17);
//! let key = signing_key(&mut rng);
//! let operations = log(&mut rng, &key, 0, &LogShape::default());
//! assert_eq!(operations.len(), 16);
//! ```

mod keys;
mod logs;
mod operations;

#[cfg(test)]
mod tests;

pub use keys::{signing_key, signing_keys};
pub use logs::{LogShape, encoded, log, new_operations};
pub use operations::{Author, LogExtensions, Step};
