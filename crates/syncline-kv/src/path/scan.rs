//! What keys and patterns have in common: how a path is cut and which bytes it may hold.

use super::key::{Key, KeyError};

/// How long a key may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    pub(super) len: usize,
    pub(super) segments: usize,
    pub(super) segment_len: usize,
}

impl Caps {
    /// Those of keys. Others are of use where all keys are tried.
    pub(super) const KEY: Self =
        Self { len: Key::LEN_MAX, segments: Key::SEGMENTS_MAX, segment_len: Key::SEGMENT_LEN_MAX };
}

/// Whether a key may hold this byte. Besides these there is only the `/` between segments.
pub(super) fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_~:@+=,%".contains(&byte)
}

/// The segments of a path, each with the offset of its first byte. The path begins with `/`.
pub(super) fn segments(path: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    path.split('/')
        .scan(0, |end, segment| {
            let at = *end;
            *end = at + segment.len() + 1;
            Some((at, segment))
        })
        // What is before the first slash.
        .skip(1)
}

/// Checks what concerns the path as a whole.
pub(super) fn check_path(path: &str, len_max: usize, segments_max: usize) -> Result<(), KeyError> {
    if path.is_empty() {
        return Err(KeyError::Empty);
    }
    if path.len() > len_max {
        return Err(KeyError::TooLong { len: path.len(), max: len_max });
    }
    if !path.starts_with('/') {
        return Err(KeyError::NoSlash);
    }
    match segments(path).nth(segments_max) {
        Some((at, _)) => Err(KeyError::TooManySegments { at, max: segments_max }),
        None => Ok(()),
    }
}

/// Checks one segment, which begins `at` that offset; a byte beside the charset is in order if `also` says so.
pub(super) fn check_segment(at: usize, segment: &str, also: fn(u8) -> bool) -> Result<(), KeyError> {
    if segment.is_empty() {
        return Err(KeyError::EmptySegment { at });
    }
    if let Some((offset, found)) =
        segment.char_indices().find(|&(_, found)| !u8::try_from(found).is_ok_and(|byte| is_allowed(byte) || also(byte)))
    {
        return Err(KeyError::Char { at: at + offset, found });
    }
    if segment.len() > Key::SEGMENT_LEN_MAX {
        return Err(KeyError::SegmentTooLong { at, len: segment.len() });
    }
    if segment == "." || segment == ".." {
        return Err(KeyError::DotSegment { at });
    }
    Ok(())
}
