//! Fields behind a body: read to find its end, and then forgotten. No API of a function has them.

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PREFACE,
    PROTOCOL_ERROR, SETTINGS, error_of, frame, head_with, next_frame,
};
use crate::support::{Client, Served, status};

const POST: &str = "POST /all HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\
                    Trailer: X-Sum\r\nTE: trailers\r\n\r\n5\r\nhello\r\n0\r\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

/// Fields that would change what the request is, or the next one, if anybody took them up.
#[test]
fn they_change_nothing_of_a_request() {
    let served = Served::new();
    for trailers in [
        "",
        "X-Sum: 1\r\n",
        "Host: victim.test\r\nCookie: a=1\r\nAuthorization: Basic eA==\r\n",
        "Content-Length: 50\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n",
        "X-Forwarded-For: 192.0.2.1\r\n",
    ] {
        let answer = served.send(format!("{POST}{trailers}\r\n{NEXT}"));
        let (first, next) = answer.split_once("HTTP/1.1 200 OK\r\n").map_or_else(
            || panic!("{trailers:?}: {answer}"),
            |(_, first)| {
                first
                    .split_once("HTTP/1.1 200 OK\r\n")
                    .unwrap_or_else(|| panic!("{trailers:?}: {answer}"))
            },
        );
        assert!(
            first.ends_with(
                "
 hello"
            ),
            "{trailers:?}: {first}"
        );
        assert!(first.contains("host: a.test\n"), "{trailers:?}: {first}");
        for name in [
            "x-sum: ",
            "cookie",
            "authorization",
            "expect",
            "192.0.2.1",
            "victim",
        ] {
            assert!(!first.contains(name), "{trailers:?}: {first}");
        }
        assert!(next.ends_with("GET a.test /next "), "{trailers:?}: {next}");
        assert_eq!(served.began(), ["POST a.test /all", "GET a.test /next"]);
    }
}

#[test]
fn there_is_an_end_to_them() {
    let served = Served::new();
    let one = format!("X: {}\r\n", "a".repeat(20_000));
    let many = "X: a\r\n".repeat(5_000);
    for trailers in [one, many] {
        let answer = served.send(format!("{POST}{trailers}\r\n{NEXT}"));
        assert_eq!(status(&answer), 400, "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert_eq!(served.began(), ["POST a.test /all"]);
    }
    // As many as there may be.
    let answer = served.send(format!("{POST}X: {}\r\n\r\n{NEXT}", "a".repeat(16_000)));
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}

/// Opens a connection, and a request on it whose body has begun.
fn client(served: &Served) -> Client {
    let mut client = served.client();
    client.send(PREFACE);
    client.send(frame(SETTINGS, 0, 0, &[]));
    client.send(frame(HEADERS, END_HEADERS, 1, &head()));
    client.send(frame(DATA, 0, 1, b"hello"));
    client
}

fn head() -> Vec<u8> {
    head_with(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", "/all"),
        ("te", "trailers"),
    ])
}

#[test]
fn over_http2_they_end_a_body_and_are_forgotten() {
    let served = Served::new();
    for trailers in [
        &[("x-sum", "1")][..],
        &[("host", "victim.test"), ("cookie", "a=1")],
        &[("content-length", "50")],
        // RFC 9113, 8.1, calls these malformed. The h2 crate passes them over.
        &[(":path", "/other"), (":authority", "victim.test")],
        &[],
    ] {
        let mut client = client(&served);
        let trailers = head_with(trailers);
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
        let said = String::from_utf8(next_frame(&mut client, DATA, 1)).expect("text");
        assert!(
            said.ends_with(
                "
host: a.test
 hello"
            ),
            "{said}"
        );
        for name in ["x-sum", "cookie", "content-length", "victim"] {
            assert!(!said.contains(name), "{said}");
        }
        assert_eq!(served.began(), ["POST a.test /all"]);
    }
}

/// RFC 9113, 8.1: they end the stream, and are fields like any other.
#[test]
fn over_http2_they_are_trailers_or_an_error() {
    let served = Served::new();
    let end = END_HEADERS | END_STREAM;
    for (flags, fields) in [
        (END_HEADERS, &[("x-sum", "1")][..]),
        (end, &[("X-Sum", "1")]),
        (end, &[("connection", "close")]),
    ] {
        let mut client = client(&served);
        client.send(frame(HEADERS, flags, 1, &head_with(fields)));
        let error = error_of(&mut client, 1);
        assert_eq!(error, Some(PROTOCOL_ERROR), "{fields:?}");
    }
}

#[test]
fn over_http2_there_is_an_end_to_them() {
    let served = Served::new();
    let mut client = client(&served);
    let piece = head_with(&[("x", "a".repeat(120).as_str()); 100]);
    client.send(frame(HEADERS, END_STREAM, 1, &piece));
    for _ in 0..200 {
        if client.try_send(frame(CONTINUATION, 0, 1, &piece)).is_err() {
            break;
        }
    }
    assert_eq!(error_of(&mut client, 1), Some(ENHANCE_YOUR_CALM));
}
