//! The first bytes of a stream: which protocol is meant, and whether it may run.
//!
//! The format is fixed in `docs/spec/net.md`.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::sync::Arc;
use thiserror::Error;

/// The version of the negotiation.
pub(crate) const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"SYNL";
const OFFER_HEAD_LEN: usize = MAGIC.len() + 2;
const ANSWER_LEN: usize = 2;

/// The name under which peers know a protocol: 1 to 64 bytes of printable ASCII without spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolName(Arc<str>);

impl ProtocolName {
    /// The longest name, in bytes.
    pub const LEN_MAX: usize = 64;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`NameError`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        match name.len() {
            0 => Err(NameError::Empty),
            len if len > Self::LEN_MAX => Err(NameError::TooLong { len }),
            _ if !name.bytes().all(|byte| byte.is_ascii_graphic()) => Err(NameError::Byte),
            _ => Ok(Self(name.into())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtocolName({self})")
    }
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProtocolName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// A name that cannot be negotiated.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It has no byte.
    #[error("protocol name is empty")]
    Empty,
    /// It has more than [`ProtocolName::LEN_MAX`] bytes.
    #[error("protocol name of {len} bytes")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// It has a byte that is no printable ASCII character, or a space.
    #[error("protocol name with a byte that is not printable")]
    Byte,
}

/// Why a peer does not let a protocol run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefuseReason {
    /// It has no protocol of this name. Code 1.
    UnknownProtocol,
    /// It has no room for the session now. Code 2.
    Busy,
    /// It does not let this peer run this protocol. Code 3.
    Forbidden,
    /// It does not know the version of the offer. Code 4.
    Version,
    /// The offer was malformed. Code 5.
    Malformed,
    /// A code of a later version.
    Other(u8),
}

impl RefuseReason {
    fn code(self) -> u8 {
        match self {
            Self::UnknownProtocol => 1,
            Self::Busy => 2,
            Self::Forbidden => 3,
            Self::Version => 4,
            Self::Malformed => 5,
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::UnknownProtocol,
            2 => Self::Busy,
            3 => Self::Forbidden,
            4 => Self::Version,
            5 => Self::Malformed,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProtocol => f.write_str("unknown protocol"),
            Self::Busy => f.write_str("busy"),
            Self::Forbidden => f.write_str("forbidden"),
            Self::Version => f.write_str("unknown version"),
            Self::Malformed => f.write_str("malformed offer"),
            Self::Other(code) => write!(f, "code {code}"),
        }
    }
}

/// Why the peers did not agree on a protocol.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The peer refused.
    #[error("peer refused the protocol: {0}")]
    Refused(RefuseReason),
    /// The first bytes are not this negotiation.
    #[error("peer does not speak this negotiation")]
    NotSpoken,
    /// The peer speaks another version of it.
    #[error("peer speaks version {version} of the negotiation")]
    Version {
        /// The peer's version.
        version: u8,
    },
    /// The offered name is not one.
    #[error("malformed protocol name")]
    Name(#[from] NameError),
    /// The peer did not say enough in time.
    #[error("peer did not negotiate within {after:?}")]
    TimedOut {
        /// The time that it was given.
        after: Duration,
    },
    /// The stream broke.
    #[error("stream broke during the negotiation")]
    Stream {
        /// What the transport said.
        #[source]
        source: Arc<io::Error>,
    },
}

impl NegotiationError {
    /// Whether the stream failed rather than the peer's answer: a connection that died unnoticed looks so.
    pub(crate) fn is_dead_stream(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Stream { .. })
    }
}

impl From<io::Error> for NegotiationError {
    fn from(source: io::Error) -> Self {
        Self::Stream { source: Arc::new(source) }
    }
}

/// The frame that offers a protocol.
pub(crate) fn encode_offer(name: &ProtocolName) -> Vec<u8> {
    let name = name.as_str().as_bytes();
    let mut frame = Vec::with_capacity(OFFER_HEAD_LEN + name.len());
    frame.extend_from_slice(&MAGIC);
    // A name has at most 64 bytes, checked when it was made.
    frame.extend_from_slice(&[VERSION, name.len() as u8]);
    frame.extend_from_slice(name);
    frame
}

/// Reads an offer and not one byte more.
pub(crate) async fn read_offer(rx: &mut (dyn AsyncRead + Send + Unpin)) -> Result<ProtocolName, NegotiationError> {
    let mut head = [0; OFFER_HEAD_LEN];
    rx.read_exact(&mut head).await?;
    let [magic @ .., version, len] = head;
    if magic != MAGIC {
        return Err(NegotiationError::NotSpoken);
    }
    if version != VERSION {
        return Err(NegotiationError::Version { version });
    }
    let len = usize::from(len);
    if len > ProtocolName::LEN_MAX {
        return Err(NameError::TooLong { len }.into());
    }
    let mut name = [0; ProtocolName::LEN_MAX];
    let name = &mut name[..len];
    rx.read_exact(name).await?;
    let name = std::str::from_utf8(name).map_err(|_| NameError::Byte)?;
    Ok(ProtocolName::new(name)?)
}

/// What the accepting side says to an offer.
pub(crate) type Answer = Result<(), RefuseReason>;

/// The frame that answers an offer.
pub(crate) fn encode_answer(answer: Answer) -> [u8; ANSWER_LEN] {
    [VERSION, answer.err().map_or(0, RefuseReason::code)]
}

pub(crate) async fn write_answer(tx: &mut (dyn AsyncWrite + Send + Unpin), answer: Answer) -> io::Result<()> {
    tx.write_all(&encode_answer(answer)).await?;
    tx.flush().await
}

/// Offers a protocol and waits until the peer lets it run.
pub(crate) async fn offer(
    tx: &mut (dyn AsyncWrite + Send + Unpin),
    rx: &mut (dyn AsyncRead + Send + Unpin),
    name: &ProtocolName,
) -> Result<(), NegotiationError> {
    tx.write_all(&encode_offer(name)).await?;
    tx.flush().await?;
    let mut answer = [0; ANSWER_LEN];
    rx.read_exact(&mut answer).await?;
    match answer {
        [VERSION, 0] => Ok(()),
        [VERSION, code] => Err(NegotiationError::Refused(RefuseReason::from_code(code))),
        [version, _] => Err(NegotiationError::Version { version }),
    }
}

#[cfg(test)]
mod tests;
