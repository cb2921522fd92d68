//! Paths as the files `_headers` and `_redirects` write them: `/blog/:year/*`.
//!
//! A placeholder (`:year`) is one segment, not empty; a `*` is anything, slashes and nothing among it. Both are
//! matched with the path as it came, percent-encoded, and what they stand for is put elsewhere in the same
//! spelling.

use std::borrow::Cow;

use holm_router::path;

/// Placeholders in one pattern, at most.
const MAX_NAMES: usize = 16;

/// A path with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Before the `*`, if there is one.
    parts: Vec<Part>,
    /// Behind the `*`.
    tail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// What placeholders stand for: their names, and that of the `*`, which is `splat`.
pub(super) type Found<'a> = Vec<(&'a str, &'a str)>;

/// The name of what `*` stands for.
const SPLAT: &str = "splat";

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub(super) fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        if !text.starts_with('/') {
            let fix =
                "begin it with a slash; which hosts it is for is said by the function's routes";
            return Err((format!("`{text}` is not a path"), fix));
        }
        if text.contains(['?', '#']) {
            let fix = "write the path alone: rules do not look at what follows it";
            return Err((format!("`{text}` has more than a path"), fix));
        }
        if path::check(text).is_err() {
            let fix = "write the path that clients ask for, without `.`, `..` and backslashes";
            return Err((format!("nobody can ask for `{text}`"), fix));
        }
        let (head, tail) = match text.split_once('*') {
            Some((head, tail)) => (head, Some(tail)),
            None => (text, None),
        };
        if let Some(tail) = tail
            && (tail.contains('*') || tail.contains("/:"))
        {
            let fix = "write one `*` at most, and placeholders before it";
            return Err((format!("`{text}` has too much behind its `*`"), fix));
        }
        let mut parts = Vec::new();
        let mut names = Vec::new();
        let mut plain = String::new();
        for (place, segment) in head.split('/').enumerate() {
            if place > 0 {
                plain.push('/');
            }
            let Some(name) = segment.strip_prefix(':').filter(|name| is_name(name)) else {
                plain.push_str(&path::encode(segment));
                continue;
            };
            if names.contains(&name) || name == SPLAT || names.len() == MAX_NAMES {
                let fix =
                    "give each placeholder another name, not `splat`, and use 16 of them at most";
                return Err((
                    format!("`:{name}` cannot be a placeholder of `{text}`"),
                    fix,
                ));
            }
            names.push(name);
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Name(name.to_owned()));
        }
        // A name that a `*` follows at once would end where it likes.
        if tail.is_some() && plain.is_empty() && !parts.is_empty() {
            let fix = "put a slash between them";
            return Err((format!("a `*` follows a placeholder in `{text}`"), fix));
        }
        parts.push(Part::Text(plain));
        let tail = tail.map(|tail| path::encode(tail).into_owned());
        Ok(Self { parts, tail })
    }

    /// The path, if it can only be that one.
    pub(super) fn exact(&self) -> Option<&str> {
        match (self.parts.as_slice(), &self.tail) {
            ([Part::Text(text)], None) => Some(text),
            _ => None,
        }
    }

    /// The names that what it finds has.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let named = self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        });
        named.chain(self.tail.as_ref().map(|_| SPLAT))
    }

    /// What its placeholders stand for in `path`, if that is one of its paths.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Option<Found<'a>> {
        let mut found = Found::new();
        let mut rest = path;
        for part in &self.parts {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Name(name) => {
                    let end = rest.find('/').unwrap_or(rest.len());
                    let (value, behind) = rest.split_at(end);
                    if value.is_empty() {
                        return None;
                    }
                    found.push((name, value));
                    rest = behind;
                }
            }
        }
        match &self.tail {
            Some(tail) => found.push((SPLAT, rest.strip_suffix(tail.as_str())?)),
            None if rest.is_empty() => {}
            None => return None,
        }
        Some(found)
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `text` with what was found in the places of `:name`. A name that was not found stays as it is.
pub(super) fn fill<'a>(text: &'a str, found: &Found<'_>) -> Cow<'a, str> {
    if found.is_empty() || !text.contains(':') {
        return Cow::Borrowed(text);
    }
    let mut filled = String::with_capacity(text.len() + 32);
    for (name, plain) in pieces(text) {
        match found.iter().find(|(known, _)| Some(*known) == name) {
            Some((_, value)) => filled.push_str(value),
            None => {
                if let Some(name) = name {
                    filled.push(':');
                    filled.push_str(name);
                }
            }
        }
        filled.push_str(plain);
    }
    Cow::Owned(filled)
}

/// The names that `text` has places for.
pub(super) fn places(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|(name, _)| name)
}

/// `text` as names with what follows each; the first piece has none.
fn pieces(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    text.split(':').enumerate().map(|(place, piece)| {
        let end = piece
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(piece.len());
        let (name, plain) = piece.split_at(end);
        if place == 0 {
            (None, piece)
        } else if is_name(name) {
            (Some(name), plain)
        } else {
            // A colon that is one.
            (Some(""), piece)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found() {
        for (pattern, path, expected) in [
            ("/a", "/a", Some(vec![])),
            ("/a", "/a/", None),
            ("/a/*", "/a/", Some(vec![("splat", "")])),
            ("/a/*", "/a", None),
            ("/a/*", "/a/b//c", Some(vec![("splat", "b//c")])),
            ("/*.css", "/x/y.css", Some(vec![("splat", "x/y")])),
            ("/*.css", "/x/y.js", None),
            ("/:y/:m/x", "/1/2/x", Some(vec![("y", "1"), ("m", "2")])),
            ("/:y/x", "//x", None),
            ("/:y", "/1/2", None),
            ("/caf\u{e9}", "/caf%C3%A9", Some(vec![])),
            ("/a:b", "/a:b", Some(vec![])),
        ] {
            let pattern = Pattern::parse(pattern).expect("a pattern");
            assert_eq!(pattern.find(path), expected, "{pattern:?} {path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for text in [
            "a",
            "https://x.test/a",
            "/a?b",
            "/a/../b",
            "/*/*",
            "/*/:x",
            "/:x/:x",
            "/:x*",
            "/:splat",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_are_filled() {
        let found = vec![("y", "1"), ("splat", "a/b")];
        for (text, expected) in [
            ("/x", "/x"),
            ("/:y/:splat.html", "/1/a/b.html"),
            ("https://h.test:80/:y", "https://h.test:80/1"),
            ("/:z", "/:z"),
        ] {
            assert_eq!(fill(text, &found), expected);
        }
    }
}
