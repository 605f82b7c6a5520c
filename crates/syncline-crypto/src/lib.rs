#![doc = include_str!("../README.md")]

mod async_signer;
mod batch;
mod bytes;
mod domain;
mod error;
mod hash;
mod public_key;
mod sign_request;
mod signature;
mod signer;
mod signing_key;
mod verdict;
mod verify;

pub use async_signer::{AsyncSigner, CancelOutcome, Rejection, SignPoll, SignerCaps, Submitted};
pub use batch::verify_batch;
pub use domain::{Domain, DomainError};
pub use error::{KeyError, ParseError, SignError, VerifyError};
pub use hash::{Hash, Hasher};
pub use public_key::PublicKey;
/// The traits of random number generators that [`SigningKey::generate`] takes.
pub use rand_core;
pub use sign_request::{IdempotencyKey, KeyId, SignRequest, Ticket, TicketError};
pub use signature::Signature;
pub use signer::Signer;
pub use signing_key::SigningKey;
pub use verdict::{BatchError, BatchVerdict};
pub use verify::{Ed25519, SignedMessage, Verifier};
