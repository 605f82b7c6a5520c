//! The tree: values, grants, revocations, quotas, collection, crashes.

mod basics;
mod support;
