//! Finds the end of a CBOR item in a growing buffer.

use thiserror::Error;

use super::{Head, HeadError, INDEFINITE, major};

/// Limits on one CBOR item that comes from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    len_max: usize,
    depth_max: usize,
}

impl FrameLimits {
    /// The most bytes that one item may take where bodies travel: 16 MiB.
    pub const LEN_MAX_BODIES: usize = 16 << 20;

    /// The most bytes that one item may take where no bodies travel: 1 MiB. The default.
    pub const LEN_MAX_DEFAULT: usize = 1 << 20;

    /// How deep arrays, maps and tags may nest: 64. The default.
    pub const DEPTH_MAX_DEFAULT: usize = 64;

    /// Limits with `len_max` bytes per item and the default depth. No item can be longer than a buffer, `isize::MAX`.
    #[must_use]
    pub const fn with_len_max(len_max: usize) -> Self {
        let len_max = if len_max > isize::MAX as usize { isize::MAX as usize } else { len_max };
        Self { len_max, depth_max: Self::DEPTH_MAX_DEFAULT }
    }

    /// The same limits with another depth.
    ///
    /// Serde decodes recursively and takes some hundred bytes of stack for each level, more without optimisation: beyond a
    /// few hundred levels a peer could overflow it. [`FrameScanner`] and [`Reader`](super::Reader) do not recurse.
    #[must_use]
    pub const fn and_depth_max(mut self, depth_max: usize) -> Self {
        self.depth_max = depth_max;
        self
    }

    /// The most bytes that one item may take.
    #[must_use]
    pub const fn len_max(&self) -> usize {
        self.len_max
    }

    /// How deep arrays, maps and tags may nest.
    #[must_use]
    pub const fn depth_max(&self) -> usize {
        self.depth_max
    }
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self::with_len_max(Self::LEN_MAX_DEFAULT)
    }
}

/// Why bytes are not an acceptable CBOR item.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The item takes, or claims to take, more bytes than allowed.
    #[error("frame of at least {claimed} bytes exceeds the limit of {limit}")]
    TooLong {
        /// The least number of bytes that the item would take.
        claimed: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// Arrays, maps or tags nest deeper than allowed.
    #[error("nesting exceeds the limit of {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The bytes are not well-formed CBOR.
    #[error("malformed cbor at byte {at}")]
    Malformed {
        /// Offset from the item's first byte.
        at: usize,
    },
}

/// One item that is open: how many of its parts are still to come.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// An array, map or tag with this many items to come, at least one.
    Items(u64),
    /// An array of indefinite length.
    IndefiniteArray,
    /// A map of indefinite length; the flag says that a key came and its value is due.
    IndefiniteMap { value_due: bool },
    /// A string of indefinite length, whose chunks must have this major type and a definite length.
    IndefiniteString { major: u8 },
}

/// Finds the end of one CBOR item in a buffer that grows, looking at each byte once.
///
/// The work is linear in the bytes and the memory is the depth of the nesting, whatever the item claims. A claimed
/// length or count is held against the limit when it is read, together with what the containers around it claimed: an
/// array that claims 2^64-1 entries is refused at its ninth byte.
///
/// Text is not checked to be UTF-8.
///
/// ```
/// use syncline_core::cbor::{FrameLimits, FrameScanner};
///
/// let mut scanner = FrameScanner::new(FrameLimits::default());
/// let bytes = [0x82, 0x01, 0x61, 0x61, 0xf6]; // [1, "a"], then null
/// assert_eq!(scanner.scan(&bytes[..2])?, None);
/// assert_eq!(scanner.scan(&bytes)?, Some(4));
/// # Ok::<(), syncline_core::cbor::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameScanner {
    limits: FrameLimits,
    levels: Vec<Level>,
    /// Bytes of the current item that need not be looked at again.
    offset: usize,
    /// Bytes of the open string that are still to come. They are content, not items.
    string: usize,
    /// Items of open arrays, maps and tags that come after the current one. Each takes a byte at least, so this stays
    /// below the limit on length.
    owed: u64,
    /// Bytes looked at, those that were looked at again included.
    #[cfg(test)]
    looked_at: u64,
}

impl FrameScanner {
    /// A scanner at the start of an item.
    #[must_use]
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            levels: Vec::new(),
            offset: 0,
            string: 0,
            owed: 0,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// The limits that this scanner keeps.
    #[must_use]
    pub fn limits(&self) -> FrameLimits {
        self.limits
    }

    /// The least number of bytes that the current item still takes, as far as it has claimed them.
    pub(super) fn missing(&self) -> usize {
        self.string.saturating_add(usize::try_from(self.owed).unwrap_or(usize::MAX))
    }

    /// Looks for the end of the item that starts at `buffer[0]`, continuing where the last call stopped.
    ///
    /// Returns the item's length once it is whole, and is then ready for the next item, which must start at the front of
    /// the next call's buffer. Returns `None` if more bytes are needed; the next call's buffer must start with the same
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the item exceeds a limit or is not CBOR. The scanner is then of no further use.
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, FrameError> {
        loop {
            let rest = buffer.get(self.offset..).unwrap_or_default();
            if self.string > 0 {
                let here = self.string.min(rest.len());
                self.offset += here;
                self.string -= here;
                if self.string > 0 {
                    return Ok(None);
                }
            } else {
                let rest = self.skip_small_integers(rest);
                match Head::parse(rest) {
                    Ok(head) => {
                        self.note_looked_at(head.len);
                        if !self.open(head)? {
                            continue;
                        }
                    }
                    // At most the first byte and seven of an argument are read again.
                    Err(HeadError::Incomplete) => {
                        self.note_looked_at(rest.len());
                        self.check_room(rest.len().saturating_add(1) as u64)?;
                        return Ok(None);
                    }
                    Err(HeadError::Reserved) => return Err(self.malformed()),
                }
            }
            if self.close() {
                return Ok(Some(std::mem::take(&mut self.offset)));
            }
        }
    }

