//! The configuration of three services, on three machines that trust keys and not each other.
//!
//! ```text
//! cargo run --release --example config_tree
//! ```
//!
//! Each service has a key, a database and a socket, and all of the configuration. A root lets a team set limits; the team lets Ann
//! set some of them, but not more than it may itself; the root takes it back. `service.rs` puts a replica together and has what
//! its owner does with it, `story.rs` is what happens.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![expect(unreachable_pub, reason = "in a program, `pub` says what other modules use")]

mod service;
mod story;

use std::error::Error;
use std::process::ExitCode;

/// What goes wrong here ends the program, so all that matters about it is its text.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match story::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{error}");
            // An error tells why in its sources.
            let mut source = error.source();
            while let Some(error) = source {
                eprint!(": {error}");
                source = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_story_is_true() {
        super::story::run().await.unwrap();
    }
}
