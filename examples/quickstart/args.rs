//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use syncline_net::PeerAddr;

pub const USAGE: &str = "\
Two nodes share a folder over QUIC.

  quickstart [DIR]                          both nodes in this process
  quickstart [DIR] --listen [HOST:PORT]     publish DIR, by default on 127.0.0.1 at any port
  quickstart --connect KEY@HOST:PORT [--into DIR]
                                            subscribe, and write the files to DIR (./quickstart-copy)

DIR is the current folder if it is not given. Files that .gitignore excludes, and .git, are left out.";

pub enum Mode {
    Help,
    Both { dir: PathBuf },
    Listen { dir: PathBuf, address: SocketAddr },
    Connect { peer: PeerAddr, into: PathBuf },
}

pub fn parse(args: impl Iterator<Item = String>) -> Result<Mode, String> {
    let (mut dir, mut listen, mut connect, mut into) = (None, None, None, None);
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => return Ok(Mode::Help),
            "--listen" => {
                let address = args.next_if(|next| !next.starts_with("--")).unwrap_or("127.0.0.1:0".into());
                listen =
                    Some(address.parse().map_err(|_| format!("{address:?} is not an address like 127.0.0.1:4433"))?);
            }
            "--connect" => {
                let peer = args.next().ok_or("--connect needs a peer: KEY@HOST:PORT, as --listen prints it")?;
                connect = Some(peer.parse::<PeerAddr>().map_err(|err| format!("{peer:?}: {err}"))?);
            }
            "--into" => into = Some(PathBuf::from(args.next().ok_or("--into needs a folder")?)),
            other if other.starts_with('-') => return Err(format!("unknown option {other}\n\n{USAGE}")),
            _ if dir.is_some() => return Err(format!("more than one folder\n\n{USAGE}")),
            folder => dir = Some(PathBuf::from(folder)),
        }
    }
    let default_dir = || PathBuf::from(".");
    match (listen, connect) {
        (Some(_), Some(_)) => Err("either --listen or --connect".into()),
        (Some(address), None) => Ok(Mode::Listen { dir: dir.unwrap_or_else(default_dir), address }),
        (None, Some(peer)) => Ok(Mode::Connect { peer, into: into.unwrap_or("quickstart-copy".into()) }),
        (None, None) => Ok(Mode::Both { dir: dir.unwrap_or_else(default_dir) }),
    }
}
