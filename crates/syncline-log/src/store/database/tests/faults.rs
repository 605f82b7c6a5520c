//! A scenario in which the n-th commit or the n-th read fails, for every n.

use std::collections::BTreeSet;

use super::*;

/// Of one log the places, the number of bodies, the tip, the number of forks.
type Shown = (Vec<u64>, usize, Option<Tip>, usize);

/// All that the store shows of its logs.
fn dump(store: &DatabaseStore<u64>) -> Vec<Shown> {
    let of_log = |log_id: u64| {
        let page = block_on(LogStore::read(store, author(), log_id, SeqRange::ALL, usize::MAX)).unwrap();
        let bodies = page.operations.iter().filter(|row| row.body.is_some()).count();
        for row in &page.operations {
            let hash = row.decode().unwrap().hash();
            assert!(block_on(store.get(hash)).unwrap().is_some(), "every operation is found by its hash");
        }
        let numbers = page.operations.iter().map(|row| row.seq_num.get()).collect();
        let tip = block_on(store.tip(author(), log_id)).unwrap();
        (numbers, bodies, tip, block_on(store.forks(author(), log_id)).unwrap().len())
    };
    (0..3).map(of_log).collect()
}

type Step = Box<dyn Fn(&DatabaseStore<u64>) -> Result<(), StoreError>>;

/// Calls that change something, of every kind.
fn scenario() -> Vec<Step> {
    fn step(call: impl Fn(&DatabaseStore<u64>) -> Result<(), StoreError> + 'static) -> Step {
        Box::new(call)
    }
    let operations = written(&["a", "b", "c", "d"]);
    let hash = operations[1].hash();
    let pruning: Vec<_> =
        [NewOperation { log_id: 0, operation: written(&["p"; 9])[8].clone(), link: Link::Prunes }].into();
    let first = batch(0, &operations[..2]);
    let both = [batch(0, &operations[2..]), batch(1, &operations), batch(1, &written(&["A"]))].concat();
    vec![
        step(move |store| block_on(store.append(first.clone())).map(drop)),
        step(move |store| block_on(store.append(both.clone())).map(drop)),
        step(move |store| block_on(store.delete_payload(hash)).map(drop)),
        step(|store| block_on(store.prune(author(), 0, SeqNum::new(2))).map(drop)),
        step(move |store| block_on(store.append(pruning.clone())).map(drop)),
        step(|store| block_on(store.delete_log(author(), 1)).map(drop)),
    ]
}

fn open(script: FaultScript) -> (Arc<FaultDb<MemoryDb>>, DatabaseStore<u64>) {
    let db = Arc::new(FaultDb::new(MemoryDb::new(), script).unwrap());
    (Arc::clone(&db), DatabaseStore::new(db as Arc<dyn Database>))
}

/// What is shown after no step, the first, the second, and so on.
fn states() -> Vec<Vec<Shown>> {
    let (_, store) = open(FaultScript::new());
    let mut states = vec![dump(&store)];
    for step in scenario() {
        step(&store).unwrap();
        states.push(dump(&store));
    }
    let distinct: BTreeSet<String> = states.iter().map(|state| format!("{state:?}")).collect();
    assert_eq!(distinct.len(), states.len(), "every step changes something");
    states
}

#[test]
fn a_commit_that_fails_changes_nothing() {
    let states = states();
    for n in 1.. {
        let (db, store) = open(FaultScript::new().at_commit(n, CommitFault::Fail(StorageErrorKind::Io)));
        let mut failures = 0;
        for (at, step) in scenario().iter().enumerate() {
            if let Err(err) = step(&store) {
                assert!(err.is_transient(), "{err:?}");
                assert_eq!(dump(&store), states[at], "step {at} with commit {n} failing");
                step(&store).unwrap();
                failures += 1;
            }
            assert_eq!(dump(&store), states[at + 1], "step {at} with commit {n} failing");
        }
        if db.counts().faults == 0 {
            assert!(n > 6, "only {n} commits");
            return;
        }
        assert_eq!(failures, 1, "commit {n} failed and nobody noticed");
    }
}

#[test]
fn a_crash_leaves_all_or_nothing() {
    let states = states();
    for remains in [Remains::Synced, Remains::Applied] {
        for n in 1.. {
            let (db, store) = open(FaultScript::new().at_commit(n, CommitFault::Crash(remains)));
            for (at, step) in scenario().iter().enumerate() {
                if step(&store).is_err() {
                    db.reopen().unwrap();
                    let there = if remains == Remains::Applied { at + 1 } else { at };
                    assert_eq!(dump(&store), states[there], "step {at} with a crash in commit {n}");
                    if there == at {
                        step(&store).unwrap();
                    }
                }
                assert_eq!(dump(&store), states[at + 1]);
            }
            if db.counts().faults == 0 {
                break;
            }
        }
    }
}

#[test]
fn a_read_that_fails_changes_nothing() {
    let states = states();
    for n in 1.. {
        let (db, store) = open(FaultScript::new());
        let mut noticed = true;
        for (at, step) in scenario().iter().enumerate() {
            // Reads are counted from here, so that those of `dump` do not count.
            db.set_script(FaultScript::new().at_read(n, StorageErrorKind::Io));
            let result = step(&store);
            let failed = db.counts().faults > 0;
            db.set_script(FaultScript::new());
            if failed {
                assert!(matches!(result, Err(StoreError::Read(_))), "read {n} of step {at} failed: {result:?}");
                assert_eq!(dump(&store), states[at], "read {n} of step {at}");
                step(&store).unwrap();
                noticed = false;
            }
            assert_eq!(dump(&store), states[at + 1]);
        }
        if noticed {
            assert!(n >= 10, "only {n} reads");
            return;
        }
    }
}
