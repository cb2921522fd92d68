//! The file as typed: which keys there are, and of what type.
//!
//! Values are of their final types already, each with its place; whether they go together is
//! [`plan`](super::plan)'s business. A field is `None` when the key is absent *or* when its value
//! was wrong, which has then been reported: nobody may complain about a `None` again.
//!
//! The doc comments here are what `holm schema` prints, and so what an editor shows. Those of limits
//! are in the table of limits, as is all that [`limits`] reads.

mod acme;
mod limits;
mod read;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use holm_model::limits::{NodeBytes, WallTime};
use holm_process::sandbox::Mode;
use holm_router::pattern::Pattern;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::at::{At, List};
use super::schema;
use crate::admin::Address;
use crate::egress::{Allow, Network};
use crate::secret::Source;

pub(crate) use self::acme::AcmeChallenge;
pub(in crate::config) use self::acme::{RawAcme, RawTlsTables};
pub(in crate::config) use self::limits::RawLimits;
pub(in crate::config) use self::tls::RawTls;

/// Configuration of a Holm node: which functions it serves, at which hostnames, under which
/// limits.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Holm configuration", deny_unknown_fields)]
pub(in crate::config) struct RawConfig {
    /// Version of this format.
    #[schemars(required, with = "schema::FormatVersion")]
    pub(in crate::config) version: Option<At<u32>>,
    /// Where the node listens.
    pub(in crate::config) server: Option<RawServer>,
    /// Certificates for HTTPS: an array of those that are there, and `acme` for those that a certificate
    /// authority issues.
    #[schemars(with = "Option<acme::TlsTables>")]
    pub(in crate::config) tls: Option<RawTlsTables>,
    /// The node's log.
    pub(in crate::config) log: Option<RawLog>,
    /// What the node as a whole may use.
    pub(in crate::config) node: Option<RawNode>,
    /// What functions may reach with `fetch()`.
    pub(in crate::config) egress: Option<RawEgress>,
    /// What every function may use, unless its own table says otherwise.
    pub(in crate::config) limits: Option<RawNodeLimits>,
    /// The functions, by name: small letters, digits and hyphens, at most 63.
    #[schemars(
        required,
        with = "Option<BTreeMap<String, RawFunction>>",
        extend("minProperties" = 1, "propertyNames" = json!({ "pattern": schema::NAME }))
    )]
    pub(in crate::config) functions: Option<Vec<(At<String>, RawFunction)>>,
}

