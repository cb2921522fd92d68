//! Hostnames, and the route table.

use holm_router::{Hostname, Pattern, RouteTable};

/// A hostname is refused, or has one spelling that is its own.
pub fn hostname(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = holm_router::hostname::split_port(text);
    if let Ok(host) = Hostname::parse(text) {
        let name = host.as_str();
        assert_eq!(
            Hostname::parse(name).as_ref(),
            Ok(&host),
            "{name:?} is not canonical"
        );
        assert!(
            !name.is_empty() && name.is_ascii() && !name.ends_with('.'),
            "{name:?}"
        );
        let is_odd =
            |c: char| c.is_ascii_uppercase() || c.is_ascii_control() || " /?#@%\\".contains(c);
        assert!(!name.contains(is_odd), "{name:?}");
        assert_eq!(
            holm_router::hostname::split_port(name).map(|(_, port)| port),
            Some(None),
            "{name:?}"
        );
    }
    if let Ok(pattern) = Pattern::parse(text) {
        let written = pattern.to_string();
        assert_eq!(
            Pattern::parse(&written),
            Ok(pattern),
            "{written:?} is another pattern"
        );
    }
}

/// Patterns, one a line; behind an empty line requests, host and path. What the table finds is what a look at all
/// patterns finds.
pub fn routes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.lines();
    let mut builder = RouteTable::builder();
    let mut patterns: Vec<Pattern> = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()).take(64) {
        if let Ok(pattern) = Pattern::parse(line) {
            let is_new = !patterns.contains(&pattern);
            if is_new {
                builder = builder.route(pattern.clone(), patterns.len());
                patterns.push(pattern);
            }
        }
    }
    let table = builder.build().expect("no pattern was given twice");
    for line in lines.take(64) {
        let (host, path) = line.split_once(' ').unwrap_or((line, "/"));
        let Ok(host) = Hostname::parse(host) else {
            continue;
        };
        if !path.starts_with('/') {
            continue;
        }
        let matching: Vec<usize> = (0..patterns.len())
            .filter(|at| patterns[*at].matches(&host, path))
            .collect();
        let found = table.find(&host, path).copied();
        match found {
            Some(found) => assert!(
                matching.contains(&found),
                "{} for {host}{path}",
                patterns[found]
            ),
            None => assert!(
                matching.is_empty(),
                "nothing for {host}{path} of {matching:?}"
            ),
        }
        let explained = table.explain(&host, path);
        assert_eq!(explained.winner().map(|winner| *winner.target), found);
    }
}