    /// Passes over integers of one byte and of two bytes inside an array or map of definite length, as long as they are
    /// not its last item. Only a short cut for arrays of numbers, which is how p2panda sends bytes.
    fn skip_small_integers<'b>(&mut self, rest: &'b [u8]) -> &'b [u8] {
        let Some(Level::Items(left)) = self.levels.last_mut() else { return rest };
        let before = *left;
        let mut at = 0;
        while *left > 1 {
            let Some(first @ ..=0x18) = rest.get(at) else { break };
            // One byte or two is a coin toss; adding is cheaper than a branch that is guessed wrong.
            let end = at + 1 + usize::from(*first == 0x18);
            if end > rest.len() {
                break;
            }
            at = end;
            *left -= 1;
        }
        self.owed -= before - *left;
        self.offset += at;
        self.note_looked_at(at);
        // If they went over the limit, the next head tells.
        rest.get(at..).unwrap_or_default()
    }

    /// Takes in the head of an item. Returns whether the item is whole with it.
    fn open(&mut self, head: Head) -> Result<bool, FrameError> {
        self.check_room(head.len as u64)?;
        if let Some(Level::IndefiniteString { major }) = self.levels.last()
            && (head.major != *major || head.info == INDEFINITE)
            && !head.is_break()
        {
            return Err(self.malformed());
        }
        if head.info == INDEFINITE {
            return self.open_indefinite(head);
        }
        let len = head.len as u64;
        let argument = head.argument;
        match head.major {
            major::UNSIGNED | major::NEGATIVE => {}
            major::BYTES | major::TEXT => {
                self.check_room(len.saturating_add(argument))?;
                self.offset += head.len;
                // The limit, a `usize`, has just bounded the argument.
                self.string = usize::try_from(argument).unwrap_or(usize::MAX);
                return Ok(argument == 0);
            }
            major::ARRAY | major::MAP => {
                let items = if head.major == major::MAP { argument.saturating_mul(2) } else { argument };
                // Every item takes one byte at least.
                self.check_room(len.saturating_add(items))?;
                if items > 0 {
                    self.push(Level::Items(items))?;
                    self.owed += items - 1;
                }
                self.offset += head.len;
                return Ok(items == 0);
            }
            major::TAG => {
                self.check_room(len + 1)?;
                self.push(Level::Items(1))?;
                self.offset += head.len;
                return Ok(false);
            }
            // RFC 8949 §3.3: a simple value below 32 must not be written in two bytes.
            _ if head.info == 24 && argument < 32 => return Err(self.malformed()),
            _ => {}
        }
        self.offset += head.len;
        Ok(true)
    }

    fn open_indefinite(&mut self, head: Head) -> Result<bool, FrameError> {
        let level = match head.major {
            major::BYTES | major::TEXT => Level::IndefiniteString { major: head.major },
            major::ARRAY => Level::IndefiniteArray,
            major::MAP => Level::IndefiniteMap { value_due: false },
            _ => return self.end_indefinite(head),
        };
        // The break takes a byte.
        self.check_room(head.len as u64 + 1)?;
        self.push(level)?;
        self.offset += head.len;
        Ok(false)
    }

    fn end_indefinite(&mut self, head: Head) -> Result<bool, FrameError> {
        match self.levels.last() {
            Some(
                Level::IndefiniteArray | Level::IndefiniteString { .. } | Level::IndefiniteMap { value_due: false },
            ) => {
                self.levels.pop();
                self.offset += head.len;
                Ok(true)
            }
            _ => Err(self.malformed()),
        }
    }

    fn push(&mut self, level: Level) -> Result<(), FrameError> {
        if self.levels.len() >= self.limits.depth_max {
            return Err(FrameError::TooDeep { limit: self.limits.depth_max });
        }
        self.levels.push(level);
        Ok(())
    }

    /// Counts a whole item in what contains it. Returns whether that completes the outermost item.
    fn close(&mut self) -> bool {
        while let Some(level) = self.levels.last_mut() {
            match level {
                Level::Items(1) => {
                    self.levels.pop();
                }
                Level::Items(left) => {
                    *left -= 1;
                    self.owed -= 1;
                    return false;
                }
                Level::IndefiniteMap { value_due } => {
                    *value_due = !*value_due;
                    return false;
                }
                Level::IndefiniteArray | Level::IndefiniteString { .. } => return false,
            }
        }
        true
    }

    /// Checks that `more` bytes from here on, and what is owed after them, stay within the limit.
    fn check_room(&self, more: u64) -> Result<(), FrameError> {
        let claimed = (self.offset as u64).saturating_add(more).saturating_add(self.owed);
        if claimed > self.limits.len_max as u64 {
            return Err(FrameError::TooLong { claimed, limit: self.limits.len_max });
        }
        Ok(())
    }

    fn malformed(&self) -> FrameError {
        FrameError::Malformed { at: self.offset }
    }

    #[cfg(test)]
    fn note_looked_at(&mut self, bytes: usize) {
        self.looked_at += bytes as u64;
    }

    #[cfg(not(test))]
    #[inline]
    fn note_looked_at(&self, _bytes: usize) {}
}

#[cfg(test)]
mod tests;
