//! A child process that writes, and its sudden end.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use syncline_storage::{Batch, Database, Direction, Durability, GroupCommit, Snapshot, StorageError, Table, TableId};

use super::Breach;
use crate::seed::Rng;

/// The path of the database, for the child.
const CHILD: &str = "SYNCLINE_CRASH_CHILD";
const SEED: &str = "SYNCLINE_CRASH_SEED";

/// Several rows for each writer, all with the number of its newest batch.
const NEWEST: Table<(u8, u8), Bytes> = Table::new(TableId(0x80));
/// One row for each batch of each writer.
const EVERY: Table<(u8, u64), Bytes> = Table::new(TableId(0x81));
const ROWS: u8 = 5;

/// What [`survives_kills`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KillTest {
    /// How often the child is killed. Default 200.
    pub kills: u32,
    /// Threads that write in the child, through one [`GroupCommit`]. Default 3.
    pub writers: u8,
    /// Decides when the child is killed, as far as that depends on us. Default 0.
    pub seed: u64,
}

impl Default for KillTest {
    fn default() -> Self {
        Self { kills: 200, writers: 3, seed: 0 }
    }
}

impl KillTest {
    /// Sets [`kills`](Self::kills).
    #[must_use]
    pub fn kills(mut self, kills: u32) -> Self {
        self.kills = kills;
        self
    }

