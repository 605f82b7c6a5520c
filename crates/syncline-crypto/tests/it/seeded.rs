//! Random choices that can be had again: each test prints its seed when it fails, and takes `SEED=` from the environment.

use std::convert::Infallible;

use syncline_crypto::rand_core::{Rng as _, TryCryptoRng, TryRng};

/// An output stream of BLAKE3. Prints its seed when dropped in a panic.
#[derive(Debug)]
pub(crate) struct Seeded {
    seed: u64,
    stream: blake3::OutputReader,
}

impl Seeded {
    pub(crate) fn new() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
        Self { seed, stream: blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof() }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next_u64() % bound as u64).expect("less than a usize")
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill_bytes(&mut bytes);
        bytes
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

impl Drop for Seeded {
    #[expect(clippy::print_stderr, reason = "the seed belongs to the failure's report")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SEED={}", self.seed);
        }
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.stream.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}
