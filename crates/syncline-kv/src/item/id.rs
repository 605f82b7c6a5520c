//! Ids: hashes that mean different things.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use syncline_crypto::{Hash, ParseError};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// `Display` and `FromStr` are 64 hex digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Hash);

        impl $name {
            /// Takes bytes that are known to be an id.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Hash::from_bytes(bytes))
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }
        }

        impl From<Hash> for $name {
            fn from(hash: Hash) -> Self {
                Self(hash)
            }
        }

        impl From<$name> for Hash {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:.10}…)", stringify!($name), self.0.to_string())
            }
        }
    };
}

id!(
    /// Names an [`Entry`](super::Entry): the hash of what its author signed.
    EntryId
);
id!(
    /// Names a [`Grant`](super::Grant): the hash of what its issuer signed.
    GrantId
);
id!(
    /// Names a [`Revocation`](super::Revocation): the hash of what the revoker signed.
    RevocationId
);
id!(
    /// Names a [`RootRotate`](super::RootRotate): the hash of what the roots signed.
    RotationId
);
id!(
    /// Names a [`Namespace`](super::Namespace): the hash of its description, so that who knows the id can check the roots.
    NamespaceId
);
