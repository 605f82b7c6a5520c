//! Who a peer is, and where.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

use syncline_crypto::{KeyError, PublicKey};
use thiserror::Error;

/// A peer's name: its Ed25519 public key, which it proves to hold in the handshake of an authenticating transport.
pub type PeerId = PublicKey;

/// Who is on the other side of a connection, as the transport established it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// The peer proved to hold the secret half of this key.
    Key(PeerId),
    /// The transport proves nothing: anybody may be there. Only for networks that are trusted by other means.
    Anonymous,
}

impl Identity {
    /// The proven key, if any.
    #[must_use]
    pub fn peer_id(&self) -> Option<&PeerId> {
        match self {
            Self::Key(id) => Some(id),
            Self::Anonymous => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Anonymous => f.write_str(ANONYMOUS),
        }
    }
}

const ANONYMOUS: &str = "anonymous";

/// The longest host name or address, in bytes: the limit of the DNS.
const HOST_LEN_MAX: usize = 253;

/// Where to dial, and who must answer there.
///
/// Text: `HEXKEY@HOST:PORT`, where HEXKEY is the peer's public key in 64 hex digits and HOST a name, an IPv4 address, or
/// an IPv6 address in brackets. An address without a key has the word `anonymous` in its place: it must be said, so that
/// a key that was forgotten is an error and not a connection to anybody.
///
/// Authenticating transports refuse an address without a key, and the others refuse one with a key. An address with a
/// key therefore never leads to anybody else.
///
/// ```
/// use syncline_crypto::SigningKey;
/// use syncline_net::PeerAddr;
///
/// let key = SigningKey::from_bytes(&[7; 32]).public_key();
/// let addr: PeerAddr = format!("{key}@[::1]:4433").parse()?;
/// assert_eq!((addr.peer_id(), addr.host(), addr.port()), (Some(&key), "::1", 4433));
/// assert_eq!(addr.to_string(), format!("{key}@[::1]:4433"));
/// # Ok::<(), syncline_net::PeerAddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddr {
    identity: Identity,
    host: String,
    port: u16,
}

impl PeerAddr {
    /// The peer with key `id` at `host`, without brackets even for IPv6.
    ///
    /// # Errors
    ///
    /// [`PeerAddrError::Host`] and [`PeerAddrError::Port`].
    pub fn new(id: PeerId, host: &str, port: u16) -> Result<Self, PeerAddrError> {
        Self::checked(Identity::Key(id), host, port)
    }

    /// Whoever answers at `host`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn anonymous(host: &str, port: u16) -> Result<Self, PeerAddrError> {
        Self::checked(Identity::Anonymous, host, port)
    }

    /// The peer with key `id` at a socket address.
    ///
    /// # Errors
    ///
    /// [`PeerAddrError::Port`] if the port is 0.
    pub fn at(id: PeerId, socket: SocketAddr) -> Result<Self, PeerAddrError> {
        Self::new(id, &socket.ip().to_string(), socket.port())
    }

    /// An address whose host and port have no meaning.
    pub(crate) fn in_memory(id: PeerId) -> Self {
        Self { identity: Identity::Key(id), host: "memory".to_owned(), port: 1 }
    }

    fn checked(identity: Identity, host: &str, port: u16) -> Result<Self, PeerAddrError> {
        let is_ipv6 = host.parse::<Ipv6Addr>().is_ok();
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if host.is_empty() || host.len() > HOST_LEN_MAX || !(is_ipv6 || is_name) {
            return Err(PeerAddrError::Host);
        }
        if port == 0 {
            return Err(PeerAddrError::Port);
        }
        Ok(Self { identity, host: host.to_owned(), port })
    }

    /// Who must answer.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The key of who must answer; none for an address that takes anybody.
    #[must_use]
    pub fn peer_id(&self) -> Option<&PeerId> {
        self.identity.peer_id()
    }

    /// The host: a name or an address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, host, port } = self;
        if host.contains(':') { write!(f, "{identity}@[{host}]:{port}") } else { write!(f, "{identity}@{host}:{port}") }
    }
}

