//! The port: one exchange from a function's request to the head of its answer.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arc_swap::ArcSwapOption;
use futures::future::{BoxFuture, FutureExt};
use holm_model::body::Body;
use holm_model::outbound::{Outbound, OutboundError, OutboundRequest, OutboundResponse};
use holm_router::hop_by_hop;
use holm_runtime::descriptors::Descriptors;
use http::{HeaderMap, StatusCode};
use rustls_pki_types::CertificateDer;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use super::address::Allow;
use super::body::{self, Outgoing};
use super::charge;
use super::decode::{Coding, Undo, Window, Windows};
use super::dial::Dialer;
use super::inside::{Inside, Internal, Served};
use super::pool::{Http, Line, Pools, SetupError};
use super::websocket;
use super::{failure, head};

/// The node's outbound HTTP client: HTTP/1.1, and HTTP/2 where TLS negotiates it.
pub(crate) struct Client {
    io: Handle,
    pools: Pools,
    dialer: Dialer,
    inside: ArcSwapOption<Inside>,
}

/// What a [`Client`] is made of.
#[derive(Debug)]
pub(crate) struct Options {
    /// The I/O threads, where every exchange runs.
    pub io: Handle,
    /// Addresses that functions may reach.
    pub allow: Allow,
    /// Certificates to trust besides Mozilla's, such as a company's own.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Client {
    /// A client without connections that serves nothing inside yet.
    ///
    /// # Errors
    /// A root certificate is not usable.
    pub(crate) fn new(options: Options) -> Result<Self, SetupError> {
        let dialer = Dialer::new(options.allow);
        Ok(Self {
            pools: Pools::new(options.io.clone(), dialer.clone(), options.extra_roots)?,
            dialer,
            io: options.io,
            inside: ArcSwapOption::empty(),
        })
    }

    /// From now on, requests to hostnames that `internal` serves do not leave the process if
    /// their URL has the default port of its scheme or one of `ports`, those that this node
    /// listens on.
    ///
    /// Whoever `internal` leads back to this client should hold it weakly.
    pub(crate) fn serve_inside(&self, internal: Arc<dyn Internal>, ports: &[u16]) {
        let inside = Inside::new(internal, ports);
        self.inside.store(Some(Arc::new(inside)));
    }

    /// Connects no function to `listener`, an address of the node's own, whatever else is allowed. The first
    /// one counts.
    pub(crate) fn keep_from(&self, listener: SocketAddr) {
        self.dialer.keep_from(listener);
    }

    /// Connects no function where `descriptors` are short. The first ones count.
    pub(crate) fn spares(&self, descriptors: &Descriptors) {
        self.dialer.spares(descriptors);
    }

    /// From now on functions may reach these addresses.
    pub(crate) fn set_allow(&self, allow: &Allow) {
        self.pools.set_allow(allow);
    }

    /// Sends a request on its way, inside or outside.
    fn start(&self, mut request: OutboundRequest) -> Result<Task, OutboundError> {
        let uri = head::target(&request.method, &request.url)?;
        let is_socket = websocket::is_wanted(&request.headers);
        head::clean(&mut request.headers, &request.method, &request.body);
        if is_socket {
            websocket::ask(&mut request.headers);
        }
        let Line {
            http,
            sockets,
            windows,
        } = self.pools.of(&request.caller.function);
        let mut decoding = Decoding {
            wanted: head::may_decode(&request.headers),
            window: None,
            windows,
        };
        let url = request.url.clone();
        let io = self.io.clone();
        let account = request.caller.account.clone();
        if let Some(ours) = &*self.inside.load() {
            match ours.serve(request) {
                Ok(served) => {
                    let exchange = inside(io, served, url, decoding);
                    return Ok(self.io.spawn(charge::to(account, exchange)));
                }
                Err(back) => request = *back,
            }
        }
        if is_socket {
            let mut outgoing = http::Request::new(Outgoing::from(Body::Empty));
            *outgoing.uri_mut() = uri;
            *outgoing.headers_mut() = request.headers;
            let exchange = websocket::open(io, sockets, outgoing, url, account.clone());
            return Ok(self.io.spawn(charge::to(account, exchange)));
        }
        head::offer_codings(&mut request.headers);
        decoding.reserve(&mut request.headers);
        let mut outgoing = http::Request::new(Outgoing::from(request.body));
        *outgoing.method_mut() = request.method;
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = request.headers;
        let exchange = outside(io, http, outgoing, url, decoding);
        Ok(self.io.spawn(charge::to(account, exchange)))
    }
}

