//! The route table: hostname and path in, target out.
//!
//! A table is built once, never changed, and swapped whole. A request is settled in two steps.
//!
//! 1. **Host**: exact host > longest wildcard suffix (for one suffix, `*.` before `**.`) > `*`.
//! 2. **Path**, within that host's routes: exact path > longest prefix > every path.
//!
//! A host whose routes do not take the path falls through to the next host in that order: with
//! `api.example.com/v1/*` and `*.example.com`, the request `api.example.com/v2` belongs to the
//! wildcard. So adding a route for one path never takes other paths away from anyone.
//!
//! [`RouteTable::find`] allocates nothing. Its cost is a hash look-up per label of the host, and
//! within a host one per segment, up to the deepest prefix that the host has: a hostile path of
//! ten thousand slashes costs no more than an ordinary one.

mod explain;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use rustc_hash::FxHasher;

use crate::hostname::Hostname;
use crate::pattern::{HostPattern, PathPattern, Pattern};

pub use explain::{Candidate, Explanation, Verdict};

/// The keys come from the operator's file, so nobody can choose them to collide, and a look-up
/// need not pay for a hash that withstands it (SipHash: 200 of some 300 instructions).
type Map<K, V> = HashMap<K, V, BuildHasherDefault<FxHasher>>;

/// Maps requests to targets. See the [module](self) for the order of precedence.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    routes: Vec<Route<T>>,
    exact: Map<Hostname, Paths>,
    /// By suffix, without the wildcard.
    wildcards: Map<Hostname, Wildcards>,
    any: Paths,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Route<T> {
    /// The requests it takes.
    pub pattern: Pattern,
    /// Where they go.
    pub target: T,
}

/// Two routes take the same requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the route `{pattern}` is given twice (routes {first} and {second}); which one should win is not ours to guess"
)]
pub struct DuplicateRoute {
    /// Their canonical form.
    pub pattern: Pattern,
    /// The earlier one, counted from 0 in the order of insertion.
    pub first: usize,
    /// The later one.
    pub second: usize,
}

/// Collects routes. Order does not matter, except in what a [`DuplicateRoute`] says.
#[derive(Clone, Debug)]
pub struct RouteTableBuilder<T> {
    routes: Vec<Route<T>>,
}

/// The routes of one host rule, as indexes into `RouteTable::routes`.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: Map<Box<str>, usize>,
    prefixes: Map<Box<str>, usize>,
    every: Option<usize>,
    /// How many slashes the deepest prefix has: no look-up goes deeper.
    depth: usize,
}

#[derive(Clone, Debug, Default)]
struct Wildcards {
    one_label: Paths,
    any_depth: Paths,
}

impl<T> Default for RouteTableBuilder<T> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl<T> RouteTableBuilder<T> {
    /// Adds a route.
    pub fn route(mut self, pattern: Pattern, target: T) -> Self {
        self.routes.push(Route { pattern, target });
        self
    }

    /// Makes the table.
    ///
    /// # Errors
    /// The first pair of routes with the same canonical pattern.
    pub fn build(self) -> Result<RouteTable<T>, DuplicateRoute> {
        let mut table = RouteTable {
            routes: self.routes,
            exact: Map::default(),
            wildcards: Map::default(),
            any: Paths::default(),
        };
        for (index, route) in table.routes.iter().enumerate() {
            let paths = match route.pattern.host() {
                HostPattern::Exact(host) => table.exact.entry(host.clone()).or_default(),
                HostPattern::OneLabel(suffix) => {
                    &mut table.wildcards.entry(suffix.clone()).or_default().one_label
                }
                HostPattern::AnyDepth(suffix) => {
                    &mut table.wildcards.entry(suffix.clone()).or_default().any_depth
                }
                HostPattern::Any => &mut table.any,
            };
            if let Some(first) = paths.insert(route.pattern.path(), index) {
                return Err(DuplicateRoute {
                    pattern: route.pattern.clone(),
                    first,
                    second: index,
                });
            }
        }
        Ok(table)
    }
}

