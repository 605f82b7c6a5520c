//! What an answer begins with.

/// So many spans are equal: the low six bits, or the number that follows if they are 0.
pub(super) const EQUAL: u8 = 0x00;
/// The span is cut into the children that follow.
pub(super) const SPLIT: u8 = 0x40;
/// All items of the span here follow: as many as the low six bits say, or the number behind if they are all set.
pub(super) const LIST: u8 = 0x80;
/// The answer to a list: which items are missing here, and which the other lacks: as many as the low four bits say, or the
/// number behind if they are all set.
pub(super) const ANSWER: u8 = 0xc0;

/// The bits that tell these four apart.
pub(super) const MASK: u8 = 0xc0;
/// Flag of [`ANSWER`]: which items are missing here follows, a bit for each of the list.
pub(super) const MISSING: u8 = 0x20;
/// Flag of [`ANSWER`]: there is more to come, in the next message.
pub(super) const MORE: u8 = 0x10;
/// All low bits of [`EQUAL`] and [`LIST`].
pub(super) const LOW: u8 = 0x3f;
/// All bits of [`ANSWER`]'s number.
pub(super) const ANSWER_LOW: u8 = 0x0f;
