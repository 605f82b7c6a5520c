//! Operations: a signed header and the bytes it speaks of, as p2panda-core 0.3 and 0.4 encode them.
//!
//! [`Header`] and [`Operation`] are for those who write and read operations. [`EncodedOperation`] is what stores and
//! wires move: the header's bytes exactly as they came, with the fields that every log needs beside them. `docs/spec/operation.md`
//! in the repository has the format byte by byte.

mod body;
mod encoded;
mod error;
mod extensions;
mod header;
mod layout;
mod seq_num;

#[cfg(test)]
mod tests;

pub use body::{Body, Operation};
pub use encoded::EncodedOperation;
pub use error::{DecodeError, EncodeError, Field, SignHeaderError};
pub use extensions::{Extension, Extensions, PruneFlag};
pub use header::Header;
pub use seq_num::SeqNum;
