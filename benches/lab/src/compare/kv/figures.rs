//! The figures of the key-value store: names, meanings and goals.

use crate::compare::figure::{Definition, definition};

pub(super) const APPLY_CPU: Definition = definition(
    "kv.apply.cpu",
    "s",
    Some(4.0),
    "100 000 signed entries from a peer, decoded, verified and stored in memory",
)
.at_most_of_limit(1.0 / 0.7);

/// The figures of syncs with some number of differences.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sync {
    pub(super) d: usize,
    pub(super) cpu: Definition,
    pub(super) bytes: Definition,
    pub(super) entries: Definition,
    pub(super) messages: Definition,
}

/// The least of theirs / ours for CPU time and bytes.
macro_rules! sync {
    ($d:literal, $what:literal, $cpu:expr, $bytes:expr) => {
        Sync {
            d: $d,
            cpu: definition(
                concat!("kv.sync.d", $d, ".cpu"),
                "s",
                $cpu,
                concat!("sync of 100 000 keys with ", $what, ": CPU time of both sides"),
            ),
            bytes: definition(concat!("kv.sync.d", $d, ".bytes"), "B", $bytes, "bytes both ways"),
            entries: definition(concat!("kv.sync.d", $d, ".entries"), "", None, "entries sent, both ways together"),
            messages: definition(
                concat!("kv.sync.d", $d, ".messages"),
                "",
                None,
                "messages both ways, two of which are a round trip",
            ),
        }
    };
}

pub(super) const SYNCS: [Sync; 2] =
    [sync!(10, "10 differences", Some(50.0), Some(7.0)), sync!(1000, "1 000 differences", Some(20.0), Some(7.0))];

pub(super) const PUT_ROWS: Definition = definition(
    "kv.redb.put.rows",
    "",
    None,
    "rows looked for, scanned or written by one put, 10^6 entries in a redb file",
)
.at_most(Some(18.0));
pub(super) const SESSION_ROWS: Definition = definition(
    "kv.redb.session.rows",
    "",
    None,
    "the same, each time, by the busier side of a sync of those with 10 differences",
)
.at_most(Some(2_000.0));
pub(super) const MEMORY: Definition = definition(
    "kv.redb.memory",
    "B",
    None,
    "memory of a process with two such files after a sync, 4 MiB of pages cached of each",
)
.at_most(Some((64_u32 << 20) as f64));
pub(super) const INGEST_CPU: Definition = definition(
    "kv.redb.ingest.cpu",
    "s",
    Some(0.5),
    "10^6 entries into a redb file, signatures not counted; under theirs: redb alone takes the same rows in order",
);
pub(super) const REVOKE_VISITED: Definition = definition(
    "kv.redb.revoke.visited",
    "",
    None,
    "entries visited by the revocation of a grant that covers 1 000 of the 10^6 keys",
)
.at_most(Some(1_100.0));
pub(super) const AUTHORIZE_CPU: Definition =
    definition("kv.authorize.cpu", "s", None, "one `authorize` whose chain is cached").at_most(Some(1e-6));
pub(super) const AUTHORIZE_MANY_CPU: Definition = definition(
    "kv.authorize.many.cpu",
    "s",
    None,
    "the same of somebody with 62 or 63 grants, which are all looked at",
);
pub(super) const PATTERN_CPU: [(usize, Definition); 3] = [
    (100, definition("kv.pattern.100.cpu", "s", None, "a hostile pattern against a path of 100 bytes")),
    (1_000, definition("kv.pattern.1000.cpu", "s", None, "of 1 000 bytes")),
    (
        10_000,
        definition("kv.pattern.10000.cpu", "s", None, "of 10 000 bytes in ten paths, since one has at most 1 024"),
    ),
];
/// Linear is 1; half as much again is left for noise and for memory that is farther away.
pub(super) const PATTERN_GROWTH: Definition =
    definition("kv.pattern.growth", "", None, "time at 10 000 bytes over a hundred times that at 100; linear is 1")
        .at_most(Some(1.5));

/// All of them, in the order in which they are printed.
pub(super) fn all() -> Vec<Definition> {
    let mut all = beside_the_rival();
    all.extend([PUT_ROWS, SESSION_ROWS, MEMORY, INGEST_CPU, REVOKE_VISITED, AUTHORIZE_CPU, AUTHORIZE_MANY_CPU]);
    all.extend(PATTERN_CPU.map(|(_, definition)| definition));
    all.push(PATTERN_GROWTH);
    all
}

/// Those that are measured of iroh-docs too.
pub(super) fn beside_the_rival() -> Vec<Definition> {
    let syncs = SYNCS.into_iter().flat_map(|sync| [sync.cpu, sync.bytes, sync.entries, sync.messages]);
    std::iter::once(APPLY_CPU).chain(syncs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let names: Vec<&str> = all().iter().map(|definition| definition.name).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[at + 1..].contains(name), "{name}");
        }
        for wanted in
            ["kv.apply.cpu", "kv.sync.d10.cpu", "kv.sync.d1000.cpu", "kv.sync.d10.bytes", "kv.sync.d1000.bytes"]
        {
            assert!(names.contains(&wanted), "{wanted}");
        }
    }
}
