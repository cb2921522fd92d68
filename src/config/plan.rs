//! A configuration that holds: everything decided, nothing optional, nothing invalid.
//!
//! What the file leaves out has its default here; routes are a table, paths are absolute, and
//! every function knows its own limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holm_model::limits::{Limits, NodeBytes, WallTime};
use holm_process::sandbox::Mode;
use holm_router::Proxies;
use holm_router::pattern::Pattern;
use holm_router::table::RouteTable;
use holm_runtime::deployment::Concurrency;
use http::HeaderName;
use serde_json::{Map, Value};

pub(crate) use super::main_file::MainFile;
pub(crate) use super::raw::{HtmlHandling, LogFormat, LogRequests, NotFound};
use super::tls::TlsPlan;
use crate::access::Access;
use crate::admin::Address;
use crate::egress::Allow;
use crate::secret::Secret;

/// What a node is to do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where the plan comes from: the configuration file, or the path given to `holm dev`.
    /// Absolute.
    pub(crate) origin: PathBuf,
    /// Where in the file some keys are.
    pub(crate) places: Places,
    /// Whether the node looks for changes of the file, and of those of functions, by itself.
    pub(crate) watch: bool,
    /// Where the node listens.
    pub(crate) server: ServerPlan,
    /// Where the node shows how it does, if anywhere.
    pub(crate) admin: Option<AdminPlan>,
    /// HTTPS, if it listens for that.
    pub(crate) tls: Option<TlsPlan>,
    /// What all processes may hold before idle isolates are ended; no bound if `None`.
    pub(crate) memory: Option<NodeBytes>,
    /// What to do about layers of the sandbox that the system does not offer.
    pub(crate) sandbox: Mode,
    /// How the log is written.
    pub(crate) log: LogFormat,
    /// Which requests it tells of.
    pub(crate) log_requests: LogRequests,
    /// What functions may reach with `fetch()`.
    pub(crate) egress: Allow,
    /// The functions, in the order of the file. Never empty.
    pub(crate) functions: Vec<FunctionPlan>,
    /// From hostname and path to an index of `functions`.
    pub(crate) routes: RouteTable<usize>,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub(crate) struct AdminPlan {
    /// Where it is. A path is absolute.
    pub(crate) address: Address,
    /// What its clients have to show; always there if other machines reach it.
    pub(crate) token: Option<Secret>,
}

/// Where keys are about which something may be to be said once the file was found to be good:
/// `holm.toml:3:8`. Nothing where they have their defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// `server.http`
    pub(crate) http: Option<String>,
    /// `server.https`
    pub(crate) https: Option<String>,
    /// `node.sandbox`
    pub(crate) sandbox: Option<String>,
}

/// Where a node listens, and how much it takes at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerPlan {
    /// Address for HTTP. Port 0 is any free one.
    pub(crate) http: SocketAddr,
    /// Who may speak of clients that are not on the other end of their connections.
    pub(crate) proxies: Proxies,
    /// Trusted proxies begin connections for HTTP with a PROXY header.
    pub(crate) proxy_protocol: bool,
    /// The same, for HTTPS.
    pub(crate) proxy_protocol_https: bool,
    /// The header of responses that carries the id of the request.
    pub(crate) request_id: Option<HeaderName>,
    /// How long a TLS handshake may take.
    pub(crate) handshake_time: WallTime,
    /// TLS handshakes at the same time.
    pub(crate) max_handshakes: usize,
    /// Bytes of a request's head.
    pub(crate) max_head: NodeBytes,
    /// How long it may take.
    pub(crate) head_time: WallTime,
    /// How long a connection may be silent between two requests.
    pub(crate) keep_alive: WallTime,
    /// Requests at the same time on one HTTP/2 connection.
    pub(crate) max_streams: u32,
    /// Requests that may be reset on one before they are begun.
    pub(crate) max_resets: u32,
    /// Connections that may be open at the same time.
    pub(crate) max_connections: usize,
    /// Connections of one address at the same time.
    pub(crate) max_connections_per_address: usize,
    /// Requests of one client address at the same time.
    pub(crate) max_requests_per_address: usize,
    /// Requests that may wait for isolates at the same time, over all functions.
    pub(crate) max_queued: usize,
    /// What responses may hold that wait for their clients, before those that are too slow are ended.
    pub(crate) max_unsent: NodeBytes,
    /// Bytes a second that clients have to send of bodies.
    pub(crate) upload_rate: NodeBytes,
    /// How long they may take on top of that.
    pub(crate) upload_time: WallTime,
    /// How long they may be silent within one.
    pub(crate) upload_idle: WallTime,
    /// How much of a body is received before an isolate is taken.
    pub(crate) upload_ahead: NodeBytes,
    /// How long the other side of a WebSocket may be silent before it is asked whether it is there.
    pub(crate) websocket_ping: WallTime,
    /// Whether WebSocket messages are compressed for clients that can.
    pub(crate) websocket_compression: bool,
    /// How long a successor may take to be ready.
    pub(crate) upgrade_time: WallTime,
    /// How long requests in flight may go on after the node was told to stop.
    pub(crate) drain: WallTime,
}

