//! A chat: groups of people, and a log of signed messages for each person in each group.
//!
//! ```text
//! cargo run --example chat                                  three nodes here, and a conversation that was written down
//! cargo run --example chat -- --name A --listen [ADDRESS]             one side of a conversation of two
//! cargo run --example chat -- --name B --connect KEY@HOST:PORT        the other side, in another terminal
//! ```
//!
//! `groups.rs` is what makes the chat: what peers ask each other for (a `TopicQuery`), which logs that means (a
//! `TopicMap`), and who may have them (an `Access`). `node.rs` puts a node together from it, `inbox.rs` reads messages
//! out of the store. The page `docs/guide/chat.md` walks through all three.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![expect(unreachable_pub, reason = "in a program, `pub` says what other modules use")]

mod args;
mod groups;
mod identity;
mod inbox;
mod node;
mod script;
mod terminal;

use std::error::Error;
use std::process::ExitCode;

use args::Mode;

/// What goes wrong here ends the program, so all that matters about it is its text.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
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

async fn run() -> Result<()> {
    match args::parse(std::env::args().skip(1))? {
        Mode::Help => println!("{}", args::USAGE),
        Mode::Script => script::run().await?,
        Mode::Listen { me, address } => terminal::listen(me, address).await?,
        Mode::Connect { me, peer } => terminal::connect(me, &peer).await?,
    }
    Ok(())
}
