//! How much may be admitted.

/// How many objects an [`Authority`](super::Authority) admits. They are held in memory, 1 to 4 KiB each, and never removed.
///
/// The last eighth of the grants and of the revocations is kept for roots, so that whoever holds a grant with depth cannot
/// use up what is left and so prevent a root from revoking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthorityLimits {
    /// Grants, dead ones included. Default 65 536.
    pub grants_max: usize,
    /// Revocations. Default 65 536.
    pub revocations_max: usize,
    /// Rotations of the roots, those that lost included. Default 1 024.
    pub rotations_max: usize,
}

impl Default for AuthorityLimits {
    fn default() -> Self {
        Self { grants_max: 65_536, revocations_max: 65_536, rotations_max: 1_024 }
    }
}

impl AuthorityLimits {
    /// Whether one more fits, of which there are `count`.
    pub(super) fn admits(count: usize, max: usize, by_root: bool) -> bool {
        count < if by_root { max } else { max - max / 8 }
    }
}
