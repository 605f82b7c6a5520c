//! Replicas on real sockets. Nothing here depends on how fast the machine is: conditions are waited for, with a deadline that
//! only a fault reaches.

mod links;
mod nodes;
mod world;
