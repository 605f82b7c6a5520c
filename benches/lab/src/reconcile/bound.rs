//! What no algorithm can beat.

/// Bytes that it takes to say which d / 2 of N items the other side lacks, in each direction: 2 log2 C(N, d / 2) bits. The
/// items themselves come on top.
#[must_use]
pub fn information(n: usize, d: usize) -> f64 {
    let half = d / 2;
    let bits: f64 = (1..=half).map(|at| (((n - half + at) as f64) / at as f64).log2()).sum();
    // The sum of nothing is negative zero.
    2.0 * bits.abs() / 8.0
}

/// Bytes of a PinSketch of 64-bit ids that is told d in advance: 8 for each difference. Its encoder takes time in proportion
/// to N d, its decoder to d squared.
#[must_use]
pub fn pin_sketch(d: usize) -> f64 {
    8.0 * d as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_as_published() {
        // C(10^6, 500) has 6 200 bits, in each direction.
        assert!((information(1_000_000, 1_000) - 1_550.0).abs() < 5.0);
        assert_eq!(information(10, 0), 0.0);
        // C(4, 2) = 6.
        assert!((information(4, 4) - 6.0_f64.log2() / 4.0).abs() < 1e-12);
        assert_eq!(pin_sketch(1_000), 8_000.0);
    }
}
