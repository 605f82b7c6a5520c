//! Nonces, keys, MACs and summaries, made by what `docs/spec/log-v2.md` says, and by nothing else.

use syncline_crypto::Hash;

pub(crate) type Mac = [u8; 16];

fn first_16(hasher: &blake3::Hasher) -> Mac {
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// The nonce of the first session of a protocol with this seed. How nonces are made is everybody's own matter; ours can be
/// told before.
pub(crate) fn nonce(seed: u8) -> Mac {
    first_16(blake3::Hasher::new_keyed(&[seed; 32]).update(&[0; 8]))
}

pub(crate) fn session_key(topic: &[u8], secret: Option<&[u8; 32]>) -> [u8; 32] {
    let parts = [secret.unwrap_or(&[0; 32]), &[u8::from(secret.is_some())][..], topic].concat();
    blake3::derive_key("syncline-log/2 2026 session", &parts)
}

pub(crate) fn mac(session_key: &[u8; 32], purpose: u8, parts: &[&[u8]]) -> Mac {
    first_16(blake3::Hasher::new_keyed(session_key).update(&[purpose]).update(&parts.concat()))
}

/// How many heights there are, and the digest of their accumulator.
pub(crate) fn summary(heights: &[(Vec<u8>, u64, Hash)]) -> (u64, [u8; 32]) {
    let set_key = blake3::derive_key("syncline-log/2 2026 heights", b"");
    let mut lanes = [0_u16; 1_024];
    for (key, seq_num, hash) in heights {
        let len = (key.len() as u64).to_le_bytes();
        let parts = [&len, &key[..], &seq_num.to_le_bytes(), hash.as_bytes()].concat();
        let id = blake3::derive_key("syncline-log/2 2026 height", &parts);
        let mut expanded = [0; 2_048];
        let mut hasher = blake3::Hasher::new_keyed(&set_key);
        hasher.update(&id).update(b"syncline/reconcile/lthash/v1").finalize_xof().fill(&mut expanded);
        for (lane, pair) in lanes.iter_mut().zip(expanded.chunks(2)) {
            *lane = lane.wrapping_add(u16::from_le_bytes([pair[0], pair[1]]));
        }
    }
    let bytes: Vec<u8> = lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect();
    (heights.len() as u64, blake3::derive_key("syncline/reconcile/lthash-digest/v1", &bytes))
}