/// `[server]`
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "Server", deny_unknown_fields)]
pub(in crate::config) struct RawServer {
    /// Address and port for HTTP. Default: "127.0.0.1:8080", which only this machine reaches.
    #[schemars(with = "Option<schema::Address>")]
    pub(in crate::config) http: Option<At<SocketAddr>>,
    /// Where `/metrics`, `/status` and their like are served: an address and port such as
    /// "127.0.0.1:9090", or "unix:" and the path of a socket. Default: nowhere.
    #[schemars(with = "Option<schema::AdminAddress>")]
    pub(in crate::config) admin: Option<At<Address>>,
    /// Where the token stands that clients of `admin` show: "env:NAME" or "file:PATH". Required if
    /// `admin` is an address that other machines reach.
    #[schemars(with = "Option<schema::SecretSource>")]
    pub(in crate::config) admin_token: Option<At<Source>>,
    /// Address and port for HTTPS. Default: no HTTPS. Its certificates are in [[tls]].
    #[schemars(with = "Option<schema::Address>")]
    pub(in crate::config) https: Option<At<SocketAddr>>,
    /// Whether requests over HTTP are sent on to HTTPS, with 308. A function may say otherwise.
    /// Default: false.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    pub(in crate::config) redirect_to_https: Option<At<bool>>,
    /// Proxies in front of the node, by address or network: "10.0.0.0/8". What they say of their
    /// clients is believed, nobody else's word. Default: none.
    #[schemars(with = "Option<Vec<schema::Network>>")]
    pub(in crate::config) trusted_proxies: Option<List<Network>>,
    /// The fields that these proxies set or remove in every request: "x-forwarded-for",
    /// "x-forwarded-proto", "x-forwarded-host"; or "forwarded" alone. Default: the first two.
    #[schemars(with = "Option<Vec<ProxyHeader>>")]
    pub(in crate::config) proxy_headers: Option<List<ProxyHeader>>,
    /// Listeners on which these proxies begin connections with a PROXY header, of version 1 or 2:
    /// "http", "https". Default: none.
    #[schemars(with = "Option<Vec<Listener>>")]
    pub(in crate::config) proxy_protocol: Option<List<Listener>>,
    /// The header of every response that carries the id of its request, such as "x-request-id".
    /// Default: none.
    #[schemars(with = "Option<schema::FieldName>")]
    pub(in crate::config) request_id_header: Option<At<String>>,
    /// How long browsers are to ask for no host of this node without TLS any more
    /// (Strict-Transport-Security), at least a second; "0s" makes them forget it. A function may say
    /// otherwise. Default: nothing is said.
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) hsts: Option<At<WallTime>>,
    /// Whether answers that get shorter by it are compressed for clients that ask for it: text, JSON and
    /// the like, with zstd, Brotli or gzip. It counts as CPU time of the request. A function may say
    /// otherwise. Default: false.
    #[schemars(extend("default" = false))]
    pub(in crate::config) compress: Option<bool>,
    /// How long a TLS handshake may take. Default: "10s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) handshake_time: Option<At<WallTime>>,
    /// TLS handshakes at the same time. Beyond it the oldest one is ended for each new one. Default:
    /// 1024.
    #[schemars(range(min = 1), extend("default" = 1_024))]
    pub(in crate::config) max_handshakes: Option<At<u32>>,
    /// Bytes of a request's head: from "4KiB" to "1MiB"; beyond it 431. Default: "64KiB".
    #[schemars(with = "Option<schema::Size>")]
    pub(in crate::config) max_head: Option<At<NodeBytes>>,
    /// How long a request's head may take from its first byte, and a new connection to its first byte;
    /// after it 408. At least "1s". Default: "10s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) head_time: Option<At<WallTime>>,
    /// How long a connection may be silent between two requests. At least "1s". Default: "60s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) keep_alive: Option<At<WallTime>>,
    /// Requests at the same time on one HTTP/2 connection. Default: 256.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 256))]
    pub(in crate::config) max_streams: Option<At<u32>>,
    /// Requests that a client may reset on one HTTP/2 connection before they are begun; beyond it the
    /// connection is ended. Default: 20.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 20))]
    pub(in crate::config) max_resets: Option<At<u32>>,
    /// Connections that one address may have at the same time, or one /64 of IPv6; trusted proxies may
    /// have any number. Default: 2500.
    #[schemars(range(min = 1), extend("default" = 2_500))]
    pub(in crate::config) max_connections_per_address: Option<At<u32>>,
    /// Requests that one client address may have in flight; beyond it 429. Default: 2000.
    #[schemars(range(min = 1), extend("default" = 2_000))]
    pub(in crate::config) max_requests_per_address: Option<At<u32>>,
    /// Connections that may be open at the same time. Beyond it, idle ones are closed for new ones.
    /// Default: 10000.
    #[schemars(range(min = 1), extend("default" = 10_000))]
    pub(in crate::config) max_connections: Option<At<u32>>,
    /// Requests that may wait for isolates at the same time, over all functions. Default: 8192.
    #[schemars(range(min = 1), extend("default" = 8_192))]
    pub(in crate::config) max_queued: Option<At<u32>>,
    /// Memory that responses may take which wait for their clients, over all connections. Beyond it,
    /// connections of clients that are too slow to take theirs are ended. At least "1MiB". Default:
    /// "256MiB".
    #[schemars(with = "Option<schema::Size>")]
    pub(in crate::config) max_unsent: Option<At<NodeBytes>>,
    /// Bytes a second that a client has to send of a request's body, on average, beyond
    /// `upload_time`. Default: "1KiB".
    #[schemars(with = "Option<schema::Size>")]
    pub(in crate::config) upload_rate: Option<At<NodeBytes>>,
    /// How long the rest of a request's body may be waited for, beside the time that `upload_rate` gives
    /// it. Default: "30s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) upload_time: Option<At<WallTime>>,
    /// How long a client may be silent within a request's body while more of it is waited for. At least
    /// "1s". Default: "30s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) upload_idle: Option<At<WallTime>>,
    /// How much of a request's body is received before an isolate is taken for it. Default: "1MiB".
    #[schemars(with = "Option<schema::Size>")]
    pub(in crate::config) upload_ahead: Option<At<NodeBytes>>,
    /// How long the other side of a WebSocket may be silent before it is asked whether it is there; and as long again
    /// before it is taken to be gone. At least "1s". Default: "30s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) websocket_ping: Option<At<WallTime>>,
    /// Whether WebSocket messages are compressed for clients that can (permessage-deflate). Default: true.
    #[schemars(extend("default" = true))]
    pub(in crate::config) websocket_compression: Option<bool>,
    /// How long a successor may take to be ready when the node is upgraded, at least "1s". Default: "300s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) upgrade_time: Option<At<WallTime>>,
    /// How long requests in flight may go on after the node was told to stop. Default: "30s".
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) drain: Option<At<WallTime>>,
}

