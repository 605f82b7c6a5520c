//! Heights as items of a set. `docs/spec/log-v2.md` in the repository fixes the form.

use syncline_crypto::PublicKey;
use syncline_reconcile::{Item, ItemId, SetKey};

use crate::store::{LogId, Tip};

/// Longer log ids are told apart by their hash.
const LOG_ID_IN_KEY_MAX: usize = 512;

/// Everybody's key: it tells these sets from others, no more. What hostile members can make of sums, the accumulator undoes.
pub(super) fn set_key() -> SetKey {
    SetKey::from_bytes(blake3::derive_key("syncline-log/2 2026 heights", b""))
}

/// The sort key of a log: its author, then its encoded id, or the id's hash.
pub(crate) fn height_key<L: LogId>(author: &PublicKey, log_id: &L) -> Vec<u8> {
    let mut key = author.as_bytes().to_vec();
    // What cannot be encoded was refused when it came in; it would be an empty id here, on both sides alike.
    if ciborium::into_writer(log_id, &mut key).is_err() {
        key.truncate(PublicKey::LEN);
    }
    let encoded = key.get(PublicKey::LEN..).unwrap_or_default();
    if encoded.len() > LOG_ID_IN_KEY_MAX {
        let hash = blake3::hash(encoded);
        key.truncate(PublicKey::LEN);
        key.extend_from_slice(hash.as_bytes());
    }
    key
}

/// The item of a log that has this tip.
pub(super) fn item(key: Vec<u8>, tip: &Tip) -> Item {
    let mut hasher = blake3::Hasher::new_derive_key("syncline-log/2 2026 height");
    hasher.update(&(key.len() as u64).to_le_bytes()).update(&key);
    hasher.update(&tip.seq_num.get().to_le_bytes()).update(tip.hash.as_bytes());
    Item::new(key, ItemId::from_bytes(*hasher.finalize().as_bytes()))
}
