//! From [`RawConfig`] to [`Plan`]: whether what was typed goes together, and what was left out.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holm_model::limits::{NodeBytes, WallTime};
use holm_router::pattern::Pattern;
use holm_router::table::RouteTable;
use holm_runtime::deployment::Concurrency;

use super::access;
use super::admin;
use super::assets::{self, Beside};
use super::at::At;
use super::limits::NodeLimits;
use super::main_file;
use super::plan::{FunctionPlan, Places, Plan, Secure, ServerPlan};
use super::problem::{Findings, Problem};
use super::raw::{RawConfig, RawFunction};
use super::{proxies, server, tls};
use crate::egress::Allow;

/// The only version of the format so far.
const VERSION: u32 = 1;

/// The least that a node may hold: Holm itself, with V8's snapshot, and a few isolates.
const LEAST_MEMORY: NodeBytes = NodeBytes::from_mib(64);

/// Longest name of a function, in bytes: that of a DNS label (RFC 1035).
const MAX_NAME: usize = 63;

/// Settles everything. The plan is to be used only if nothing was found.
///
/// `origin` is the file, absolute: paths in it are relative to its folder.
pub(super) fn settle(raw: RawConfig, origin: PathBuf, findings: &mut Findings) -> Plan {
    if let Some(At { value, span }) = &raw.version
        && *value != VERSION
    {
        findings.report(
            Problem::new(format!("version {value} of the format is not known"))
                .at(span.clone(), "this Holm reads version 1")
                .help("write `version = 1`, or use the Holm that the file was written for"),
        );
    }
    let folder = origin.parent().unwrap_or(&origin).to_owned();
    let limits = NodeLimits::settle(raw.limits.as_ref(), findings);
    let mut server = raw.server.unwrap_or_default();
    let https = server.https.as_ref().map(|at| at.span.clone());
    let tls = tls::settle(server.https.take(), raw.tls, &folder, findings);
    let proxies = proxies::proxies(
        server.trusted_proxies.take(),
        server.proxy_headers.take(),
        findings,
    );
    let (proxy_protocol, proxy_protocol_https) = proxies::protocol(
        server.proxy_protocol.take(),
        &proxies,
        tls.is_some(),
        findings,
    );
    // Behind a proxy that takes TLS off, clients are led back to it.
    let has_https = tls.is_some() || !proxies.trusted.is_empty();
    let of_node = secure(
        "server",
        server.redirect_to_https.take(),
        server.hsts.take(),
        Secure::default(),
        has_https,
        findings,
    );
    let compress = server.compress.unwrap_or(false);
    let mut routes = Routes::default();
    let functions = raw
        .functions
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(index, (name, raw))| {
            let node = OfNode {
                origin: &origin,
                folder: &folder,
                limits: &limits,
                secure: of_node,
                has_https,
                compress,
            };
            let plan = function(name, raw, &node, findings);
            if let Some(acme) = tls.as_ref().and_then(|tls| tls.acme.as_ref()) {
                acme.keep_from(&plan.0, findings);
            }
            for At { value, span } in &plan.1 {
                routes.add(index, &plan.0.name, value, span.clone(), findings);
            }
            plan.0
        })
        .collect();
    let (log, node) = (raw.log.unwrap_or_default(), raw.node.unwrap_or_default());
    let http = server.http.as_ref();
    let places = Places {
        http: http.map(|at| findings.place(&at.span)),
        https: https.map(|span| findings.place(&span)),
        sandbox: node.sandbox.as_ref().map(|at| findings.place(&at.span)),
    };
    Plan {
        origin,
        places,
        watch: node.watch.unwrap_or(true),
        admin: admin::settle(&server, &folder, findings),
        server: ServerPlan {
            proxies,
            proxy_protocol,
            proxy_protocol_https,
            ..server::settle(server, findings)
        },
        tls,
        memory: node_memory(node.memory, findings),
        sandbox: node.sandbox.map(|at| at.value).unwrap_or_default().into(),
        log: log.format.unwrap_or_default(),
        log_requests: log.requests.unwrap_or_default(),
        egress: raw
            .egress
            .and_then(|egress| egress.allow)
            .map_or(Allow::PUBLIC, |allow| allow.0),
        functions,
        routes: routes.table(),
    }
}

