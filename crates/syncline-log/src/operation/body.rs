//! The bytes that an operation carries, and the whole operation.

use std::fmt;

use bytes::Bytes;
use syncline_crypto::{Hash, Signer};

use super::{EncodedOperation, Extensions, Header, SignHeaderError};

/// What an operation carries: bytes whose meaning is the application's. `Debug` shows their number only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Body(Bytes);

impl Body {
    /// A body of these bytes. They are not copied.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Number of bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.len() as u64
    }

    /// BLAKE3 of the bytes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::digest(&self.0)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

/// A header with its hash, which is the operation's id, and the body.
///
/// Made by [`sign`](Self::sign) or by [`EncodedOperation::operation`].
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the three parts of the format, which callers take apart")]
pub struct Operation<E = ()> {
    /// BLAKE3 of the signed header's bytes.
    pub hash: Hash,
    /// The header.
    pub header: Header<E>,
    /// The body. `None` if the operation has none, and also if it was deleted or did not come along.
    pub body: Option<Body>,
}

impl<E: Extensions> Operation<E> {
    /// Completes a header for `body` and signs it: sets `public_key` to the signer's, `payload_size` and `payload_hash`
    /// to the body's, and `signature`. An empty body is the same as none.
    ///
    /// The caller has set `seq_num`, `backlink`, `timestamp`, `previous` and `extensions`.
    ///
    /// ```
    /// use syncline_crypto::{Ed25519, SigningKey};
    /// use syncline_log::{Body, Header, Operation, SeqNum};
    ///
    /// let key = SigningKey::from_bytes(&[7; 32]);
    /// let first = Operation::sign(Header::<()>::new(key.public_key()), Some(Body::new("hello")), &key)?;
    ///
    /// let mut header = Header::<()>::new(key.public_key());
    /// header.seq_num = SeqNum::new(1);
    /// header.backlink = Some(first.hash);
    /// let second = Operation::sign(header, None, &key)?;
    /// assert!(second.header.verify(&Ed25519).is_ok());
    /// # Ok::<(), syncline_log::SignHeaderError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SignHeaderError`] if the extensions cannot be encoded, the fields do not go together (a backlink is needed if
    /// and only if `seq_num` is over 0), or the signer gives no signature.
    pub fn sign(mut header: Header<E>, body: Option<Body>, signer: &dyn Signer) -> Result<Self, SignHeaderError> {
        let body = body.filter(|body| body.size() > 0);
        header.public_key = signer.public_key();
        header.payload_size = body.as_ref().map_or(0, Body::size);
        header.payload_hash = body.as_ref().map(Body::hash);
        header.sign(signer)?;
        let encoded = EncodedOperation::encode(&header, body.as_ref())?;
        Ok(Self { hash: encoded.hash(), header, body })
    }
}
