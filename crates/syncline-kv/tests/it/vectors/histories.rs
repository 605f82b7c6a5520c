//! Items that come one after the other, what becomes of each, and what there is in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::Hash;
use syncline_kv::item::{Item, Namespace};
use syncline_kv::path::Key;
use syncline_kv::tree::Tree;
use syncline_storage::MemoryDb;

use super::file::{
    EntryFields, Fields, GrantFields, History, ObjectVector, RevocationFields, RotationFields, Step, ValueFields,
    Vectors, hex, name_of, unhex,
};
use super::objects::{Objects, namespace, namespace_named, signer};

/// When everything is applied.
pub(crate) const NOW: u64 = 1_000_000;

fn at(millis: u64) -> String {
    Hlc::new(Timestamp::from_millis(millis), 0).to_bits().to_string()
}

fn inline(text: &str) -> ValueFields {
    ValueFields::Inline(hex(text))
}

fn entry(author: &str, key: &str, millis: u64, leaves: &[&str], value: ValueFields) -> EntryFields {
    EntryFields {
        key: key.to_owned(),
        value,
        stamp: at(millis),
        author: author.to_owned(),
        leaves: leaves.iter().map(|leaf| (*leaf).to_owned()).collect(),
        previous: None,
    }
}

fn grant(issuer: &str, audience: &str, parent: Option<&str>, pattern: &str, ops: u8, depth: u8) -> GrantFields {
    GrantFields {
        parent: parent.map(str::to_owned),
        issuer: issuer.to_owned(),
        audience: audience.to_owned(),
        pattern: pattern.to_owned(),
        ops,
        depth,
        not_before: None,
        not_after: None,
        quota_entries: None,
        quota_bytes: None,
        stamp: at(500_000),
    }
}

fn revocation(revoker: &str, grant: &str) -> Fields {
    Fields::Revocation(RevocationFields { grant: grant.to_owned(), revoker: revoker.to_owned(), stamp: at(NOW) })
}

fn rotation(index: u64, previous: &str, roots: &[&str], retired: &[(&str, u64)], signed_by: &[&str]) -> Fields {
    Fields::Rotation(RotationFields {
        index: index.to_string(),
        previous: previous.to_owned(),
        roots: roots.iter().map(|root| (*root).to_owned()).collect(),
        retired: retired.iter().map(|(root, cut)| ((*root).to_owned(), at(*cut))).collect(),
        stamp: at(NOW),
        signed_by: signed_by.iter().map(|root| (*root).to_owned()).collect(),
    })
}

