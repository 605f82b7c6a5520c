//! A notebook that several people write in: their nodes stay connected, and what one writes appears on the others at once.
//!
//! ```text
//! cargo run --release --example live_notes
//! ```
//!
//! Ann, Ben and Cleo have a node each, with a database and a socket of its own. `notebook.rs` says what they sync, `node.rs`
//! puts a node together, `board.rs` is what its owner sees, and `story.rs` is what happens: live sessions, a node that goes
//! offline and returns, an attachment that stays behind and is fetched from somebody else, and Dora, whose node is older and
//! speaks the first version of the protocol only.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![expect(unreachable_pub, reason = "in a program, `pub` says what other modules use")]

mod board;
mod node;
mod notebook;
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