/// A field in which a proxy speaks of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(in crate::config) enum ProxyHeader {
    /// Addresses, the client's first.
    XForwardedFor,
    /// "http" or "https".
    XForwardedProto,
    /// The host that the client asked for.
    XForwardedHost,
    /// All three (RFC 7239).
    Forwarded,
}

impl ProxyHeader {
    pub(in crate::config) const ALL: [Self; 4] = [
        Self::XForwardedFor,
        Self::XForwardedProto,
        Self::XForwardedHost,
        Self::Forwarded,
    ];

    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::XForwardedProto => "x-forwarded-proto",
            Self::XForwardedHost => "x-forwarded-host",
            Self::Forwarded => "forwarded",
        }
    }
}

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(in crate::config) enum Listener {
    /// The one for HTTP.
    Http,
    /// The one for HTTPS.
    Https,
}

impl Listener {
    pub(in crate::config) const ALL: [Self; 2] = [Self::Http, Self::Https];

    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// `[log]`
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "Log", deny_unknown_fields)]
pub(in crate::config) struct RawLog {
    /// "text" for people, "json" for programs, "auto" (the default) for text on a terminal and
    /// JSON elsewhere.
    pub(in crate::config) format: Option<LogFormat>,
    /// Which requests leave a record in the log: "all" (the default), "failed" for those with
    /// another outcome than "ok" or with lines of their own, "none".
    pub(in crate::config) requests: Option<LogRequests>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One readable line per request.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    pub(in crate::config) const ALL: [Self; 3] = [Self::Auto, Self::Text, Self::Json];

    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Which requests the log tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum LogRequests {
    /// Every one.
    #[default]
    All,
    /// Those that did not end well, and those that wrote lines of their own.
    Failed,
    /// None of them.
    None,
}

impl LogRequests {
    pub(in crate::config) const ALL: [Self; 3] = [Self::All, Self::Failed, Self::None];

    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }
}

