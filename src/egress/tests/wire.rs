//! What goes over the wire, and what a function is told when nothing does.

use futures::future::join_all;
use holm_model::body::{Body, BodySender, BodyStream};
use holm_model::outbound::{Outbound, OutboundError, OutboundResponse};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::super::{Allow, Client, Options};
use super::{Server, answer, client, collect, get, loopback, post, text};

/// Says what it was sent.
async fn mirror(request: Request<Incoming>) -> http::Response<super::Outgoing> {
    let mut said = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        said += &format!("{name}: {}\n", value.to_str().expect("plain text"));
    }
    let body = request.into_body().collect().await.expect("a whole body");
    said += &String::from_utf8_lossy(&body.to_bytes());
    let mut answer = answer(Body::Full(said.into()));
    *answer.status_mut() = StatusCode::ACCEPTED;
    let cookies = answer.headers_mut();
    cookies.append("set-cookie", HeaderValue::from_static("a=1"));
    cookies.append("set-cookie", HeaderValue::from_static("b=2"));
    answer
}

#[tokio::test]
async fn a_request_and_its_answer() {
    let server = Server::start(mirror).await;
    let mut request = post(&server.url("/p?q=1#f"), Body::Full("hello".into()));
    request
        .headers
        .insert("host", HeaderValue::from_static("other"));
    request
        .headers
        .insert("x-own", HeaderValue::from_static("yes"));
    let answer = client().send(request).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert!(!answer.decoded);
    let expected = format!(
        "POST /p?q=1\nx-own: yes\naccept: */*\nuser-agent: Holm/{}\n\
         accept-encoding: gzip,br\nhost: {}\ncontent-length: 5\nhello",
        env!("CARGO_PKG_VERSION"),
        server.address
    );
    assert_eq!(text(answer).await, expected);
}

#[tokio::test]
async fn bodies_are_framed_by_what_is_known_of_them() {
    let server = Server::start(mirror).await;
    let client = client();
    let stream = async |length| {
        let (sender, stream) = BodyStream::channel(length);
        sender
            .send("abc".into())
            .await
            .expect("the reader is there");
        Body::Stream(stream)
    };
    for (body, expected) in [
        (Body::Empty, "content-length: 0"),
        (Body::Full("".into()), "content-length: 0"),
        (stream(Some(3)).await, "content-length: 3"),
        (stream(None).await, "transfer-encoding: chunked"),
    ] {
        let answer = client.send(post(&server.url("/"), body)).await;
        let said = text(answer.expect("an answer")).await;
        assert!(said.contains(expected), "{expected} in {said}");
    }
    let mut head = get(&server.url("/"));
    head.method = Method::HEAD;
    let answer = client.send(head).await.expect("an answer");
    assert!(matches!(answer.body, Body::Empty), "{:?}", answer.body);
}

#[tokio::test]
async fn connections_are_kept_and_not_shared_between_functions() {
    let server = Server::start(mirror).await;
    let client = client();
    let ask = async |function: &str| {
        let mut request = get(&server.url("/"));
        request.caller.function = function.into();
        text(client.send(request).await.expect("an answer")).await;
    };
    ask("one").await;
    ask("one").await;
    assert_eq!(server.connections(), 1);
    ask("two").await;
    assert_eq!(server.connections(), 2);
    join_all((0..20).map(|_| ask("one"))).await;
    assert!(server.connections() > 2);
}

#[test]
fn the_io_threads_do_the_work() {
    let io = tokio::runtime::Runtime::new().expect("a runtime");
    let server = io.block_on(Server::start(mirror));
    let client = Client::new(Options {
        io: io.handle().clone(),
        allow: loopback(),
        extra_roots: Vec::new(),
    })
    .expect("no extra roots to fail on");
    // As whoever may ask: a runtime without I/O or timers of its own.
    let said = std::thread::scope(|scope| {
        let isolate = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let answer = client.send(get(&server.url("/"))).await;
                text(answer.expect("an answer")).await
            })
        });
        isolate.join().expect("no panic")
    });
    assert!(said.starts_with("GET /\n"), "{said}");
}

#[tokio::test]
async fn failures_name_the_host_and_the_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let client = client();
    let failure = async |url: &str| client.send(get(url)).await.expect_err("it fails");

    assert_eq!(
        failure(&format!("http://{address}/")).await.to_string(),
        format!("cannot reach {address}: Connection refused (os error 111)")
    );
    for (url, host) in [
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://[::ffff:10.0.0.1]/", "[::ffff:a00:1]"),
        ("https://[::1]:8443/", "[::1]"),
        ("http://0x0a.1/", "10.0.0.1"),
    ] {
        let host = host.to_owned();
        assert_eq!(failure(url).await, OutboundError::Forbidden { host });
    }
    let resolve = failure("http://nonexistent.invalid/").await;
    assert!(
        matches!(&resolve, OutboundError::Resolve { host, reason }
            if host == "nonexistent.invalid" && !reason.is_empty()),
        "{resolve:?}"
    );
    let invalid = failure("ftp://example.com/").await;
    assert_eq!(invalid.to_string(), "cannot fetch ftp: URLs");
}

