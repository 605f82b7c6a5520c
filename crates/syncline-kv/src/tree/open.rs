//! Opening a tree.

use std::sync::{Arc, Mutex, RwLock};

use syncline_core::clock::Timestamp;
use syncline_crypto::{Domain, Ed25519, Verifier};
use syncline_reconcile::{SetKey, StoredSet};
use syncline_storage::{Batch, Database, Direction, Durability};

use super::error::{Corruption, KvError};
use super::root::SetName;
use super::rows::{DESCRIPTIONS, NUMBERS, OPENINGS, readable};
use super::watch::Watchers;
use super::writer::{Loaded, Writer};
use super::{Inner, Tree, TreeLimits};
use crate::item::Namespace;

const SET_KEY: Domain = Domain::new("syncline/kv/set-key/v1");

/// How a tree is to be opened.
#[derive(Clone, Debug)]
pub struct TreeBuilder {
    limits: TreeLimits,
    verifier: Arc<dyn Verifier>,
}

impl TreeBuilder {
    /// With the default [`TreeLimits`] and [`Ed25519`].
    #[must_use]
    pub fn new() -> Self {
        Self { limits: TreeLimits::default(), verifier: Arc::new(Ed25519) }
    }

    /// With these limits.
    #[must_use]
    pub fn limits(mut self, limits: TreeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// With another rule of which signatures count. All replicas must have the same; meant for simulations.
    #[must_use]
    pub fn verifier(mut self, verifier: Arc<dyn Verifier>) -> Self {
        self.verifier = verifier;
        self
    }

    /// Opens a namespace of a database, and creates it if it is not there. Reads all grants and revocations, and finishes what
    /// an interrupted revocation left.
    ///
    /// # Errors
    ///
    /// [`KvError::Description`] if the database has another namespace with the same id, [`KvError::Storage`],
    /// [`KvError::Commit`], [`KvError::Corrupt`].
    pub fn open(self, db: Arc<dyn Database>, namespace: &Namespace) -> Result<Tree, KvError> {
        let number = number_of(&*db, namespace)?;
        let opening = next_opening(&*db, number)?;
        let Loaded { authority, last, held } = Loaded::read(&*db, number, namespace, &self.limits)?;
        let inner = Inner {
            db,
            number,
            opening,
            verifier: self.verifier,
            system: set(number, namespace, SetName::System),
            entries: set(number, namespace, SetName::Entries),
            writer: Mutex::new(Writer::new(last, held)),
            authority: RwLock::new(Arc::new(authority)),
            watchers: Arc::new(Mutex::new(Watchers::new(self.limits.watched_keys))),
            feeds: Arc::default(),
            limits: self.limits,
        };
        // Time matters to nothing that is swept.
        inner.sweep_leftovers(&mut *inner.writer()?, Timestamp::ZERO)?;
        Ok(Tree { inner: Arc::new(inner) })
    }
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// The number that the namespace has in the database, or gets now.
fn number_of(db: &dyn Database, namespace: &Namespace) -> Result<u32, KvError> {
    let id = *namespace.id().as_bytes();
    let snapshot = db.snapshot()?;
    if let Some(number) = NUMBERS.get(&*snapshot, &id)? {
        let description = DESCRIPTIONS.get(&*snapshot, &(number,))?;
        let description = description.ok_or(KvError::Corrupt(Corruption::Description))?;
        return if description == namespace.encoded() { Ok(number) } else { Err(KvError::Description(namespace.id())) };
    }
    let mut next = 1;
    for row in DESCRIPTIONS.scan(&*snapshot, Direction::Reverse)?.take(1) {
        let ((number,), _) = readable(row, Corruption::Description)?;
        next = number.checked_add(1).ok_or(KvError::Corrupt(Corruption::Description))?;
    }
    let mut batch = Batch::new();
    NUMBERS.require_absent_in(&mut batch, &id);
    DESCRIPTIONS.require_absent_in(&mut batch, &(next,));
    NUMBERS.put_in(&mut batch, &id, &next);
    DESCRIPTIONS.put_in(&mut batch, &(next,), &namespace.encoded());
    db.commit(batch, Durability::Immediate)?;
    Ok(next)
}

/// Opens the namespace once more, which shuts out whoever opened it before.
fn next_opening(db: &dyn Database, number: u32) -> Result<u64, KvError> {
    let before = OPENINGS.get(&*db.snapshot()?, &(number,))?;
    let opening = before.unwrap_or_default().wrapping_add(1);
    let mut batch = Batch::new();
    match before {
        Some(before) => OPENINGS.require_equals_in(&mut batch, &(number,), &before),
        None => OPENINGS.require_absent_in(&mut batch, &(number,)),
    }
    OPENINGS.put_in(&mut batch, &(number,), &opening);
    db.commit(batch, Durability::Immediate)?;
    Ok(opening)
}

/// The set's hashes are keyed, so that sums of one namespace mean nothing in another.
fn set(number: u32, namespace: &Namespace, name: SetName) -> StoredSet {
    let mut hasher = SET_KEY.hasher();
    hasher.update(namespace.id().as_bytes()).update(&[name.number()]);
    let key = SetKey::from_bytes(hasher.finalize().to_bytes());
    let [a, b, c, d] = number.to_be_bytes();
    StoredSet::with_symbols(&[b'k', b'v', a, b, c, d, name.number()], &key, name.symbols())
}