fn node_memory(typed: Option<At<NodeBytes>>, findings: &mut Findings) -> Option<NodeBytes> {
    let At { value, span } = typed?;
    if value < LEAST_MEMORY {
        findings.report(
            Problem::new("`node.memory` is less than makes sense")
                .at(span, format!("at least {LEAST_MEMORY}"))
                .help("Holm itself and a few isolates take about that much; leave it out for no bound"),
        );
    }
    Some(value)
}

/// How clients are led to HTTPS, by `[server]` or by a function that differs from it.
fn secure(
    table: &str,
    redirect: Option<At<bool>>,
    hsts: Option<At<WallTime>>,
    default: Secure,
    has_https: bool,
    findings: &mut Findings,
) -> Secure {
    if let Some(At { value: true, span }) = &redirect
        && !has_https
    {
        findings.report(
            Problem::new(format!("`{table}.redirect_to_https` leads nowhere"))
                .at(span.clone(), "there is no listener for HTTPS")
                .help(
                    "write https = \"0.0.0.0:8443\" in [server], and [[tls]]; or name a proxy that \
                     takes TLS off: trusted_proxies = [\"10.0.0.0/8\"]",
                ),
        );
    }
    if let Some(At { value, span }) = &hsts
        && (1..1_000_000_000).contains(&value.as_duration().as_nanos())
    {
        findings.report(
            Problem::new(format!("`{table}.hsts` is less than makes sense"))
                .at(span.clone(), "at least 1s")
                .help("a year is \"8760h\"; \"0s\" makes browsers forget what they were told"),
        );
    }
    Secure {
        redirect: redirect.map_or(default.redirect, |at| at.value),
        hsts: hsts.map_or(default.hsts, |at| Some(at.value)),
    }
}

/// What a function takes from its node.
struct OfNode<'a> {
    /// The file.
    origin: &'a Path,
    /// Where paths in it start.
    folder: &'a Path,
    limits: &'a NodeLimits<'a>,
    secure: Secure,
    has_https: bool,
    compress: bool,
}

/// The function, and its routes with their places.
fn function(
    name: At<String>,
    raw: RawFunction,
    node: &OfNode<'_>,
    findings: &mut Findings,
) -> (FunctionPlan, Vec<At<Pattern>>) {
    check_name(&name, findings);
    let has_main = raw.main.is_some();
    let main = raw.main.and_then(|At { value, span }| {
        main_file::find(&node.folder.join(&value))
            .map_err(|fault| {
                findings.watch(node.folder.join(&value));
                let problem = Problem::new(format!("`functions.{}.main`: {fault}", name.value));
                findings.report(problem.at(span, fault.label()).maybe_help(fault.fix()));
            })
            .ok()
    });
    let routes = raw.routes.map_or_else(Vec::new, |list| {
        if list.items.is_empty() && !list.flawed {
            findings.report(
                Problem::new(format!("function `{}` has no route", name.value))
                    .at(list.span, "nobody reaches it")
                    .help(format!("write routes = [\"{}.localhost\"]", name.value)),
            );
        }
        list.items
    });
    let own = raw.limits.as_ref();
    let of_node = node.limits;
    let limits = of_node.of_function(&name.value, own, findings);
    let typed = raw.concurrency.as_ref();
    of_node.check_requests(&name.value, own, &limits, typed, findings);
    let concurrency = concurrency(&name.value, raw.concurrency, findings);
    let access = access::settle(
        &name.value,
        raw.access.unwrap_or_default(),
        node.folder,
        findings,
    );
    let secure = secure(
        &format!("functions.{}", name.value),
        raw.redirect_to_https,
        raw.hsts,
        node.secure,
        node.has_https,
        findings,
    );
    let vars = raw.vars.map(|vars| vars.0).unwrap_or_default();
    let beside = Beside {
        name: &name.value,
        has_main,
        main: main.as_ref().map(|file| file.main.as_path()),
        vars: vars.keys().map(String::as_str).collect(),
        origin: node.origin,
    };
    let assets = raw
        .assets
        .and_then(|raw| assets::settle(raw, &beside, findings));
    let plan = FunctionPlan {
        name: name.value,
        main,
        routes: routes.iter().map(|at| at.value.clone()).collect(),
        vars,
        limits,
        concurrency,
        eval: raw.eval.unwrap_or(true),
        access: Arc::new(access),
        secure,
        compress: raw.compress.unwrap_or(node.compress),
        assets,
    };
    (plan, routes)
}