/// Every object of the file.
pub(crate) fn add_objects(objects: &mut Objects) {
    let mut add = |name: &str, fields: Fields| objects.add("vectors", name, fields);
    let team = add("team's grant", Fields::Grant(grant("root", "team", None, "/svc/**", 3, 2)));
    let mut narrow = grant("team", "member", Some(&team), "/svc/*/state", 2, 0);
    (narrow.not_before, narrow.not_after) = (Some("900000".into()), Some("1100000".into()));
    let member = add("member's grant", Fields::Grant(narrow));
    let wide = add("over-broad grant", Fields::Grant(grant("team", "member", Some(&team), "/**", 3, 1)));
    let own = add("member's own grant", Fields::Grant(grant("second root", "member", None, "/svc/**", 2, 0)));
    let reads = add("reader's grant", Fields::Grant(grant("root", "outsider", None, "/svc/**", 1, 0)));
    add("grant by nobody", Fields::Grant(grant("outsider", "member", None, "/svc/**", 2, 0)));
    add("grant of another's", Fields::Grant(grant("outsider", "member", Some(&team), "/svc/**", 2, 0)));
    add("grant that is too deep", Fields::Grant(grant("member", "team", Some(&member), "/svc/**", 2, 0)));
    add("grant of what is not known", Fields::Grant(grant("team", "member", Some(&hex([9; 32])), "/svc/**", 2, 0)));
    let late = Fields::Grant(GrantFields { stamp: at(NOW), ..grant("team", "outsider", Some(&team), "/svc/x", 2, 0) });
    add("grant below a revoked one", late);

    let state = "/svc/a/state";
    let first = add("state", Fields::Entry(entry("member", state, 950_000, &[&member], inline("on"))));
    let mut both = entry("member", state, 960_000, &[&member, &own], inline("off"));
    both.leaves.sort_unstable();
    both.previous = Some(first.clone());
    add("state by two grants", Fields::Entry(both));
    add("older state", Fields::Entry(entry("member", state, 940_000, &[&member], inline("older"))));
    add("root's older state", Fields::Entry(entry("root", state, 930_000, &[], inline("default"))));
    add("state after the revocation", Fields::Entry(entry("member", state, 970_000, &[&member], inline("late"))));
    let hash = Hash::digest(b"a large value").to_string();
    let blob = ValueFields::Blob { hash, len: "13".into() };
    add("blob", Fields::Entry(entry("second root", "/cfg/y", 900_000, &[], blob)));
    add("empty", Fields::Entry(entry("root", "/cfg/z", 900_000, &[], inline(""))));
    let set = add("set", Fields::Entry(entry("root", "/cfg/x", 900_000, &[], inline("1"))));
    let mut unset = entry("root", "/cfg/x", 900_001, &[], ValueFields::Tombstone);
    unset.previous = Some(set);
    add("unset", Fields::Entry(unset));
    let mut tombstone = entry("root", state, NOW, &[], ValueFields::Tombstone);
    tombstone.previous = Some(first);
    add("root unsets the state", Fields::Entry(tombstone));
    add("same stamp, root", Fields::Entry(entry("root", "/cfg/tie", 900_000, &[], inline("root"))));
    add("same stamp, second root", Fields::Entry(entry("second root", "/cfg/tie", 900_000, &[], inline("second"))));

    add("without a grant", Fields::Entry(entry("outsider", state, 950_000, &[], inline("no"))));
    add("by another's grant", Fields::Entry(entry("outsider", "/svc/b/state", 950_000, &[&member], inline("no"))));
    add("beside the pattern", Fields::Entry(entry("member", "/svc/a/other", 950_000, &[&member], inline("no"))));
    add("outside the parent's pattern", Fields::Entry(entry("member", "/cfg/x", 950_000, &[&wide], inline("no"))));
    add("within the parent's pattern", Fields::Entry(entry("member", "/svc/wide", 950_000, &[&wide], inline("yes"))));
    add("by a grant to read", Fields::Entry(entry("outsider", "/svc/q", 950_000, &[&reads], inline("no"))));
    add("too early", Fields::Entry(entry("member", "/svc/t/state", 899_999, &[&member], inline("no"))));
    add("at the beginning", Fields::Entry(entry("member", "/svc/t/state", 900_000, &[&member], inline("yes"))));
    add(
        "at the end of a window that is ahead",
        Fields::Entry(entry("member", "/svc/t/state", 1_100_000, &[&member], inline("wait"))),
    );
    add("too late", Fields::Entry(entry("member", "/svc/t/state", 1_100_001, &[&member], inline("no"))));
    let mut one_does_not = entry("member", "/svc/a/other", 950_000, &[&member, &own], inline("no"));
    one_does_not.leaves.sort_unstable();
    add("one of two grants does not allow", Fields::Entry(one_does_not));
    add("ahead by a minute", Fields::Entry(entry("root", "/cfg/ahead", NOW + 60_000, &[], inline("yes"))));
    add("ahead by more", Fields::Entry(entry("root", "/cfg/ahead", NOW + 60_001, &[], inline("wait"))));
    add("by an unknown grant", Fields::Entry(entry("member", "/svc/u", 950_000, &[&hex([9; 32])], inline("wait"))));

    add("team's grant revoked", revocation("root", &team));
    add("team's grant revoked by a stranger", revocation("outsider", &team));
    add("member's grant revoked by the team", revocation("team", &member));
    add("unknown grant revoked by a root", revocation("second root", &hex([8; 32])));
    add("unknown grant revoked by another", revocation("team", &hex([8; 32])));
    add_quotas(objects);
    add_rotations(objects);
    objects.add(
        "other",
        "entry of another namespace",
        Fields::Entry(entry("team", "/cfg/x", 900_000, &[], inline("no"))),
    );
    add_fallback(objects);
}

fn add_quotas(objects: &mut Objects) {
    let mut add = |name: &str, fields: Fields| objects.add("vectors", name, fields);
    let mut two = grant("root", "member", None, "/q/*", 2, 0);
    (two.quota_entries, two.quota_bytes) = (Some("2".into()), Some("100000".into()));
    let two = add("grant of two entries", Fields::Grant(two));
    let quota = |key: &str, millis| Fields::Entry(entry("member", key, millis, &[&two], inline("v")));
    for key in ["a", "b", "c", "d"] {
        add(&format!("under a quota, {key}"), quota(&format!("/q/{key}"), 950_000));
    }
    for key in ["a", "b", "c", "d"] {
        add(&format!("under a quota, {key} again"), quota(&format!("/q/{key}"), 950_001));
    }
}

