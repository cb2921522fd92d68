//! HTTP/2 with prior knowledge: the same rules, by a real client.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::bodies::HOP_BY_HOP;
use crate::support::{Event, Served};

type Sender = SendRequest<Full<Bytes>>;

pub(crate) async fn connect(address: SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2 is spoken");
    tokio::spawn(connection);
    sender
}

pub(crate) fn request(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder()
        .method("POST")
        .uri(format!("http://a.test{path}"))
        .version(Version::HTTP_2)
        .body(Full::from(body))
        .expect("a sound request")
}

async fn text(response: Response<Incoming>) -> Result<String, hyper::Error> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn requests_run_side_by_side() {
    let served = Served::new();
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        let slow = sender.send_request(request("/wait", ""));
        let quick = sender.send_request(request("/x", "hello")).await;
        let quick = quick.expect("an answer");
        assert_eq!(quick.version(), Version::HTTP_2);
        assert_eq!(quick.headers()["server"], "holm");
        assert_eq!(text(quick).await.expect("whole"), "POST a.test /x hello");
        served.open_gate();
        let slow = slow.await.expect("an answer");
        assert_eq!(text(slow).await.expect("whole"), "waited");
    });
    assert_eq!(served.stats.accepted(), 1);
    assert_eq!(served.stats.requests(), 2);
}

#[test]
fn the_rules_are_those_of_http1() {
    let served = Served::new();
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        let long = format!("/{}", "a".repeat(16 << 10));
        let mut many = request("/x", "");
        for index in 0..101 {
            let name = format!("x-{index}").parse::<http::HeaderName>();
            many.headers_mut()
                .append(name.expect("a name"), "y".parse().expect("a value"));
        }
        let mut two_hosts = request("/x", "");
        let other = "b.test".parse().expect("a value");
        two_hosts.headers_mut().insert("host", other);
        let mut trace = request("/x", "");
        *trace.method_mut() = http::Method::TRACE;
        let mut small_trace = request("/x", "");
        *small_trace.method_mut() = "trace".parse().expect("a method");
        let mut small_connect = request("/x", "");
        *small_connect.method_mut() = "connect".parse().expect("a method");
        for (request, status) in [
            (request(&long, ""), 414),
            (request("/a/%2e%2e/b", ""), 400),
            (request("/small-only", "123456789"), 413),
            (request("/upgrade", ""), 502),
            (many, 431),
            (two_hosts, 400),
            (trace, 405),
            (small_trace, 405),
            (small_connect, 405),
        ] {
            let uri: Uri = request.uri().clone();
            let response = sender.send_request(request).await.expect("an answer");
            assert_eq!(response.status(), status, "{uri}");
            assert!(response.headers().contains_key("holm-request-id"));
            assert!(!response.headers().contains_key("connection"));
        }
        // The connection is none the worse for it.
        let response = sender.send_request(request("/x", "")).await;
        assert_eq!(response.expect("an answer").status(), 200);
    });
}

#[test]
fn what_belongs_to_the_connection_is_not_the_responses_to_say() {
    let served = Served::new();
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        let response = sender.send_request(request("/hop-by-hop", "")).await;
        let response = response.expect("an answer");
        for name in HOP_BY_HOP {
            assert!(!response.headers().contains_key(name), "{name}");
        }
        assert_eq!(response.headers()["x-kept"], "1");
        assert_eq!(response.headers()["content-length"], "4");
        assert_eq!(text(response).await.expect("whole"), "four");
    });
}

#[test]
fn a_head_has_no_body_and_the_length_of_a_get() {
    let served = Served::new();
    served.open_gate();
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        for (path, length) in [("/large?3", Some("3")), ("/slow", None), ("/empty", None)] {
            let mut request = request(path, "");
            *request.method_mut() = http::Method::HEAD;
            let response = sender.send_request(request).await.expect("an answer");
            let said = response.headers().get("content-length");
            assert_eq!(
                said.map(|said| said.to_str().expect("digits")),
                length,
                "{path}"
            );
            assert_eq!(text(response).await.expect("whole"), "", "{path}");
        }
    });
}

