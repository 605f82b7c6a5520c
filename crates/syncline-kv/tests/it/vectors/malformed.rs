//! Bytes that are no objects.

use syncline_kv::item::{Item, Namespace};

use super::file::{Malformed, hex, name_of, unhex};
use super::objects::Objects;

struct Made(Vec<Malformed>);

impl Made {
    fn item(&mut self, name: &str, bytes: Vec<u8>) {
        let error = Item::decode(&bytes.clone().into()).expect_err(name);
        self.0.push(Malformed { name: name.to_owned(), namespace: false, bytes: hex(bytes), error: name_of(&error) });
    }

    fn namespace(&mut self, name: &str, bytes: Vec<u8>) {
        let error = Namespace::decode(&bytes).expect_err(name);
        self.0.push(Malformed { name: name.to_owned(), namespace: true, bytes: hex(bytes), error: name_of(&error) });
    }
}

/// `bytes` with what is at `at`, `len` long, in the place of which `with` comes.
fn spliced(bytes: &[u8], at: usize, len: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.splice(at..at + len, with.iter().copied());
    bytes
}

/// Where `part` begins.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is there")
}

pub(crate) fn made(objects: &Objects) -> Vec<Malformed> {
    let item = |name: &str| unhex(&objects.get(name).item).to_vec();
    let mut made = Made(Vec::new());
    entries(&mut made, &item("state"));
    values(&mut made, &item("state"), &item("blob"));
    grants(&mut made, &item("member's grant"));
    let revocation = item("team's grant revoked");
    made.item(
        "a revocation without its last field",
        spliced(&spliced(&revocation, 1, 1, &[0x83]), revocation.len() - 73, 9, &[]),
    );
    made.item("a revocation cut by a byte", revocation[..revocation.len() - 1].to_vec());
    rotations(&mut made, &item("third root for the second"));
    namespaces(&mut made, &unhex(&objects.namespaces[0].encoded));
    made.0
}

/// Kind `00`, array `87`, namespace `5820`, key as text, value, stamp, author, leaves, previous.
fn entries(made: &mut Made, entry: &[u8]) {
    made.item("no bytes", Vec::new());
    made.item("an unknown kind", spliced(entry, 0, 1, &[4]));
    made.item("a kind and nothing else", vec![0]);
    made.item("an entry as a grant", spliced(entry, 0, 1, &[1]));
    made.item("an entry without its signature", entry[..entry.len() - 64].to_vec());
    made.item("an entry without the last byte of its signature", entry[..entry.len() - 1].to_vec());
    made.item("an entry with a byte behind", spliced(entry, entry.len(), 0, &[0]));
    made.item("a body that ends early", entry[..40].to_vec());
    made.item("a map for the body", spliced(entry, 1, 1, &[0xa7]));
    made.item("an array of eight", spliced(entry, 1, 1, &[0x88]));
    made.item("six fields", {
        let end = entry.len() - 64;
        spliced(&spliced(entry, end - 1, 1, &[]), 1, 1, &[0x86])
    });
    made.item("an array of indefinite length", {
        let end = entry.len() - 64;
        spliced(&spliced(entry, end, 0, &[0xff]), 1, 1, &[0x9f])
    });
    made.item("an array head of two bytes", spliced(entry, 1, 1, &[0x98, 7]));
    made.item("a namespace of 31 bytes", spliced(entry, 2, 3, &[0x58, 31]));
    made.item("a namespace as text", spliced(entry, 2, 1, &[0x78]));
    let key = find(entry, b"/svc/a/state");
    made.item("a key with `..`", spliced(entry, key, 12, b"/svc/../stat"));
    made.item("a key with a star", spliced(entry, key, 12, b"/svc/*/state"));
    made.item("a key without a slash", spliced(entry, key, 12, b"xsvc/a/state"));
    made.item("a key as bytes", spliced(entry, key - 1, 1, &[0x4c]));
    made.item("a key of 1 025 bytes", {
        let long = [&[0x79, 4, 1][..], "/x".repeat(512).as_bytes(), b"y"].concat();
        spliced(entry, key - 1, 13, &long)
    });
    made.item("leaves in falling order", {
        let leaves = [&[0x82, 0x58, 0x20][..], &[2; 32], &[0x58, 0x20], &[1; 32]].concat();
        with_leaves(entry, &leaves)
    });
    made.item(
        "a leaf twice",
        with_leaves(entry, &[&[0x82, 0x58, 0x20][..], &[2; 32], &[0x58, 0x20], &[2; 32]].concat()),
    );
    made.item("five leaves", {
        let leaf = |byte| [&[0x58, 0x20][..], &[byte; 32]].concat();
        with_leaves(entry, &[vec![0x85], leaf(1), leaf(2), leaf(3), leaf(4), leaf(5)].concat())
    });
    made.item("leaves that claim 2^64-1", with_leaves(entry, &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]));
    let previous = entry.len() - 65;
    made.item("an unknown form of the previous entry", spliced(entry, previous, 1, &[0xf5]));
    let author = author_at(entry);
    let mut identity = [0; 32];
    identity[0] = 1;
    made.item("an author of small order", spliced(entry, author, 32, &identity));
    made.item("an author in a second spelling", spliced(entry, author, 32, &[0xff; 32]));
}

