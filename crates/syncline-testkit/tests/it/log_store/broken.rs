//! A store with a defect.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};
use syncline_log::store::{Appended, Fork, Located, LogSize, LogSummary, NewOperation, Page, StoreError, Tip, Tips};
use syncline_log::{Heights, Link, LogStore, Logs, MemoryStore, SeqNum, SeqRange};

/// What is wrong with a [`Broken`] store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Defect {
    /// Nothing: the suite must pass it, or the others would prove nothing.
    None,
    GapsAreTaken,
    OtherHistoriesAreTaken,
    EveryLogMayStartAnywhere,
    NoLogMayStartAnywhere,
    PruneFlagsAreIgnored,
    PruneFlagsOnlyStart,
    StopsAtTheFirstRefusal,
    OutcomesAreReversed,
    SecondOfABatchIsLost,
    DropsBodies,
    KnownBringsThePayloadBack,
    ForksAreKnown,
    ForksAreNotKept,
    OneForkIsKept,
    ForksAreGoneAfterPruning,
    HeightsOfAllLogs,
    HeightsOfOneLogEach,
    HeightsOfPrunedLogsAreGone,
    PagesIgnoreTheirLimit,
    PagesOfOne,
    PagesMayBeEmpty,
    PagesSayTheyAreLast,
    RangesHaveNoEnd,
    RangesHaveNoBeginning,
    GetFindsNothing,
    GetFindsWhatIsGone,
    GetGivesNoBody,
    PrunesOneTooMany,
    PrunesOneTooFew,
    PruneCountsNothing,
    PayloadsStay,
    PayloadsAreGoneOnlyOnce,
    AddedPayloadsAreLost,
    AddedPayloadsReplaceOthers,
    TipsOfOneLogEach,
    DeletedLogsArePruned,
    DeletedLogsTakeOthersAlong,
    SizesWithoutBodies,
    SizesOfWholeLogs,
    ListingStartsAnew,
    ListingIgnoresItsLimit,
    ListingForgetsPrunedLogs,
}

impl Defect {
    pub(super) const ALL: [Self; 42] = {
        use Defect::*;
        [
            GapsAreTaken,
            OtherHistoriesAreTaken,
            EveryLogMayStartAnywhere,
            NoLogMayStartAnywhere,
            PruneFlagsAreIgnored,
            PruneFlagsOnlyStart,
            StopsAtTheFirstRefusal,
            OutcomesAreReversed,
            SecondOfABatchIsLost,
            DropsBodies,
            KnownBringsThePayloadBack,
            ForksAreKnown,
            ForksAreNotKept,
            OneForkIsKept,
            ForksAreGoneAfterPruning,
            HeightsOfAllLogs,
            HeightsOfOneLogEach,
            HeightsOfPrunedLogsAreGone,
            PagesIgnoreTheirLimit,
            PagesOfOne,
            PagesMayBeEmpty,
            PagesSayTheyAreLast,
            RangesHaveNoEnd,
            RangesHaveNoBeginning,
            GetFindsNothing,
            GetFindsWhatIsGone,
            GetGivesNoBody,
            PrunesOneTooMany,
            PrunesOneTooFew,
            PruneCountsNothing,
            PayloadsStay,
            PayloadsAreGoneOnlyOnce,
            AddedPayloadsAreLost,
            AddedPayloadsReplaceOthers,
            TipsOfOneLogEach,
            DeletedLogsArePruned,
            DeletedLogsTakeOthersAlong,
            SizesWithoutBodies,
            SizesOfWholeLogs,
            ListingStartsAnew,
            ListingIgnoresItsLimit,
            ListingForgetsPrunedLogs,
        ]
    };
}

#[derive(Debug)]
pub(super) struct Broken {
    inner: MemoryStore<u64>,
    defect: Defect,
    /// What was found by hash.
    found: Mutex<BTreeMap<Hash, Located<u64>>>,
}

