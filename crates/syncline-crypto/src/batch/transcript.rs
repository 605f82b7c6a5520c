//! The coefficients of batch equations, drawn from all that the batch consists of.

use std::convert::Infallible;
use std::ops::Range;

use rand_core::{TryCryptoRng, TryRng};

use crate::SignedMessage;

/// The transcript's domain, for BLAKE3's key derivation mode.
const DOMAIN: &str = "syncline/crypto/batch/v1";

/// Short inputs are gathered up to this many bytes, since BLAKE3 is several times faster on long ones.
const GATHER: usize = 16 * 1024;

/// Commits to every bit of a chunk.
pub(super) struct Seed([u8; 32]);

impl Seed {
    pub(super) fn of(chunk: &[SignedMessage<'_>]) -> Self {
        let mut transcript = Transcript::new();
        transcript.absorb_len(chunk.len());
        for item in chunk {
            transcript.absorb(item.key.as_bytes());
            transcript.absorb(item.signature.as_bytes());
            transcript.absorb_len(item.message.len());
            transcript.absorb(item.message);
        }
        transcript.finish()
    }

    /// The coefficients of the equation over a range of the chunk's items: other ones for each range.
    pub(super) fn coefficients(&self, range: &Range<usize>) -> Coefficients {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(range.start as u64).to_le_bytes());
        hasher.update(&(range.end as u64).to_le_bytes());
        Coefficients(hasher.finalize_xof())
    }
}

struct Transcript {
    hasher: blake3::Hasher,
    gathered: Vec<u8>,
}

impl Transcript {
    fn new() -> Self {
        Self { hasher: blake3::Hasher::new_derive_key(DOMAIN), gathered: Vec::with_capacity(GATHER) }
    }

    fn absorb_len(&mut self, len: usize) {
        self.absorb(&(len as u64).to_le_bytes());
    }

    fn absorb(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHER {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
        }
        if bytes.len() > GATHER {
            self.hasher.update(bytes);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
    }

    fn finish(mut self) -> Seed {
        self.hasher.update(&self.gathered);
        Seed(*self.hasher.finalize().as_bytes())
    }
}

/// An output stream of BLAKE3 as a source of random numbers.
pub(super) struct Coefficients(blake3::OutputReader);

impl TryRng for Coefficients {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Coefficients {}

#[cfg(test)]
mod tests {
    use rand_core::Rng as _;

    use super::*;
    use crate::{PublicKey, Signature, SigningKey};

    fn draw(items: &[SignedMessage<'_>], range: Range<usize>) -> [u8; 64] {
        let mut drawn = [0; 64];
        Seed::of(items).coefficients(&range).fill_bytes(&mut drawn);
        drawn
    }

    #[test]
    fn every_bit_of_the_chunk_changes_all_coefficients() {
        let keys: [PublicKey; 2] = [1, 2].map(|n| SigningKey::from_bytes(&[n; 32]).public_key());
        let signatures = [[3; 64], [4; 64]].map(Signature::from_bytes);
        let item = |k: usize, m, s: usize| SignedMessage::new(&keys[k], m, &signatures[s]);
        let chunks: [&[SignedMessage<'_>]; 9] = [
            &[],
            &[item(0, b"ab", 0)],
            &[item(1, b"ab", 0)],
            &[item(0, b"ac", 0)],
            &[item(0, b"ab", 1)],
            &[item(0, b"a", 0)],
            &[item(0, b"ab", 0), item(0, b"ab", 0)],
            &[item(0, b"ab", 0), item(1, b"ab", 0)],
            &[item(1, b"ab", 0), item(0, b"ab", 0)],
        ];
        for (n, chunk) in chunks.iter().enumerate() {
            for other in &chunks[n + 1..] {
                let (a, b) = (draw(chunk, 0..1), draw(other, 0..1));
                assert!(a.chunks(16).zip(b.chunks(16)).all(|(a, b)| a != b), "{chunk:?} {other:?}");
            }
            assert_eq!(draw(chunk, 0..1), draw(chunk, 0..1));
            assert_ne!(draw(chunk, 0..1), draw(chunk, 0..2));
            assert_ne!(draw(chunk, 0..2), draw(chunk, 1..2));
        }
    }

    #[test]
    fn gathering_does_not_change_the_hash() {
        let key = SigningKey::from_bytes(&[1; 32]).public_key();
        let signature = Signature::from_bytes([5; 64]);
        let long = vec![7; 3 * GATHER];
        for lens in [vec![0, 1, 0], vec![GATHER, GATHER + 1, GATHER - 104], vec![3 * GATHER, 5, GATHER - 1, 9000, 9000]]
        {
            let items: Vec<_> = lens.iter().map(|len| SignedMessage::new(&key, &long[..*len], &signature)).collect();
            let mut flat = (items.len() as u64).to_le_bytes().to_vec();
            for item in &items {
                flat.extend_from_slice(item.key.as_bytes());
                flat.extend_from_slice(item.signature.as_bytes());
                flat.extend_from_slice(&(item.message.len() as u64).to_le_bytes());
                flat.extend_from_slice(item.message);
            }
            assert_eq!(Seed::of(&items).0, blake3::derive_key(DOMAIN, &flat), "{lens:?}");
        }
    }
}
