//! Bodies in motion: streaming, back-pressure, and what stops when somebody goes away.

use std::sync::{Arc, Mutex};

use async_compression::tokio::write::GzipEncoder;
use bytes::Bytes;
use holm_model::body::{Body, BodySender, BodyStream};
use holm_model::outbound::Outbound;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, oneshot};

use super::super::body::CHUNK;
use super::{Server, answer, client, collect, fill, get, post, soon};

/// More than the kernel buffers for a connection on loopback, in chunks.
const MANY: usize = 1024;

/// A server that answers once, with `body`.
async fn once(body: Body, coding: Option<&'static str>) -> Server {
    let body = Arc::new(Mutex::new(Some(body)));
    Server::start(move |_| {
        let body = body.lock().expect("no panic").take();
        let mut answer = answer(body.expect("asked once"));
        if let Some(coding) = coding {
            let coding = HeaderValue::from_static(coding);
            answer.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        std::future::ready(answer)
    })
    .await
}

#[tokio::test]
async fn an_upload_waits_for_its_reader() {
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let server = Server::start(move |request: Request<Incoming>| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame
                    .expect("a whole body")
                    .data_ref()
                    .map_or(0, Bytes::len);
            }
            answer(Body::Full(length.to_string().into()))
        }
    })
    .await;
    let (sender, stream) = BodyStream::channel(None);
    let client = client();
    let exchange = client.send(post(&server.url("/"), Body::Stream(stream)));
    let chunk = Bytes::from(vec![b'u'; CHUNK]);
    let taken = fill(&sender, &chunk, MANY).await;
    assert!(taken < MANY, "{taken} chunks were taken that nobody read");
    go.notify_one();
    // The chunk whose turn did not come was not taken.
    for _ in taken..MANY {
        sender.send(chunk.clone()).await.expect("read");
    }
    drop(sender);
    let answer = exchange.await.expect("an answer");
    let length = collect(answer.body).await.expect("a body");
    assert_eq!(length, (MANY * CHUNK).to_string());
}

#[tokio::test]
async fn a_download_waits_for_its_reader() {
    let (sender, stream) = BodyStream::channel(None);
    let server = once(Body::Stream(stream), None).await;
    let client = client();
    let answer = client.send(get(&server.url("/"))).await.expect("an answer");
    let Body::Stream(mut body) = answer.body else {
        panic!("its length is not known");
    };
    let chunk = Bytes::from(vec![b'd'; CHUNK]);
    let taken = fill(&sender, &chunk, MANY).await;
    assert!(taken < MANY, "{taken} chunks were taken that nobody read");
    let writing = async {
        for _ in taken..MANY {
            sender.send(chunk.clone()).await.expect("read");
        }
        drop(sender);
    };
    let reading = async {
        let mut length = 0;
        while let Some(chunk) = body.chunk().await {
            let chunk = chunk.expect("a whole body");
            assert!(chunk.len() <= CHUNK);
            length += chunk.len();
        }
        length
    };
    let ((), length) = tokio::join!(writing, reading);
    assert_eq!(length, MANY * CHUNK);
}

/// A server that sends the first byte of a body on before it has the last.
async fn echo() -> Server {
    Server::start(|request: Request<Incoming>| async {
        let (sender, stream) = BodyStream::channel(None);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data() {
                    sender.send(data).await.expect("read");
                }
            }
        });
        answer(Body::Stream(stream))
    })
    .await
}

#[tokio::test]
async fn both_ways_at_once() {
    let server = echo().await;
    let (sender, stream) = BodyStream::channel(None);
    let client = client();
    let exchange = client.send(post(&server.url("/"), Body::Stream(stream)));
    sender.send("ping".into()).await.expect("read");
    let Body::Stream(mut body) = exchange.await.expect("an answer").body else {
        panic!("its length is not known");
    };
    assert_eq!(body.chunk().await, Some(Ok("ping".into())));
    sender.send("pong".into()).await.expect("read");
    assert_eq!(body.chunk().await, Some(Ok("pong".into())));
    drop(sender);
    assert_eq!(body.chunk().await, None);
}

#[tokio::test]
async fn dropping_the_future_ends_the_exchange() {
    let (seen, arrived) = oneshot::channel();
    let (gone, ended) = oneshot::channel();
    let signals = Arc::new(Mutex::new(Some((seen, gone))));
    let server = Server::start(move |request: Request<Incoming>| {
        let signals = signals.lock().expect("no panic").take();
        async move {
            let (seen, gone) = signals.expect("asked once");
            seen.send(()).expect("waited for");
            let body = request.into_body().collect().await;
            gone.send(body.is_err()).expect("waited for");
            answer(Body::Empty)
        }
    })
    .await;
    let (sender, stream) = BodyStream::channel(None);
    let client = client();
    let exchange = client.send(post(&server.url("/"), Body::Stream(stream)));
    sender.send("half".into()).await.expect("read");
    soon(arrived).await.expect("the request arrives");
    drop(exchange);
    soon(sender.closed()).await;
    assert!(
        soon(ended).await.expect("told"),
        "the peer saw a whole request"
    );
}

