//! Why a request goes where it goes, for `holm check --explain`.

use std::fmt;

use super::RouteTable;
use crate::hostname::Hostname;
use crate::pattern::{HostPattern, PathPattern, Pattern};

/// The routes that could have taken a request, the strongest first.
#[derive(Debug)]
pub struct Explanation<'a, T> {
    /// Every route whose host takes the request's host.
    pub candidates: Vec<Candidate<'a, T>>,
}

/// One route that takes the request's host.
#[derive(Debug)]
pub struct Candidate<'a, T> {
    /// The route's pattern.
    pub pattern: &'a Pattern,
    /// The route's target.
    pub target: &'a T,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a [`Candidate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the request.
    Wins,
    /// It takes the host, and not the path.
    OtherPath,
    /// It would take the request, but a stronger one does.
    Weaker,
}

impl<'a, T> Explanation<'a, T> {
    /// The route that takes the request.
    pub fn winner(&self) -> Option<&Candidate<'a, T>> {
        self.candidates
            .iter()
            .find(|candidate| candidate.verdict == Verdict::Wins)
    }
}

impl<T> RouteTable<T> {
    /// Lists the routes that take `host`, in the order in which [`find`](Self::find) would ask
    /// them, and says what became of each. Allocates, and looks at every route.
    pub fn explain(&self, host: &Hostname, path: &str) -> Explanation<'_, T> {
        let mut routes: Vec<_> = self
            .routes
            .iter()
            .filter(|route| route.pattern.host().matches(host))
            .collect();
        routes.sort_by_key(|route| std::cmp::Reverse(strength(&route.pattern)));
        let mut won = false;
        let candidates = routes
            .into_iter()
            .map(|route| {
                let verdict = match (route.pattern.path().matches(path), won) {
                    (false, _) => Verdict::OtherPath,
                    (true, true) => Verdict::Weaker,
                    (true, false) => Verdict::Wins,
                };
                won |= verdict == Verdict::Wins;
                Candidate {
                    pattern: &route.pattern,
                    target: &route.target,
                    verdict,
                }
            })
            .collect();
        Explanation { candidates }
    }
}

/// Orders the patterns that take one host; greater is stronger.
fn strength(pattern: &Pattern) -> impl Ord + use<> {
    let host = match pattern.host() {
        HostPattern::Any => (0, 0, 0),
        HostPattern::AnyDepth(suffix) => (1, suffix.as_str().len(), 0),
        HostPattern::OneLabel(suffix) => (1, suffix.as_str().len(), 1),
        HostPattern::Exact(_) => (2, 0, 0),
    };
    let path = match pattern.path() {
        PathPattern::Any => (0, 0),
        PathPattern::Prefix(prefix) => (1, prefix.len()),
        PathPattern::Exact(path) => (2, path.len()),
    };
    (host, path)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wins => "wins",
            Self::OtherPath => "takes the host, not this path",
            Self::Weaker => "would take it, but a stronger route does",
        })
    }
}

impl<T: fmt::Display> fmt::Display for Explanation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.candidates.is_empty() {
            return f.write_str("no route takes this host");
        }
        for (rank, candidate) in self.candidates.iter().enumerate() {
            if rank > 0 {
                f.write_str("\n")?;
            }
            let Candidate {
                pattern,
                target,
                verdict,
            } = candidate;
            write!(f, "{}. {pattern} -> {target}: {verdict}", rank + 1)?;
        }
        Ok(())
    }
}
