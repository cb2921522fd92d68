//! Which route takes a URL, and why: `holm check --explain https://host/path`.

use std::fmt::Write;

use holm_model::for_each_limit;
use holm_model::limits::ROWS;
use holm_process::sandbox::Mode;
use holm_router::hostname::{Hostname, HostnameError};
use holm_router::pattern::{HostPattern, PathPattern, Pattern};
use holm_router::table::{Candidate, Verdict};
use url::Url;

use super::acme::AcmePlan;
use super::plan::{FunctionPlan, Plan};
use super::raw::AcmeChallenge;
use super::spelling;
use super::tls::TlsPlan;
use super::wrap;
use crate::access::Access;
use crate::egress::Network;

/// Columns of the list of limits.
const LIMITS_WIDTH: usize = 56;

/// Between two lines of that list.
const UNDER_THE_FIRST: &str = "\n           ";

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Explained {
    /// The winner, in words, for a terminal.
    pub(crate) text: String,
    /// The others, if there are any.
    pub(crate) others: String,
    /// The function that answers it, by its place in the plan.
    pub(crate) function: Option<usize>,
}

/// Why a URL cannot be explained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    /// Not a URL at all.
    #[error("`{url}` is not a URL ({cause}); write it like https://hello.localhost/path")]
    Url {
        /// As given.
        url: String,
        /// The parser's words.
        cause: url::ParseError,
    },
    /// A URL without a host, or of another protocol.
    #[error("`{0}` is not an http or https URL, so no request for it reaches Holm")]
    NotHttp(String),
    /// A host that no request can have.
    #[error("`{url}` names no host that can be served: {cause}")]
    Host {
        /// As given.
        url: String,
        /// What is wrong with it.
        cause: HostnameError,
    },
}

/// Says where a request for `url` goes: the rule that wins, the function, its file
/// and its limits, and the rules that lost and why.
///
/// `url` may leave out its scheme. Its path is normalised as a browser would.
///
/// # Errors
/// When `url` is none, or none that an HTTP server could be asked for.
pub(crate) fn explain(plan: &Plan, url: &str) -> Result<Explained, ExplainError> {
    let (host, url) = host_of(url)?;
    let explanation = plan.routes.explain(&host, url.path());
    let mut text = String::new();
    let winner = explanation.winner();
    match winner {
        Some(winner) => {
            let function = &plan.functions[*winner.target];
            winning(&mut text, &url, winner, function, plan);
        }
        None => {
            text = format!("{url} goes nowhere: Holm answers 404.\n");
            if explanation.candidates.is_empty() {
                text.push_str(&no_host(plan, &host));
            }
        }
    }
    let rest: Vec<_> = explanation
        .candidates
        .iter()
        .filter(|candidate| candidate.verdict != Verdict::Wins)
        .collect();
    let mut others = String::new();
    if !rest.is_empty() {
        others.push_str("\nOther routes for this host, the strongest first:\n");
        let width = rest.iter().map(|other| other.pattern.to_string().len());
        let width = width.max().unwrap_or_default();
        for other in rest {
            let name = &plan.functions[*other.target].name;
            let pattern = other.pattern.to_string();
            let why = match (other.verdict, winner) {
                (Verdict::OtherPath, _) => not_this_path(other.pattern),
                (Verdict::Weaker | Verdict::Wins, Some(winner)) => {
                    weaker_because(winner.pattern, other.pattern).to_owned()
                }
                (verdict, None) => verdict.to_string(),
            };
            others.push_str(&format!("  {pattern:width$}  to {name}: {why}\n"));
        }
    }
    Ok(Explained {
        text,
        others,
        function: winner.map(|winner| *winner.target),
    })
}

fn host_of(typed: &str) -> Result<(Hostname, Url), ExplainError> {
    let full = if typed.contains("://") {
        typed.to_owned()
    } else {
        format!("http://{typed}")
    };
    let url = Url::parse(&full).map_err(|cause| ExplainError::Url {
        url: typed.to_owned(),
        cause,
    })?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) => {
            let host = Hostname::parse(host).map_err(|cause| ExplainError::Host {
                url: typed.to_owned(),
                cause,
            })?;
            Ok((host, url))
        }
        _ => Err(ExplainError::NotHttp(typed.to_owned())),
    }
}