/// The state's author comes before one leaf, the null of the previous entry, and the signature.
fn author_at(entry: &[u8]) -> usize {
    entry.len() - 64 - 1 - 35 - 32
}

fn with_leaves(entry: &[u8], leaves: &[u8]) -> Vec<u8> {
    spliced(entry, entry.len() - 64 - 1 - 35, 35, leaves)
}

/// The state's value is `42 6f6e`; a blob's is `82 5820 (hash) (length)`.
fn values(made: &mut Made, inline: &[u8], blob: &[u8]) {
    let value = find(inline, b"/svc/a/state") + 12;
    assert_eq!(&inline[value..value + 3], b"\x42on");
    made.item("a value that is a number", spliced(inline, value, 3, &[7]));
    made.item("a value that is undefined", spliced(inline, value, 3, &[0xf7]));
    made.item("a value with a head of two bytes", spliced(inline, value, 1, &[0x58, 2]));
    made.item("a value in pieces", spliced(inline, value, 3, b"\x5f\x41o\x41n\xff"));
    made.item("a stamp with a head that is too long", {
        let stamp = value + 3;
        assert_eq!(inline[stamp], 0x1b);
        spliced(inline, stamp, 9, &[0x1b, 0, 0, 0, 0, 0, 0, 0, 5])
    });
    made.item("a negative stamp", spliced(inline, value + 3, 1, &[0x3b]));
    let at = find(blob, b"/cfg/y") + 6;
    assert_eq!(blob[at], 0x82);
    made.item("a blob of three parts", spliced(blob, at, 1, &[0x83]));
    made.item("a blob of one part", spliced(&spliced(blob, at + 35, 1, &[]), at, 1, &[0x81]));
    made.item("a blob with a negative length", spliced(blob, at + 35, 1, &[0x20]));
}

/// Behind the pattern: operations, depth, from, until, entries, bytes, stamp.
fn grants(made: &mut Made, grant: &[u8]) {
    let text = b"/svc/*/state";
    let pattern = find(grant, text);
    made.item("a pattern with `**` within a segment", spliced(grant, pattern, 12, b"/svc/**state"));
    made.item("a pattern with a question mark", spliced(grant, pattern, 12, b"/svc/?/state"));
    let ops = pattern + text.len();
    assert_eq!(grant[ops..ops + 2], [2, 0]);
    made.item("no operations", spliced(grant, ops, 1, &[0]));
    made.item("an unknown operation", spliced(grant, ops, 1, &[4]));
    made.item("a depth of 8", spliced(grant, ops + 1, 1, &[8]));
    made.item("a depth of 256", spliced(grant, ops + 1, 1, &[0x19, 1, 0]));
    let from = ops + 2;
    assert_eq!((grant[from], grant[from + 5]), (0x1a, 0x1a));
    let (begin, end) = (grant[from..from + 5].to_vec(), grant[from + 5..from + 10].to_vec());
    made.item("an end before the beginning", spliced(grant, from, 10, &[end, begin].concat()));
    made.item("eleven fields", spliced(grant, 1, 1, &[0x8b]));
}

