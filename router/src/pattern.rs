//! A route's pattern: which hosts and which paths it takes.
//!
//! | pattern | hosts | paths |
//! |---|---|---|
//! | `hello.localhost` | that one | every |
//! | `*.example.com` | one label in front: `a.example.com` | every |
//! | `**.example.com` | one or more: `a.example.com`, `a.b.example.com` | every |
//! | `*` | every | every |
//! | `host/exact` | that one | `/exact` alone |
//! | `host/p/*` | that one | `/p`, `/p/` and all below, on a segment boundary: not `/pq` |
//!
//! Patterns are canonical once parsed: two that take the same requests in the same way are equal
//! (`HOST.`, `host` and `host/*`), which is how duplicates are found.

use std::fmt;
use std::str::FromStr;

use crate::hostname::{Hostname, HostnameError, split_port};
use crate::path::{self, PathFault};

/// The hosts and paths that a route takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    host: HostPattern,
    path: PathPattern,
}

/// The host part of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host alone.
    Exact(Hostname),
    /// `*.suffix`: exactly one label in front of the suffix.
    OneLabel(Hostname),
    /// `**.suffix`: one or more labels in front of the suffix.
    AnyDepth(Hostname),
    /// `*`: every host.
    Any,
}

/// The path part of a [`Pattern`], percent-encoded as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// Every path.
    Any,
    /// This path alone. Starts with `/`.
    Exact(Box<str>),
    /// `/p/*`: holds `/p`, which it takes too. Never empty.
    Prefix(Box<str>),
}

/// Why a text is no pattern, where, and what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}{}", suggestion(.fix.as_deref()))]
pub struct PatternError {
    /// Where the trouble starts, in bytes from the start of the pattern.
    pub at: usize,
    /// What the trouble is.
    pub fault: PatternFault,
    /// A pattern that would be accepted in its place. It takes no host and no path that a reader of
    /// what was written would not expect: who copies it in haste must not open more than was meant.
    pub fix: Option<String>,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// Nothing there.
    #[error("the route is empty; `*` takes every host")]
    Empty,
    /// A URL where a pattern belongs.
    #[error("a route has no scheme: it takes http and https alike")]
    Scheme,
    /// A host with a port.
    #[error("a route has no port: it holds on every port that the server listens on")]
    Port,
    /// A query or a fragment.
    #[error("a route has no query and no fragment: it matches the path alone")]
    Query,
    /// `*` inside a label, or behind one.
    #[error("a host wildcard stands in front, as `*.` (one label) or `**.` (any depth)")]
    HostWildcard,
    /// `*.127.0.0.1` and the like.
    #[error("an IP address has no subdomains for a wildcard to take")]
    WildcardOnAddress,
    /// `*` in the path, other than as its last segment.
    #[error("a path wildcard stands at the end, as a segment of its own: `/*`")]
    PathWildcard,
    /// A path that no request can have.
    #[error("no request has such a path: {0}")]
    Path(PathFault),
    /// A control character in the path.
    #[error("{0:?} cannot be part of a path")]
    PathCharacter(char),
    /// The host is none.
    #[error("not a host: {0}")]
    Host(HostnameError),
}

fn suggestion(fix: Option<&str>) -> String {
    fix.map_or_else(String::new, |fix| format!("; did you mean `{fix}`?"))
}

impl Pattern {
    /// Reads a route as it stands in the configuration.
    ///
    /// # Errors
    /// Names the byte, the fault, and a pattern that was probably meant.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(fault(0, PatternFault::Empty, None));
        }
        if let Some(scheme) = text.find("://") {
            return Err(fault(0, PatternFault::Scheme, Some(&text[scheme + 3..])));
        }
        if let Some(at) = text.find(['?', '#']) {
            // What is behind `#` is never sent. Without its query a route would take more.
            let fix = text[at..].starts_with('#').then_some(&text[..at]);
            return Err(fault(at, PatternFault::Query, fix));
        }
        let slash = text.find('/').unwrap_or(text.len());
        let (host, path) = text.split_at(slash);
        Ok(Self {
            host: parse_host(host, path)?,
            path: parse_path(path, host)?,
        })
    }

    /// The hosts it takes.
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// The paths it takes.
    pub fn path(&self) -> &PathPattern {
        &self.path
    }

    /// Whether it takes a request, regardless of other patterns. The table is the fast way; this
    /// is the meaning.
    pub fn matches(&self, host: &Hostname, path: &str) -> bool {
        self.host.matches(host) && self.path.matches(path)
    }
}

