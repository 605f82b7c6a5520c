//! What is measured of our store beside no rival: in a file of redb, with a million entries.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cpu_time::ProcessTime;
use syncline_crypto::{BatchVerdict, SignedMessage, Verifier, VerifyError};
use syncline_kv::authority::Op;
use syncline_kv::{Entry, Item, Key, Pattern, Tree};
use syncline_storage::{Database, Direction, KeyRange, RedbDb};

use super::counted::Counted;
use super::data::KEYS_OF_A_SERVICE;
use super::ours::Alone;
use super::syncline::{NOW, World, fail, sync};
use super::{Run, Scale, bare};

/// Entries that are taken at once in a bulk ingest.
const AT_ONCE: usize = 16_384;

/// The table of a tree's entries.
const ENTRIES: u8 = 0x24;

/// The hidden subcommand that measures memory in a process of its own.
pub(crate) const SUBCOMMAND: &str = "kv-memory";

/// Takes every signature as valid: what is left is all but signatures.
#[derive(Debug)]
struct AllValid;

impl Verifier for AllValid {
    fn verify(&self, _: SignedMessage<'_>) -> Result<(), VerifyError> {
        Ok(())
    }

    fn verify_batch(&self, items: &[SignedMessage<'_>]) -> BatchVerdict {
        BatchVerdict::from_results(items.iter().map(|_| Ok(())))
    }
}

pub(super) fn measure(scale: Scale) -> Result<Alone, String> {
    let folder = tempfile::tempdir().map_err(fail)?;
    let world = World::new(scale.stored);
    let entries: Vec<Entry> = (0..scale.stored).map(|nth| world.sign_nth(nth, 0)).collect();
    let file = folder.path().join("here.redb");
    let (mut ingests, mut bares) = (Vec::new(), Vec::new());
    for run in 0..scale.runs {
        let _ = std::fs::remove_file(&file);
        ingests.push(ingest(&world, &entries, &file)?);
        let bare_file = folder.path().join(format!("bare-{run}.redb"));
        bares.push(bare::cpu(&rows_of(&file)?, &bare_file)?);
        std::fs::remove_file(bare_file).map_err(fail)?;
    }
    let other = folder.path().join("there.redb");
    std::fs::copy(&file, &other).map_err(fail)?;
    let memory = memory_in_own_process(&file, &other, scale.stored)?;
    let put_rows = put_rows(&world, &file, scale.stored)?;
    let session_rows = session_rows(&world, &file, &other, scale.stored)?;
    let revoke_visited = revoke_visited(&world, &file)?;
    let one_service = World::new(KEYS_OF_A_SERVICE);
    let of = |world| (0..scale.runs).map(|_| authorize(world)).collect::<Result<_, _>>();
    let (authorize, authorize_among_many) = (of(&one_service)?, of(&world)?);
    let pattern = [100, 1_000, 10_000].map(|len| (0..scale.runs).map(|_| pattern(len)).collect());
    Ok(Alone {
        put_rows,
        session_rows,
        memory,
        ingest: ingests,
        bare: bares,
        revoke_visited,
        authorize,
        authorize_among_many,
        pattern,
    })
}

/// CPU seconds to take all entries, in the order of their keys, into a new file.
fn ingest(world: &World, entries: &[Entry], file: &Path) -> Result<f64, String> {
    let db: Arc<dyn Database> = Arc::new(RedbDb::create(file).map_err(fail)?);
    let tree = Tree::builder().verifier(Arc::new(AllValid)).open(db, &world.namespace).map_err(fail)?;
    tree.apply(NOW, world.grants.iter().cloned().map(Item::Grant).collect()).map_err(fail)?;
    let before = ProcessTime::now();
    for batch in entries.chunks(AT_ONCE) {
        let verdicts = tree.apply(NOW, batch.iter().cloned().map(Item::Entry).collect()).map_err(fail)?;
        if let Some(verdict) = verdicts.iter().find(|verdict| !verdict.is_stored()) {
            return Err(format!("an entry was not stored: {verdict}"));
        }
    }
    Ok(before.elapsed().as_secs_f64())
}

/// A key and what is under it.
type Row = (Vec<u8>, Vec<u8>);

/// All rows of a file, sorted.
fn rows_of(file: &Path) -> Result<Vec<Row>, String> {
    let db = RedbDb::open(file).map_err(fail)?;
    let snapshot = db.snapshot().map_err(fail)?;
    let rows = snapshot.scan(KeyRange::all(), Direction::Forward).map_err(fail)?;
    rows.map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(fail)).collect()
}

/// Rows that a put touches, the median of some: of new keys and of old ones, anywhere.
fn put_rows(world: &World, file: &Path, stored: usize) -> Result<u64, String> {
    let db = Arc::new(Counted::new(RedbDb::open(file).map_err(fail)?));
    let tree = Tree::open(Arc::clone(&db) as Arc<dyn Database>, &world.namespace).map_err(fail)?;
    let mut counts = Vec::new();
    for nth in 0..21 {
        let path = if nth % 2 == 0 {
            format!("/svc/{:04}/other/{nth:04}", nth * 3)
        } else {
            world.sign_nth(nth * stored / 21, 0).key().as_str().to_owned()
        };
        let key = Key::new(&path).map_err(fail)?;
        // A row that is read and then written is one row.
        db.watch(None);
        tree.put(NOW, &world.root, &key, &b"a value"[..]).map_err(fail)?;
        counts.push(db.watched());
    }
    counts.sort_unstable();
    Ok(counts[counts.len() / 2])
}

