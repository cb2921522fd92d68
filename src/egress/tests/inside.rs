//! Requests that stay inside the process.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use holm_model::body::Body;
use holm_model::outbound::{MAX_DEPTH, Outbound, OutboundError, OutboundRequest, OutboundResponse};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::mpsc;

use super::super::{Client, Internal};
use super::{Server, answer, client, get, text};

/// A node with one function, which says what it is asked.
struct Node {
    /// How deep each call was that ran.
    ran: mpsc::UnboundedSender<u8>,
}

impl Internal for Node {
    fn serve(
        &self,
        request: OutboundRequest,
    ) -> Result<BoxFuture<'static, Result<OutboundResponse, OutboundError>>, Box<OutboundRequest>>
    {
        if request.url.host_str() != Some("ours.example") {
            return Err(Box::new(request));
        }
        let ran = self.ran.clone();
        Ok(async move {
            ran.send(request.caller.depth).expect("the test listens");
            let host = request.headers["host"].to_str().expect("plain text");
            Ok(OutboundResponse {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Body::Full(format!("inside, asked as {host}").into()),
                decoded: false,
            })
        }
        .boxed())
    }
}

fn node(client: &Client, port: u16) -> mpsc::UnboundedReceiver<u8> {
    let (ran, calls) = mpsc::unbounded_channel();
    client.serve_inside(Arc::new(Node { ran }), &[port]);
    calls
}

#[tokio::test]
async fn our_hosts_need_no_socket() {
    let client = client();
    let mut calls = node(&client, 8080);
    for (url, host) in [
        ("http://ours.example/", "ours.example"),
        ("https://ours.example/", "ours.example"),
        ("http://ours.example:8080/", "ours.example:8080"),
    ] {
        let answer = client.send(get(url)).await.expect("an answer");
        assert_eq!(text(answer).await, format!("inside, asked as {host}"));
        assert_eq!(calls.try_recv(), Ok(0));
    }
}

#[tokio::test]
async fn other_hosts_and_ports_go_outside() {
    let client = client();
    let mut calls = node(&client, 8080);
    let server = Server::start(async |request: http::Request<_>| {
        let hosts = request.headers().get_all("host").iter().count();
        let host = &request.headers()["host"];
        let said = format!("{hosts} {}", host.to_str().expect("plain text"));
        answer(Body::Full(said.into()))
    })
    .await;
    // Given back by the node: another host at a port of ours.
    node(&client, server.address.port());
    let outside = client.send(get(&server.url("/"))).await;
    let said = text(outside.expect("an answer")).await;
    assert_eq!(said, format!("1 {}", server.address));
    // Not offered to the node: our host at a port that is not ours.
    let outside = client.send(get("http://ours.example:1/")).await;
    assert!(outside.is_err(), "{outside:?}");
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn a_chain_ends_at_the_greatest_depth() {
    let client = client();
    let mut calls = node(&client, 8080);
    let ask = async |depth| {
        let mut request = get("http://ours.example/");
        request.caller.depth = depth;
        client.send(request).await.expect("an answer")
    };
    assert_eq!(ask(MAX_DEPTH - 1).await.status, StatusCode::OK);
    assert_eq!(calls.try_recv(), Ok(MAX_DEPTH - 1));

    let refused = ask(MAX_DEPTH).await;
    assert_eq!(refused.status, StatusCode::LOOP_DETECTED);
    assert_eq!(refused.headers["content-type"], "text/plain; charset=utf-8");
    assert!(text(refused).await.starts_with("Loop detected: 16 "));
    assert!(calls.try_recv().is_err(), "the function ran");
}

/// Answers that are compressed are undone inside as they are outside.
struct Compressing;

impl Internal for Compressing {
    fn serve(
        &self,
        request: OutboundRequest,
    ) -> Result<BoxFuture<'static, Result<OutboundResponse, OutboundError>>, Box<OutboundRequest>>
    {
        assert!(!request.headers.contains_key("accept-encoding"));
        // "hi" as gzip(1) writes it.
        const HI: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\xc8\x04\0\xac\x2a\x93\xd8\x02\0\0\0";
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        let answer = OutboundResponse {
            status: StatusCode::OK,
            headers,
            body: Body::Full(HI.into()),
            decoded: false,
        };
        Ok(std::future::ready(Ok(answer)).boxed())
    }
}

#[tokio::test]
async fn a_compressed_answer_from_inside_is_decoded() {
    let client = client();
    client.serve_inside(Arc::new(Compressing), &[]);
    let answer = client.send(get("http://ours.example/")).await;
    let answer = answer.expect("an answer");
    assert!(answer.decoded);
    assert_eq!(text(answer).await, "hi");
}