impl HostPattern {
    /// Whether `host` is one of these.
    pub fn matches(&self, host: &Hostname) -> bool {
        let labels_before = |suffix: &Hostname| {
            host.as_str()
                .strip_suffix(suffix.as_str())
                .and_then(|front| front.strip_suffix('.'))
        };
        match self {
            Self::Exact(exact) => exact == host,
            Self::OneLabel(suffix) => {
                labels_before(suffix).is_some_and(|front| !front.contains('.'))
            }
            Self::AnyDepth(suffix) => labels_before(suffix).is_some(),
            Self::Any => true,
        }
    }
}

impl PathPattern {
    /// Whether `path` is one of these.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Exact(host) => write!(f, "{host}")?,
            HostPattern::OneLabel(suffix) => write!(f, "*.{suffix}")?,
            HostPattern::AnyDepth(suffix) => write!(f, "**.{suffix}")?,
            HostPattern::Any => f.write_str("*")?,
        }
        match &self.path {
            PathPattern::Any => Ok(()),
            PathPattern::Exact(path) => f.write_str(path),
            PathPattern::Prefix(prefix) => write!(f, "{prefix}/*"),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn fault(at: usize, fault: PatternFault, fix: Option<&str>) -> PatternError {
    // A suggestion that is itself refused is worse than none.
    let fix = fix
        .filter(|fix| Pattern::parse(fix).is_ok())
        .map(str::to_owned);
    PatternError { at, fault, fix }
}

fn parse_host(host: &str, path: &str) -> Result<HostPattern, PatternError> {
    if host == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some((name, Some(_))) = split_port(host) {
        // `::1` without brackets is no host with a port.
        if name.ends_with(']') || !name.contains(':') {
            let fix = format!("{name}{path}");
            return Err(fault(name.len(), PatternFault::Port, Some(&fix)));
        }
    }
    let (stars, name) = match host.strip_prefix("**.") {
        Some(name) => (2, name),
        None => match host.strip_prefix("*.") {
            Some(name) => (1, name),
            None => (0, host),
        },
    };
    let offset = host.len() - name.len();
    if let Some(star) = name.find('*') {
        let after = host.trim_start_matches('*');
        let fix = match host.len() - after.len() {
            // `*foo.com`, by which `barfoo.com` may be meant as well: that cannot be said.
            stars @ (1 | 2) if !after.contains('*') => {
                Some(format!("{}.{after}{path}", &host[..stars]))
            }
            _ => None,
        };
        return Err(fault(
            offset + star,
            PatternFault::HostWildcard,
            fix.as_deref(),
        ));
    }
    let name = Hostname::parse(name).map_err(|error| {
        let within = match error {
            HostnameError::Character { at, .. } | HostnameError::EmptyLabel { at } => at,
            HostnameError::Empty
            | HostnameError::TooLong { .. }
            | HostnameError::Address(_)
            | HostnameError::Idna(_) => 0,
        };
        let fix = (host.is_empty()).then(|| format!("*{path}"));
        fault(offset + within, PatternFault::Host(error), fix.as_deref())
    })?;
    match stars {
        0 => Ok(HostPattern::Exact(name)),
        _ if name.is_ip() => {
            let fix = format!("{name}{path}");
            Err(fault(0, PatternFault::WildcardOnAddress, Some(&fix)))
        }
        1 => Ok(HostPattern::OneLabel(name)),
        _ => Ok(HostPattern::AnyDepth(name)),
    }
}

fn parse_path(path: &str, host: &str) -> Result<PathPattern, PatternError> {
    if path.is_empty() || path == "/*" {
        return Ok(PathPattern::Any);
    }
    let (fixed, is_prefix) = match path.strip_suffix("/*") {
        Some(fixed) => (fixed, true),
        None => (path, false),
    };
    if let Some(star) = fixed.find('*') {
        // `/x/**` as `/x/*`, and `/x*` as the part of it that a route can name: `/x/*`.
        let front = path.strip_suffix("/**").or(path.strip_suffix('*'));
        let plain = front.filter(|front| !front.contains('*'));
        let fix = plain.map(|front| format!("{host}{front}/*"));
        let at = host.len() + star;
        return Err(fault(at, PatternFault::PathWildcard, fix.as_deref()));
    }
    if let Err(problem) = path::check(fixed) {
        let (at, fix) = match problem {
            PathFault::DotSegment { at } => (at, None),
            PathFault::Backslash { at } => (at, Some(format!("{host}{}", path.replace('\\', "/")))),
        };
        let at = host.len() + at;
        return Err(fault(at, PatternFault::Path(problem), fix.as_deref()));
    }
    if let Some((at, control)) = fixed.char_indices().find(|(_, c)| c.is_ascii_control()) {
        let at = host.len() + at;
        return Err(fault(at, PatternFault::PathCharacter(control), None));
    }
    // So that `/café` in the file takes what browsers send.
    let encoded = path::encode(fixed).into();
    Ok(if is_prefix {
        PathPattern::Prefix(encoded)
    } else {
        PathPattern::Exact(encoded)
    })
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
