//! The table against its meaning: cases by hand, then against a naive search.

use proptest::prelude::*;

use super::*;

fn host(text: &str) -> Hostname {
    Hostname::parse(text).expect(text)
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect(text)
}

fn table(patterns: &[&'static str]) -> RouteTable<&'static str> {
    let mut builder = RouteTable::builder();
    for text in patterns {
        builder = builder.route(pattern(text), *text);
    }
    builder.build().expect("no duplicates")
}

#[test]
fn the_strongest_host_wins_whatever_the_order() {
    let mut patterns = [
        "*",
        "**.com",
        "**.example.com",
        "*.example.com",
        "a.example.com",
        "**.b.example.com",
    ];
    for _ in 0..2 {
        let table = table(&patterns);
        for (name, winner) in [
            ("a.example.com", Some("a.example.com")),
            ("z.example.com", Some("*.example.com")),
            ("y.z.example.com", Some("**.example.com")),
            ("y.b.example.com", Some("**.b.example.com")),
            ("b.example.com", Some("*.example.com")),
            ("example.com", Some("**.com")),
            ("com", Some("*")),
            ("[::1]", Some("*")),
            ("127.0.0.1", Some("*")),
        ] {
            assert_eq!(table.find(&host(name), "/").copied(), winner, "{name}");
        }
        patterns.reverse();
    }
    assert_eq!(table(&["a.b"]).find(&host("b"), "/"), None);
}

#[test]
fn the_strongest_path_wins_within_a_host() {
    let table = table(&["h", "h/a", "h/a/*", "h/a/b/*", "h/a/b/c", "h/"]);
    for (path, winner) in [
        ("/", "h/"),
        ("/a", "h/a"),
        ("/a/", "h/a/*"),
        ("/a/b", "h/a/b/*"),
        ("/a/b/c", "h/a/b/c"),
        ("/a/b/c/d", "h/a/b/*"),
        ("/a/bc", "h/a/*"),
        ("/ab", "h"),
        ("//a", "h"),
    ] {
        assert_eq!(table.find(&host("h"), path), Some(&winner), "{path}");
    }
}

#[test]
fn a_path_that_a_host_does_not_take_falls_through() {
    let table = table(&["api.x.y/v1/*", "*.x.y/v2/*", "**.y/v3", "*/v4"]);
    let api = host("api.x.y");
    for (path, winner) in [
        ("/v1/a", Some("api.x.y/v1/*")),
        ("/v2/a", Some("*.x.y/v2/*")),
        ("/v3", Some("**.y/v3")),
        ("/v4", Some("*/v4")),
        ("/v5", None),
    ] {
        assert_eq!(table.find(&api, path).copied(), winner, "{path}");
    }
}

#[test]
fn by_its_full_name_no_wildcard_answers() {
    let table = table(&["api.x.y/v1/*", "*.x.y", "**.y", "*"]);
    for (name, path, winner) in [
        ("api.x.y", "/v1/a", Some("api.x.y/v1/*")),
        ("api.x.y", "/v2", None),
        ("b.x.y", "/v1/a", None),
        ("example.com", "/", None),
    ] {
        let found = table.find_exact(&host(name), path);
        assert_eq!(found.copied(), winner, "{name}{path}");
    }
}

#[test]
fn a_host_is_taken_if_only_under_some_paths() {
    let routes = table(&["api.x.y/v1/*", "*.z/v2"]);
    for (name, is_taken) in [
        ("api.x.y", true),
        ("x.y", false),
        ("a.z", true),
        ("a.b.z", false),
    ] {
        assert_eq!(routes.takes_host(&host(name)), is_taken, "{name}");
    }
    assert!(table(&["*/only"]).takes_host(&host("any.where")));
}

#[test]
fn a_duplicate_names_both() {
    let error = RouteTable::builder()
        .route(pattern("a.b"), 1)
        .route(pattern("c.d"), 2)
        .route(pattern("A.B./*"), 3)
        .build()
        .expect_err("the third is the first");
    assert_eq!((error.first, error.second), (0, 2));
    assert_eq!(error.pattern, pattern("a.b"));
}

#[test]
fn an_explanation_lists_candidates_in_order() {
    let table = table(&["*", "h.x/p/*", "*.x", "h.x/q", "other"]);
    let host = host("h.x");
    let explanation = table.explain(&host, "/p/1");
    assert_eq!(
        explanation.to_string(),
        "1. h.x/q -> h.x/q: takes the host, not this path\n\
         2. h.x/p/* -> h.x/p/*: wins\n\
         3. *.x -> *.x: would take it, but a stronger route does\n\
         4. * -> *: would take it, but a stronger route does"
    );
    let winner = explanation.winner().map(|candidate| *candidate.target);
    assert_eq!(winner, Some("h.x/p/*"));
}

#[test]
fn a_hostile_path_costs_no_more_than_the_table_is_deep() {
    assert_eq!(prefixes(&"/".repeat(16_384), 3).count(), 3);
    let table = table(&["h/a/b/*"]);
    assert_eq!(table.find(&host("h"), &"/".repeat(16_384)), None);
}

/// Hosts and paths over a tiny alphabet, so that routes and requests meet often.
fn a_name() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]", 1..5).prop_map(|labels| labels.join("."))
}

