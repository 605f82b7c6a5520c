//! Tests of the public interface. What every engine has to do is checked by the testkit's conformance suite.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocking;
mod errors;
mod fault;
mod group;
mod limits;
#[cfg(feature = "redb")]
mod redb;
mod spec;
mod trace;

use syncline_storage::{Batch, Database};

/// A batch that sets `key` to `value`.
fn put(key: &'static str, value: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

fn get(db: &dyn Database, key: &str) -> Option<String> {
    let value = db.snapshot().unwrap().get(key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value.into()).unwrap())
}