impl Outbound for Client {
    fn send(
        &self,
        request: OutboundRequest,
    ) -> BoxFuture<'static, Result<OutboundResponse, OutboundError>> {
        let url = request.url.clone();
        match self.start(request) {
            Ok(task) => Running { task, url }.boxed(),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

type Task = JoinHandle<Result<OutboundResponse, OutboundError>>;

/// An exchange with a function of this node.
async fn inside(
    io: Handle,
    served: Served,
    url: Url,
    decoding: Decoding,
) -> Result<OutboundResponse, OutboundError> {
    let mut answer = served.await?;
    if answer.decoded {
        return Ok(answer);
    }
    let undo = decoding.of(&answer.headers, &url)?;
    if undo.is_some() {
        answer.body = body::incoming(&io, Outgoing::from(answer.body), undo).await;
        answer.decoded = !matches!(answer.body, Body::Empty);
    }
    Ok(answer)
}

/// An exchange over a connection.
async fn outside(
    io: Handle,
    http: Http,
    request: http::Request<Outgoing>,
    url: Url,
    decoding: Decoding,
) -> Result<OutboundResponse, OutboundError> {
    let answer = charge::sent(request, |request| http.request(request)).await;
    let answer = answer.map_err(|error| failure::explain(&url, &error))?;
    let (mut head, incoming) = answer.into_parts();
    // hyper passes over all others of its kind.
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let reason = "it switches to another protocol, unasked";
        return Err(failure::unreachable(&url, reason.to_owned()));
    }
    let undo = decoding.of(&head.headers, &url)?;
    hop_by_hop::strip(&mut head.headers);
    let coded = undo.is_some();
    let body = body::incoming(&io, incoming, undo).await;
    Ok(OutboundResponse {
        status: head.status,
        headers: head.headers,
        decoded: coded && !matches!(body, Body::Empty),
        body,
    })
}

/// How the answer to one request may be decompressed.
struct Decoding {
    wanted: bool,
    /// Reserved when the request offered Brotli.
    window: Option<Window>,
    windows: Windows,
}

impl Decoding {
    /// Makes room for an answer in Brotli, or sees to it that none is asked for.
    fn reserve(&mut self, headers: &mut HeaderMap) {
        if self.wanted && head::offers_brotli(headers) {
            self.window = self.windows.take();
            if self.window.is_none() {
                head::withdraw_brotli(headers);
            }
        }
    }

    /// What is to be done to the body of an answer with `headers`.
    fn of(self, headers: &HeaderMap, url: &Url) -> Result<Option<Undo>, OutboundError> {
        let coding = if self.wanted {
            head::coding(headers)
        } else {
            None
        };
        match coding {
            None => Ok(None),
            Some(Coding::Gzip) => Ok(Some(Undo::Gzip)),
            Some(Coding::Brotli) => match self.window.or_else(|| self.windows.take()) {
                Some(window) => Ok(Some(Undo::Brotli(window))),
                None => {
                    let reason = "it answers in Brotli unasked, and too many such answers are open";
                    Err(failure::unreachable(url, reason.to_owned()))
                }
            },
        }
    }
}

/// An exchange on the I/O threads. Dropping it ends the exchange.
struct Running {
    task: Task,
    url: Url,
}

impl Future for Running {
    type Output = Result<OutboundResponse, OutboundError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.task).poll(cx));
        Poll::Ready(outcome.unwrap_or_else(|error| {
            let reason = if error.is_cancelled() {
                "the node is shutting down"
            } else {
                "the node failed; its log says why"
            };
            Err(failure::unreachable(&self.url, reason.to_owned()))
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
