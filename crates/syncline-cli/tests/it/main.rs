//! The tool as its users run it.
