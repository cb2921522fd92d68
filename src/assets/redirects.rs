//! `_redirects`: paths that lead elsewhere.
//!
//! ```text
//! /home          /
//! /blog/:y/*     /news/:y/:splat   301
//! /app/*         /app/index.html   200
//! /docs/*        https://docs.example.com/:splat
//! ```
//!
//! The first rule whose path is asked for counts, whether there is a file or not. Without a status it is 302; 200
//! answers with the file at the other path, and the client sees the first. The query goes along unless the
//! target has its own.

use std::collections::HashMap;
use std::path::Path;

use holm_router::path;
use http::HeaderValue;
use http::StatusCode;
use url::Url;

use super::fault::Fault;
use super::pattern::Pattern;
use super::pattern::fill;
use super::pattern::places;

/// The most rules for one path each.
const EXACT: usize = 2_000;

/// The most rules with placeholders, all of which are tried.
const OPEN: usize = 100;

/// The longest line, in bytes.
const LINE: usize = 1_000;

/// All rules of a file.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    rules: Vec<Rule>,
    /// Those for one path each.
    exact: HashMap<String, usize>,
    /// The others.
    open: Vec<usize>,
}

#[derive(Debug)]
struct Rule {
    from: Pattern,
    to: String,
    status: StatusCode,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Led {
    /// The client is sent there.
    Away(StatusCode, HeaderValue),
    /// To the file at another path.
    To(String),
}

impl Redirects {
    /// Reads the text of a file that stands at `path`.
    pub(super) fn parse(text: &str, path: &Path, faults: &mut Vec<Fault>) -> Self {
        let mut all = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let said = line.trim();
            if said.is_empty() || said.starts_with('#') {
                continue;
            }
            let rule = if line.len() > LINE {
                Err((
                    format!("the line has more than {LINE} bytes"),
                    "make it shorter",
                ))
            } else {
                rule(said)
            };
            if let Err((what, fix)) = rule.and_then(|rule| all.add(rule)) {
                faults.push(Fault::on(path, number, what, fix));
            }
        }
        all
    }

    fn add(&mut self, rule: Rule) -> Result<(), (String, &'static str)> {
        let place = self.rules.len();
        match rule.from.exact() {
            Some(_) if self.exact.len() == EXACT => {
                let fix = "join those that say the same, with `*`";
                return Err((format!("the file has more than {EXACT} such rules"), fix));
            }
            Some(path) if self.exact.contains_key(path) => {
                let fix = "remove it: the first one counts";
                return Err((format!("there is a rule for `{path}` before"), fix));
            }
            Some(path) => {
                self.exact.insert(path.to_owned(), place);
            }
            None if self.open.len() == OPEN => {
                let fix = "each request tries all of them: let the function do it";
                return Err((
                    format!("the file has more than {OPEN} rules with placeholders"),
                    fix,
                ));
            }
            None => self.open.push(place),
        }
        self.rules.push(rule);
        Ok(())
    }

    /// Where a request for `path` and `query` is led, if anywhere.
    pub(super) fn find(&self, path: &str, query: Option<&str>) -> Option<Led> {
        let exact = self.exact.get(path).copied().unwrap_or(usize::MAX);
        let mut open = self.open.iter().take_while(|place| **place < exact);
        let found = open.find_map(|place| {
            let rule = self.rules.get(*place)?;
            Some((rule, rule.from.find(path)?))
        });
        let (rule, found) = match found {
            Some(found) => found,
            None => (self.rules.get(exact)?, Vec::new()),
        };
        let mut to = fill(&rule.to, &found).into_owned();
        if to.starts_with('/') {
            // What a client put into a path must not become a host: `//evil.test`.
            let path = to.trim_start_matches('/').len();
            to.replace_range(..to.len() - path, "/");
        }
        if rule.status == StatusCode::OK {
            return Some(Led::To(to));
        }
        if let Some(query) = query
            && !rule.to.contains('?')
        {
            let end = to.find('#').unwrap_or(to.len());
            to.insert_str(end, &format!("?{query}"));
        }
        // The edge lets no path in that is no value; of other ones there is nothing to redirect.
        let to = HeaderValue::from_str(&to).ok()?;
        Some(Led::Away(rule.status, to))
    }
}

fn rule(said: &str) -> Result<Rule, (String, &'static str)> {
    let words: Vec<&str> = said.split_whitespace().collect();
    let (from, to, status) = match words.as_slice() {
        [from, to] => (from, to, None),
        [from, to, status] => (from, to, Some(*status)),
        [] | [_] | [_, _, _, ..] => {
            let fix = "write `/from /to 301`; conditions are not known here, the function can ask for them";
            return Err((format!("`{said}` is not a rule"), fix));
        }
    };
    let status = match status {
        None | Some("302") => StatusCode::FOUND,
        Some("200") => StatusCode::OK,
        Some("301") => StatusCode::MOVED_PERMANENTLY,
        Some("303") => StatusCode::SEE_OTHER,
        Some("307") => StatusCode::TEMPORARY_REDIRECT,
        Some("308") => StatusCode::PERMANENT_REDIRECT,
        Some(other) => {
            let fix = "known: 200, 301, 302, 303, 307, 308, without `!`: a rule counts whether there is a file or not";
            return Err((format!("`{other}` is not a status of a redirect"), fix));
        }
    };
    let from = Pattern::parse(from)?;
    let to = target(to, &from, status)?;
    let (path, _) = to.split_at(to.find(['?', '#']).unwrap_or(to.len()));
    if status != StatusCode::OK && from.find(path).is_some() {
        let fix =
            "let it lead where the rule does not apply, or write 200 to answer with that file";
        return Err((format!("`{to}` leads to itself, for ever"), fix));
    }
    Ok(Rule { from, to, status })
}

