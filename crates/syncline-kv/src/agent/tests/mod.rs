//! Agents under virtual time.

mod dialing;
mod digests;
mod driver;
mod hostile;
mod pushing;
mod settings;
mod solo;
mod vectors;
mod world;

use std::ops::Range;

use super::*;

/// Runs `test` with each of `seeds`, or with `SEED` alone. A failure names its seed.
fn for_each_seed(seeds: Range<u64>, mut test: impl FnMut(u64)) {
    struct OnPanic(u64);

    impl Drop for OnPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with SEED={}", self.0);
            }
        }
    }

    let given = std::env::var("SEED").ok().map(|text| text.trim().parse::<u64>().unwrap());
    for seed in given.map_or(seeds, |seed| seed..seed + 1) {
        let _printer = OnPanic(seed);
        test(seed);
    }
}

fn namespace() -> Hash {
    Hash::digest(b"a namespace")
}

fn root(n: u64) -> Root {
    Root::new(Hash::digest(&n.to_be_bytes()), n)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}
