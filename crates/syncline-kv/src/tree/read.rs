//! Values as they are.

use syncline_storage::Direction;

use super::Tree;
use super::error::{Corruption, KvError};
use super::rows::{ENTRIES, Slot, entries_in, entries_of, readable};
use super::work::{is_live, winner};
use crate::authority::Authority;
use crate::item::Entry;
use crate::path::{Key, Subtree};

/// What to list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listing {
    /// Keys below this path.
    pub subtree: Subtree,
    /// Keys behind this one.
    pub after: Option<Key>,
    /// At most so many; 1 000 by default.
    pub limit: usize,
    /// Deletions as well.
    pub tombstones: bool,
}

impl Listing {
    /// The first 1 000 values below a path.
    #[must_use]
    pub fn of(subtree: Subtree) -> Self {
        Self { subtree, after: None, limit: 1_000, tombstones: false }
    }

    /// From behind this key on.
    #[must_use]
    pub fn after(mut self, key: Key) -> Self {
        self.after = Some(key);
        self
    }

    /// At most so many. With 0 the page is empty, and says of nothing that it is behind it.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Deletions as well.
    #[must_use]
    pub fn with_tombstones(mut self) -> Self {
        self.tombstones = true;
        self
    }
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// One entry for each key, in the order of the keys' bytes.
    pub entries: Vec<Entry>,
    /// The last key that was looked at, if there are more behind it: go on [after](Listing::after) it.
    pub next: Option<Key>,
}

impl Tree {
    /// The value of a key; none if it has none, or was deleted.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn get(&self, key: &Key) -> Result<Option<Entry>, KvError> {
        Ok(self.latest(key)?.filter(|entry| !entry.is_tombstone()))
    }

    /// The entry that decides about a key, which may be its deletion.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn latest(&self, key: &Key) -> Result<Option<Entry>, KvError> {
        let authority = self.inner.authority();
        let snapshot = self.inner.db.snapshot()?;
        Ok(winner(&entries_of(&*snapshot, self.inner.number, key)?, &authority).cloned())
    }

    /// All live entries that are kept of a key, the greatest first. The first is what decides; the others would, were what
    /// allows it revoked. Two with the same [`previous`](Entry::previous) were written without knowledge of each other.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn history(&self, key: &Key) -> Result<Vec<Entry>, KvError> {
        let authority = self.inner.authority();
        let snapshot = self.inner.db.snapshot()?;
        let mut entries: Vec<Entry> = entries_of(&*snapshot, self.inner.number, key)?
            .into_iter()
            .map(|(_, entry)| entry)
            .filter(|entry| is_live(&authority, entry))
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.order()));
        Ok(entries)
    }

    /// The values below a path, in the order of their keys' bytes. Reads no more rows than it gives entries, deletions and what
    /// values shadow aside, of which it looks at ten times as many at the most before it ends a page.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn list(&self, listing: &Listing) -> Result<Page, KvError> {
        if listing.limit == 0 {
            return Ok(Page::default());
        }
        let authority = self.inner.authority();
        let snapshot = self.inner.db.snapshot()?;
        let number = self.inner.number;
        let mut range = entries_in(number, &listing.subtree);
        if let Some(after) = &listing.after {
            range = range.after(ENTRIES.key(&(number, after.as_str().to_owned(), [0xff; 16])));
        }
        let mut page = PageInMaking { listing, authority: &authority, page: Page::default(), group: Vec::new() };
        let rows_max = listing.limit.saturating_mul(10).saturating_add(100);
        for (seen, row) in ENTRIES.scan_keys(&*snapshot, range, Direction::Forward)?.enumerate() {
            let (_, row) = readable(row, Corruption::Entry)?;
            let begins_key = page.group.first().is_some_and(|(_, entry)| entry.key() != row.entry.key());
            if begins_key {
                let last = page.end_key();
                if page.page.entries.len() == listing.limit || seen >= rows_max {
                    page.page.next = last;
                    return Ok(page.page);
                }
            }
            page.group.push((Slot([0; 16]), row.entry));
        }
        page.end_key();
        Ok(page.page)
    }
}

struct PageInMaking<'a> {
    listing: &'a Listing,
    authority: &'a Authority,
    page: Page,
    /// The entries of the key that is being read. Their slots do not matter.
    group: Vec<(Slot, Entry)>,
}

impl PageInMaking<'_> {
    fn end_key(&mut self) -> Option<Key> {
        let group = std::mem::take(&mut self.group);
        let key = group.first().map(|(_, entry)| entry.key().clone());
        let entry = winner(&group, self.authority).filter(|entry| self.listing.tombstones || !entry.is_tombstone());
        if let Some(entry) = entry
            && self.page.entries.len() < self.listing.limit
        {
            self.page.entries.push(entry.clone());
        }
        key
    }
}
