//! Keys.

use syncline_crypto::SigningKey;

use crate::seed::Rng;

/// A key. Anybody who knows the seed knows it, so it protects nothing.
pub fn signing_key(rng: &mut Rng) -> SigningKey {
    let mut seed = [0; SigningKey::LEN];
    for chunk in seed.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next_u64().to_le_bytes());
    }
    SigningKey::from_bytes(&seed)
}

/// So many keys, ordered by their public halves.
pub fn signing_keys(rng: &mut Rng, count: usize) -> Vec<SigningKey> {
    let mut keys: Vec<SigningKey> = (0..count).map(|_| signing_key(rng)).collect();
    keys.sort_by_key(SigningKey::public_key);
    keys
}
