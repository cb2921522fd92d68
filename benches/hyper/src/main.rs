//! The ceiling that `make bench-peers` measures Holm against: hyper and tokio on one thread, with
//! the answers of `benches/hello`, `benches/json` and `benches/body` made in Rust.
//!
//! It has no limits, no time-outs and no log. Run by hand: `bare-hyper PORT`.

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
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TEXT: &str = "text/plain;charset=UTF-8";
const JSON: &str = "application/json";
const BODY: &[u8] = &[b'x'; 64 * 1024];

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args().nth(1).ok_or("which port?")?.parse()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve(port))
}

/// Until the process is ended.
async fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let asked = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        while connections.try_join_next().is_some() {}
        let asked = Arc::clone(&asked);
        let service = service_fn(move |request| {
            let response = answer(&request, &asked);
            async { Ok::<_, Infallible>(response) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
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
