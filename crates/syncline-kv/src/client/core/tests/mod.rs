//! The decisions of a client in virtual time.

mod decisions;
mod histories;
mod world;
