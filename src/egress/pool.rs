//! Keep-alive connections, and the TLS they speak.
//!
//! Every function has a pool of its own. Sharing one would save handshakes between functions that
//! call the same host, and was rejected: a connection that authenticates once (NTLM), streams of
//! HTTP/2 that one function leaves unread, and the time a first request takes would all leak from
//! one tenant to another.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use futures::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use tokio::runtime::Handle;
use tower_service::Service;

use super::address::Allow;
use super::body::{CHUNK, Outgoing};
use super::charge;
use super::decode::Windows;
use super::dial::{DialError, Dialer};

/// Resolving, connecting and the TLS handshake together.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection without a request is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Connections without a request that are kept per function and authority.
const IDLE_PER_HOST: usize = 8;

/// A response head; what a client of this node may send is bounded alike.
const HEAD: u32 = 64 * 1024;

/// What a peer may send ahead on one HTTP/2 stream whose body nobody reads. hyper's own default
/// is 2 MiB.
const STREAM_WINDOW: u32 = 4 * CHUNK as u32;

/// What a peer may send ahead on all streams of a connection: more than 200 windows, so that
/// streams left unread do not hold up the others.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// An HTTP/2 connection with requests under way is probed when silent for so long…
const PING_AFTER: Duration = Duration::from_secs(15);

/// …and given up when the answer takes so long.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// hyper's client over our connector.
pub(super) type Http = legacy::Client<Deadline<HttpsConnector<Dialer>>, Outgoing>;

/// The client cannot be set up.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// One of the extra root certificates is no certificate.
    #[error("extra root certificate {index} is unusable: {reason}")]
    Root {
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong with it.
        reason: rustls::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// The pools of all functions.
pub(super) struct Pools {
    io: Handle,
    dialer: Dialer,
    tls: ClientConfig,
    windows: Windows,
    by_function: DashMap<Arc<str>, Pool>,
}

struct Pool {
    line: Line,
    used: Instant,
}

/// What one function goes out by.
#[derive(Clone)]
pub(super) struct Line {
    /// Its connections.
    pub(super) http: Http,
    /// Those that become WebSockets: never HTTP/2, and never kept.
    pub(super) sockets: Http,
    /// Its share of the memory for Brotli.
    pub(super) windows: Windows,
}

impl Pools {
    pub(super) fn new(
        io: Handle,
        dialer: Dialer,
        extra_roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, SetupError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for (index, root) in extra_roots.into_iter().enumerate() {
            roots
                .add(root)
                .map_err(|reason| SetupError::Root { index, reason })?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(SetupError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            io,
            dialer,
            tls,
            windows: Windows::new(),
            by_function: DashMap::new(),
        })
    }

    /// From now on functions may reach these. Connections that were made before are not used again;
    /// exchanges under way finish on them.
    pub(super) fn set_allow(&self, allow: &Allow) {
        if self.dialer.set_allow(allow) {
            self.by_function.clear();
        }
    }

    /// The pool of `function`.
    ///
    /// A pool unused for longer than a connection is kept holds none, so it is forgotten when
    /// another is made; exchanges under way keep theirs alive.
    pub(super) fn of(&self, function: &Arc<str>) -> Line {
        let now = Instant::now();
        if let Some(mut pool) = self.by_function.get_mut(function) {
            pool.used = now;
            return pool.line.clone();
        }
        self.by_function
            .retain(|_, pool| now.duration_since(pool.used) < 2 * IDLE);
        // Two first requests at once find one pool: the entry decides.
        let entry = self.by_function.entry(Arc::clone(function));
        let pool = entry.or_insert_with(|| Pool {
            line: Line {
                http: self.open(),
                sockets: self.open_sockets(),
                windows: self.windows.for_function(),
            },
            used: now,
        });
        pool.line.clone()
    }

    fn open(&self) -> Http {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(self.dialer.for_function());
        legacy::Client::builder(OnThreads(self.io.clone()))
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_buf_size(HEAD as usize)
            .http2_max_header_list_size(HEAD)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(Deadline(connector))
    }
}

impl Pools {
    fn open_sockets(&self) -> Http {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(self.dialer.for_function());
        legacy::Client::builder(OnThreads(self.io.clone()))
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(HEAD as usize)
            .build(Deadline(connector))
    }
}

/// Spawns hyper's connection tasks on the I/O threads, whichever thread asks.
#[derive(Clone)]
struct OnThreads(Handle);

impl<F> hyper::rt::Executor<F> for OnThreads
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        // Owned by the pool: the task ends when its connection is dropped there.
        drop(self.0.spawn(charge::on(future)));
    }
}

/// A connector that gives up after [`CONNECT`].
#[derive(Clone)]
pub(super) struct Deadline<C>(C);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Deadline<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
    C::Response: 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(outcome) => outcome,
                Err(_) => Err(DialError::TimedOut(CONNECT).into()),
            }
        })
    }
}