fn a_path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{0,2}", 1..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn a_pattern() -> impl Strategy<Value = Pattern> {
    let host = prop_oneof![
        a_name(),
        a_name().prop_map(|name| format!("*.{name}")),
        a_name().prop_map(|name| format!("**.{name}")),
        Just("*".to_owned()),
    ];
    let path = prop_oneof![
        Just(String::new()),
        a_path(),
        a_path().prop_map(|path| format!("{path}/*")),
    ];
    (host, path).prop_map(|(host, path)| pattern(&format!("{host}{path}")))
}

/// The order of precedence, written down a second time and without any index.
fn naive<'a>(patterns: &'a [Pattern], host: &Hostname, path: &str) -> Option<&'a Pattern> {
    let rank = |pattern: &Pattern| {
        let host_rank = match pattern.host() {
            HostPattern::Exact(_) => 10_000,
            HostPattern::OneLabel(suffix) => suffix.as_str().len() * 10 + 2,
            HostPattern::AnyDepth(suffix) => suffix.as_str().len() * 10 + 1,
            HostPattern::Any => 0,
        };
        let path_rank = match pattern.path() {
            PathPattern::Exact(_) => 10_000,
            PathPattern::Prefix(prefix) => prefix.len(),
            PathPattern::Any => 0,
        };
        (host_rank, path_rank)
    };
    patterns
        .iter()
        .filter(|pattern| pattern.matches(host, path))
        .max_by_key(|pattern| rank(pattern))
}

/// More cases where more are asked for: `make fuzz`.
fn at_least(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(cases),
        ..config
    }
}

proptest! {
    #![proptest_config(at_least(500))]

    #[test]
    fn the_table_agrees_with_a_naive_search(
        patterns in prop::collection::vec(a_pattern(), 0..24),
        requests in prop::collection::vec((a_name(), a_path()), 1..24),
    ) {
        let mut unique: Vec<Pattern> = Vec::new();
        for pattern in patterns {
            if !unique.contains(&pattern) {
                unique.push(pattern);
            }
        }
        let mut builder = RouteTable::builder();
        for (index, pattern) in unique.iter().enumerate() {
            builder = builder.route(pattern.clone(), index);
        }
        let table = builder.build().expect("duplicates are gone");
        for (name, path) in requests {
            let host = host(&name);
            let expected = naive(&unique, &host, &path);
            let found = table.find_route(&host, &path).map(|route| &route.pattern);
            prop_assert_eq!(found, expected, "{}{}", name, path);
            let explanation = table.explain(&host, &path);
            prop_assert_eq!(explanation.winner().map(|winner| winner.pattern), expected);
        }
    }

    #[test]
    fn display_is_canonical(pattern in a_pattern()) {
        prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
    }
}