impl Broken {
    pub(super) fn new(defect: Defect) -> Self {
        Self { inner: MemoryStore::new(), defect, found: Mutex::default() }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn relinked(&self, mut new: NewOperation<u64>) -> NewOperation<u64> {
        new.link = match (self.defect, new.link) {
            (Defect::EveryLogMayStartAnywhere, Link::Next) => Link::MayStart,
            (Defect::NoLogMayStartAnywhere, Link::MayStart) => Link::Next,
            (Defect::PruneFlagsAreIgnored, Link::Prunes) => Link::Next,
            (Defect::PruneFlagsOnlyStart, Link::Prunes) => Link::MayStart,
            (_, link) => link,
        };
        if self.is(Defect::DropsBodies) {
            new.operation = new.operation.with_body(None);
        }
        new
    }

    async fn append_one(&self, new: NewOperation<u64>) -> Result<Appended, StoreError> {
        let again = NewOperation { link: Link::Prunes, ..new.clone() };
        let mut outcomes = self.inner.append(vec![new]).await?;
        let outcome = outcomes.pop().unwrap();
        let taken = match (&outcome, self.defect) {
            (Appended::Gap { .. }, Defect::GapsAreTaken) | (Appended::Backlink, Defect::OtherHistoriesAreTaken) => {
                self.inner.append(vec![again]).await?.pop().unwrap()
            }
            (Appended::Forked(_), Defect::ForksAreKnown) => Appended::Known,
            (Appended::Known, Defect::KnownBringsThePayloadBack) => {
                self.bring_back(again).await?;
                outcome
            }
            _ => outcome,
        };
        Ok(taken)
    }

    /// Writes the log again, with this operation's body.
    async fn bring_back(&self, new: NewOperation<u64>) -> Result<(), StoreError> {
        let (author, log_id) = (new.operation.public_key(), new.log_id);
        let page = self.inner.read(author, log_id, SeqRange::ALL, usize::MAX).await?;
        if page.operations.iter().all(|row| row.seq_num != new.operation.seq_num() || row.body.is_some()) {
            return Ok(());
        }
        self.inner.delete_log(author, log_id).await?;
        for row in page.operations {
            let is_it = row.seq_num == new.operation.seq_num();
            let operation = if is_it { new.operation.clone() } else { row.decode().unwrap() };
            self.inner.append(vec![NewOperation { log_id, operation, link: Link::MayStart }]).await?;
        }
        Ok(())
    }
}

impl LogStore<u64> for Broken {
    async fn append(&self, batch: Vec<NewOperation<u64>>) -> Result<Vec<Appended>, StoreError> {
        if self.is(Defect::None) {
            return self.inner.append(batch).await;
        }
        let mut outcomes = Vec::new();
        for (at, new) in batch.into_iter().enumerate() {
            let stopped = self.is(Defect::StopsAtTheFirstRefusal)
                && outcomes.iter().any(|outcome: &Appended| !outcome.is_stored());
            if stopped || (self.is(Defect::SecondOfABatchIsLost) && at == 1) {
                outcomes.push(Appended::New);
            } else {
                outcomes.push(self.append_one(self.relinked(new)).await?);
            }
        }
        if self.is(Defect::OutcomesAreReversed) {
            outcomes.reverse();
        }
        Ok(outcomes)
    }

    async fn heights(&self, logs: &Logs<u64>) -> Result<Heights<u64>, StoreError> {
        let mut heights = self.inner.heights(logs).await?;
        match self.defect {
            Defect::HeightsOfAllLogs => {
                for log in self.inner.logs(None, usize::MAX).await? {
                    heights.entry(log.author).or_default().insert(log.log_id, log.tip.seq_num);
                }
            }
            Defect::HeightsOfOneLogEach => heights.values_mut().for_each(|logs| {
                logs.pop_first();
            }),
            Defect::HeightsOfPrunedLogsAreGone => {
                for log in self.inner.logs(None, usize::MAX).await? {
                    if log.first > log.tip.seq_num {
                        heights.remove(&log.author);
                    }
                }
            }
            _ => {}
        }
        Ok(heights)
    }

    async fn read(
        &self,
        author: PublicKey,
        log_id: u64,
        mut range: SeqRange,
        bytes_max: usize,
    ) -> Result<Page, StoreError> {
        match self.defect {
            Defect::RangesHaveNoEnd => range.to = SeqNum::MAX,
            Defect::RangesHaveNoBeginning => range.from = SeqNum::ZERO,
            _ => {}
        }
        let bytes_max = match self.defect {
            Defect::PagesIgnoreTheirLimit => usize::MAX,
            Defect::PagesOfOne => 0,
            _ => bytes_max,
        };
        let mut page = self.inner.read(author, log_id, range, bytes_max).await?;
        match (self.defect, page.operations.first()) {
            (Defect::PagesMayBeEmpty, Some(first)) if first.byte_len() > bytes_max => {
                page.next = page.next.or(first.seq_num.checked_next());
                page.operations.clear();
            }
            (Defect::PagesSayTheyAreLast, _) => page.next = None,
            _ => {}
        }
        Ok(page)
    }

    async fn get(&self, hash: Hash) -> Result<Option<Located<u64>>, StoreError> {
        let mut located = self.inner.get(hash).await?;
        match self.defect {
            Defect::GetFindsNothing => located = None,
            Defect::GetGivesNoBody => {
                if let Some(located) = &mut located {
                    located.operation.body = None;
                }
            }
            Defect::GetFindsWhatIsGone => {
                let mut found = self.found.lock().unwrap();
                if let Some(located) = &located {
                    found.insert(hash, located.clone());
                }
                located = found.get(&hash).cloned();
            }
            _ => {}
        }
        Ok(located)
    }