impl ServerPlan {
    /// What holds where nothing is said.
    ///
    /// Loopback, because a tool that was just tried out should not listen to the world.
    pub(crate) const DEFAULT: Self = Self {
        proxies: Proxies::NONE,
        proxy_protocol: false,
        proxy_protocol_https: false,
        request_id: None,
        http: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
        handshake_time: WallTime::from_secs(10),
        max_handshakes: 1_024,
        max_head: NodeBytes::from_kib(64),
        head_time: WallTime::from_secs(10),
        keep_alive: WallTime::from_secs(60),
        max_streams: 256,
        max_resets: 20,
        max_connections: 10_000,
        max_connections_per_address: 2_500,
        max_requests_per_address: 2_000,
        max_queued: 8_192,
        max_unsent: NodeBytes::from_mib(256),
        upload_rate: NodeBytes::from_kib(1),
        upload_time: WallTime::from_secs(30),
        upload_idle: WallTime::from_secs(30),
        upload_ahead: NodeBytes::from_mib(1),
        websocket_ping: WallTime::from_secs(30),
        websocket_compression: true,
        upgrade_time: WallTime::from_secs(300),
        drain: WallTime::from_secs(30),
    };
}

/// One function.
#[derive(Clone, Debug)]
pub(crate) struct FunctionPlan {
    /// Its name: a DNS label.
    pub(crate) name: String,
    /// Its main module; none if it is made of files alone.
    pub(crate) main: Option<MainFile>,
    /// The requests that go to it. Never empty.
    pub(crate) routes: Vec<Pattern>,
    /// What it finds in `env`.
    pub(crate) vars: Map<String, Value>,
    /// What it may use.
    pub(crate) limits: Limits,
    /// How many requests one of its isolates answers at the same time, at most.
    pub(crate) concurrency: Concurrency,
    /// Whether it may make code of strings.
    pub(crate) eval: bool,
    /// Who may ask for it.
    pub(crate) access: Arc<Access>,
    /// What its clients are told of HTTPS.
    pub(crate) secure: Secure,
    /// Its answers are compressed.
    pub(crate) compress: bool,
    /// The files beside it. There are some if it has no main module.
    pub(crate) assets: Option<AssetsPlan>,
}

/// How clients are led from HTTP to HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Secure {
    /// Requests over HTTP are sent on.
    pub(crate) redirect: bool,
    /// Browsers are told to come over HTTPS alone for so long.
    pub(crate) hsts: Option<WallTime>,
}

impl FunctionPlan {
    /// The file that it begins with, or the folder that it is made of.
    pub(crate) fn place(&self) -> &Path {
        match (&self.main, &self.assets) {
            (Some(file), _) => &file.main,
            (None, Some(assets)) => &assets.dir,
            (None, None) => Path::new(""),
        }
    }
}

/// The files beside a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssetsPlan {
    /// The folder that they are in as the file names it: absolute, links as they are.
    pub(crate) source: PathBuf,
    /// The folder that they are in: absolute, links resolved.
    pub(crate) dir: PathBuf,
    /// The name in `env` by which the function asks for them.
    pub(crate) binding: Option<String>,
    /// What is answered where there is none, and nobody else answers.
    pub(crate) not_found: NotFound,
    /// The addresses of pages.
    pub(crate) html_handling: HtmlHandling,
    /// Whether every request goes to the function, which asks for files itself.
    pub(crate) function_first: bool,
}