impl FromStr for PeerAddr {
    type Err = PeerAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (identity, place) = text.split_once('@').ok_or(PeerAddrError::Form)?;
        let identity = match identity {
            ANONYMOUS => Identity::Anonymous,
            key => Identity::Key(key.parse()?),
        };
        let (host, port) = place.rsplit_once(':').ok_or(PeerAddrError::Form)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or(PeerAddrError::Host)?;
                inner.parse::<Ipv6Addr>().map_err(|_| PeerAddrError::Host)?;
                inner
            }
            // An IPv6 address without brackets would leave its last group to be taken for the port.
            None if host.contains(':') => return Err(PeerAddrError::Host),
            None => host,
        };
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PeerAddrError::Port);
        }
        Self::checked(identity, host, port.parse().map_err(|_| PeerAddrError::Port)?)
    }
}

/// Text or parts that are not a [`PeerAddr`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerAddrError {
    /// Not of the form `HEXKEY@HOST:PORT`.
    #[error("peer address does not have the form HEXKEY@HOST:PORT")]
    Form,
    /// The part before the `@` is neither a public key nor the word `anonymous`.
    #[error("malformed key in a peer address")]
    Key(#[from] KeyError),
    /// The host is empty, longer than 253 bytes, or neither a name of letters, digits, `-`, `_`, `.` nor an address.
    #[error("malformed host in a peer address")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("malformed port in a peer address")]
    Port,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use syncline_crypto::SigningKey;

    use super::*;

    fn key() -> PeerId {
        SigningKey::from_bytes(&[3; 32]).public_key()
    }

    #[test]
    fn text_is_parsed_and_printed_unchanged() {
        for place in ["example.org:1", "127.0.0.1:65535", "[2001:db8::1]:443", "my_host-1.local:4433"] {
            for identity in [key().to_string(), "anonymous".to_owned()] {
                let text = format!("{identity}@{place}");
                assert_eq!(text.parse::<PeerAddr>().unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn malformed_text_is_refused_with_its_reason() {
        let hex = key().to_string();
        let cases = [
            ("".to_owned(), PeerAddrError::Form),
            ("example.org:1".to_owned(), PeerAddrError::Form),
            (format!("{hex}@example.org"), PeerAddrError::Form),
            (format!("{hex}@:1"), PeerAddrError::Host),
            (format!("{hex}@::1:1"), PeerAddrError::Host),
            (format!("{hex}@[::1:1"), PeerAddrError::Host),
            (format!("{hex}@[example.org]:1"), PeerAddrError::Host),
            (format!("{hex}@exa mple:1"), PeerAddrError::Host),
            (format!("{hex}@{}:1", "a".repeat(254)), PeerAddrError::Host),
            (format!("{hex}@a@b:1"), PeerAddrError::Host),
            (format!("{hex}@host:0"), PeerAddrError::Port),
            (format!("{hex}@host:+1"), PeerAddrError::Port),
            (format!("{hex}@host:65536"), PeerAddrError::Port),
            (format!("{hex}@host:"), PeerAddrError::Port),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<PeerAddr>(), Err(reason), "{text}");
        }
        assert!(matches!("abc@host:1".parse::<PeerAddr>(), Err(PeerAddrError::Key(_))));
        assert!(matches!(format!("{}@host:1", "00".repeat(32)).parse::<PeerAddr>(), Err(PeerAddrError::Key(_))));
        assert_eq!(format!("{hex}@{}:1", "a".repeat(253)).parse::<PeerAddr>().unwrap().host().len(), 253);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_comes_back(text in "([0-9a-f]{64}|anonymous|.*)@\\PC*:[0-9]{0,6}") {
            if let Ok(addr) = text.parse::<PeerAddr>() {
                prop_assert_eq!(addr.to_string().parse::<PeerAddr>(), Ok(addr));
            }
        }
    }
}
