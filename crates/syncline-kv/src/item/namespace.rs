//! Namespaces: whose tree it is.

use std::fmt;

use bytes::Bytes;
use syncline_core::cbor::Writer;
use syncline_crypto::{Domain, PublicKey};

use super::codec::{Fields, encode, id_of, rising, same_bytes, within};
use super::{ItemError, NamespaceId};

const DOMAIN: Domain = Domain::new("syncline/kv/namespace/v1");
const FIELDS: u64 = 5;

/// What becomes of the values under a grant that is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these two")]
pub enum OnRevoke {
    /// Who revokes also deletes what it saw under the grant, by tombstones of its own. What it had not seen counts as never
    /// made.
    #[default]
    Unset,
    /// The best value that is still valid comes back, if there is one.
    Fallback,
}

/// Who may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these two")]
pub enum Reads {
    /// Roots, and who has a grant to read.
    #[default]
    Granted,
    /// Everybody who can connect.
    Public,
}

/// A tree, described by what never changes about it: a name, the keys that were its first roots, and its policies.
///
/// The [id](Self::id) is the hash of the description. So the description needs no signature: who knows the id can check it, and
/// every signature of the tree covers the id.
///
/// A root may write and read everything, grant anything and revoke any grant. Later roots come by [`RootRotate`](super::RootRotate).
#[derive(Clone, PartialEq, Eq)]
pub struct Namespace {
    name: String,
    roots: Vec<PublicKey>,
    rotation_threshold: u8,
    on_revoke: OnRevoke,
    reads: Reads,
    id: NamespaceId,
}

impl Namespace {
    /// Bytes of the longest name.
    pub const NAME_LEN_MAX: usize = 255;
    /// The most roots at a time.
    pub const ROOTS_MAX: usize = 16;

    /// A namespace whose roots change when more than half of them say so, with the default policies.
    ///
    /// # Errors
    ///
    /// [`ItemError`] if the name is empty or too long, or there is no root, too many, or one twice.
    pub fn new(name: &str, roots: impl IntoIterator<Item = PublicKey>) -> Result<Self, ItemError> {
        let mut roots: Vec<PublicKey> = roots.into_iter().collect();
        roots.sort_unstable();
        let threshold = u8::try_from(roots.len() / 2 + 1).unwrap_or(u8::MAX);
        Self::build(name.to_owned(), roots, threshold, OnRevoke::default(), Reads::default())
    }

    /// The same with so many roots needed to change the roots.
    ///
    /// # Errors
    ///
    /// [`ItemError::Contradiction`] if it is none, or more than there are.
    pub fn with_rotation_threshold(self, threshold: u8) -> Result<Self, ItemError> {
        Self::build(self.name, self.roots, threshold, self.on_revoke, self.reads)
    }

    /// The same with another policy of revocation.
    ///
    /// # Errors
    ///
    /// None that a namespace that exists can meet.
    pub fn with_on_revoke(self, on_revoke: OnRevoke) -> Result<Self, ItemError> {
        Self::build(self.name, self.roots, self.rotation_threshold, on_revoke, self.reads)
    }

    /// The same with another policy of reading.
    ///
    /// # Errors
    ///
    /// None that a namespace that exists can meet.
    pub fn with_reads(self, reads: Reads) -> Result<Self, ItemError> {
        Self::build(self.name, self.roots, self.rotation_threshold, self.on_revoke, reads)
    }

    fn build(
        name: String,
        roots: Vec<PublicKey>,
        rotation_threshold: u8,
        on_revoke: OnRevoke,
        reads: Reads,
    ) -> Result<Self, ItemError> {
        if name.is_empty() {
            return Err(ItemError::Contradiction("a namespace needs a name"));
        }
        within("name", name.len(), Self::NAME_LEN_MAX)?;
        check_roots(&roots)?;
        if rotation_threshold == 0 || usize::from(rotation_threshold) > roots.len() {
            return Err(ItemError::Contradiction("the rotation threshold must be between 1 and the number of roots"));
        }
        let mut namespace =
            Self { name, roots, rotation_threshold, on_revoke, reads, id: NamespaceId::from_bytes([0; 32]) };
        namespace.id = id_of(DOMAIN, &namespace.encoded()).into();
        Ok(namespace)
    }

    /// Reads a description.
    ///
    /// # Errors
    ///
    /// [`ItemError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        let mut fields = Fields::new(bytes, FIELDS)?;
        let name = fields.text("name", Self::NAME_LEN_MAX)?;
        let roots = read_roots(&mut fields)?;
        let threshold = u8::try_from(fields.number()?).map_err(|_| ItemError::Form("threshold"))?;
        let on_revoke = match fields.number()? {
            0 => OnRevoke::Unset,
            1 => OnRevoke::Fallback,
            _ => return Err(ItemError::Form("on_revoke")),
        };
        let reads = match fields.number()? {
            0 => Reads::Granted,
            1 => Reads::Public,
            _ => return Err(ItemError::Form("reads")),
        };
        let namespace = Self::build(name, roots, threshold, on_revoke, reads)?;
        same_bytes(bytes, |out| namespace.write(out))?;
        Ok(namespace)
    }

    /// The description's bytes: deterministic CBOR.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        encode(64 + self.roots.len() * 34, |out| self.write(out))
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(FIELDS).text(&self.name);
        write_roots(out, &self.roots);
        out.unsigned(self.rotation_threshold.into());
        out.unsigned(match self.on_revoke {
            OnRevoke::Unset => 0,
            OnRevoke::Fallback => 1,
        });
        out.unsigned(match self.reads {
            Reads::Granted => 0,
            Reads::Public => 1,
        });
    }

    /// The hash of the description.
    #[must_use]
    pub fn id(&self) -> NamespaceId {
        self.id
    }

    /// The name, which is for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first roots, in rising order.
    #[must_use]
    pub fn roots(&self) -> &[PublicKey] {
        &self.roots
    }

    /// How many roots must agree to change the roots; at most all that there are then.
    #[must_use]
    pub fn rotation_threshold(&self) -> u8 {
        self.rotation_threshold
    }

    /// What becomes of the values under a grant that is revoked.
    #[must_use]
    pub fn on_revoke(&self) -> OnRevoke {
        self.on_revoke
    }

    /// Who may read.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.reads
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

pub(super) fn check_roots(roots: &[PublicKey]) -> Result<(), ItemError> {
    if roots.is_empty() {
        return Err(ItemError::Contradiction("a namespace needs a root"));
    }
    within("roots", roots.len(), Namespace::ROOTS_MAX)?;
    rising("roots", roots)
}

pub(super) fn read_roots(fields: &mut Fields<'_>) -> Result<Vec<PublicKey>, ItemError> {
    let count = fields.parts("roots", Namespace::ROOTS_MAX)?;
    (0..count).map(|_| fields.public_key()).collect()
}

pub(super) fn write_roots(out: &mut Writer<'_>, roots: &[PublicKey]) {
    out.array(roots.len() as u64);
    for root in roots {
        out.bytes(root.as_bytes());
    }
}
