//! Clients and servers over streams, in virtual time.

mod keys;
mod rights;
mod sets;
mod streams;
mod world;