fn winning(
    text: &mut String,
    url: &Url,
    winner: &Candidate<'_, usize>,
    function: &FunctionPlan,
    plan: &Plan,
) {
    let kind = kind(winner.pattern);
    let pattern = winner.pattern;
    let name = &function.name;
    let limits = limits_of(function);
    let main = function.main.as_ref();
    let main = main.map_or_else(
        || "none: files alone".to_owned(),
        |file| file.main.display().to_string(),
    );
    let origin = plan.origin.display();
    let sandbox = sandbox(plan.sandbox);
    write!(
        text,
        "{url} goes to function `{name}`.\n\n\
         \x20 route    {pattern}  ({kind})\n\
         \x20 main     {main}\n\
         \x20 from     {origin}\n\
         \x20 limits   {limits}\n\
         \x20 sandbox  {sandbox}\n"
    )
    .expect("a String takes every write");
    if !function.access.is_open() {
        let access = access(&function.access);
        writeln!(text, "\x20 access   {access}").expect("a String takes every write");
    }
    if let Some(assets) = &function.assets {
        let dir = assets.dir.display();
        let first = if assets.function_first {
            "; the function is asked first"
        } else {
            ""
        };
        writeln!(text, "\x20 assets   {dir}{first}").expect("a String takes every write");
    }
    let acme = plan.tls.as_ref().and_then(|tls| tls.acme.as_ref());
    let is_host = |host: &Hostname| Some(host.as_str()) == url.host_str();
    if let Some(acme) = acme.filter(|acme| acme.hosts.iter().any(is_host)) {
        let directory = &acme.authority.directory;
        let challenge = acme.challenge.word();
        writeln!(
            text,
            "\x20 acme     its certificate is issued by {directory} ({challenge})"
        )
        .expect("a String takes every write");
    }
    if !matches!(pattern.host(), HostPattern::Exact(_)) {
        text.push_str(
            "\x20 inside   no: what functions of this node fetch() from this host goes out, because\n\
             \x20          only a route with the host's full name is served inside\n",
        );
    }
}

/// Who may ask, in words.
fn access(access: &Access) -> String {
    let listed = |networks: &[Network]| {
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        networks.join(", ")
    };
    let mut words = match access.allow.as_slice() {
        [] => "every address".to_owned(),
        allow => format!("only {}", listed(allow)),
    };
    if !access.deny.is_empty() {
        words.push_str(&format!(", not {}", listed(&access.deny)));
    }
    if access.token.is_some() {
        words.push_str("; with the token");
    }
    words
}

/// All limits of a function with their values, as they stand behind the word `limits`.
fn limits_of(function: &FunctionPlan) -> String {
    let FunctionPlan {
        limits,
        concurrency,
        ..
    } = function;
    macro_rules! with_values {
        ($($key:ident: $quantity:ty),*) => {
            [$(format!("{} {},", ROWS.$key.key, limits.$key),)* format!("concurrency {concurrency}")]
        };
    }
    wrap::lines(for_each_limit!(with_values), LIMITS_WIDTH).join(UNDER_THE_FIRST)
}

fn sandbox(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto: every layer that the system offers",
        Mode::Require => "require: every layer, or Holm does not start",
        Mode::Off => "off: V8 alone is between the function and the system",
    }
}

/// What `holm check` says of a sound plan: routes that take more, or less, than one may think.
pub(crate) fn notes(plan: &Plan) -> Vec<String> {
    let routes = plan.routes.routes().iter();
    let any_host = routes.filter(|route| *route.pattern.host() == HostPattern::Any);
    let mut notes: Vec<String> = any_host
        .map(|route| {
            let name = &plan.functions[route.target].name;
            let pattern = &route.pattern;
            format!(
                "`{pattern}` gives function `{name}` what clients ask of every host that no other route \
                 takes; not what functions of this node fetch(), which goes out unless a route has \
                 the host's full name"
            )
        })
        .collect();
    let tls = plan.tls.as_ref();
    if let Some((tls, acme)) = tls.and_then(|tls| Some((tls, tls.acme.as_ref()?))) {
        notes.extend(of_acme(plan, tls, acme));
    }
    notes
}

