//! Log sync v2 end to end, under virtual time: its promises, cuts at every byte, live sessions, secret topics, bodies that stay
//! behind, forks, hostile peers.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bodies;
mod contract;
mod edges;
mod forks;
mod hostile;
mod interrupted;
mod live;
mod promises;

mod secret;
mod stored;
mod troubles;
mod vectors;
mod world;
