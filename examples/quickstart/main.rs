//! Two nodes share a folder: signed, verified, stored, over authenticated QUIC.
//!
//! ```text
//! cargo run --release --example quickstart [DIR]            both nodes here; DIR is the current folder if not given
//! cargo run --release --example quickstart [DIR] --listen [ADDRESS]           only the node that publishes
//! cargo run --release --example quickstart --connect KEY@HOST:PORT [--into DIR]    only the node that subscribes
//! ```
//!
//! The publisher signs every file as operations of a log per top-level folder, and stores them in a redb file of its own.
//! The subscriber asks for the topic "index", learns which folders there are, asks for the topic "files", verifies and
//! stores what comes, and writes the files out. Then one file changes, and only that travels.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![expect(unreachable_pub, reason = "modules of a program, not of a library")]

mod args;
mod files;
mod model;
mod node;
mod publisher;
mod subscriber;
mod table;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use args::Mode;
use publisher::Publisher;
use subscriber::Subscriber;
use table::Table;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    match args::parse(std::env::args().skip(1))? {
        Mode::Help => {
            println!("{}", args::USAGE);
            Ok(())
        }
        Mode::Both { dir } => both(&dir).await,
        Mode::Listen { dir, address } => {
            let home = tempfile::tempdir()?;
            let mut publisher = Publisher::start(home.path(), address).await?;
            println!("{}", publisher.publish(&dir).await?);
            println!("Listening. In another terminal:\n");
            println!("  cargo run --release --example quickstart -- --connect {}\n", publisher.address()?);
            println!("Stop with Ctrl-C.");
            tokio::signal::ctrl_c().await?;
            publisher.stop().await;
            Ok(())
        }
        Mode::Connect { peer, into } => {
            let home = tempfile::tempdir()?;
            let mut subscriber = Subscriber::start(home.path(), &into).await?;
            let mut table = Table::new();
            table.add("everything", subscriber.sync(&peer).await?);
            println!("{table}");
            println!("Wrote {} files to {}.", subscriber.files(), into.display());
            subscriber.stop().await;
            Ok(())
        }
    }
}

/// Publishes and subscribes in one process: two identities, two databases, two sockets.
async fn both(dir: &Path) -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let (source, copy) = (home.path().join("source"), home.path().join("copy"));
    // The demonstration changes a file, so it works on a copy of the folder.
    files::copy_tree(dir, &source)?;

    let mut publisher = Publisher::start(home.path(), ([127, 0, 0, 1], 0).into()).await?;
    println!("{}", publisher.publish(&source).await?);
    let mut subscriber = Subscriber::start(home.path(), &copy).await?;
    let peer = publisher.address()?;
    println!("Publisher  {}\nSubscriber {}\n", publisher.id(), subscriber.id());

    let mut table = Table::new();
    table.add("everything", subscriber.sync(&peer).await?);
    if let Some(changed) = files::change_one(&source)? {
        publisher.publish(&source).await?;
        table.add(&format!("after a change of {changed}"), subscriber.sync(&peer).await?);
    }
    table.add("nothing new", subscriber.sync(&peer).await?);
    println!("{table}");

    subscriber.stop().await;
    publisher.stop().await;
    let (ours, theirs) = (files::digest_tree(&source)?, files::digest_tree(&copy)?);
    if ours != theirs {
        return Err(format!("the trees differ: {} and {}", ours.root, theirs.root).into());
    }
    println!("Both trees have {} files and the same BLAKE3 digest: {}", ours.files, ours.root);
    Ok(())
}
