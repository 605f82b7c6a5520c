//! Clusters of signed key/value trees: gossip, sessions, grants and revocations, and members who play foul.

mod check;
mod clock;
mod foul;
mod gossip;
mod node;
mod oracle;
#[cfg(syncline_planted)]
mod planted;
mod runs;
mod session;
mod stories;
mod story;
mod wide;
mod work;
mod world;
