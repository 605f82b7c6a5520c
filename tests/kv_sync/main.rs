//! `syncline-kv/1` between whole nodes, under virtual time.

mod access;
mod basics;
mod contract;
mod convergence;
mod live;
mod raw;
mod rejection;
mod troubles;
mod vectors;
mod world;
