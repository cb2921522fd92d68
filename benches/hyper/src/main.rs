//! The ceiling that `make bench-peers` and `make bench-tls` measure Holm against: hyper and tokio on one
//! thread, with the answers of `benches/hello`, `benches/json` and `benches/body` made in Rust.
//!
//! It has no limits, no time-outs and no log. Run by hand: `bare-hyper PORT`, for HTTP/1.1, or
//! `bare-hyper PORT --cert FILE --key FILE`, for HTTP/2 and HTTP/1.1 over TLS.

mod tls;

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const TEXT: &str = "text/plain;charset=UTF-8";
const JSON: &str = "application/json";
const BODY: &[u8] = &[b'x'; 64 * 1024];

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (port, acceptor) = match arguments[..] {
        [port] => (port, None),
        [port, "--cert", cert, "--key", key] => (port, Some(tls::acceptor(cert, key)?)),
        _ => return Err("bare-hyper PORT [--cert FILE --key FILE]".into()),
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve(port.parse()?, acceptor))
}

/// Until the process is ended.
async fn serve(port: u16, acceptor: Option<TlsAcceptor>) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let asked = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&asked)));
    }
}

/// Its failures are the client's: nobody is told.
async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    asked: Arc<AtomicU64>,
) -> Result<(), Failure> {
    let service = service_fn(move |request| {
        let response = answer(&request, &asked);
        async { Ok::<_, Infallible>(response) }
    });
    let Some(acceptor) = acceptor else {
        let http1 = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        return Ok(http1.await?);
    };
    let stream = acceptor.accept(stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2);
    let stream = TokioIo::new(stream);
    if is_http2 {
        http2::Builder::new(TokioExecutor::new())
            .serve_connection(stream, service)
            .await?;
    } else {
        http1::Builder::new()
            .serve_connection(stream, service)
            .await?;
    }
    Ok(())
}

fn answer(request: &Request<Incoming>, asked: &AtomicU64) -> Response<Full<Bytes>> {
    let (kind, body) = match request.uri().path() {
        "/" => (TEXT, Bytes::from_static(b"Hello")),
        "/json" => (JSON, item(asked.fetch_add(1, Ordering::Relaxed) + 1).into()),
        "/body" => (TEXT, Bytes::from_static(BODY)),
        _ => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
    };
    let mut response = Response::new(Full::new(body));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// What `benches/json/index.js` answers.
fn item(id: u64) -> String {
    let even = id.is_multiple_of(2);
    format!(r#"{{"id":{id},"name":"item {id}","even":{even},"tags":["edge","function"]}}"#)
}