/// `[node]`
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "Node", deny_unknown_fields)]
pub(in crate::config) struct RawNode {
    /// Memory that all processes of the node may hold before isolates without work are ended, those first
    /// whose function was asked for longest ago. At least "64MiB". Default: no bound.
    #[schemars(with = "Option<schema::Size>")]
    pub(in crate::config) memory: Option<At<NodeBytes>>,
    /// What stands between the code of functions and the system, beside V8: "auto" (the default) for
    /// every layer that the system offers, "require" to refuse to start where one is missing, "off"
    /// for none.
    pub(in crate::config) sandbox: Option<At<Sandbox>>,
    /// Whether this file and those of functions are watched, and what changes in them is served when it is
    /// saved. Without it, SIGHUP has them read again. Default: true.
    #[schemars(extend("default" = true))]
    pub(in crate::config) watch: Option<bool>,
}

/// What to do about layers of the sandbox that the system does not offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(in crate::config) enum Sandbox {
    /// Do without them; the start says which they are.
    #[default]
    Auto,
    /// Refuse to start, naming the layer and what to do.
    Require,
    /// Do without all of them.
    Off,
}

impl Sandbox {
    pub(in crate::config) const ALL: [Self; 3] = [Self::Auto, Self::Require, Self::Off];

    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Require => "require",
            Self::Off => "off",
        }
    }
}

impl From<Sandbox> for Mode {
    fn from(sandbox: Sandbox) -> Self {
        match sandbox {
            Sandbox::Auto => Self::Auto,
            Sandbox::Require => Self::Require,
            Sandbox::Off => Self::Off,
        }
    }
}

/// `[egress]`
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "Egress", deny_unknown_fields)]
pub(in crate::config) struct RawEgress {
    /// Networks that functions may reach although they are not public, such as "10.1.0.0/16".
    /// Public addresses are always allowed; "*" allows every address.
    #[schemars(with = "Option<Vec<schema::Cidr>>")]
    pub(in crate::config) allow: Option<Egress>,
}

/// The value of `egress.allow`.
#[derive(Debug)]
pub(in crate::config) struct Egress(pub(super) Allow);

/// `[limits]`
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "NodeLimits", deny_unknown_fields)]
pub(in crate::config) struct RawNodeLimits {
    /// What a function has when its own table says nothing.
    #[schemars(flatten)]
    pub(in crate::config) defaults: RawLimits,
    /// The most that a function may ask for.
    pub(in crate::config) max: Option<RawLimits>,
}

/// `[functions.NAME]`
#[derive(Debug, JsonSchema)]
#[schemars(
    rename = "Function",
    deny_unknown_fields,
    extend("anyOf" = json!([{ "required": ["main"] }, { "required": ["assets"] }]))
)]
pub(in crate::config) struct RawFunction {
    /// The module whose default export has the `fetch` handler, relative to this file. Modules
    /// that it imports lie in the same folder, or below. A function that has `assets` may do without.
    #[schemars(with = "Option<String>", example = "hello/index.js")]
    pub(in crate::config) main: Option<At<String>>,
    /// Requests that go to the function, such as "hello.localhost", "*.example.com",
    /// "**.example.com/api/*" or "*".
    #[schemars(
        required,
        with = "Option<Vec<schema::Route>>",
        length(min = 1),
        example = json!(["hello.localhost", "*.example.com/hello/*"])
    )]
    pub(in crate::config) routes: Option<List<Pattern>>,
    /// What the function finds in `env`: strings, numbers, booleans, arrays and tables.
    #[schemars(with = "Option<Map<String, Value>>", example = json!({ "GREETING": "hi" }))]
    pub(in crate::config) vars: Option<Vars>,
    /// Limits of this function, where they differ from the node's.
    pub(in crate::config) limits: Option<RawLimits>,
    /// Requests that one isolate answers at the same time, sharing its limits. Default: 1, at most
    /// 1024.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_024))]
    pub(in crate::config) concurrency: Option<At<u32>>,
    /// Whether requests over HTTP are sent on to HTTPS. Default: as `server` says.
    #[schemars(with = "Option<bool>")]
    pub(in crate::config) redirect_to_https: Option<At<bool>>,
    /// How long browsers are to ask for its hosts over TLS alone (Strict-Transport-Security).
    /// Default: as `server` says.
    #[schemars(with = "Option<schema::Time>")]
    pub(in crate::config) hsts: Option<At<WallTime>>,
    /// Whether its answers are compressed. Default: as `server` says.
    pub(in crate::config) compress: Option<bool>,
    /// Whether `eval`, `new Function` and the like make code of strings. Default: true.
    #[schemars(extend("default" = true))]
    pub(in crate::config) eval: Option<bool>,
    /// Who may ask for it. Default: everybody.
    pub(in crate::config) access: Option<RawAccess>,
    /// Files beside it, which are served without it.
    pub(in crate::config) assets: Option<RawAssets>,
}