#[tokio::test]
async fn dropping_the_body_ends_the_exchange() {
    for coding in [None, Some("gzip")] {
        let (sender, stream) = BodyStream::channel(None);
        let server = once(Body::Stream(stream), coding).await;
        sender.send("x".into()).await.expect("read");
        let client = client();
        let answer = client.send(get(&server.url("/"))).await.expect("an answer");
        assert!(matches!(answer.body, Body::Stream(_)));
        drop(answer);
        soon(sender.closed()).await;
    }
}

/// `chunk`, and the encoder flushed, so that a peer can decode it at once.
async fn flushed(encoder: &mut GzipEncoder<Vec<u8>>, chunk: &str) -> Bytes {
    encoder.write_all(chunk.as_bytes()).await.expect("memory");
    encoder.flush().await.expect("memory");
    std::mem::take(encoder.get_mut()).into()
}

#[tokio::test]
async fn a_compressed_body_is_decoded_as_it_comes() {
    let mut encoder = GzipEncoder::new(Vec::new());
    let (sender, stream): (BodySender, _) = BodyStream::channel(None);
    let server = once(Body::Stream(stream), Some("gzip")).await;
    let client = client();
    let answer = client.send(get(&server.url("/"))).await.expect("an answer");
    assert!(answer.decoded);
    assert_eq!(answer.headers[CONTENT_ENCODING], "gzip");
    let Body::Stream(mut body) = answer.body else {
        panic!("its length is not known");
    };
    for event in ["data: one\n\n", "data: two\n\n"] {
        let encoded = flushed(&mut encoder, event).await;
        sender.send(encoded).await.expect("read");
        assert_eq!(body.chunk().await, Some(Ok(event.into())));
    }
    encoder.shutdown().await.expect("memory");
    let end = std::mem::take(encoder.get_mut());
    sender.send(end.into()).await.expect("read");
    drop(sender);
    assert_eq!(body.chunk().await, None);
}

#[tokio::test]
async fn a_body_stays_as_it_is_when_the_function_wants_it_so() {
    let mut encoder = GzipEncoder::new(Vec::new());
    let encoded = flushed(&mut encoder, "hello").await;
    let client = client();
    for (name, value) in [("range", "bytes=0-"), ("accept-encoding", "identity")] {
        let server = once(Body::Full(encoded.clone()), Some("gzip")).await;
        let mut request = get(&server.url("/"));
        request
            .headers
            .insert(name, HeaderValue::from_static(value));
        let answer = client.send(request).await.expect("an answer");
        assert!(!answer.decoded);
        assert_eq!(collect(answer.body).await, Ok(encoded.clone()));
    }
}

#[tokio::test]
async fn open_brotli_bodies_are_bounded() {
    const SHARE: usize = 8;
    let server = Server::start(async |request: Request<Incoming>| {
        let offer = request.headers()["accept-encoding"].to_str();
        let offer = offer.expect("plain text").to_owned();
        // An endless Brotli body, for whoever asks for one or not.
        let (sender, stream) = BodyStream::channel(None);
        tokio::spawn(async move { sender.closed().await });
        let mut answer = answer(Body::Stream(stream));
        let headers = answer.headers_mut();
        let coding = if request.uri().path() == "/force" || offer.contains("br") {
            "br"
        } else {
            "none"
        };
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        answer
    })
    .await;
    let client = client();
    let mut open = Vec::new();
    for _ in 0..SHARE {
        let answer = client.send(get(&server.url("/"))).await.expect("an answer");
        assert!(answer.decoded);
        open.push(answer);
    }
    // From here on Brotli is not asked for, and refused where it comes all the same.
    let plain = client.send(get(&server.url("/"))).await.expect("an answer");
    assert!(!plain.decoded);
    let forced = client.send(get(&server.url("/force"))).await;
    let failure = forced.expect_err("there is no room").to_string();
    assert!(failure.contains("Brotli"), "{failure}");
    let mut other = get(&server.url("/"));
    other.caller.function = "another".into();
    assert!(client.send(other).await.expect("an answer").decoded);

    open.pop();
    // The pump gives its window back when it has seen that its reader is gone.
    let freed = async {
        while !client
            .send(get(&server.url("/")))
            .await
            .expect("an answer")
            .decoded
        {
            tokio::task::yield_now().await;
        }
    };
    soon(freed).await;
}
