//! What applications put into headers.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Header;

/// What the type of a header's extensions has to be. Implemented by every type that is.
///
/// Encoded by serde as one CBOR item; a struct becomes a map with its field names, so short names (`#[serde(rename)]`)
/// and skipped defaults save bytes in every operation. Write so that equal values give equal bytes: no `HashMap`.
pub trait Extensions: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T> Extensions for T where T: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

/// Gives one value of type `T` out of a header with these extensions: a log id, a prune flag, an expiry.
///
/// The value may also come from other fields of the header.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use syncline_crypto::SigningKey;
/// use syncline_log::{Extension, Header, PruneFlag};
///
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// struct Chat {
///     #[serde(rename = "p", default, skip_serializing_if = "PruneFlag::is_not_set")]
///     prune: PruneFlag,
/// }
///
/// impl Extension<PruneFlag> for Chat {
///     fn extract(header: &Header<Self>) -> Option<PruneFlag> {
///         header.extensions.as_ref().map(|extensions| extensions.prune)
///     }
/// }
///
/// let mut header = Header::new(SigningKey::from_bytes(&[7; 32]).public_key());
/// header.extensions = Some(Chat { prune: PruneFlag::new(true) });
/// assert_eq!(header.extension::<PruneFlag>(), Some(PruneFlag::new(true)));
/// ```
pub trait Extension<T>: Extensions {
    /// The value, if the header has one.
    fn extract(header: &Header<Self>) -> Option<T>;
}

/// Whether everything before an operation in its log may be deleted. Encoded as a boolean.
///
/// The author says so; peers that understand the flag append such an operation with [`Link::Prunes`](crate::Link::Prunes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PruneFlag(bool);

impl PruneFlag {
    /// A flag that is set, or not.
    #[must_use]
    pub const fn new(is_set: bool) -> Self {
        Self(is_set)
    }

    /// Whether what comes before may be deleted.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.0
    }

    /// Whether what comes before must be kept; for serde's `skip_serializing_if`.
    #[must_use]
    pub const fn is_not_set(&self) -> bool {
        !self.0
    }
}

impl From<bool> for PruneFlag {
    fn from(is_set: bool) -> Self {
        Self(is_set)
    }
}