fn target(to: &str, from: &Pattern, status: StatusCode) -> Result<String, (String, &'static str)> {
    let host = if to.starts_with('/') {
        None
    } else {
        let (scheme, rest) = to.split_once("://").unwrap_or_default();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        // URL parsers take any number of slashes, and the host for what is behind them: `https:/host`.
        let is_web = ["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        // As it is sent: parsers cut off control characters at the end, which are encoded then.
        if !is_web || end == 0 || Url::parse(&path::encode(to)).is_err() {
            let fix =
                "write a path that begins with a slash, or a whole URL with http:// or https://";
            return Err((format!("`{to}` is not a target"), fix));
        }
        Some(&rest[..end])
    };
    if to.starts_with("//") || to.contains('\\') {
        let fix = "write the whole URL, with https:, if it is on another host";
        return Err((format!("`{to}` is not a path"), fix));
    }
    if host.is_some_and(|host| places(host).any(|name| from.names().any(|known| known == name))) {
        let fix = "write the host as it is: else clients choose where others are sent";
        return Err((format!("`{to}` has a placeholder in its host"), fix));
    }
    if status == StatusCode::OK && (host.is_some() || to.contains(['?', '#'])) {
        let fix = "with 200, write a path alone; to ask another server is the function's business";
        return Err((format!("`{to}` is not the path of a file"), fix));
    }
    let path = if host.is_none() { to } else { "" };
    if let Some(lost) =
        places(path).find(|name| !name.is_empty() && from.names().all(|known| known != *name))
    {
        let fix = "name it in the first path, as `:name`; what `*` stands for is `:splat`";
        return Err((format!("nothing stands for `:{lost}`"), fix));
    }
    Ok(path::encode(to).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Redirects {
        let mut faults = Vec::new();
        let rules = Redirects::parse(text, Path::new("_redirects"), &mut faults);
        assert_eq!(faults, []);
        rules
    }

    #[test]
    fn paths_lead_elsewhere() {
        let rules = rules(
            "# comment\n/home /\n/b/:y/* /news/:y/:splat 301\n/app/* /app/index.html 200\n\
             /d/* https://docs.test:81/:splat 308\n/all/* /:splat 307\n/all/x /never\n\
             /q /r?own=1#x\n/f /g#x\n/b/1/exact /late\n",
        );
        let away = |status: u16, to: &'static str| {
            let status = StatusCode::from_u16(status).expect("a status");
            Some(Led::Away(status, HeaderValue::from_static(to)))
        };
        for (path, query, expected) in [
            ("/home", None, away(302, "/")),
            ("/home", Some("a=b"), away(302, "/?a=b")),
            ("/home/", None, None),
            ("/b/2024/a%20b", None, away(301, "/news/2024/a%20b")),
            ("/b/1/exact", None, away(301, "/news/1/exact")),
            ("/app/x/y", None, Some(Led::To("/app/index.html".into()))),
            ("/d/a/b", Some("c"), away(308, "https://docs.test:81/a/b?c")),
            ("/all//evil.test/", None, away(307, "/evil.test/")),
            ("/all/%2f/x", None, away(307, "/%2f/x")),
            ("/all/x", None, away(307, "/x")),
            ("/q", Some("a"), away(302, "/r?own=1#x")),
            ("/f", Some("a"), away(302, "/g?a#x")),
            ("/other", None, None),
        ] {
            assert_eq!(rules.find(path, query), expected, "{path}");
        }
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "\
/a
/a /b 301 Country=x
/a /b 404
/a /b 301!
a /b
/a b
/a ftp://x.test/
/a //x.test/
/* https://:splat/
/:n https://:n.test/
/a https://x.test/ 200
/a /b?c 200
/a /:b
/a /a
/a /\\x
/c/* /c/d
/d/* https:/u:splat@x.test/
/d/* https:///u:splat@x.test/
/d/* https:/u:splat@x.test/://y.test
/d https://x.test\x10
/fine /b
/fine /c
";
        let mut faults = Vec::new();
        Redirects::parse(text, Path::new("_redirects"), &mut faults);
        let lines: Vec<usize> = faults
            .iter()
            .filter_map(|fault| fault.to_string().split(':').nth(1)?.parse().ok())
            .collect();
        let mut expected: Vec<usize> = (1..=20).collect();
        expected.push(22);
        assert_eq!(lines, expected, "{faults:#?}");
    }

    #[test]
    fn what_is_too_much_is_said() {
        let exact: String = (0..=EXACT).map(|n| format!("/{n} /x\n")).collect();
        let open: String = (0..=OPEN).map(|n| format!("/{n}/* /x\n")).collect();
        let long = format!("/a /{}\n", "b".repeat(LINE));
        for text in [exact, open, long] {
            let mut faults = Vec::new();
            Redirects::parse(&text, Path::new("_redirects"), &mut faults);
            assert_eq!(faults.len(), 1, "{faults:?}");
        }
    }
}
