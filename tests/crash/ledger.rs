//! A scripted scenario: transfers between accounts, each exactly once, by a program that goes on after every failure.

use std::sync::Arc;

use syncline_storage::{Batch, CommitError, Database, Direction, Durability, Snapshot, StorageError, Table, TableId};

const BALANCES: Table<u8, u64> = Table::new(TableId(0x80));
const DONE: Table<u32, ()> = Table::new(TableId(0x81));

const ACCOUNTS: u8 = 4;
const EACH: u64 = 1_000;
/// More tries than any single fault can use up.
const TRIES: u32 = 200;

/// How the scenario went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every transfer was done exactly once.
    Right,
    /// At some moment the balances were not those after so many transfers, or an acknowledged one was gone.
    Wrong,
}

/// Opens the database, again or for the first time.
pub(crate) type Open<'a> = dyn FnMut() -> Result<Arc<dyn Database>, StorageError> + 'a;

pub(crate) struct Ledger<'a> {
    open: &'a mut Open<'a>,
    transfers: u32,
    /// Transfers that were acknowledged as durable.
    acknowledged: u32,
    tries: u32,
}

struct Transfer {
    from: u8,
    to: u8,
    amount: u64,
}

/// The script: always the same.
fn transfer(number: u32) -> Transfer {
    let from = u8::try_from(number * 7 % u32::from(ACCOUNTS)).unwrap_or_default();
    Transfer {
        from,
        to: (from + 1 + u8::from(number.is_multiple_of(3))) % ACCOUNTS,
        amount: u64::from(number % 17) + 1,
    }
}

fn durability(number: u32) -> Durability {
    match number % 3 {
        2 => Durability::Immediate,
        _ => Durability::Eventual,
    }
}

/// The balances after the first so many transfers.
fn expected(done: u32) -> Vec<u64> {
    let mut balances = vec![EACH; usize::from(ACCOUNTS)];
    for number in 0..done {
        let transfer = transfer(number);
        balances[usize::from(transfer.from)] -= transfer.amount;
        balances[usize::from(transfer.to)] += transfer.amount;
    }
    balances
}

/// Stops the program.
enum Stop {
    Wrong,
    /// Open again and go on.
    Reopen,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(transfers: u32, open: &'a mut Open<'a>) -> Self {
        Self { open, transfers, acknowledged: 0, tries: 0 }
    }

    /// Plays the script to its end, whatever fails on the way.
    pub(crate) fn play(mut self) -> Verdict {
        loop {
            self.tries += 1;
            assert!(self.tries < TRIES, "the program does not come to its end");
            let Ok(db) = (self.open)() else { continue };
            match self.live(&*db) {
                Ok(()) => return Verdict::Right,
                Err(Stop::Wrong) => return Verdict::Wrong,
                Err(Stop::Reopen) => {}
            }
        }
    }

    /// One life of the program, from an open database to the end or to a failure.
    fn live(&mut self, db: &dyn Database) -> Result<(), Stop> {
        self.set_up(db)?;
        let mut done = self.check(db)?;
        while done < self.transfers {
            self.retry(|| move_money(db, done), durability(done))?;
            done += 1;
            if durability(done - 1) == Durability::Immediate {
                self.acknowledged = done;
            }
        }
        self.retry(|| db.commit(Batch::new(), Durability::Immediate), Durability::Immediate)?;
        self.acknowledged = done;
        match self.check(db)? == self.transfers {
            true => Ok(()),
            false => Err(Stop::Wrong),
        }
    }

    fn set_up(&mut self, db: &dyn Database) -> Result<(), Stop> {
        let set_up = || {
            if BALANCES.get(&*db.snapshot()?, &0)?.is_some() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for account in 0..ACCOUNTS {
                BALANCES.require_absent_in(&mut batch, &account);
                BALANCES.put_in(&mut batch, &account, &EACH);
            }
            db.commit(batch, Durability::Immediate)
        };
        self.retry(set_up, Durability::Immediate)
    }

    /// Repeats what failed without effect for a reason that may pass.
    fn retry(&mut self, mut act: impl FnMut() -> Result<(), CommitError>, durability: Durability) -> Result<(), Stop> {
        loop {
            match act() {
                Ok(()) => return Ok(()),
                Err(error) if error.is_retryable() && self.tries < TRIES => self.tries += 1,
                // The balance is not what was read a moment ago: somebody else was here.
                Err(CommitError::Precondition { .. }) => return Err(Stop::Wrong),
                Err(error) => {
                    assert!(
                        error.needs_reopen() || error.nothing_applied(),
                        "{error:?} after a commit with {durability:?}"
                    );
                    return Err(Stop::Reopen);
                }
            }
        }
    }

    /// Gives the number of transfers that are done.
    fn check(&mut self, db: &dyn Database) -> Result<u32, Stop> {
        let state = db.snapshot().and_then(|snapshot| read(&*snapshot));
        // A read that fails says nothing about what is stored.
        let (done, balances) = state.map_err(|_| Stop::Reopen)?;
        let count = u32::try_from(done.len()).unwrap_or(u32::MAX);
        if !done.iter().copied().eq(0..count) || count < self.acknowledged || balances != expected(count) {
            return Err(Stop::Wrong);
        }
        Ok(count)
    }
}

fn move_money(db: &dyn Database, number: u32) -> Result<(), CommitError> {
    let Transfer { from, to, amount } = transfer(number);
    let snapshot = db.snapshot()?;
    let (have, has) =
        (BALANCES.get(&*snapshot, &from)?.unwrap_or_default(), BALANCES.get(&*snapshot, &to)?.unwrap_or_default());
    let mut batch = Batch::new();
    BALANCES.require_equals_in(&mut batch, &from, &have);
    BALANCES.require_equals_in(&mut batch, &to, &has);
    DONE.require_absent_in(&mut batch, &number);
    BALANCES.put_in(&mut batch, &from, &have.saturating_sub(amount));
    BALANCES.put_in(&mut batch, &to, &(has + amount));
    DONE.put_in(&mut batch, &number, &());
    db.commit(batch, durability(number))
}

fn read(snapshot: &dyn Snapshot) -> Result<(Vec<u32>, Vec<u64>), StorageError> {
    let done = DONE.scan(snapshot, Direction::Forward)?;
    let done = done.map(|row| row.map(|(number, ())| number)).collect::<Result<_, _>>()?;
    let balances = BALANCES.scan(snapshot, Direction::Forward)?;
    let balances = balances.map(|row| row.map(|(_, balance)| balance)).collect::<Result<_, _>>()?;
    Ok((done, balances))
}
