//! HTTP/2 and HTTP/1.1 over TLS.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use holm_model::body::{Body, BodyStream};
use holm_model::outbound::{Outbound, OutboundError, OutboundRequest, OutboundResponse};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;

use super::super::body::CHUNK;
use super::super::pool::SetupError;
use super::super::{Client, Internal, Options};
use super::{Server, answer, client, collect, fill, get, loopback, post, soon, text};

const CERTIFICATE: &[u8] = include_bytes!("localhost/cert.der");
const KEY: &[u8] = include_bytes!("localhost/key.der");

/// A server's end of TLS that is `localhost` and speaks `protocols`.
pub(super) fn localhost(protocols: &[&str]) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the library's own defaults")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(CERTIFICATE)],
            PrivatePkcs8KeyDer::from(KEY).into(),
        )
        .expect("the key fits");
    config.alpn_protocols = protocols.iter().map(|name| (*name).into()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A client that trusts [`CERTIFICATE`].
pub(super) fn trusting() -> Client {
    Client::new(Options {
        io: Handle::current(),
        allow: loopback(),
        extra_roots: vec![CertificateDer::from(CERTIFICATE)],
    })
    .expect("a good root")
}

pub(super) fn url(server: &Server) -> String {
    format!("https://localhost:{}/", server.address.port())
}

/// A node that is offered every request and serves none.
struct Nobody;

impl Internal for Nobody {
    fn serve(
        &self,
        request: OutboundRequest,
    ) -> Result<BoxFuture<'static, Result<OutboundResponse, OutboundError>>, Box<OutboundRequest>>
    {
        Err(Box::new(request))
    }
}

async fn version(request: Request<Incoming>) -> http::Response<super::Outgoing> {
    let host = request.headers().get("host");
    let said = format!("{:?} {} host {host:?}", request.version(), request.uri());
    answer(Body::Full(said.into()))
}

#[tokio::test]
async fn the_handshake_picks_the_version() {
    let tls = localhost(&["h2", "http/1.1"]);
    let server = Server::listen(Some(tls), version).await;
    let client = trusting();
    client.serve_inside(Arc::new(Nobody), &[server.address.port()]);
    let answer = client.send(get(&url(&server))).await.expect("an answer");
    let expected = format!("HTTP/2.0 {} host None", url(&server));
    assert_eq!(text(answer).await, expected);

    // Many at once share the connection.
    let asked = (0..50).map(|_| client.send(get(&url(&server))));
    for answer in join_all(asked).await {
        assert_eq!(text(answer.expect("an answer")).await, expected);
    }
    assert_eq!(server.connections(), 1);

    for protocols in [&["http/1.1"][..], &[]] {
        let tls = localhost(protocols);
        let server = Server::listen(Some(tls), version).await;
        let answer = trusting().send(get(&url(&server))).await;
        let said = text(answer.expect("an answer")).await;
        let host = format!("localhost:{}", server.address.port());
        assert_eq!(said, format!("HTTP/1.1 / host Some({host:?})"));
    }
}

#[tokio::test]
async fn a_stranger_is_not_trusted() {
    let tls = localhost(&["h2"]);
    let server = Server::listen(Some(tls), version).await;
    let failure = client().send(get(&url(&server))).await;
    let failure = failure.expect_err("nobody vouches for it");
    let OutboundError::Unreachable { host, reason } = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(host, format!("localhost:{}", server.address.port()));
    assert!(
        reason.starts_with("invalid peer certificate: UnknownIssuer"),
        "{reason}"
    );

    let garbage = Client::new(Options {
        io: Handle::current(),
        allow: loopback(),
        extra_roots: vec![CertificateDer::from(&b"not a certificate"[..])],
    });
    assert!(matches!(garbage, Err(SetupError::Root { index: 0, .. })));
}

#[tokio::test]
async fn http2_streams_wait_for_their_readers_and_not_for_each_other() {
    const MANY: usize = 64;
    let tls = localhost(&["h2"]);
    let (sender, stream) = BodyStream::channel(None);
    let stream = Arc::new(std::sync::Mutex::new(Some(stream)));
    let server = Server::listen(Some(tls), move |request: Request<Incoming>| {
        let stream = stream.lock().expect("no panic").take();
        async move {
            match stream {
                Some(stream) => answer(Body::Stream(stream)),
                None => {
                    let body = request.into_body().collect().await.expect("a body");
                    answer(Body::Full(body.to_bytes()))
                }
            }
        }
    })
    .await;
    let client = trusting();
    let unread = client.send(get(&url(&server))).await.expect("an answer");
    let chunk = Bytes::from(vec![b'2'; CHUNK]);
    let taken = fill(&sender, &chunk, MANY).await;
    assert!(taken < MANY, "{taken} chunks were taken that nobody read");

    // A body of twice the window passes beside the one that is stuck.
    let body = Bytes::from(vec![b'x'; 8 * CHUNK]);
    let other = post(&url(&server), Body::Full(body.clone()));
    let other = soon(client.send(other)).await.expect("an answer");
    assert_eq!(soon(collect(other.body)).await, Ok(body));
    assert_eq!(server.connections(), 1);

    drop(unread);
    soon(sender.closed()).await;
}

/// A peer that speaks HTTP/2, and answers the first stream with these frames, whatever it asks.
async fn raw_http2(frames: Vec<(u8, u8, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound");
    let tls = localhost(&["h2"]);
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("accept");
        let mut socket = tls.accept(socket).await.expect("a handshake");
        let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
        for (kind, flags, payload) in frames {
            let length = u8::try_from(payload.len()).expect("a short payload");
            bytes.extend([0, 0, length, kind, flags, 0, 0, 0, 1]);
            bytes.extend(payload);
        }
        // Preface, SETTINGS and the request may come in pieces, and only behind the request may it be answered.
        let mut seen = Vec::new();
        while !seen.windows(5).any(|window| window == [1, 5, 0, 0, 0]) {
            let read = socket.read_buf(&mut seen).await.expect("a request");
            assert!(read > 0, "{seen:?}");
        }
        socket.write_all(&bytes).await.expect("write");
        // To the end of the client's side.
        let _ = socket.read_to_end(&mut seen).await;
    });
    format!("https://localhost:{}/", address.port())
}

#[tokio::test]
async fn over_http2_interim_answers_and_trailers_are_passed_over() {
    let (head, data) = (1, 0);
    let (end_headers, end) = (4, 5);
    let field = |name: &str, value: &str| {
        let mut field = vec![0];
        for text in [name, value] {
            field.push(u8::try_from(text.len()).expect("a short text"));
            field.extend(text.bytes());
        }
        field
    };
    // `:status` is the eighth in HPACK's table.
    let interim = [vec![0x08, 3], b"103".to_vec(), field("link", "</a.css>")].concat();
    let last = [vec![0x88], field("x-own", "1")].concat();
    let url = raw_http2(vec![
        (head, end_headers, interim.clone()),
        (head, end_headers, interim),
        (head, end_headers, last),
        (data, 0, b"hi".to_vec()),
        (head, end, field("x-sum", "1")),
    ])
    .await;
    let answer = soon(trusting().send(get(&url))).await.expect("an answer");
    assert_eq!(answer.status, 200);
    let names: Vec<_> = answer
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["x-own"]);
    assert_eq!(soon(text(answer)).await, "hi");
}