/// Kind, array, namespace (34), index, previous (34), roots, retired, stamp; then two times 96 bytes.
fn rotations(made: &mut Made, rotation: &[u8]) {
    let index = 2 + 34;
    assert_eq!(rotation[index], 1);
    made.item("a rotation with the number 0", spliced(rotation, index, 1, &[0]));
    let end = rotation.len() - 192;
    made.item("a rotation that nobody signed", rotation[..end].to_vec());
    made.item("a rotation cut within a signature", rotation[..rotation.len() - 1].to_vec());
    let (one, other) = (rotation[end..end + 96].to_vec(), rotation[end + 96..].to_vec());
    made.item("signatures in falling order", spliced(rotation, end, 192, &[other, one.clone()].concat()));
    made.item("a signature twice", spliced(rotation, end, 192, &[one.clone(), one.clone()].concat()));
    made.item("seventeen signatures", spliced(rotation, end, 192, &one.repeat(17)));
    let roots = index + 1 + 34;
    assert_eq!(rotation[roots], 0x82);
    let (first, second) = (rotation[roots + 1..roots + 35].to_vec(), rotation[roots + 35..roots + 69].to_vec());
    made.item(
        "a rotation to roots in falling order",
        spliced(rotation, roots + 1, 68, &[second, first.clone()].concat()),
    );
    made.item("a rotation to no roots", spliced(rotation, roots, 69, &[0x80]));
    made.item("a rotation to seventeen roots", spliced(rotation, roots, 69, &[vec![0x91], first.repeat(17)].concat()));
    let retired = roots + 69;
    assert_eq!(rotation[retired..retired + 2], [0x81, 0x82]);
    made.item("a root that is retired as well", spliced(rotation, retired + 2, 34, &first));
    made.item("a retired root with three parts", spliced(rotation, retired + 1, 1, &[0x83]));
}

/// Array, name, roots, threshold, on revoke, reads: the last three are `02 00 00`.
fn namespaces(made: &mut Made, namespace: &[u8]) {
    let end = namespace.len();
    made.namespace("a namespace of no bytes", Vec::new());
    made.namespace("a namespace with a byte behind", spliced(namespace, end, 0, &[0]));
    made.namespace("a namespace without a name", spliced(namespace, 1, 8, &[0x60]));
    made.namespace("a namespace without roots", spliced(namespace, 9, 69, &[0x80]));
    made.namespace("a namespace that three of two roots change", spliced(namespace, end - 3, 1, &[3]));
    made.namespace("a namespace that nobody can change", spliced(namespace, end - 3, 1, &[0]));
    made.namespace("an unknown policy of revocation", spliced(namespace, end - 2, 1, &[2]));
    made.namespace("an unknown policy of reading", spliced(namespace, end - 1, 1, &[2]));
    made.namespace("a policy with a head of two bytes", spliced(namespace, end - 1, 1, &[0x18, 0]));
    let roots = (namespace[10..44].to_vec(), namespace[44..78].to_vec());
    made.namespace("roots in falling order", spliced(namespace, 10, 68, &[roots.1, roots.0.clone()].concat()));
    made.namespace("a root twice", spliced(namespace, 10, 68, &[roots.0.clone(), roots.0].concat()));
    made.namespace("a name of 256 bytes", spliced(namespace, 1, 8, &[&[0x79, 1, 0][..], &[b'n'; 256]].concat()));
    made.namespace("a name that is not UTF-8", spliced(namespace, 2, 1, &[0xff]));
}

pub(crate) fn check(vector: &Malformed) {
    let bytes = unhex(&vector.bytes);
    let error = if vector.namespace {
        Namespace::decode(&bytes).expect_err(&vector.name)
    } else {
        Item::decode(&bytes).expect_err(&vector.name)
    };
    assert_eq!(name_of(&error), vector.error, "{}: {error:?}", vector.name);
}