    async fn tip(&self, author: PublicKey, log_id: u64) -> Result<Option<Tip>, StoreError> {
        self.inner.tip(author, log_id).await
    }

    async fn prune(&self, author: PublicKey, log_id: u64, before: SeqNum) -> Result<u64, StoreError> {
        let before = match self.defect {
            Defect::PrunesOneTooMany => before.checked_next().unwrap_or(before),
            Defect::PrunesOneTooFew => before.checked_previous().unwrap_or(before),
            _ => before,
        };
        let count = self.inner.prune(author, log_id, before).await?;
        Ok(if self.is(Defect::PruneCountsNothing) { 0 } else { count })
    }

    async fn delete_payload(&self, hash: Hash) -> Result<bool, StoreError> {
        match self.defect {
            Defect::PayloadsStay => Ok(self.inner.get(hash).await?.is_some_and(|found| found.operation.body.is_some())),
            Defect::PayloadsAreGoneOnlyOnce => {
                self.inner.delete_payload(hash).await?;
                Ok(self.inner.get(hash).await?.is_some())
            }
            _ => self.inner.delete_payload(hash).await,
        }
    }

    async fn add_payload(&self, hash: Hash, body: Bytes) -> Result<bool, StoreError> {
        match self.defect {
            Defect::AddedPayloadsAreLost => {
                Ok(self.inner.get(hash).await?.is_some_and(|found| found.operation.body.is_none()))
            }
            Defect::AddedPayloadsReplaceOthers => {
                self.inner.delete_payload(hash).await?;
                self.inner.add_payload(hash, body).await
            }
            _ => self.inner.add_payload(hash, body).await,
        }
    }

    async fn tips(&self, logs: &Logs<u64>) -> Result<Tips<u64>, StoreError> {
        let mut tips = self.inner.tips(logs).await?;
        if self.is(Defect::TipsOfOneLogEach) {
            tips.values_mut().for_each(|logs| {
                logs.pop_first();
            });
        }
        Ok(tips)
    }

    async fn delete_log(&self, author: PublicKey, log_id: u64) -> Result<bool, StoreError> {
        match self.defect {
            Defect::DeletedLogsArePruned => Ok(self.inner.prune(author, log_id, SeqNum::MAX).await? > 0),
            Defect::DeletedLogsTakeOthersAlong => {
                self.inner.delete_log(author, log_id + 1).await?;
                self.inner.delete_log(author, log_id).await
            }
            _ => self.inner.delete_log(author, log_id).await,
        }
    }

    async fn forks(&self, author: PublicKey, log_id: u64) -> Result<Vec<Fork>, StoreError> {
        let mut forks = self.inner.forks(author, log_id).await?;
        let first = self.inner.read(author, log_id, SeqRange::ALL, 0).await?.operations.pop();
        match self.defect {
            Defect::ForksAreNotKept => forks.clear(),
            Defect::OneForkIsKept => forks.truncate(1),
            Defect::ForksAreGoneAfterPruning => {
                forks.retain(|fork| first.as_ref().is_some_and(|first| first.seq_num <= fork.seq_num()));
            }
            _ => {}
        }
        Ok(forks)
    }

    async fn size(&self, author: PublicKey, log_id: u64, range: SeqRange) -> Result<LogSize, StoreError> {
        match self.defect {
            Defect::SizesOfWholeLogs => self.inner.size(author, log_id, SeqRange::ALL).await,
            Defect::SizesWithoutBodies => {
                let rows = self.inner.read(author, log_id, range, usize::MAX).await?.operations;
                let bytes = rows.iter().map(|row| row.header.len() as u64).sum();
                Ok(LogSize::new(rows.len() as u64, bytes))
            }
            _ => self.inner.size(author, log_id, range).await,
        }
    }

    async fn logs(
        &self,
        after: Option<(PublicKey, u64)>,
        count_max: usize,
    ) -> Result<Vec<LogSummary<u64>>, StoreError> {
        let after = if self.is(Defect::ListingStartsAnew) && count_max > 5 { None } else { after };
        let limit = if self.is(Defect::ListingIgnoresItsLimit) { usize::MAX } else { count_max };
        let mut logs = self.inner.logs(after, limit).await?;
        if self.is(Defect::ListingForgetsPrunedLogs) {
            logs.retain(|log| log.first <= log.tip.seq_num);
        }
        Ok(logs)
    }
}