fn add_rotations(objects: &mut Objects) {
    let namespace = objects.namespaces[0].id.clone();
    let mut add = |name: &str, fields: Fields| objects.add("vectors", name, fields);
    let (old, new) = (["root", "second root"], ["root", "third root"]);
    let first = add("third root for the second", rotation(1, &namespace, &new, &[("second root", 950_000)], &old));
    let second = add("only the third root", rotation(2, &first, &["third root"], &[("root", NOW)], &new));
    add("signed by one of two", rotation(1, &namespace, &["root"], &[], &["root", "third root"]));
    add("numbered 3 behind 1", rotation(3, &first, &["root"], &[], &new));
    add("first of another tree", rotation(1, &hex([7; 32]), &["root"], &[], &old));
    add("another first", rotation(1, &namespace, &["root", "team"], &[], &old));
    let _ = second;
    let old = |millis| Fields::Entry(entry("second root", "/cfg/r", millis, &[], inline("r")));
    add("second root up to the cut", old(950_000));
    add("second root after the cut", old(950_001));
    add("third root", Fields::Entry(entry("third root", "/cfg/third", 900_000, &[], inline("t"))));
    add("grant by the third root", Fields::Grant(grant("third root", "member", None, "/svc/**", 2, 0)));
}

fn add_fallback(objects: &mut Objects) {
    let mut add = |name: &str, fields: Fields| objects.add("fallback", name, fields);
    let one = add("fallback: one", Fields::Grant(grant("root", "member", None, "/f/*", 2, 0)));
    add("fallback: default", Fields::Entry(entry("root", "/f/x", 900_000, &[], inline("default"))));
    add("fallback: changed", Fields::Entry(entry("member", "/f/x", 950_000, &[&one], inline("changed"))));
    add("fallback: revoked", revocation("root", &one));
}

/// Items by name; behind `!` the last bit is flipped.
const GRANTS: &[&str] = &[
    "state",
    "member's grant",
    "team's grant",
    "state",
    "member's own grant",
    "over-broad grant",
    "reader's grant",
    "grant by nobody",
    "grant of another's",
    "grant that is too deep",
    "grant of what is not known",
    "older state",
    "root's older state",
    "state by two grants",
    "!blob",
    "blob",
    "empty",
    "unset",
    "set",
    "same stamp, root",
    "same stamp, second root",
    "without a grant",
    "by another's grant",
    "beside the pattern",
    "outside the parent's pattern",
    "within the parent's pattern",
    "by a grant to read",
    "too early",
    "at the beginning",
    "at the end of a window that is ahead",
    "too late",
    "one of two grants does not allow",
    "ahead by a minute",
    "ahead by more",
    "by an unknown grant",
    "entry of another namespace",
    "!team's grant",
    "!reader's grant",
];

const REVOKED: &[&str] = &[
    "team's grant",
    "member's grant",
    "member's own grant",
    "over-broad grant",
    "root's older state",
    "state",
    "state by two grants",
    "within the parent's pattern",
    "team's grant revoked by a stranger",
    "unknown grant revoked by another",
    "unknown grant revoked by a root",
    "!team's grant revoked",
    "team's grant revoked",
    "team's grant revoked",
    "member's grant revoked by the team",
    "grant below a revoked one",
    "state after the revocation",
    "within the parent's pattern",
];

const UNSET: &[&str] =
    &["team's grant", "member's grant", "root's older state", "state", "root unsets the state", "team's grant revoked"];

const QUOTA: &[&str] = &[
    "grant of two entries",
    "under a quota, a",
    "under a quota, b",
    "under a quota, c",
    "under a quota, d",
    "under a quota, a again",
    "under a quota, b again",
    "under a quota, c again",
    "under a quota, d again",
];

const ROTATED: &[&str] = &[
    "member's own grant",
    "signed by one of two",
    "first of another tree",
    "grant by the third root",
    "third root",
    "second root after the cut",
    "only the third root",
    "third root for the second",
    "numbered 3 behind 1",
    "third root for the second",
    "second root after the cut",
    "second root up to the cut",
    "third root",
    "grant by the third root",
    "root's older state",
];

