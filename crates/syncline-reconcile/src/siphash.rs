//! SipHash-2-4 with 128 bits of output (Aumasson and Bernstein: "SipHash: a fast short-input PRF", 2012): a keyed hash
//! for a few bytes, four times as fast there as BLAKE3.

/// The hash of `data` under `key`, two words of 64 bits.
#[inline]
pub(crate) fn siphash128(key: [u64; 2], data: &[u8]) -> [u64; 2] {
    let mut state = State::new(key);
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        state.absorb(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    last[7] = data.len().to_le_bytes()[0];
    state.absorb(u64::from_le_bytes(last));
    state.finish()
}

struct State([u64; 4]);

impl State {
    fn new([k0, k1]: [u64; 2]) -> Self {
        Self([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds(2);
        self.0[0] ^= word;
    }

    fn finish(mut self) -> [u64; 2] {
        self.0[2] ^= 0xee;
        self.rounds(4);
        let first = self.fold();
        self.0[1] ^= 0xdd;
        self.rounds(4);
        [first, self.fold()]
    }

    fn fold(&self) -> u64 {
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }

    fn rounds(&mut self, count: usize) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..count {
            a = a.wrapping_add(b);
            c = c.wrapping_add(d);
            b = b.rotate_left(13) ^ a;
            d = d.rotate_left(16) ^ c;
            a = a.rotate_left(32);
            c = c.wrapping_add(b);
            a = a.wrapping_add(d);
            b = b.rotate_left(17) ^ c;
            d = d.rotate_left(21) ^ a;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::siphash128;

    fn hex(words: [u64; 2]) -> String {
        words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The reference implementation's first vectors: key `00..0f`, messages `00..`.
    #[test]
    fn agrees_with_the_reference() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(hex(siphash128(key, &[])), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hex(siphash128(key, &[0])), "da87c1d86b99af44347659119b22fc45");
        assert_eq!(hex(siphash128(key, &[0, 1])), "8177228da4a45dc7fca38bdef60affe4");
    }
}
