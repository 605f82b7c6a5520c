//! What a session's hashes are keyed with.

use crate::{Bound, Fingerprint, ItemId, SetKey, Span};

/// Random bytes that one side brings into a session, so that nobody knows the session's hashes beforehand. Used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; Self::LEN]);

impl Nonce {
    /// Bytes of a nonce.
    pub const LEN: usize = 16;

    /// Takes random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Which of the two sides. Both digests are over the same things, and differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Opener,
    Responder,
}

impl Role {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Opener => Self::Responder,
            Self::Responder => Self::Opener,
        }
    }
}

/// Bytes of a digest of what both have in common.
pub(crate) const DIGEST_LEN: usize = 16;

/// A digest of what both have in common.
pub(crate) type Digest = [u8; DIGEST_LEN];

/// How many bytes of hashes travel. Smaller only in tests, where hashes shall collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    pub(crate) fingerprint: usize,
    pub(crate) short: usize,
}

impl Widths {
    pub(crate) const WIRE: Self = Self { fingerprint: 8, short: 6 };
}

/// The keys of one run of a session.
#[derive(Clone)]
pub(crate) struct Salt {
    fingerprint: [u8; 32],
    short: [u8; 32],
    sum: [u8; 32],
    digest: [u8; 32],
    run: u8,
    widths: Widths,
}

impl Salt {
    /// The keys that only the opener's nonce goes into: for the digest in its first message.
    pub(crate) fn opening(set: &SetKey, span: &Span, opener: &Nonce, widths: Widths) -> Self {
        Self::derive(set, span, b"opening", &[opener], 0, widths)
    }

    /// The keys of a run.
    pub(crate) fn run(set: &SetKey, span: &Span, opener: &Nonce, responder: &Nonce, run: u8, widths: Widths) -> Self {
        Self::derive(set, span, b"session", &[opener, responder], run, widths)
    }

    fn derive(set: &SetKey, span: &Span, phase: &[u8; 7], nonces: &[&Nonce], run: u8, widths: Widths) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(set.as_bytes());
        hasher.update(b"syncline/reconcile/salt/v1").update(phase).update(&[run]);
        for nonce in nonces {
            hasher.update(nonce.as_bytes());
        }
        update_bound(&mut hasher, Some(&span.from));
        update_bound(&mut hasher, span.to.as_ref());
        let mut keys = [[0; 32]; 4];
        let mut output = hasher.finalize_xof();
        keys.iter_mut().for_each(|key| output.fill(key));
        let [fingerprint, short, sum, digest] = keys;
        Self { fingerprint, short, sum, digest, run, widths }
    }

    pub(crate) const fn widths(&self) -> Widths {
        self.widths
    }

    pub(crate) const fn number(&self) -> u8 {
        self.run
    }

    /// What stands for a fingerprint on the wire.
    pub(crate) fn fingerprint(&self, print: &Fingerprint) -> u64 {
        let mut bytes = [0; 40];
        let (words, count) = bytes.split_at_mut(32);
        for (to, from) in words.chunks_exact_mut(8).zip(print.sum) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        count.copy_from_slice(&print.count.to_le_bytes());
        low(&blake3::keyed_hash(&self.fingerprint, &bytes), self.widths.fingerprint)
    }

    /// What stands for an item on the wire.
    pub(crate) fn short(&self, id: &ItemId) -> u64 {
        low(&blake3::keyed_hash(&self.short, id.as_bytes()), self.widths.short)
    }

    /// The hash of an item that is summed up when the set's own sums are not to be trusted.
    pub(crate) fn lift(&self, id: &ItemId) -> Fingerprint {
        let hash = blake3::keyed_hash(&self.sum, id.as_bytes());
        let mut sum = [0; 4];
        for (to, from) in sum.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            *to = from.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Fingerprint { count: 1, sum }
    }

    /// The digest with which a side shows what it thinks both have in common.
    pub(crate) fn digest(&self, of: Role, common: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(&self.digest);
        hasher.update(match of {
            Role::Opener => &[0],
            Role::Responder => &[1],
        });
        let mut digest = [0; DIGEST_LEN];
        hasher.update(common).finalize_xof().fill(&mut digest);
        digest
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salt").field("run", &self.run).finish_non_exhaustive()
    }
}

fn update_bound(hasher: &mut blake3::Hasher, bound: Option<&Bound>) {
    let Some(bound) = bound else {
        hasher.update(&[0]);
        return;
    };
    hasher.update(&[1]);
    for bytes in [&bound.key, &bound.id_prefix] {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
}

fn low(hash: &blake3::Hash, width: usize) -> u64 {
    hash.as_bytes().iter().take(width.min(8)).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