const ROTATED_ONCE: &[&str] = &[
    "member's own grant",
    "blob",
    "second root after the cut",
    "third root for the second",
    "second root after the cut",
    "second root up to the cut",
    "grant by the third root",
];

const COMPETING: &[&str] = &["another first", "third root for the second", "third root"];

const FALLBACK: &[&str] = &["fallback: one", "fallback: default", "fallback: changed", "fallback: revoked"];

pub(crate) fn made(objects: &Objects) -> Vec<History> {
    let history = |name: &str, namespace: &str, steps: &[&str]| {
        let mut run = Run::new(objects, namespace);
        let steps = steps.iter().map(|item| Step { item: (*item).to_owned(), verdict: run.step(item) }).collect();
        run.end(name, namespace, steps)
    };
    vec![
        history("grants and entries", "vectors", GRANTS),
        history("revocation by a root, nothing unset", "vectors", REVOKED),
        history("revocation by a root, the value unset", "vectors", UNSET),
        history("a quota", "vectors", QUOTA),
        history("a rotation", "vectors", ROTATED_ONCE),
        history("two rotations, one after the other", "vectors", ROTATED),
        history("two rotations at the same place", "vectors", COMPETING),
        history("revocation that falls back", "fallback", FALLBACK),
    ]
}

/// A tree to which items are given one by one.
struct Run<'a> {
    objects: &'a [ObjectVector],
    tree: Tree,
    signers: BTreeMap<String, String>,
    keys: BTreeSet<Key>,
}

impl<'a> Run<'a> {
    fn new(objects: &'a Objects, name: &str) -> Self {
        let vector = objects.namespaces.iter().find(|namespace| namespace.name == name).expect("a namespace");
        let names = objects.signers.iter().map(|(name, key)| (key.public_key.clone(), name.clone()));
        Self::on(&objects.objects, &namespace(&objects.signers, vector), names.collect())
    }

    fn on(objects: &'a [ObjectVector], namespace: &Namespace, signers: BTreeMap<String, String>) -> Self {
        let tree = Tree::open(Arc::new(MemoryDb::new()), namespace).expect("memory opens");
        Self { objects, tree, signers, keys: BTreeSet::new() }
    }

    fn step(&mut self, name: &str) -> String {
        let (name, flip) = name.strip_prefix('!').map_or((name, 0), |name| (name, 1));
        let object = self.objects.iter().find(|object| object.name == name);
        let mut bytes = unhex(&object.unwrap_or_else(|| panic!("no object {name}")).item).to_vec();
        *bytes.last_mut().expect("an item") ^= flip;
        let item = Item::decode(&bytes.into()).expect("well-formed");
        if let Item::Entry(entry) = &item {
            self.keys.insert(entry.key().clone());
        }
        let verdicts = self.tree.apply(Timestamp::from_millis(NOW), vec![item]).expect("memory does not fail");
        self.tree.check().expect("the rows agree");
        name_of(&verdicts[0])
    }

    fn end(self, name: &str, namespace: &str, steps: Vec<Step>) -> History {
        let name_of = |id: String| self.objects.iter().find(|object| object.id == id).expect("known").name.clone();
        let decides = self.keys.iter().map(|key| {
            let latest = self.tree.latest(key).expect("memory does not fail");
            (key.to_string(), latest.map(|entry| name_of(entry.id().to_string())))
        });
        let roots =
            self.tree.authority().roots().keys().iter().map(|key| self.signers[&key.to_string()].clone()).collect();
        let root = self.tree.root().expect("memory does not fail");
        History {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            decides: decides.collect(),
            steps,
            roots,
            entries: root.entries,
            system: root.system,
            root: root.hash.to_string(),
        }
    }
}

pub(crate) fn check(file: &Vectors, history: &History) {
    assert_eq!(file.now, NOW.to_string());
    let names = file.signers.keys().map(|name| (signer(&file.signers, name).public_key().to_string(), name.clone()));
    let mut run = Run::on(&file.objects, &namespace_named(file, &history.namespace), names.collect());
    for step in &history.steps {
        assert_eq!(run.step(&step.item), step.verdict, "{}: {}", history.name, step.item);
    }
    let found = run.end(&history.name, &history.namespace, Vec::new());
    assert_eq!(found.decides, history.decides, "{}", history.name);
    assert_eq!(found.roots, history.roots, "{}", history.name);
    let summary = |history: &History| (history.entries, history.system, history.root.clone());
    assert_eq!(summary(&found), summary(history), "{}", history.name);
}