/// Where certificates come from, and what that takes.
fn of_acme(plan: &Plan, tls: &TlsPlan, acme: &AcmePlan) -> Vec<String> {
    let (directory, dir) = (&acme.authority.directory, acme.authority.dir.display());
    let hosts = match acme.hosts.as_slice() {
        [one] => one.to_string(),
        hosts => format!("{} hosts", hosts.len()),
    };
    let (expected, own, key) = match acme.challenge {
        AcmeChallenge::TlsAlpn01 => (443, tls.https.port(), "https"),
        AcmeChallenge::Http01 => (80, plan.server.http.port(), "http"),
    };
    let challenge = acme.challenge.word();
    let mut notes = vec![format!(
        "certificates of {hosts} are issued by {directory} ({challenge}), kept in {dir}, and \
         renewed at two thirds of their lives"
    )];
    if own != expected {
        notes.push(format!(
            "the authority connects to port {expected} of each host (`{challenge}`): it has to lead to \
             `server.{key}`, which is at port {own}"
        ));
    }
    let is_routed = |host: &&Hostname| plan.routes.takes_host(host);
    for host in acme.hosts.iter().filter(|host| !is_routed(host)) {
        notes.push(format!(
            "{host} has a certificate issued, and no route: clients get 404"
        ));
    }
    notes
}

fn kind(pattern: &Pattern) -> String {
    let host = match pattern.host() {
        HostPattern::Exact(_) => "exact host",
        HostPattern::OneLabel(_) => "wildcard for one label",
        HostPattern::AnyDepth(_) => "wildcard for any depth",
        HostPattern::Any => "any host",
    };
    let path = match pattern.path() {
        PathPattern::Exact(_) => "exact path",
        PathPattern::Prefix(_) => "path prefix",
        PathPattern::Any => "any path",
    };
    format!("{host}, {path}")
}

fn not_this_path(pattern: &Pattern) -> String {
    match pattern.path() {
        PathPattern::Exact(path) => format!("takes {path} only"),
        PathPattern::Prefix(prefix) => format!("takes {prefix} and what is below only"),
        PathPattern::Any => "takes other paths only".to_owned(),
    }
}

/// The rule of precedence by which `winner` beats `loser`. Both take the request.
fn weaker_because(winner: &Pattern, loser: &Pattern) -> &'static str {
    if winner.host() == loser.host() {
        return match (winner.path(), loser.path()) {
            (PathPattern::Exact(_), _) => "an exact path is stronger",
            (PathPattern::Prefix(_), PathPattern::Prefix(_)) => "a longer path is stronger",
            (PathPattern::Prefix(_) | PathPattern::Any, _) => "a route with a path is stronger",
        };
    }
    match (winner.host(), loser.host()) {
        (HostPattern::Exact(_), _) => "an exact host is stronger",
        (_, HostPattern::Any) => "a host that is named, if only in part, is stronger",
        (HostPattern::OneLabel(a), HostPattern::AnyDepth(b)) if a == b => {
            "`*.` is stronger than `**.`"
        }
        (HostPattern::OneLabel(_) | HostPattern::AnyDepth(_) | HostPattern::Any, _) => {
            "a longer suffix is stronger"
        }
    }
}

fn no_host(plan: &Plan, host: &Hostname) -> String {
    let routes = plan.routes.routes();
    let exact = routes
        .iter()
        .filter_map(|route| match route.pattern.host() {
            HostPattern::Exact(host) => Some(host.as_str()),
            HostPattern::OneLabel(_) | HostPattern::AnyDepth(_) | HostPattern::Any => None,
        });
    match spelling::did_you_mean(host.as_str(), exact) {
        Some(meant) => format!("No route takes the host {host}; {meant}\n"),
        None => format!("No route takes the host {host}.\n"),
    }
}
