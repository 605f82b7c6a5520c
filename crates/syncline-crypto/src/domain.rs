//! Domain separation: a signature for one kind of object is worth nothing for any other.

use std::fmt;

use crate::{Hasher, PublicKey, SignError, Signature, SignedMessage, Signer, Verifier, VerifyError};

/// The kind of an object that is signed or hashed: `<project>/<crate>/<type>/v<n>`, as in `syncline/kv/entry/v1`.
///
/// What is signed is not the object's bytes but the *message*: one byte with the length of the tag, the tag, the bytes.
/// The length comes first, so no two pairs of tag and bytes have the same message, whatever the tags and the bytes are.
///
/// A tag is 8 to 64 bytes long, so a message starts with a byte below 0x41. A CBOR array or map starts with 0x80 or
/// more: a key that also signs bare CBOR (as the author of a p2panda operation does; those have their own form and do not
/// use this) gives no signature that fits both. Nor does it fit what TLS 1.3 signs, which starts with 64 spaces where a
/// tag has none.
///
/// ```
/// use syncline_crypto::{Domain, Ed25519, SigningKey};
///
/// const NOTE: Domain = Domain::new("example/notes/note/v1");
/// const VOTE: Domain = Domain::new("example/notes/vote/v1");
///
/// let key = SigningKey::from_bytes(&[7; 32]);
/// let signature = NOTE.sign(&key, b"yes")?;
/// assert!(NOTE.verify(&Ed25519, &key.public_key(), b"yes", &signature).is_ok());
/// assert!(VOTE.verify(&Ed25519, &key.public_key(), b"yes", &signature).is_err());
/// # Ok::<(), syncline_crypto::SignError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain {
    tag: &'static str,
}

impl Domain {
    /// The longest tag, in bytes.
    pub const MAX_TAG_LEN: usize = 64;

    /// Names a domain. Meant for constants, where a bad tag does not compile.
    ///
    /// # Panics
    ///
    /// If [`try_new`](Domain::try_new) refuses the tag.
    #[must_use]
    pub const fn new(tag: &'static str) -> Self {
        match Self::try_new(tag) {
            Ok(domain) => domain,
            Err(DomainError::Length) => panic!("the tag of a domain has at most 64 bytes"),
            Err(DomainError::Form) => panic!("the tag of a domain has the form project/crate/type/v1"),
        }
    }

    /// Names a domain.
    ///
    /// # Errors
    ///
    /// [`DomainError::Length`] if the tag is longer than [`MAX_TAG_LEN`](Domain::MAX_TAG_LEN), [`DomainError::Form`] if
    /// it is not four parts with a slash between them, the first three of lower-case letters, digits and hyphens, the
    /// last a `v` and a number without leading zero.
    pub const fn try_new(tag: &'static str) -> Result<Self, DomainError> {
        if tag.len() > Self::MAX_TAG_LEN {
            Err(DomainError::Length)
        } else if has_form(tag.as_bytes()) {
            Ok(Self { tag })
        } else {
            Err(DomainError::Form)
        }
    }

    /// The tag.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        self.tag
    }

    /// The message for `bytes`: what is signed in their place.
    #[must_use]
    pub fn message(&self, bytes: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(1 + self.tag.len() + bytes.len());
        self.start(&mut message);
        message.extend_from_slice(bytes);
        message
    }

    /// Appends the start of a message to `buffer`; the object's bytes go right behind it. For encoders that write into a
    /// buffer, to spare them a copy.
    pub fn start(&self, buffer: &mut Vec<u8>) {
        buffer.push(self.tag_len());
        buffer.extend_from_slice(self.tag.as_bytes());
    }

    /// A hasher that has taken the start of a message: fed with the object's bytes, it gives the hash of the message.
    #[must_use]
    pub fn hasher(&self) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.update(&[self.tag_len()]).update(self.tag.as_bytes());
        hasher
    }

    /// Signs the message for `bytes`.
    ///
    /// # Errors
    ///
    /// As the signer's.
    pub fn sign(&self, signer: &(impl Signer + ?Sized), bytes: &[u8]) -> Result<Signature, SignError> {
        signer.sign(&self.message(bytes))
    }

    /// Verifies a signature of the message for `bytes`. For many, build the [messages](Domain::message) and give them to
    /// [`Verifier::verify_batch`].
    ///
    /// # Errors
    ///
    /// The reason why the signature does not count.
    pub fn verify(
        &self,
        verifier: &(impl Verifier + ?Sized),
        key: &PublicKey,
        bytes: &[u8],
        signature: &Signature,
    ) -> Result<(), VerifyError> {
        verifier.verify(SignedMessage::new(key, &self.message(bytes), signature))
    }

    fn tag_len(&self) -> u8 {
        // At most MAX_TAG_LEN, checked when the domain was made.
        self.tag.len() as u8
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.tag)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag)
    }
}

/// A tag that cannot name a [`Domain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// Longer than [`Domain::MAX_TAG_LEN`].
    #[error("tag of a domain has more than 64 bytes")]
    Length,
    /// Not of the form `project/crate/type/v1`.
    #[error("tag of a domain does not have the form project/crate/type/v1")]
    Form,
}

/// Loops by index, since iterators do not run in constants.
const fn has_form(tag: &[u8]) -> bool {
    let mut slashes = 0;
    let mut start = 0;
    let mut at = 0;
    while at < tag.len() {
        let byte = tag[at];
        if byte == b'/' {
            if at == start || slashes == 3 {
                return false;
            }
            slashes += 1;
            start = at + 1;
        } else if slashes < 3 {
            if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
                return false;
            }
        } else if at == start {
            if byte != b'v' {
                return false;
            }
        } else if !byte.is_ascii_digit() || (at == start + 1 && byte == b'0') {
            return false;
        }
        at += 1;
    }
    slashes == 3 && tag.len() >= start + 2
}