/// Rows that the busier side of a session with ten differences touches.
fn session_rows(world: &World, here: &Path, there: &Path, stored: usize) -> Result<u64, String> {
    let open = |file: &Path| -> Result<_, String> {
        let db = Arc::new(Counted::new(RedbDb::open(file).map_err(fail)?));
        let tree = Tree::open(Arc::clone(&db) as Arc<dyn Database>, &world.namespace).map_err(fail)?;
        Ok((db, tree))
    };
    let ((here_db, here), (there_db, there)) = (open(here)?, open(there)?);
    // Both are equal but for what the puts above have changed here; after this session they are.
    sync(world, &here, &there, &mut Run::default())?;
    for nth in 0..10 {
        let tree = if nth % 2 == 0 { &here } else { &there };
        let newer = world.sign_nth(nth * stored / 10, 2);
        tree.apply(NOW, vec![Item::Entry(newer)]).map_err(fail)?;
    }
    here_db.take();
    there_db.take();
    sync(world, &here, &there, &mut Run::default())?;
    let rows = here_db.take().max(there_db.take());
    let (here, there) = (here.root().map_err(fail)?, there.root().map_err(fail)?);
    if here.hash == there.hash { Ok(rows) } else { Err("the session left the trees different".into()) }
}

/// Different entries that the revocation of the grant for one service looks at.
fn revoke_visited(world: &World, file: &Path) -> Result<u64, String> {
    let db = Arc::new(Counted::new(RedbDb::open(file).map_err(fail)?));
    let tree = Tree::open(Arc::clone(&db) as Arc<dyn Database>, &world.namespace).map_err(fail)?;
    let grant = world.grants.get(7).or(world.grants.last()).ok_or("there are grants")?;
    db.watch(Some(ENTRIES));
    let revoked = tree.revoke(NOW, &world.root, grant.id()).map_err(fail)?;
    // Each key has the entry that ends and the tombstone that takes its place.
    let visited = db.watched() - revoked.tombstones.len() as u64;
    match revoked.tombstones.len() {
        KEYS_OF_A_SERVICE => Ok(visited),
        unset => Err(format!("{unset} keys were unset, not {KEYS_OF_A_SERVICE}")),
    }
}

/// CPU seconds of one `authorize` of somebody who has as many grants as the world has services for each team.
fn authorize(world: &World) -> Result<f64, String> {
    const TIMES: u32 = 100_000;
    let tree = world.tree(Arc::new(syncline_storage::MemoryDb::new()))?;
    let entry = world.sign_nth(0, 0);
    let authority = tree.authority();
    let before = ProcessTime::now();
    for _ in 0..TIMES {
        let allowed = authority.authorize(black_box(entry.author()), black_box(entry.key()), Op::Write, NOW);
        black_box(allowed).map_err(fail)?;
    }
    Ok(before.elapsed().as_secs_f64() / f64::from(TIMES))
}

/// CPU seconds to match a hostile pattern against paths of so many bytes in all.
fn pattern(len: usize) -> f64 {
    const KEY: usize = 1_000;
    const TIMES: usize = 200;
    // A path has at most 1 024 bytes; beyond that it is many of them.
    let (each, keys) = (len.min(KEY), len.div_ceil(KEY));
    let segment = "a".repeat(48);
    let mut path = String::new();
    while path.len() + segment.len() < each {
        path.push('/');
        path.push_str(&segment);
    }
    path.push_str("/ab");
    let key = Key::new(&path).expect("a key");
    let pattern = Pattern::new("/**/*a*a*a*/**/*a*a*b").expect("a pattern");
    let before = ProcessTime::now();
    for _ in 0..TIMES * keys {
        black_box(black_box(&pattern).matches(black_box(&key)));
    }
    before.elapsed().as_secs_f64() / TIMES as f64
}

fn memory_in_own_process(here: &Path, there: &Path, stored: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(fail)?;
    let output = Command::new(program)
        .args([SUBCOMMAND.as_ref(), here.as_os_str(), there.as_os_str()])
        .arg(stored.to_string())
        .output()
        .map_err(fail)?;
    if !output.status.success() {
        return Err(format!("no memory was measured: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(fail)
}

/// What that process does: opens both files, syncs them with ten differences, and tells what memory of its own it has then.
/// That is both replicas, what sessions keep, and redb's caches of pages, which are set as small as is of use: how large they
/// get otherwise is a setting, and says nothing about what is stored in them. The system's cache of the files is not in it.
///
/// # Errors
///
/// Why it failed.
pub(crate) fn memory(here: &Path, there: &Path, stored: usize) -> Result<u64, String> {
    const CACHE: usize = 4 << 20;
    let world = World::new(stored);
    let open = |file: &Path| -> Result<Tree, String> {
        let options = syncline_storage::redb::RedbOptions::new().cache_bytes(CACHE);
        Tree::open(Arc::new(options.open(file).map_err(fail)?), &world.namespace).map_err(fail)
    };
    let (here, there) = (open(here)?, open(there)?);
    for nth in 0..10 {
        let newer = world.sign_nth(nth * stored / 10 + 1, 3);
        here.apply(NOW, vec![Item::Entry(newer)]).map_err(fail)?;
    }
    sync(&world, &here, &there, &mut Run::default())?;
    let status = std::fs::read_to_string("/proc/self/status").map_err(fail)?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("the system tells of memory")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(fail)?;
    Ok(kibibytes * 1024)
}
