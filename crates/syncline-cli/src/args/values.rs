//! Values that the command line has in a form of its own.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use syncline_core::clock::Timestamp;
use syncline_kv::item::Ops;

use crate::times;

/// What may be done, in words without spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OpsArg {
    /// Sync the keys
    Read,
    /// Set and delete values
    Write,
    /// Both
    ReadWrite,
}

impl OpsArg {
    pub fn ops(self) -> Ops {
        match self {
            Self::Read => Ops::Read,
            Self::Write => Ops::Write,
            Self::ReadWrite => Ops::ReadWrite,
        }
    }
}

/// A value, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueArg {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl FromStr for ValueArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix('@')) {
            ("-", _) => Ok(Self::Stdin),
            (_, Some("")) => Err("@ needs the name of a file behind it".into()),
            (_, Some(rest)) if rest.starts_with('@') => Ok(Self::Text(rest.into())),
            (_, Some(path)) => Ok(Self::File(path.into())),
            _ => Ok(Self::Text(text.into())),
        }
    }
}

/// The first hex digits of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPrefix(String);

impl IdPrefix {
    const LEN_MIN: usize = 4;
    const LEN_MAX: usize = 64;

    /// Whether the id begins so.
    pub fn matches(&self, id: impl std::fmt::Display) -> bool {
        id.to_string().starts_with(&self.0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('…');
        if !(Self::LEN_MIN..=Self::LEN_MAX).contains(&text.len()) {
            return Err(format!("an id is {} to {} hex digits", Self::LEN_MIN, Self::LEN_MAX));
        }
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("an id has hex digits only".into());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// A member of a SWIM group, and where it is reached by UDP.
#[cfg(feature = "swim")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedArg {
    pub peer: syncline_net::PeerId,
    pub addr: std::net::SocketAddr,
}

#[cfg(feature = "swim")]
impl FromStr for SeedArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (peer, addr) = text.split_once('@').ok_or("not of the form KEY@ADDR")?;
        let peer = peer.parse().map_err(|err| format!("no public key: {err}"))?;
        Ok(Self { peer, addr: addr.parse().map_err(|err| format!("no address: {err}"))? })
    }
}

/// A point in time, or how far it is from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    In(Duration),
}

impl Moment {
    fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(after) => now + after,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = times::parse(text) {
            return Ok(Self::At(at));
        }
        times::parse_duration(text)
            .map(Self::In)
            .map_err(|()| "neither a time such as 2026-01-31T12:00:00Z nor a duration such as 30d, 12h or 90m".into())
    }
}

macro_rules! moment {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(Moment);

        impl $name {
            /// When that is.
            pub fn after(self, now: Timestamp) -> Timestamp {
                self.0.from(now)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Moment::parse(text).map(Self)
            }
        }
    };
}

moment!(
    /// From when on something holds.
    Begin
);
moment!(
    /// Until when something holds.
    End
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_files_or_standard_input() {
        assert_eq!("a".parse(), Ok(ValueArg::Text("a".into())));
        assert_eq!("".parse(), Ok(ValueArg::Text(String::new())));
        assert_eq!("--".parse(), Ok(ValueArg::Text("--".into())));
        assert_eq!("-".parse(), Ok(ValueArg::Stdin));
        assert_eq!("@a b".parse(), Ok(ValueArg::File("a b".into())));
        assert_eq!("@@a".parse(), Ok(ValueArg::Text("@a".into())));
        assert!("@".parse::<ValueArg>().is_err());
    }

    #[test]
    fn ids_are_hex_and_neither_too_short_nor_too_long() {
        for wrong in ["", "abc", "xyzw", &"a".repeat(65), "aaaaé"] {
            assert!(wrong.parse::<IdPrefix>().is_err(), "{wrong}");
        }
        assert!("ABCD".parse::<IdPrefix>().unwrap().matches("abcdef"));
        assert!(!"abce".parse::<IdPrefix>().unwrap().matches("abcdef"));
        assert!("a".repeat(64).parse::<IdPrefix>().is_ok());
    }

    #[test]
    fn moments_are_times_or_durations() {
        let now = Timestamp::from_millis(1_000);
        let after = |text: &str| text.parse::<End>().map(|end| end.after(now).as_millis());
        assert_eq!(after("1970-01-01T00:01:00Z"), Ok(60_000));
        assert_eq!(after("1970-01-01T01:01:00+01:00"), Ok(60_000));
        assert_eq!(after("2d"), Ok(1_000 + 2 * 86_400_000));
        assert_eq!(after("1h30m"), Ok(1_000 + 5_400_000));
        assert_eq!(after("0s"), Ok(1_000));
        for wrong in ["", "soon", "-1h", "1970-01-01", "1960-01-01T00:00:00Z", "5"] {
            assert!(after(wrong).is_err(), "{wrong}");
        }
    }
}