#[tokio::test]
async fn the_address_is_checked_where_it_is_connected_to() {
    let server = Server::start(mirror).await;
    let strict = Client::new(Options {
        io: Handle::current(),
        allow: Allow::PUBLIC,
        extra_roots: Vec::new(),
    })
    .expect("no extra roots to fail on");
    for host in ["127.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", server.address.port());
        let outcome = strict.send(get(&url)).await;
        assert!(
            matches!(outcome, Err(OutboundError::Forbidden { .. })),
            "{host}"
        );
    }
    assert_eq!(server.connections(), 0);
}

/// A peer that reads one head, writes `bytes` and closes.
async fn raw(bytes: impl AsRef<[u8]> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("accept");
        let mut head = vec![0; 4096];
        let read = socket.read(&mut head).await.expect("a head");
        assert!(head[..read].ends_with(b"\r\n\r\n"));
        socket.write_all(bytes.as_ref()).await.expect("write");
    });
    url
}

/// The answer of such a peer.
async fn answer_of(bytes: impl AsRef<[u8]> + Send + 'static) -> OutboundResponse {
    let answer = client().send(get(&raw(bytes).await)).await;
    answer.expect("an answer")
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nx-own: 1\r\ncontent-length: 2\r\n\r\nhi";
    for interim in [
        hints.to_owned(),
        format!("HTTP/1.1 100 Continue\r\n\r\n{hints}HTTP/1.1 199 Odd\r\n\r\n"),
        hints.repeat(1_000),
    ] {
        let answer = answer_of(interim + last).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["x-own"], "1");
        assert!(!answer.headers.contains_key("link"));
        assert_eq!(text(answer).await, "hi");
    }
    // Nobody asked for another protocol, and nothing behind this is an answer.
    let switched = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    let outcome = client()
        .send(get(&raw(switched.to_owned() + last).await))
        .await;
    assert!(
        matches!(outcome, Err(OutboundError::Unreachable { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_belongs_to_the_connection_is_not_the_answers() {
    let answer = answer_of(
        "HTTP/1.1 200 OK\r\nconnection: X-Private, close\r\nx-private: 1\r\nx-own: 1\r\n\
         keep-alive: timeout=5\r\nproxy-connection: close\r\ntrailer: x-sum\r\nte: x\r\n\
         upgrade: h2c\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    )
    .await;
    let names: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-own"]);
    assert_eq!(text(answer).await, "hi");
}

#[tokio::test]
async fn trailers_end_an_answer_and_are_forgotten() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n";
    for trailers in [
        "",
        "x-sum: 1\r\n",
        "content-length: 9\r\nset-cookie: a=1\r\n",
    ] {
        let answer = answer_of(format!("{head}{trailers}\r\n")).await;
        assert!(answer.headers.is_empty(), "{:?}", answer.headers);
        assert_eq!(text(answer).await, "hi");
    }
    // There is an end to them.
    let endless = format!("{head}{}", "x: a\r\n".repeat(50_000));
    let answer = answer_of(endless).await;
    let body = collect(answer.body).await;
    assert!(body.is_err(), "{body:?}");
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol() {
    let client = client();
    for bytes in [&b""[..], b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n\r\n"] {
        let outcome = client.send(get(&raw(bytes).await)).await;
        assert!(
            matches!(outcome, Err(OutboundError::Unreachable { .. })),
            "{outcome:?}"
        );
    }
    // A body that breaks off must not pass for a whole one.
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let answer = client.send(get(&raw(bytes).await)).await.expect("a head");
        let body = collect(answer.body).await;
        assert!(body.is_err(), "{body:?}");
    }
    let answer = client
        .send(get(&raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end").await))
        .await;
    assert_eq!(text(answer.expect("a head")).await, "until the end");
}

#[tokio::test]
async fn a_body_that_fails_fails_its_request() {
    let server = Server::start(mirror).await;
    let (sender, stream): (BodySender, _) = BodyStream::channel(None);
    let client = client();
    let sending = client.send(post(&server.url("/"), Body::Stream(stream)));
    sender
        .send("abc".into())
        .await
        .expect("the reader is there");
    let broken = holm_model::body::BodyError::Aborted("the function threw".into());
    sender.fail(broken);
    let failure = sending.await.expect_err("half a request has no answer");
    assert_eq!(
        failure.to_string(),
        "the request body failed: the function threw"
    );
}
