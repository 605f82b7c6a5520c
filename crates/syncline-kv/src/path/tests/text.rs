//! What is a key, a pattern, a subtree; and what else their texts are good for.

use syncline_core::cbor::{FrameLimits, from_deterministic, to_deterministic};

use super::{key, model, pattern};
use crate::path::{Key, KeyError, Pattern, PatternError, Subtree};

#[test]
fn keys() {
    for text in ["/a", "/my/key/state", "/A-Z.a_z~0:9@+=,%", "/...", "/.a", "/a.", "/..a/b"] {
        let key = key(text);
        assert_eq!((key.as_str(), key.as_bytes(), key.to_string()), (text, text.as_bytes(), text.to_owned()));
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(Key::try_from(text.to_owned()), Ok(key));
    }
    for (text, error) in [
        ("", KeyError::Empty),
        ("a", KeyError::NoSlash),
        ("a/b", KeyError::NoSlash),
        ("/", KeyError::EmptySegment { at: 1 }),
        ("//a", KeyError::EmptySegment { at: 1 }),
        ("/a/", KeyError::EmptySegment { at: 3 }),
        ("/a//b", KeyError::EmptySegment { at: 3 }),
        ("/a/.", KeyError::DotSegment { at: 3 }),
        ("/../a", KeyError::DotSegment { at: 1 }),
        ("/a b", KeyError::Char { at: 2, found: ' ' }),
        ("/a/x*", KeyError::Char { at: 4, found: '*' }),
        ("/a/ü", KeyError::Char { at: 3, found: 'ü' }),
        ("/ü/\0", KeyError::Char { at: 1, found: 'ü' }),
        ("/a\\", KeyError::Char { at: 2, found: '\\' }),
    ] {
        assert_eq!(Key::new(text), Err(error), "{text:?}");
        assert_eq!(Pattern::new(text).is_err(), text != "/a/x*", "{text:?}");
    }
    assert_eq!(
        KeyError::DotSegment { at: 3 }.to_string(),
        "the segment at byte 3 is \".\" or \"..\"; neither is allowed"
    );
}

#[test]
fn keys_at_their_limits() {
    let segment = "a".repeat(Key::SEGMENT_LEN_MAX);
    assert!(Key::new(&format!("/{segment}")).is_ok());
    let error = KeyError::SegmentTooLong { at: 3, len: Key::SEGMENT_LEN_MAX + 1 };
    assert_eq!(Key::new(&format!("/b/{segment}a")), Err(error));

    let longest = format!("/{segment}").repeat(4);
    assert_eq!(longest.len(), Key::LEN_MAX);
    assert!(Key::new(&longest).is_ok());
    let longer = format!("{}/a/{}", &longest[..256 * 3], &segment[..254]);
    assert_eq!(Key::new(&longer), Err(KeyError::TooLong { len: Key::LEN_MAX + 1, max: Key::LEN_MAX }));

    let deepest = "/a".repeat(Key::SEGMENTS_MAX);
    assert!(Key::new(&deepest).is_ok());
    let error = KeyError::TooManySegments { at: 2 * Key::SEGMENTS_MAX + 1, max: Key::SEGMENTS_MAX };
    assert_eq!(Key::new(&format!("{deepest}/a")), Err(error));
}

#[test]
fn parts_of_keys() {
    let deep = key("/a/bc/d");
    assert_eq!(deep.segments().collect::<Vec<_>>(), ["a", "bc", "d"]);
    assert_eq!((deep.name(), deep.parent()), ("d", Some(key("/a/bc"))));
    assert_eq!((key("/a").name(), key("/a").parent()), ("a", None));
}

#[test]
fn patterns() {
    for text in ["/a", "/*", "/**", "/**/**/**/**", "/a*b*", "/*.rs", "/my/**/sta*", "/.*", "/*.*.*.*.*.*.*.*"] {
        assert_eq!(pattern(text).as_str(), text);
        assert_eq!(text.parse(), Ok(pattern(text)));
    }
    for (text, error) in [
        ("", PatternError::Path(KeyError::Empty)),
        ("**", PatternError::Path(KeyError::NoSlash)),
        ("a/**", PatternError::Path(KeyError::NoSlash)),
        ("/**/", PatternError::Path(KeyError::EmptySegment { at: 4 })),
        ("//**", PatternError::Path(KeyError::EmptySegment { at: 1 })),
        ("/a/./**", PatternError::Path(KeyError::DotSegment { at: 3 })),
        ("/a?", PatternError::Path(KeyError::Char { at: 2, found: '?' })),
        ("/[ab]", PatternError::Path(KeyError::Char { at: 1, found: '[' })),
        ("/{a,b}", PatternError::Path(KeyError::Char { at: 1, found: '{' })),
        ("/a\\*", PatternError::Path(KeyError::Char { at: 2, found: '\\' })),
        ("!/a", PatternError::Path(KeyError::NoSlash)),
        ("/a**b", PatternError::DeepInSegment { at: 2 }),
        ("/***", PatternError::DeepInSegment { at: 1 }),
        ("/a/b**", PatternError::DeepInSegment { at: 4 }),
        ("/**/**/**/**/**", PatternError::TooManyDeep { at: 13 }),
        ("/*a*a*a*a*a*a*a*a*", PatternError::TooManyStars { at: 17 }),
    ] {
        assert_eq!(Pattern::new(text), Err(error), "{text:?}");
    }
}

