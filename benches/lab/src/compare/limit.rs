//! What no implementation can beat: the work that is left when everything else costs nothing.

use std::hint::black_box;

use cpu_time::ProcessTime;
use syncline_crypto::{PublicKey, Signature, SignedMessage, verify_batch};

/// CPU seconds to copy this many bytes once.
pub(crate) fn copy(bytes: u64) -> f64 {
    const TIMES: u32 = 11;
    let from = vec![0x5a_u8; bytes as usize];
    let mut to = vec![0_u8; bytes as usize];
    let mut samples: Vec<f64> = (0..TIMES)
        .map(|_| {
            let before = ProcessTime::now();
            black_box(&mut to[..]).copy_from_slice(black_box(&from[..]));
            before.elapsed().as_secs_f64()
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// A signature with what it is checked against.
#[derive(Clone, Debug)]
pub(crate) struct SignedParts {
    pub(crate) key: PublicKey,
    /// The bytes that are signed, domain included.
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Signature,
}

/// CPU seconds to verify signatures in batches of this many, and nothing else.
pub(crate) fn verify(signed: &[SignedParts], batch: usize) -> f64 {
    let items: Vec<SignedMessage<'_>> =
        signed.iter().map(|parts| SignedMessage::new(&parts.key, &parts.message, &parts.signature)).collect();
    let before = ProcessTime::now();
    for items in items.chunks(batch) {
        assert!(black_box(verify_batch(black_box(items))).is_all_valid(), "what is applied is validly signed");
    }
    before.elapsed().as_secs_f64()
}
