//! Rows as bytes. `docs/spec/reconcile-storage.md` says the same.

use bytes::Bytes;
use syncline_storage::{KeyCodec, KeyRange};

use crate::{Bound, Fingerprint, IndexError, Item, ItemId};

/// Set, sort key, id: nothing.
pub(super) const ITEMS: u8 = 0x50;
/// Set, id, sort key: nothing.
pub(super) const PARTS: u8 = 0x51;
/// Set, level, place: count and sum.
pub(super) const SUMMARY: u8 = 0x52;
/// Set: what there is once.
pub(super) const STATE: u8 = 0x53;
/// Set, number of the page: symbols.
pub(super) const PAGES: u8 = 0x54;

/// The highest level of an anchor: 16^15 items make the next one likely.
pub(super) const LEVEL_MAX: u8 = 15;

/// Makes the keys of one set.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// The encoded name of the set.
    name: Bytes,
}

impl Keys {
    pub(super) fn new(name: &[u8]) -> Self {
        let mut out = Vec::new();
        name.to_vec().encode(&mut out);
        Self { name: out.into() }
    }

    fn key(&self, table: u8, parts: &[&[u8]]) -> Bytes {
        let mut out = Vec::with_capacity(1 + self.name.len() + parts.iter().map(|part| part.len()).sum::<usize>());
        out.push(table);
        out.extend_from_slice(&self.name);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        out.into()
    }

    pub(super) fn item(&self, place: &[u8]) -> Bytes {
        self.key(ITEMS, &[place])
    }

    pub(super) fn part(&self, item: &Item) -> Bytes {
        let mut key = Vec::with_capacity(item.key.len() + 2);
        item.key.encode(&mut key);
        self.key(PARTS, &[item.id.as_bytes(), &key])
    }

    /// The rows of parts that begin so.
    pub(super) fn parts(&self, beginning: &[u8]) -> KeyRange {
        KeyRange::prefix(&self.key(PARTS, &[beginning]))
    }

    /// The row of the anchor at a place, or of the head of the level if the place is empty.
    pub(super) fn summary(&self, level: u8, place: &[u8]) -> Bytes {
        self.key(SUMMARY, &[&[level], place])
    }

    /// The rows of a level; those of level 0 are the items.
    pub(super) fn level(&self, level: u8) -> KeyRange {
        KeyRange::prefix(&if level == 0 { self.key(ITEMS, &[]) } else { self.summary(level, &[]) })
    }

    /// The rows of a level from a place on.
    pub(super) fn level_from(&self, level: u8, place: &[u8]) -> KeyRange {
        self.level(level).starting_at(if level == 0 { self.item(place) } else { self.summary(level, place) })
    }

    pub(super) fn state(&self) -> Bytes {
        self.key(STATE, &[])
    }

    pub(super) fn page(&self, page: u16) -> Bytes {
        self.key(PAGES, &[&page.to_be_bytes()])
    }

    /// All rows of the set in a table.
    pub(super) fn table(&self, table: u8) -> KeyRange {
        KeyRange::prefix(&self.key(table, &[]))
    }

    /// The place in the key of a row of a level.
    pub(super) fn place(&self, level: u8, key: &Bytes) -> Bytes {
        key.slice((1 + self.name.len() + usize::from(level > 0)).min(key.len())..)
    }

    /// The item of a row of parts.
    pub(super) fn item_of_part(&self, key: &[u8]) -> Result<Item, IndexError> {
        let damaged = IndexError::Corrupt("the key of a row of parts is not one");
        let Some((id, mut key)) = key.get(1 + self.name.len()..).and_then(|key| key.split_first_chunk()) else {
            return Err(damaged);
        };
        match Vec::decode(&mut key) {
            Ok(sort) if key.is_empty() => Ok(Item::new(sort, ItemId::from_bytes(*id))),
            _ => Err(damaged),
        }
    }
}

/// The place of an item: its sort key, encoded, and its id. Places are ordered as items are.
pub(super) fn place_of(key: &[u8], id: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(key.len() + 2 + id.len());
    key.to_vec().encode(&mut place);
    place.extend_from_slice(id);
    place
}

pub(super) fn place_of_item(item: &Item) -> Vec<u8> {
    place_of(&item.key, item.id.as_bytes())
}

/// A place such that exactly the items before the bound have lesser ones.
pub(super) fn place_of_bound(bound: &Bound) -> Vec<u8> {
    place_of(&bound.key, &bound.id_prefix)
}

/// The id at the end of a place.
pub(super) fn id_at(place: &[u8]) -> Result<ItemId, IndexError> {
    place.last_chunk().copied().map(ItemId::from_bytes).ok_or(IndexError::Corrupt("the key of an item is too short"))
}

pub(super) fn item_at(place: &[u8]) -> Result<Item, IndexError> {
    let mut rest = place;
    match Vec::decode(&mut rest) {
        Ok(key) if rest.len() == ItemId::LEN => Ok(Item::new(key, id_at(rest)?)),
        _ => Err(IndexError::Corrupt("the key of an item is not one")),
    }
}

/// The level of an item: a sixteenth of the items are on level 1 or above, a sixteenth of these on level 2 or above.
pub(super) fn level_of(item: &Fingerprint) -> u8 {
    u8::try_from(item.sum[0].trailing_zeros() / 4).unwrap_or(LEVEL_MAX).min(LEVEL_MAX)
}

pub(super) fn encode_sum(sum: &Fingerprint) -> Bytes {
    let words = std::iter::once(sum.count).chain(sum.sum.into_iter().rev());
    words.flat_map(u64::to_be_bytes).collect()
}

pub(super) fn decode_sum(bytes: &[u8]) -> Result<Fingerprint, IndexError> {
    let (words, rest) = bytes.as_chunks::<8>();
    match words {
        [count, d, c, b, a] if rest.is_empty() => Ok(Fingerprint {
            count: u64::from_be_bytes(*count),
            sum: [a, b, c, d].map(|word| u64::from_be_bytes(*word)),
        }),
        _ => Err(IndexError::Corrupt("a sum has not 40 bytes")),
    }
}