#[test]
fn patterns_at_their_limits() {
    let deepest = "/*".repeat(Key::SEGMENTS_MAX);
    assert!(Pattern::new(&deepest).is_ok());
    // A last `/**` is not counted, once.
    assert!(Pattern::new(&format!("{deepest}/**")).is_ok());
    assert!(Pattern::new(&format!("{deepest}/*")).is_err());
    assert!(Pattern::new(&format!("{deepest}/**/**")).is_err());
    let longest = format!("/{}*", "a".repeat(Key::SEGMENT_LEN_MAX - 1)).repeat(4);
    assert!(Pattern::new(&longest).is_ok());
    assert!(Pattern::new(&format!("{longest}/**")).is_ok());
    assert!(Pattern::new(&format!("{longest}*")).is_err());
    let error = PatternError::Path(KeyError::SegmentTooLong { at: 1, len: Key::SEGMENT_LEN_MAX + 1 });
    assert_eq!(Pattern::new(&format!("/{}*", "a".repeat(Key::SEGMENT_LEN_MAX))), Err(error));
}

#[test]
fn what_a_pattern_begins_with() {
    for (text, prefix) in [
        ("/svc/*/x", "/svc/"),
        ("/my/key", "/my/key"),
        ("/sta*", "/sta"),
        ("/a/**", "/a/"),
        ("/**", "/"),
        ("/a/**/b", "/a/"),
        ("/*a", "/"),
    ] {
        assert_eq!(pattern(text).literal_prefix(), prefix);
    }
}

#[test]
fn patterns_that_are_subtrees() {
    for (text, subtree) in [
        ("/**", Some("")),
        ("/**/**", Some("")),
        ("/**/*", Some("")),
        ("/a/**", Some("/a")),
        ("/a/b/**", Some("/a/b")),
        ("/a/**/**/*", Some("/a")),
        ("/a/*/**", None),
        ("/a/**/*/**", None),
        ("/a/*", None),
        ("/*", None),
        ("/a*/**", None),
        ("/a/**/b", None),
        ("/a", None),
    ] {
        let found = pattern(text).as_subtree();
        assert_eq!(found.as_ref().map(Subtree::as_str), subtree, "{text}");
        if let Some(found) = found {
            assert!(found.pattern().includes(&pattern(text)).is_included());
            assert!(pattern(text).includes(&found.pattern()).is_included());
        }
    }
}

#[test]
fn patterns_of_one_key() {
    assert_eq!(pattern("/a/b").as_key(), Some(key("/a/b")));
    assert_eq!(pattern("/a/*").as_key(), None);
    assert_eq!(Pattern::literal(&key("/a/b")), pattern("/a/b"));
}

#[test]
fn subtrees() {
    let subtree = |text: &str| text.parse::<Subtree>().unwrap();
    assert_eq!((subtree(""), subtree("/")), (Subtree::all(), Subtree::all()));
    assert_eq!(subtree("/a/b"), Subtree::below(&key("/a/b")));
    assert!("a".parse::<Subtree>().is_err() && "/a/".parse::<Subtree>().is_err() && "/a/*".parse::<Subtree>().is_err());
    let below = subtree("/a/b");
    for (name, expected) in
        [("/a/b/c", true), ("/a/b/c/d", true), ("/a/b", false), ("/a/bc", false), ("/a/b-/c", false)]
    {
        assert_eq!(below.contains(&key(name)), expected, "{name}");
        assert!(Subtree::all().contains(&key(name)));
    }
    assert!(below.includes(&below) && below.includes(&subtree("/a/b/c")) && Subtree::all().includes(&below));
    assert!(!below.includes(&subtree("/a")) && !below.includes(&subtree("/a/bc")) && !below.includes(&Subtree::all()));
    assert_eq!((below.pattern(), Subtree::all().pattern()), (pattern("/a/b/**"), Pattern::all()));
    assert_eq!((below.start(), below.end()), (b"/a/b/".to_vec(), Some(b"/a/b0".to_vec())));
}

/// A subtree is the keys of its pattern, and of its range of bytes.
#[test]
fn subtrees_are_ranges() {
    let keys = model::universe(&["a", "-", "0", "."], 2, 2);
    let subtrees = keys.iter().map(Subtree::below).chain([Subtree::all()]);
    for subtree in subtrees {
        let (pattern, start, end) = (subtree.pattern(), subtree.start(), subtree.end());
        for key in &keys {
            let in_range =
                start.as_slice() <= key.as_bytes() && end.as_ref().is_none_or(|end| key.as_bytes() < end.as_slice());
            assert_eq!(subtree.contains(key), in_range, "{subtree} and {key}");
            assert_eq!(subtree.contains(key), pattern.matches(key), "{subtree} and {key}");
        }
    }
}

#[test]
fn what_is_read_is_checked() {
    let limits = FrameLimits::default();
    let bytes = |text: &str| to_deterministic(&text).unwrap();
    assert_eq!(to_deterministic(&key("/a/b")).unwrap(), bytes("/a/b"));
    assert_eq!(from_deterministic::<Key>(&bytes("/a/b"), limits).unwrap(), key("/a/b"));
    assert_eq!(from_deterministic::<Pattern>(&bytes("/a/*"), limits).unwrap(), pattern("/a/*"));
    assert_eq!(from_deterministic::<Subtree>(&bytes(""), limits).unwrap(), Subtree::all());
    for text in ["", "/a/", "/a/*", "/..", "/ü"] {
        assert!(from_deterministic::<Key>(&bytes(text), limits).is_err(), "{text}");
    }
    for text in ["", "/a**", "/..", "**"] {
        assert!(from_deterministic::<Pattern>(&bytes(text), limits).is_err(), "{text}");
    }
    assert!(from_deterministic::<Subtree>(&bytes("/*"), limits).is_err());
    assert!(from_deterministic::<Key>(&to_deterministic(&7_u8).unwrap(), limits).is_err());
}