#[test]
fn an_expectation_is_met_or_refused() {
    let served = Served::new();
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        for (expect, status) in [("100-continue", 200), ("a-pony", 417)] {
            let mut request = request("/x", "hello");
            let expect = HeaderValue::from_static(expect);
            request.headers_mut().insert("expect", expect);
            let response = sender.send_request(request).await.expect("an answer");
            assert_eq!(response.status(), status);
        }
    });
}

/// What a function gets of the fields of a request over HTTP/2.
fn fields(served: &Served, given: &[(&'static str, &'static str)]) -> (u16, String) {
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        let mut request = request("/fields", "");
        for (name, value) in given {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        let response = sender.send_request(request).await.expect("an answer");
        let status = response.status().as_u16();
        (status, text(response).await.expect("whole"))
    })
}

#[test]
fn crumbs_are_one_cookie() {
    let served = Served::new();
    let (status, seen) = fields(&served, &[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2")]);
    assert_eq!(status, 200);
    assert!(seen.contains("cookie: a=1; b=2\n"), "{seen}");
    assert_eq!(seen.matches("cookie").count(), 1, "{seen}");
    // As many as browsers keep for a site; the limit of 100 fields is not for them.
    let (status, seen) = fields(&served, &[("cookie", "a=1"); 180]);
    assert_eq!(status, 200, "{seen}");
    assert_eq!(seen.matches("a=1").count(), 180, "{seen}");
    assert_eq!(seen.matches("a=1; a=1").count(), 90, "{seen}");
}

#[test]
fn the_authority_is_the_host() {
    let served = Served::new();
    for given in [&[][..], &[("host", "a.test")]] {
        let (status, seen) = fields(&served, given);
        assert_eq!(status, 200);
        assert_eq!(seen.matches("host: a.test\n").count(), 1, "{seen}");
    }
}

#[test]
fn a_response_that_breaks_resets_its_stream_only() {
    let served = Served::new();
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        for path in ["/break", "/break-declared"] {
            // The reset may overtake the head.
            if let Ok(response) = sender.send_request(request(path, "")).await {
                let body = text(response).await;
                assert!(body.is_err(), "{path}: {body:?}");
            }
        }
        let response = sender.send_request(request("/x", "")).await;
        assert_eq!(response.expect("an answer").status(), 200);
    });
}

#[test]
fn a_stream_that_is_reset_cancels_its_request() {
    let served = Served::new();
    let sender = served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        let waiting = sender.send_request(request("/wait", ""));
        // Sent, and then dropped while it waits.
        let quick = sender.send_request(request("/x", "")).await;
        assert_eq!(quick.expect("an answer").status(), 200);
        drop(waiting);
        sender
    });
    while served.event() != Event::Cancelled {}
    drop(sender);
}

#[test]
fn a_drain_finishes_what_was_begun() {
    let served = Served::new();
    served.runtime.block_on(async {
        let mut sender = connect(served.address).await;
        let waiting = tokio::spawn(sender.send_request(request("/wait", "")));
        let quick = sender.send_request(request("/x", "")).await;
        assert_eq!(quick.expect("an answer").status(), 200);
        served.begin_drain();
        // GOAWAY: the client's connection takes no more requests.
        while sender.ready().await.is_ok() && !sender.is_closed() {
            tokio::task::yield_now().await;
            if let Err(_told) = sender.send_request(request("/x", "")).await {
                break;
            }
        }
        served.open_gate();
        let waited = waiting.await.expect("no panic").expect("an answer");
        assert_eq!(text(waited).await.expect("whole"), "waited");
    });
    assert_eq!(served.drained().aborted, 0);
}

#[test]
fn what_does_not_end_is_aborted_at_the_deadline() {
    let served = Served::with(holm_router::Settings {
        drain_time: std::time::Duration::from_millis(100),
        ..holm_router::Settings::default()
    });
    let mut sender = served.runtime.block_on(connect(served.address));
    let waiting = sender.send_request(request("/wait", ""));
    let waiting = served.runtime.spawn(waiting);
    let began = Event::Began("POST a.test /wait".to_owned());
    assert_eq!(served.event(), began);
    served.begin_drain();
    assert_eq!(served.drained().aborted, 1);
    assert_eq!(served.event(), Event::Cancelled);
    let answer = served.runtime.block_on(waiting).expect("no panic");
    assert!(answer.is_err(), "{answer:?}");
}
