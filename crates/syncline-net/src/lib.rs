#![cfg_attr(feature = "quic", doc = include_str!("../README.md"))]
// The front page's example dials by QUIC.
#![cfg_attr(not(feature = "quic"), doc = "Carries sync protocols between peers; built without its feature `quic`.")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blocking;
mod error;
pub mod memory;
mod negotiation;
mod node;
mod peer;
pub mod pipe;
#[cfg(feature = "quic")]
#[cfg_attr(docsrs, doc(cfg(feature = "quic")))]
pub mod quic;
pub mod tcp;
mod time;
pub mod transport;

pub use blocking::TokioBlocking;
pub use error::{BuildError, ConnectError, SyncFailure, TransportError};
pub use negotiation::{NameError, NegotiationError, ProtocolName, RefuseReason};
pub use node::{
    AcceptedSession, Access, AppReceiver, AppSink, DynProtocol, KeepInSync, Node, NodeBuilder, NodeLimits, PeerContext,
    RoundsStatus, Schedule, SessionHandler, SessionId, ShutdownReport, SyncHandle, SyncOutcome, app_channel,
};
pub use peer::{Identity, PeerAddr, PeerAddrError, PeerId};
pub use time::TokioTimer;