/// `[functions.NAME.assets]`
#[derive(Debug, JsonSchema)]
#[schemars(rename = "Assets", deny_unknown_fields)]
pub(in crate::config) struct RawAssets {
    /// The folder of the files, relative to this file.
    #[schemars(required, with = "Option<String>", example = json!("public"))]
    pub(in crate::config) dir: Option<At<String>>,
    /// The name in `env` by which the function asks for them: `env.ASSETS.fetch(request)`. Default:
    /// none.
    #[schemars(with = "Option<String>", example = json!("ASSETS"))]
    pub(in crate::config) binding: Option<At<String>>,
    /// What is answered where there is no such file, and no function: "none" (the default), "404-page"
    /// for the nearest `404.html`, "single-page-application" for `/index.html`.
    pub(in crate::config) not_found: Option<NotFound>,
    /// The addresses of pages: "auto-trailing-slash" (the default) for `/page` and `/folder/`, "none"
    /// for the names of the files.
    pub(in crate::config) html_handling: Option<HtmlHandling>,
    /// Whether every request goes to the function, which asks for files itself. Default: false.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    pub(in crate::config) run_worker_first: Option<At<bool>>,
}

/// What is answered for what is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum NotFound {
    /// That it is not.
    #[default]
    None,
    /// The nearest `404.html`, with status 404.
    #[schemars(rename = "404-page")]
    Page,
    /// `/index.html`, with status 200.
    SinglePageApplication,
}

impl NotFound {
    pub(in crate::config) const ALL: [Self; 3] =
        [Self::None, Self::Page, Self::SinglePageApplication];

    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Page => "404-page",
            Self::SinglePageApplication => "single-page-application",
        }
    }

    /// The file that has to be there for it.
    pub(crate) fn page(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Page => Some("/404.html"),
            Self::SinglePageApplication => Some("/index.html"),
        }
    }
}

/// The addresses of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum HtmlHandling {
    /// `/page` for `page.html`, `/folder/` for `folder/index.html`; other spellings lead there.
    #[default]
    AutoTrailingSlash,
    /// The names of the files.
    None,
}

impl HtmlHandling {
    pub(in crate::config) const ALL: [Self; 2] = [Self::AutoTrailingSlash, Self::None];

    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::AutoTrailingSlash => "auto-trailing-slash",
            Self::None => "none",
        }
    }
}

/// `[functions.NAME.access]`
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "Access", deny_unknown_fields)]
pub(in crate::config) struct RawAccess {
    /// The only addresses and networks whose clients may ask, such as "10.1.0.0/16".
    #[schemars(with = "Option<Vec<schema::Network>>", length(min = 1))]
    pub(in crate::config) allow: Option<List<Network>>,
    /// Addresses and networks whose clients may not ask, whatever `allow` says.
    #[schemars(with = "Option<Vec<schema::Network>>", length(min = 1))]
    pub(in crate::config) deny: Option<List<Network>>,
    /// Where the token stands that every client has to show: "env:NAME" or "file:PATH".
    #[schemars(with = "Option<schema::SecretSource>")]
    pub(in crate::config) token: Option<At<Source>>,
}

/// The value of `vars`.
#[derive(Debug)]
pub(in crate::config) struct Vars(pub(super) Map<String, Value>);
