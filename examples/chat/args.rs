//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use syncline_net::PeerAddr;

pub const USAGE: &str = "\
A chat over QUIC.

  chat                                       three nodes in this process, and a conversation that was written down
  chat --name NAME --listen [HOST:PORT]      wait for one peer, by default on 127.0.0.1 at any port
  chat --name NAME --connect KEY@HOST:PORT   talk to the peer that printed this address

  --home DIR    keep the key and the messages in DIR, so that who comes back is known. Without it both are gone at the
                end. Each person needs a folder of their own.

Each line that you type is a message. Ctrl-D ends.";

/// Who talks.
#[derive(Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    /// Where key and messages are kept; in a temporary folder if nowhere.
    pub home: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    Help,
    Script,
    Listen { me: Person, address: SocketAddr },
    Connect { me: Person, peer: PeerAddr },
}

pub fn parse(args: impl Iterator<Item = String>) -> Result<Mode, String> {
    let (mut name, mut home, mut listen, mut connect) = (None, None, None, None);
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => return Ok(Mode::Help),
            "--name" => name = Some(args.next().ok_or("--name needs a name, for example: --name A")?),
            "--home" => home = Some(PathBuf::from(args.next().ok_or("--home needs a folder")?)),
            "--listen" => {
                let address = args.next_if(|next| !next.starts_with('-')).unwrap_or("127.0.0.1:0".into());
                let parsed = address.parse();
                listen = Some(parsed.map_err(|_| format!("{address:?} is no address; write one like 127.0.0.1:4433"))?);
            }
            "--connect" => {
                let peer = args.next().ok_or("--connect needs KEY@HOST:PORT, as --listen prints it")?;
                let parsed = peer.parse().map_err(|err| format!("{peer:?}: {err}; copy what --listen printed"));
                connect = Some(parsed?);
            }
            other => return Err(format!("{other:?} is not understood\n\n{USAGE}")),
        }
    }
    if listen.is_none() && connect.is_none() {
        let asked_for_more = name.is_some() || home.is_some();
        return if asked_for_more { Err("add --listen or --connect KEY@HOST:PORT".into()) } else { Ok(Mode::Script) };
    }
    let me = Person { name: name.ok_or("say who you are, for example: --name A")?, home };
    match (listen, connect) {
        (Some(_), Some(_)) => Err("either --listen or --connect; one side of the conversation does each".into()),
        (Some(address), _) => Ok(Mode::Listen { me, address }),
        (_, Some(peer)) => Ok(Mode::Connect { me, peer }),
        (None, None) => Ok(Mode::Script),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Mode, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_three_modes() {
        let me = || Person { name: "A".into(), home: None };
        assert_eq!(parsed(""), Ok(Mode::Script));
        let address = ([127, 0, 0, 1], 0).into();
        assert_eq!(parsed("--listen --name A"), Ok(Mode::Listen { me: me(), address }));
        let address = ([0, 0, 0, 0], 4433).into();
        assert_eq!(parsed("--name A --listen 0.0.0.0:4433"), Ok(Mode::Listen { me: me(), address }));
        let key = syncline_crypto::SigningKey::from_bytes(&[1; 32]).public_key();
        let peer = PeerAddr::new(key, "example.org", 4433).unwrap();
        let home = Some(PathBuf::from("a"));
        let connect = parsed(&format!("--home a --connect {peer} --name A"));
        assert_eq!(connect, Ok(Mode::Connect { me: Person { home, ..me() }, peer }));
    }

    #[test]
    fn errors_say_what_to_do() {
        for (line, advice) in [
            ("--listen", "--name A"),
            ("--name A", "--connect KEY@HOST:PORT"),
            ("--name", "--name A"),
            ("--name A --listen here", "127.0.0.1:4433"),
            ("--name A --connect", "--listen prints"),
            ("--name A --connect 127.0.0.1:4433", "--listen printed"),
            ("--shout", "chat --name NAME"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(advice), "{line:?} gives {error:?}");
        }
    }
}
