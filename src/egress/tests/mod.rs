//! The client against servers on loopback.

mod charge;
mod flow;
mod inside;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holm_model::body::{Body, BodyError, BodySender};
use holm_model::outbound::{Account, Caller, OutboundRequest, OutboundResponse};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::body::Outgoing;
use super::{Allow, Client, Options};

/// A server on loopback, gone when dropped.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl Server {
    /// Serves HTTP/1.1 in the clear.
    async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Outgoing>> + Send + 'static,
    {
        Self::listen(None, handler).await
    }

    /// Serves whatever the TLS handshake of `tls` negotiates, or HTTP/1.1 in the clear.
    async fn listen<H, F>(tls: Option<TlsAcceptor>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Outgoing>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.expect("accept");
                accepted.fetch_add(1, Ordering::Relaxed);
                let (tls, handler) = (tls.clone(), handler.clone());
                serving.spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = handler(request);
                        async move { Ok::<_, BodyError>(answer.await) }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // A client that goes away is what some tests are about.
                    let _ = match tls {
                        None => {
                            builder
                                .serve_connection(TokioIo::new(socket), service)
                                .await
                        }
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => {
                                builder
                                    .serve_connection(TokioIo::new(socket), service)
                                    .await
                            }
                            Err(_) => return,
                        },
                    };
                });
            }
        });
        Self {
            address,
            connections,
            _accepting: accepting,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Connections accepted so far.
    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A client on this test's runtime that may reach loopback.
fn client() -> Client {
    Client::new(Options {
        io: Handle::current(),
        allow: loopback(),
        extra_roots: Vec::new(),
    })
    .expect("no extra roots to fail on")
}

fn loopback() -> Allow {
    Allow::Public {
        and: vec!["127.0.0.0/8".parse().expect("a network")],
    }
}

fn get(url: &str) -> OutboundRequest {
    OutboundRequest {
        method: Method::GET,
        url: Url::parse(url).expect("a URL"),
        headers: HeaderMap::new(),
        body: Body::Empty,
        caller: Caller {
            function: "tester".into(),
            request: "request-1".into(),
            depth: 0,
            account: Account::default(),
        },
    }
}

fn post(url: &str, body: Body) -> OutboundRequest {
    OutboundRequest {
        method: Method::POST,
        body,
        ..get(url)
    }
}

fn answer(body: Body) -> Response<Outgoing> {
    Response::new(Outgoing::from(body))
}

/// All of a body.
async fn collect(body: Body) -> Result<Bytes, BodyError> {
    let mut all = Vec::new();
    match body {
        Body::Empty | Body::Socket(_) => {}
        Body::Full(bytes) => return Ok(bytes),
        Body::Stream(mut stream) => {
            while let Some(chunk) = stream.chunk().await {
                all.extend_from_slice(&chunk?);
            }
        }
    }
    Ok(all.into())
}

async fn text(answer: OutboundResponse) -> String {
    let bytes = collect(answer.body).await.expect("a whole body");
    String::from_utf8(bytes.into()).expect("UTF-8")
}

/// Writes `chunk` until the reader has been behind for a while, at most `most` times; how often
/// it was taken.
///
/// A slow machine stalls early, which only makes the count smaller.
async fn fill(sender: &BodySender, chunk: &Bytes, most: usize) -> usize {
    for taken in 0..most {
        let sending = sender.send(chunk.clone());
        match tokio::time::timeout(Duration::from_millis(200), sending).await {
            Ok(outcome) => outcome.expect("the reader is there"),
            Err(_) => return taken,
        }
    }
    most
}

/// What must happen soon, or the test has failed.
async fn soon<F: Future>(event: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), event)
        .await
        .expect("it happens soon")
}