impl<T> RouteTable<T> {
    /// Starts a table.
    pub fn builder() -> RouteTableBuilder<T> {
        RouteTableBuilder::default()
    }

    /// Where a request goes. `path` is the raw path, percent-encoded as it came, without the
    /// query, and has passed [`path::check`](crate::path::check).
    pub fn find(&self, host: &Hostname, path: &str) -> Option<&T> {
        self.find_route(host, path).map(|route| &route.target)
    }

    /// As [`find`](Self::find), with the pattern that won.
    pub fn find_route(&self, host: &Hostname, path: &str) -> Option<&Route<T>> {
        self.hosts(host)
            .find_map(|paths| paths.find(path))
            .map(|index| &self.routes[index])
    }

    /// As [`find`](Self::find), by routes alone that name `host` in full: what nobody claims by a
    /// wildcard.
    pub fn find_exact(&self, host: &Hostname, path: &str) -> Option<&T> {
        let index = self.exact.get(host)?.find(path)?;
        self.routes.get(index).map(|route| &route.target)
    }

    /// Whether a route takes `host` under any path.
    pub fn takes_host(&self, host: &Hostname) -> bool {
        self.hosts(host).any(|paths| !paths.is_empty())
    }

    /// All routes, in the order of insertion.
    pub fn routes(&self) -> &[Route<T>] {
        &self.routes
    }

    /// The host rules that take `host`, the strongest first.
    fn hosts<'a>(&'a self, host: &'a Hostname) -> impl Iterator<Item = &'a Paths> {
        let wildcards = (!self.wildcards.is_empty() && !host.as_str().starts_with('['))
            .then(|| suffixes(host.as_str()))
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(labels_before, suffix)| {
                let rules = self.wildcards.get(suffix)?;
                // Only the longest suffix has exactly one label in front of it.
                let one_label = (labels_before == 0).then_some(&rules.one_label);
                Some(one_label.into_iter().chain([&rules.any_depth]))
            })
            .flatten();
        let exact = self.exact.get(host).into_iter();
        exact.chain(wildcards).chain([&self.any])
    }
}

impl Paths {
    /// Returns the index that already stands there.
    fn insert(&mut self, pattern: &PathPattern, index: usize) -> Option<usize> {
        use std::collections::hash_map::Entry;
        let entry = match pattern {
            PathPattern::Any => {
                if self.every.is_none() {
                    self.every = Some(index);
                    return None;
                }
                return self.every;
            }
            PathPattern::Exact(path) => self.exact.entry(path.clone()),
            PathPattern::Prefix(prefix) => {
                self.depth = self.depth.max(slashes(prefix));
                self.prefixes.entry(prefix.clone())
            }
        };
        match entry {
            Entry::Occupied(there) => Some(*there.get()),
            Entry::Vacant(free) => {
                free.insert(index);
                None
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.every.is_none()
    }

    fn find(&self, path: &str) -> Option<usize> {
        // Most hosts have one route for every path; hashing an empty map is not free.
        if self.exact.is_empty() && self.prefixes.is_empty() {
            return self.every;
        }
        let exact = || self.exact.get(path).copied();
        let longest = || {
            let last = prefixes(path, self.depth)
                .filter_map(|prefix| self.prefixes.get(prefix))
                .last();
            last.copied()
        };
        exact().or_else(longest).or(self.every)
    }
}

/// `a.b.c` has `b.c` and `c`, the longest first.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |rest| {
        rest.split_once('.').map(|(_, tail)| tail)
    })
    .skip(1)
}

/// `/a/b` has `/a` and `/a/b`, the shortest first and at most `depth` of them: every way to cut a
/// path in front of a slash, or at its end.
fn prefixes(path: &str, depth: usize) -> impl Iterator<Item = &str> {
    let cuts = path.bytes().enumerate().skip(1);
    cuts.filter(|(_, byte)| *byte == b'/')
        .map(|(at, _)| at)
        .chain([path.len()])
        .take(depth)
        .map(|end| &path[..end])
}

fn slashes(prefix: &str) -> usize {
    prefix.bytes().filter(|byte| *byte == b'/').count()
}

#[cfg(test)]
mod tests;
