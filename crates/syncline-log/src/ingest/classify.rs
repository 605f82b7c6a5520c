use std::fmt::Debug;
use std::marker::PhantomData;

use crate::store::{Link, LogId};
use crate::{EncodedOperation, Extension, PruneFlag};

/// Where an operation belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement<L> {
    /// Its author's log.
    pub log_id: L,
    /// How it continues that log.
    pub link: Link,
}

impl<L> Placement<L> {
    /// The operation continues the log `log_id`.
    pub fn next(log_id: L) -> Self {
        Self { log_id, link: Link::Next }
    }

    /// The operation belongs to `log_id` and continues it as `link` says.
    pub fn new(log_id: L, link: Link) -> Self {
        Self { log_id, link }
    }
}

/// Tells the log that an operation belongs to.
///
/// The protocol does not transmit log ids; the author puts what is needed into the signed header, usually an extension.
///
/// # Contract
///
/// - The answer depends on the operation alone, so that all peers place it alike.
/// - The operation comes from a peer and its signature is not checked yet: no value may panic.
/// - `None` rejects the operation.
pub trait Classify<L>: Debug + Send + Sync {
    /// The place of `operation`, or `None` if it has none here.
    fn place(&self, operation: &EncodedOperation) -> Option<Placement<L>>;
}

/// Places an operation by its header's extensions `E`: the log id and the prune flag are extracted from them.
///
/// An operation whose prune flag is set may follow a gap, and everything before it in its log is deleted.
#[derive(Clone, Copy)]
pub struct ByExtension<E> {
    starts_anywhere: bool,
    extensions: PhantomData<fn() -> E>,
}

impl<E> ByExtension<E> {
    /// A log must start at sequence number 0 or at an operation with a prune flag.
    #[must_use]
    pub fn new() -> Self {
        Self { starts_anywhere: false, extensions: PhantomData }
    }

    /// A log of which nothing is stored may start at any sequence number: for peers that delete old operations without
    /// saying so in the log. What is missing can then not be told from what was withheld.
    #[must_use]
    pub fn starting_anywhere() -> Self {
        Self { starts_anywhere: true, extensions: PhantomData }
    }
}

impl<E> Default for ByExtension<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Debug for ByExtension<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByExtension").field("starts_anywhere", &self.starts_anywhere).finish()
    }
}

impl<L, E> Classify<L> for ByExtension<E>
where
    L: LogId,
    E: Extension<L> + Extension<PruneFlag>,
{
    fn place(&self, operation: &EncodedOperation) -> Option<Placement<L>> {
        let header = operation.header::<E>().ok()?;
        let log_id = <E as Extension<L>>::extract(&header)?;
        let prunes = <E as Extension<PruneFlag>>::extract(&header).is_some_and(|flag| flag.is_set());
        let link = match (prunes, self.starts_anywhere) {
            (true, _) => Link::Prunes,
            (false, true) => Link::MayStart,
            (false, false) => Link::Next,
        };
        Some(Placement { log_id, link })
    }
}