fn concurrency(name: &str, typed: Option<At<u32>>, findings: &mut Findings) -> Concurrency {
    let Some(At { value, span }) = typed else {
        return Concurrency::EXCLUSIVE;
    };
    let known = u16::try_from(value).ok().and_then(Concurrency::new);
    known.unwrap_or_else(|| {
        let (problem, label, help) = if value == 0 {
            (
                "less than makes sense",
                "at least 1".to_owned(),
                "an isolate answers one request at a time by default: leave it out".to_owned(),
            )
        } else {
            (
                "over what Holm allows",
                format!("at most {}", Concurrency::MAX),
                format!(
                    "beyond {} more isolates do better: see `max_isolates`",
                    Concurrency::MAX
                ),
            )
        };
        findings.report(
            Problem::new(format!("`functions.{name}.concurrency` is {problem}"))
                .at(span, label)
                .help(help),
        );
        Concurrency::EXCLUSIVE
    })
}

fn check_name(name: &At<String>, findings: &mut Findings) {
    let At { value, span } = name;
    if let Err(fault) = name_fault(value) {
        let fix: String = value
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(MAX_NAME)
            .collect();
        let fix = fix.trim_matches('-');
        let fix = name_fault(fix).is_ok().then(|| format!("call it `{fix}`?"));
        let message = if value.is_empty() {
            "a function has an empty name".to_owned()
        } else {
            format!("`{value}` cannot be the name of a function")
        };
        findings.report(
            Problem::new(message)
                .at(span.clone(), fault)
                .maybe_help(fix),
        );
    }
}

/// What keeps a text from being the name of a function.
pub(super) fn name_fault(name: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() {
        Err("a name has at least one letter or digit")
    } else if name.len() > MAX_NAME {
        Err("a name has at most 63 letters, like every part of a hostname")
    } else if !name.bytes().all(allowed) {
        Err("a name has small letters, digits and hyphens only")
    } else if name.starts_with('-') || name.ends_with('-') {
        Err("a name neither begins nor ends with a hyphen")
    } else {
        Ok(())
    }
}

/// Routes so far, and who has each.
#[derive(Default)]
struct Routes {
    taken: HashMap<Pattern, (String, Range<usize>)>,
    routes: Vec<(Pattern, usize)>,
}

impl Routes {
    fn add(
        &mut self,
        function: usize,
        name: &str,
        pattern: &Pattern,
        span: Range<usize>,
        findings: &mut Findings,
    ) {
        if let Some((owner, first)) = self.taken.get(pattern) {
            let (label, help) = if owner == name {
                ("again".to_owned(), "remove one of them".to_owned())
            } else {
                (
                    format!("and function `{name}`"),
                    "give each its own: a longer path or a more exact host wins over the rest"
                        .to_owned(),
                )
            };
            findings.report(
                Problem::new(format!("the route `{pattern}` is given twice"))
                    .at(span, label)
                    .at(first.clone(), format!("function `{owner}` has it"))
                    .help(help),
            );
            return;
        }
        self.taken.insert(pattern.clone(), (name.to_owned(), span));
        self.routes.push((pattern.clone(), function));
    }

    fn table(self) -> RouteTable<usize> {
        let routes = self.routes.into_iter();
        routes
            .fold(RouteTable::builder(), |table, (pattern, function)| {
                table.route(pattern, function)
            })
            .build()
            .expect("`add` lets no pattern in twice")
    }
}
