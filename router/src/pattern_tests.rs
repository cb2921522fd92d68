//! What patterns mean, and what is said about those that are none.

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect(text)
}

fn host(text: &str) -> Hostname {
    Hostname::parse(text).expect(text)
}

#[test]
fn equal_meaning_is_one_canonical_form() {
    for (text, canonical) in [
        ("hello.localhost", "hello.localhost"),
        ("HELLO.localhost.", "hello.localhost"),
        ("hello.localhost/*", "hello.localhost"),
        ("hello.localhost/", "hello.localhost/"),
        ("*", "*"),
        ("*/*", "*"),
        ("*/health", "*/health"),
        ("*.Example.com/Hello/*", "*.example.com/Hello/*"),
        ("**.example.com", "**.example.com"),
        ("bücher.de/café/*", "xn--bcher-kva.de/caf%C3%A9/*"),
        ("[::1]/a", "[::1]/a"),
        ("a.b/p//*", "a.b/p//*"),
    ] {
        assert_eq!(pattern(text).to_string(), canonical);
        assert_eq!(pattern(text), pattern(canonical));
    }
    assert_ne!(pattern("a.b/p"), pattern("a.b/p/"));
    assert_ne!(pattern("*.b"), pattern("**.b"));
}

#[test]
fn wildcards_take_whole_labels_and_segments() {
    for (text, yes, no) in [
        (
            "*.example.com",
            vec!["a.example.com"],
            vec!["example.com", "a.b.example.com", "aexample.com"],
        ),
        (
            "**.example.com",
            vec!["a.example.com", "a.b.example.com"],
            vec!["example.com", "aexample.com"],
        ),
        ("*", vec!["a", "a.b", "127.0.0.1", "[::1]"], vec![]),
    ] {
        for name in yes {
            assert!(pattern(text).matches(&host(name), "/"), "{text} {name}");
        }
        for name in no {
            assert!(!pattern(text).matches(&host(name), "/"), "{text} {name}");
        }
    }
    for (text, yes, no) in [
        (
            "h/p/*",
            vec!["/p", "/p/", "/p/q", "/p//"],
            vec!["/pq", "/", "/P"],
        ),
        ("h/p", vec!["/p"], vec!["/p/", "/p/q", "//p"]),
        ("h/", vec!["/"], vec!["//", "/a"]),
        ("h/p//*", vec!["/p/", "/p//q"], vec!["/p", "/p/q"]),
        ("h", vec!["/", "/a", "//"], vec![]),
    ] {
        for path in yes {
            assert!(pattern(text).matches(&host("h"), path), "{text} {path}");
        }
        for path in no {
            assert!(!pattern(text).matches(&host("h"), path), "{text} {path}");
        }
    }
}

#[test]
fn a_fault_names_its_place_and_a_way_out() {
    for (text, at, fix) in [
        ("", 0, None),
        ("https://a.b/c", 0, Some("a.b/c")),
        ("a.b:8080/c", 3, Some("a.b/c")),
        ("[::1]:80", 5, Some("[::1]")),
        ("a.b/c?d=1", 5, None),
        ("a.b/c#d", 5, Some("a.b/c")),
        ("a.*.c", 2, None),
        ("a*.c", 1, None),
        ("*a.c", 0, Some("*.a.c")),
        ("*foo.com/x", 0, Some("*.foo.com/x")),
        ("**foo.com", 0, Some("**.foo.com")),
        ("*a*.c", 0, None),
        ("a.*", 2, None),
        ("*.*.c", 2, None),
        ("***.c", 0, None),
        ("a..b", 2, None),
        ("*.a..b", 4, None),
        ("a b", 1, None),
        ("/path", 0, Some("*/path")),
        ("*.127.0.0.1", 0, Some("127.0.0.1")),
        ("a.b/*/c", 4, None),
        ("a.b/*.js", 4, None),
        ("a.b/c/d*", 7, Some("a.b/c/d/*")),
        ("a.com/x*", 7, Some("a.com/x/*")),
        ("a.com/x*/*", 7, None),
        ("a.com/x*y*", 7, None),
        ("a.b/c/**", 6, Some("a.b/c/*")),
        ("a.b/**", 4, Some("a.b/*")),
        ("a.b/c/**/*", 6, None),
        ("a.b/c/../d", 6, None),
        ("a.b/c\\d", 5, Some("a.b/c/d")),
        ("a.b/c\td", 5, None),
        ("::1", 0, None),
    ] {
        let error = Pattern::parse(text).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert_eq!(error.fix.as_deref(), fix, "{text}: {error}");
    }
}

#[test]
fn messages_teach() {
    let say = |text| Pattern::parse(text).expect_err(text).to_string();
    assert_eq!(
        say("a.b:80"),
        "a route has no port: it holds on every port that the server listens on; did you mean `a.b`?"
    );
    assert_eq!(
        say("a..b"),
        "not a host: an empty label at byte 2: two dots in a row, or a dot at the start"
    );
}

proptest! {
    #[test]
    fn a_way_out_is_one(text in "[*./?#:a\\\\-]{0,16}") {
        if let Err(error) = Pattern::parse(&text) {
            prop_assert!(error.at <= text.len());
            if let Some(fix) = error.fix {
                prop_assert!(Pattern::parse(&fix).is_ok(), "{text}: {fix}");
            }
        }
    }
}
