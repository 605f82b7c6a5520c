//! How much two sets differ, from the counts of a few symbols.

use super::{Symbol, mapping::probability};

/// How many items two sets do not have in common, estimated from the first symbols of one less those of the other. From 64
/// symbols the standard deviation is a fifth of the result or less, whichever side the items are on. It is never less than
/// the difference of the sizes, which is certain: where one side has nearly all, this makes it up to a tenth too large.
///
/// Symbol 0 covers everything, so that its count is the difference of the sizes, `c(0)`. An item that only one side has is
/// in symbol `i` with probability `p(i)` and changes `c(i) - p(i) c(0)` by plus or minus `1 - p(i)` if it is, by `p(i)` if not:
/// zero on average, with the variance `p(i) (1 - p(i))`. So the square of it, summed over the symbols and divided by the sum
/// of these variances, is the number of such items on average. Each square is divided by its own variance, since that
/// gives each symbol the same say.
#[must_use]
pub fn estimate_difference(differences: &[Symbol]) -> u64 {
    let Some((first, rest)) = differences.split_first() else {
        return 0;
    };
    let surplus = f64::from(first.balance());
    let mut sum = 0.0;
    for (symbol, index) in rest.iter().zip(1..) {
        let p = probability(index);
        sum += (f64::from(symbol.balance()) - p * surplus).powi(2) / (p * (1.0 - p));
    }
    let mean = if rest.is_empty() { 0.0 } else { sum / rest.len() as f64 };
    // The difference is not less than that of the sizes. A cast of a float to an integer saturates.
    (mean.round() as u64).max(u64::from(first.balance().unsigned_abs()))
}