    /// Sets [`writers`](Self::writers).
    #[must_use]
    pub fn writers(mut self, writers: u8) -> Self {
        self.writers = writers;
        self
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What [`survives_kills`] saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KillReport {
    /// Children that were killed.
    pub kills: u32,
    /// Children that were killed before they had acknowledged anything, as while opening.
    pub silent: u32,
    /// Commits that were acknowledged.
    pub acknowledged: u64,
    /// Commits that were there although their acknowledgement was not read.
    pub unacknowledged: u64,
}

/// Runs writers in a child process, kills that with SIGKILL again and again, and checks after each kill that the
/// database opens, that all acknowledged batches are there and none in part.
///
/// The child is the running test program itself, asked for the test `name` alone; call this at the beginning of that
/// test, and of no other. `name` is its full path, as the test program lists it. `open` opens the database at a path in
/// an empty folder or makes a new one. In the child the call does not return.
///
/// This shows what a crash of the process leaves, not what a loss of power does: what the operating system has in its
/// cache survives. For that, use a simulated disk.
///
/// # Errors
///
/// The promise that was broken.
///
/// # Panics
///
/// If the child cannot be started, or ends by itself.
pub fn survives_kills<D: Database>(
    name: &str,
    folder: &Path,
    test: KillTest,
    open: impl Fn(&Path) -> Result<D, StorageError>,
) -> Result<KillReport, Breach> {
    if let Some(path) = env::var_os(CHILD) {
        write_until_killed(test, &PathBuf::from(path), &open);
    }
    let path = folder.join("database");
    let mut report = KillReport::default();
    let mut rng = Rng::new(test.seed);
    // What each writer must at least have reached.
    let mut reached = vec![0u64; usize::from(test.writers)];
    for _ in 0..test.kills {
        let acks = run_and_kill(name, &path, &mut rng);
        report.kills += 1;
        report.silent += u32::from(acks.is_empty());
        report.acknowledged += u64::try_from(acks.len()).unwrap_or(u64::MAX);
        for (writer, number) in acks {
            if let Some(reached) = reached.get_mut(usize::from(writer)) {
                *reached = number.max(*reached);
            }
        }
        let db = open(&path).map_err(Breach::Unreadable)?;
        let snapshot = db.snapshot().map_err(Breach::Unreadable)?;
        for (writer, reached) in (0..test.writers).zip(&mut reached) {
            let found = check_writer(&*snapshot, writer, *reached)?;
            report.unacknowledged += found - *reached;
            *reached = found;
        }
    }
    Ok(report)
}

/// Starts the child, lets it acknowledge some commits or none, and kills it. Gives what it acknowledged.
fn run_and_kill(name: &str, path: &Path, rng: &mut Rng) -> Vec<(u8, u64)> {
    let mut child = start(name, path, rng.next_u64());
    let Some(output) = child.stdout.take() else { panic!("the child has no output") };
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut acks = Vec::new();
    // Some die while they open the database, most under load; either way at no moment that the database can know.
    if !rng.chance(1, 8) {
        let wanted = 1 + rng.index(60);
        while acks.len() < wanted {
            match lines.next() {
                Some(line) => acks.extend(parse(&line)),
                None => panic!("the child ended by itself: {:?}", child.wait()),
            }
        }
    }
    thread::sleep(Duration::from_micros(rng.below(15_000)));
    // A child that had ended before would be a child that failed.
    if let Ok(Some(status)) = child.try_wait() {
        panic!("the child ended by itself: {status}");
    }
    if let Err(error) = child.kill() {
        panic!("the child cannot be killed: {error}");
    }
    acks.extend(lines.filter_map(|line| parse(&line)));
    if let Err(error) = child.wait() {
        panic!("the child cannot be waited for: {error}");
    }
    acks
}

fn start(name: &str, path: &Path, seed: u64) -> Child {
    let child = env::current_exe().and_then(|program| {
        Command::new(program)
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, path)
            .env(SEED, seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
    });
    match child {
        Ok(child) => child,
        Err(error) => panic!("the child cannot be started: {error}"),
    }
}

/// Reads `ack <writer> <number> .`; the dot tells that the line was not cut.
fn parse(line: &str) -> Option<(u8, u64)> {
    let mut words = line.split(' ').skip_while(|word| *word != "ack").skip(1);
    let ack = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next()? == ".").then_some(ack)
}

fn write_until_killed<D: Database>(test: KillTest, path: &Path, open: &impl Fn(&Path) -> Result<D, StorageError>) -> ! {
    let db = match open(path) {
        Ok(db) => Arc::new(GroupCommit::new(db)),
        Err(error) => panic!("the child cannot open the database: {error:?}"),
    };
    let seed = env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let mut rng = Rng::new(seed.unwrap_or_default());
    for writer in 0..test.writers {
        let (db, rng) = (Arc::clone(&db), rng.fork());
        thread::spawn(move || write(&*db, writer, rng));
    }
    loop {
        thread::park();
    }
}

fn write(db: &dyn Database, writer: u8, mut rng: Rng) -> ! {
    let mut number = match db.snapshot().and_then(|snapshot| newest(&*snapshot, writer)) {
        Ok(number) => number,
        Err(error) => panic!("the child cannot read the database: {error:?}"),
    };
    loop {
        number += 1;
        let batch = batch(writer, number, &mut rng);
        // Some are durable only with the next one.
        let durability = match rng.chance(1, 5) {
            true => Durability::Eventual,
            false => Durability::Immediate,
        };
        if let Err(error) = db.commit(batch, durability) {
            panic!("a commit in the child failed: {error:?}");
        }
        if durability == Durability::Immediate {
            acknowledge(writer, number);
        }
    }
}

fn acknowledge(writer: u8, number: u64) {
    // One write, so that lines of several threads do not mix, on a line of its own.
    let line = format!("\nack {writer} {number} .\n");
    let mut out = std::io::stdout().lock();
    // If nobody reads any more, the test is over and this process is about to be killed.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn batch(writer: u8, number: u64, rng: &mut Rng) -> Batch {
    let mut batch = Batch::new();
    let value = |len: usize| {
        let mut value = number.to_be_bytes().to_vec();
        value.resize(8 + len, writer);
        Bytes::from(value)
    };
    for row in 0..ROWS {
        NEWEST.put_in(&mut batch, &(writer, row), &value(rng.index(300)));
    }
    EVERY.put_in(&mut batch, &(writer, number), &value(rng.index(100)));
    if rng.chance(1, 50) {
        // The oldest ones go, up to some number that the newest rows do not tell.
        let end = EVERY.key(&(writer, number.saturating_sub(20)));
        batch.delete_range(EVERY.prefix(&(writer,)).before(end));
    }
    batch
}

fn number_of(value: &Bytes) -> u64 {
    let first = value.get(..8).and_then(|bytes| bytes.try_into().ok());
    first.map_or(0, u64::from_be_bytes)
}

fn newest(snapshot: &dyn Snapshot, writer: u8) -> Result<u64, StorageError> {
    let value = NEWEST.get(snapshot, &(writer, 0))?;
    Ok(value.as_ref().map_or(0, number_of))
}

/// Gives the number that the writer has reached.
fn check_writer(snapshot: &dyn Snapshot, writer: u8, reached: u64) -> Result<u64, Breach> {
    let found = newest(snapshot, writer).map_err(Breach::Unreadable)?;
    if found < reached {
        return Err(Breach::Lost { acknowledged: reached, found });
    }
    for row in 0..ROWS {
        let value = NEWEST.get(snapshot, &(writer, row)).map_err(Breach::Unreadable)?;
        if value.as_ref().map_or(0, number_of) != found {
            let key = NEWEST.key(&(writer, row));
            return Err(Breach::Partial { found, key });
        }
    }
    // Without a gap up to the newest, whatever has been pruned before.
    let mut expected = found;
    let rows = EVERY.scan_prefix(snapshot, &(writer,), Direction::Reverse).map_err(Breach::Unreadable)?;
    for row in rows {
        let ((_, number), value) = row.map_err(Breach::Unreadable)?;
        if number != expected || number_of(&value) != number {
            let key = EVERY.key(&(writer, expected));
            return Err(Breach::Partial { found, key });
        }
        expected = expected.saturating_sub(1);
    }
    if found.min(20) > found - expected {
        let key = EVERY.key(&(writer, expected));
        return Err(Breach::Partial { found, key });
    }
    Ok(found)
}
