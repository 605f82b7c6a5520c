//! Tests of the public interface.

mod tree;
