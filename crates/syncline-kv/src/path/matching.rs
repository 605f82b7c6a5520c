//! Whether a pattern has a key, in linear time.
//!
//! Both levels are matched greedily: what is between two wildcards is best found as far left as possible, so only the
//! last wildcard is ever taken up again (Kirk J. Krauss, "Matching Wildcards: An Algorithm", Dr. Dobb's 2008).

use super::pattern::DEEP;
use super::{scan, segment};

/// Whether the pattern has the key. Both are well formed; neither need keep the limits.
pub(super) fn matches(pattern: &str, key: &str) -> bool {
    matches_counted(pattern, key, &mut |_| ())
}

/// The same, telling `count` how many bytes each comparison of two segments is given.
pub(super) fn matches_counted(pattern: &str, key: &str, count: &mut impl FnMut(usize)) -> bool {
    let mut globs = scan::segments(pattern);
    let mut names = scan::segments(key);
    // What is to match behind the last `**`, and where to begin next, should it fail.
    let mut again = None;
    loop {
        let matched = match globs.next() {
            Some((_, DEEP)) => {
                if globs.clone().next().is_none() {
                    return names.next().is_some();
                }
                again = Some((globs.clone(), names.clone()));
                true
            }
            // To begin later would leave less to match with.
            Some((_, glob)) => match names.next() {
                None => return false,
                Some((_, name)) => {
                    count(glob.len() + name.len());
                    segment::matches(glob, name)
                }
            },
            None => {
                if names.clone().next().is_none() {
                    return true;
                }
                false
            }
        };
        if !matched {
            let Some((rest, begin)) = &mut again else { return false };
            begin.next();
            (globs, names) = (rest.clone(), begin.clone());
        }
    }
}
