//! `_headers`: fields that answers get, by path.
//!
//! ```text
//! # a path, then its fields, indented
//! /static/*
//!   Cache-Control: public, max-age=31536000, immutable
//!   ! Vary
//! ```
//!
//! All rules whose path is asked for apply, in order. A field replaces what the node would send; of several rules
//! with the same one, the values are joined. `! Name` takes a field away that the node or a rule before it sends.

use std::path::Path;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use super::fault::Fault;
use super::pattern::Pattern;
use super::pattern::fill;

/// The most rules in a file.
const RULES: usize = 1_000;

/// The most fields of one rule.
const FIELDS: usize = 50;

/// The longest line, in bytes.
const LINE: usize = 2_000;

/// Fields that are the node's to write: how a body is sent, and what it is.
const OURS: [HeaderName; 14] = [
    header::ACCEPT_RANGES,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::DATE,
    header::ETAG,
    header::LOCATION,
    header::PROXY_AUTHENTICATE,
    header::SERVER,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// All rules of a file.
#[derive(Debug, Default)]
pub(super) struct Headers {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Set(HeaderName, String),
    Remove(HeaderName),
}

impl Headers {
    /// Reads the text of a file that stands at `path`.
    pub(super) fn parse(text: &str, path: &Path, faults: &mut Vec<Fault>) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        // A rule that is faulty takes its fields, too, so that one fault is told once.
        let mut open = None;
        for (number, line) in (1..).zip(text.lines()) {
            let said = line.trim();
            if said.is_empty() || said.starts_with('#') {
                continue;
            }
            let mut fault = |what: String, fix: &str| {
                faults.push(Fault::on(path, number, what, fix));
            };
            if line.len() > LINE {
                fault(
                    format!("the line has more than {LINE} bytes"),
                    "make it shorter",
                );
                continue;
            }
            if !line.starts_with([' ', '\t']) {
                match Pattern::parse(said) {
                    Ok(_) if rules.len() == RULES => {
                        fault(
                            format!("the file has more than {RULES} rules"),
                            "join those that say the same, with `*`",
                        );
                        break;
                    }
                    Ok(pattern) => {
                        rules.push(Rule {
                            pattern,
                            changes: Vec::new(),
                        });
                        open = Some(true);
                    }
                    Err((what, fix)) => {
                        fault(what, fix);
                        open = Some(false);
                    }
                }
                continue;
            }
            let rule = match (open, rules.last_mut()) {
                (Some(true), Some(rule)) => rule,
                (Some(_), _) => continue,
                (None, _) => {
                    fault(
                        "a field without a path".to_owned(),
                        "write the path on a line before it, which is not indented",
                    );
                    continue;
                }
            };
            match change(said) {
                Ok(_) if rule.changes.len() == FIELDS => fault(
                    format!("the rule has more than {FIELDS} fields"),
                    "remove some of them",
                ),
                Ok(change) => rule.changes.push(change),
                Err((what, fix)) => fault(what, fix),
            }
        }
        Self { rules }
    }

    /// Makes of `headers` what the answer to a request for `path` is to have.
    pub(super) fn apply(&self, path: &str, headers: &mut HeaderMap) {
        let mut ours: Vec<&HeaderName> = Vec::new();
        for rule in &self.rules {
            let Some(found) = rule.pattern.find(path) else {
                continue;
            };
            for change in &rule.changes {
                match change {
                    Change::Remove(name) => {
                        headers.remove(name);
                    }
                    Change::Set(name, value) => {
                        let Ok(value) = HeaderValue::from_str(&fill(value, &found)) else {
                            // The file's values are good, and so is what stands in a path.
                            continue;
                        };
                        let before = headers.get(name).filter(|_| ours.contains(&name));
                        match before {
                            Some(_) if name == header::SET_COOKIE => {
                                headers.append(name, value);
                            }
                            Some(before) => {
                                let both = [before.as_bytes(), b", ", value.as_bytes()].concat();
                                if let Ok(both) = HeaderValue::from_bytes(&both) {
                                    headers.insert(name, both);
                                }
                            }
                            None => {
                                headers.insert(name, value);
                            }
                        }
                        ours.push(name);
                    }
                }
            }
        }
    }
}

fn change(said: &str) -> Result<Change, (String, &'static str)> {
    let named = |name: &str| {
        let fix = "a name has letters, digits and hyphens: `Cache-Control: no-store`";
        let known = HeaderName::from_bytes(name.as_bytes());
        let known = known.map_err(|_| (format!("`{name}` is not the name of a field"), fix))?;
        if OURS.contains(&known) || known.as_str().starts_with("holm-") {
            let fix = "remove the line: Holm writes it as it is true";
            return Err((format!("`{name}` cannot be set here"), fix));
        }
        Ok(known)
    };
    if let Some(name) = said.strip_prefix('!') {
        return named(name.trim()).map(Change::Remove);
    }
    let Some((name, value)) = said.split_once(':') else {
        let fix = "write `Name: value`, or begin a path with a slash and without spaces before it";
        return Err((format!("`{said}` is not a field"), fix));
    };
    let (name, value) = (named(name.trim())?, value.trim());
    if HeaderValue::from_str(value).is_err() || !value.is_ascii() {
        let fix = "write it in ASCII; percent-encode what is not";
        return Err((format!("`{value}` is not the value of a field"), fix));
    }
    Ok(Change::Set(name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# comment
/*
  X-Frame-Options: DENY
  Link: </a.css>; rel=preload

/static/*
  Cache-Control: public, immutable
  Link: </:splat.map>; rel=x
  ! X-Frame-Options
";

    #[test]
    fn rules_apply_in_order() {
        let mut faults = Vec::new();
        let rules = Headers::parse(FILE, Path::new("_headers"), &mut faults);
        assert_eq!(faults, []);
        let of = |path: &str| {
            let mut headers = HeaderMap::new();
            let usual = HeaderValue::from_static("no-cache");
            headers.insert(header::CACHE_CONTROL, usual);
            rules.apply(path, &mut headers);
            let mut list: Vec<String> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
                .collect();
            list.sort();
            list
        };
        assert_eq!(
            of("/x"),
            [
                "cache-control: no-cache",
                "link: </a.css>; rel=preload",
                "x-frame-options: DENY",
            ]
        );
        assert_eq!(
            of("/static/a%20b"),
            [
                "cache-control: public, immutable",
                "link: </a.css>; rel=preload, </a%20b.map>; rel=x",
            ]
        );
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "\
  X-Early: 1
static
  X-Of-A-Faulty-Rule: 1
/a
  nonsense
  Content-Length: 3
  holm-request-id: x
  X Y: z
  X: \u{e9}
  X: fine
";
        let mut faults = Vec::new();
        Headers::parse(text, Path::new("_headers"), &mut faults);
        let places: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let lines: Vec<&str> = places.iter().filter_map(|p| p.split(':').nth(1)).collect();
        assert_eq!(lines, ["1", "2", "5", "6", "7", "8", "9"], "{places:#?}");
    }

    #[test]
    fn what_is_too_much_is_said() {
        let mut faults = Vec::new();
        let many = "/a\n".repeat(RULES + 1);
        Headers::parse(&many, Path::new("_headers"), &mut faults);
        assert_eq!(faults.len(), 1);
        let long = format!("/a\n  X: {}\n", "y".repeat(LINE));
        Headers::parse(&long, Path::new("_headers"), &mut faults);
        let many = format!("/a\n{}", "  X: y\n".repeat(FIELDS + 1));
        Headers::parse(&many, Path::new("_headers"), &mut faults);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
