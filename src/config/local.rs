//! What `holm dev` makes of a plan: addresses to open on this machine.

use holm_router::hostname::Hostname;
use holm_router::pattern::{HostPattern, PathPattern, Pattern};
use holm_router::table::RouteTable;

use super::plan::Plan;

/// What people type who have not read which name a function has. (`dev` listens to no IPv6.)
const BARE: [&str; 2] = ["localhost", "127.0.0.1"];

impl Plan {
    /// Has the function answer at plain `localhost` too, if there is only one and no other route of
    /// it says where that goes.
    pub(crate) fn answer_at_localhost(&mut self) {
        let [only] = &mut self.functions[..] else {
            return;
        };
        let bare = BARE.iter().filter_map(|host| Pattern::parse(host).ok());
        let free = bare.filter(|bare| {
            let same = |route: &Pattern| route.host() == bare.host();
            !only.routes.iter().any(same)
        });
        let free: Vec<Pattern> = free.collect();
        only.routes.extend(free);
        let routes = only.routes.iter().cloned();
        self.routes = routes
            .fold(RouteTable::builder(), |table, route| table.route(route, 0))
            .build()
            .expect("the plan's own routes differ, and the others have other hosts");
    }

    /// The hosts that are routed by their full names.
    pub(crate) fn exact_hosts(&self) -> impl Iterator<Item = &Hostname> {
        let routes = self.functions.iter().flat_map(|function| &function.routes);
        routes.filter_map(|route| match route.host() {
            HostPattern::Exact(host) => Some(host),
            HostPattern::OneLabel(_) | HostPattern::AnyDepth(_) | HostPattern::Any => None,
        })
    }

    /// Where each function can be opened, in the order of the plan. A function that only takes hosts
    /// by wildcards is at none that could be named: then its first route.
    pub(crate) fn urls(&self, scheme: &str, port: u16) -> Vec<String> {
        let url = |route: &Pattern| match route.host() {
            HostPattern::Exact(host) => Some(match route.path() {
                PathPattern::Any => format!("{scheme}://{host}:{port}/"),
                PathPattern::Exact(path) => format!("{scheme}://{host}:{port}{path}"),
                PathPattern::Prefix(path) => format!("{scheme}://{host}:{port}{path}/"),
            }),
            HostPattern::OneLabel(_) | HostPattern::AnyDepth(_) | HostPattern::Any => None,
        };
        let urls = self.functions.iter().filter_map(|function| {
            let first = function.routes.first()?;
            let url = function.routes.iter().find_map(url);
            Some(url.unwrap_or_else(|| first.to_string()))
        });
        urls.collect()
    }
}
