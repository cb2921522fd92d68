//! Frames and heads that RFC 9113 forbids: an error, nothing runs, and the next connection is as good as any.

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, error_of, frame, head_of, head_with,
};
use crate::support::{Served, status};

const WHOLE: u8 = END_HEADERS | END_STREAM;

/// What comes behind the preface and SETTINGS of a connection, and the stream that it is about.
fn assert_error(served: &Served, name: &str, bytes: &[u8], on: u32) {
    let mut client = served.client();
    client.send(PREFACE);
    client.send(frame(SETTINGS, 0, 0, &[]));
    // The end may come before all is sent.
    let _ = client.try_send(bytes);
    let error = error_of(&mut client, on);
    assert!(error.is_some_and(|error| error != 0), "{name}: {error:?}");
}

/// A setting and its value.
fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A request that waits for its body.
fn open() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &head_of("/text"))
}

fn two(one: Vec<u8>, other: &[u8]) -> Vec<u8> {
    [&one, other].concat()
}

#[test]
fn invalid_frames_are_errors() {
    let served = Served::new();
    let whole = || frame(HEADERS, WHOLE, 1, &head_of("/text"));
    let largest = 16_384;
    for (name, bytes) in [
        ("DATA on stream 0", frame(DATA, 0, 0, b"x")),
        ("DATA on an idle stream", frame(DATA, 0, 1, b"x")),
        (
            "DATA with more padding than payload",
            two(open(), &frame(DATA, 8, 1, &[9, b'x'])),
        ),
        (
            "DATA over the largest size",
            two(open(), &frame(DATA, 0, 1, &vec![0; largest + 1])),
        ),
        (
            "HEADERS on stream 0",
            frame(HEADERS, WHOLE, 0, &head_of("/text")),
        ),
        (
            "HEADERS on a stream of the server's",
            frame(HEADERS, WHOLE, 2, &head_of("/text")),
        ),
        (
            "HEADERS that depend on themselves",
            frame(HEADERS, WHOLE | 0x20, 1, &[0, 0, 0, 1, 0]),
        ),
        (
            "HEADERS with more padding than payload",
            frame(HEADERS, WHOLE | 8, 1, &[200, 0x82]),
        ),
        (
            "HEADERS over the largest size",
            frame(HEADERS, WHOLE, 1, &vec![0; largest + 1]),
        ),
        (
            "HEADERS within HEADERS",
            two(frame(HEADERS, END_STREAM, 1, &head_of("/text")), &whole()),
        ),
        (
            "DATA within HEADERS",
            two(
                frame(HEADERS, 0, 1, &head_of("/text")),
                &frame(DATA, 0, 1, b"x"),
            ),
        ),
        (
            "CONTINUATION of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
        ),
        (
            "CONTINUATION of another stream",
            two(
                frame(HEADERS, END_STREAM, 1, &head_of("/text")),
                &frame(CONTINUATION, END_HEADERS, 3, &[]),
            ),
        ),
        (
            "an index that HPACK does not have",
            frame(HEADERS, WHOLE, 1, &[0xFE]),
        ),
        ("an index of nothing", frame(HEADERS, WHOLE, 1, &[0x80])),
        (
            "a string that ends early",
            frame(HEADERS, WHOLE, 1, &[0, 0x7E, b'a']),
        ),
        (
            "a table larger than it may be",
            frame(HEADERS, WHOLE, 1, &[0x3F, 0xE2, 0xFF, 0x03]),
        ),
        (
            "SETTINGS of no whole number",
            frame(SETTINGS, 0, 0, &[0; 5]),
        ),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, &[])),
        (
            "an ACK of SETTINGS that says something",
            frame(SETTINGS, ACK, 0, &setting(4, 1)),
        ),
        (
            "a window over the largest",
            frame(SETTINGS, 0, 0, &setting(4, 1 << 31)),
        ),
        (
            "frames below the least size",
            frame(SETTINGS, 0, 0, &setting(5, 100)),
        ),
        (
            "push of neither 0 nor 1",
            frame(SETTINGS, 0, 0, &setting(2, 2)),
        ),
        ("PING of 7 bytes", frame(PING, 0, 0, &[0; 7])),
        ("PING on a stream", frame(PING, 0, 1, &[0; 8])),
        ("PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0; 5])),
        (
            "RST_STREAM of an idle stream",
            frame(RST_STREAM, 0, 1, &[0; 4]),
        ),
        (
            "RST_STREAM of 3 bytes",
            two(open(), &frame(RST_STREAM, 0, 1, &[0; 3])),
        ),
        ("GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8])),
        (
            "PUSH_PROMISE from a client",
            two(open(), &frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        ),
        (
            "WINDOW_UPDATE by nothing",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        (
            "WINDOW_UPDATE of 3 bytes",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
        ),
        (
            "WINDOW_UPDATE of an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        ),
        (
            "a window that runs over",
            frame(WINDOW_UPDATE, 0, 0, &0x7FFF_FFFF_u32.to_be_bytes()),
        ),
        (
            "a window of a stream that runs over",
            two(
                open(),
                &frame(WINDOW_UPDATE, 0, 1, &0x7FFF_FFFF_u32.to_be_bytes()),
            ),
        ),
    ] {
        assert_error(&served, name, &bytes, 1);
    }
    let answer = served.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 200, "{answer}");
}

/// RFC 9113, 8.2 and 8.3.
#[test]
fn malformed_heads_do_not_run() {
    let served = Served::new();
    let sound = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", "/text"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&sound[..], more].concat();
    let without = |name: &str| {
        let rest = sound.iter().filter(|(known, _)| *known != name);
        rest.copied().collect::<Vec<_>>()
    };
    for (name, fields) in [
        ("a name in capitals", with(&[("X-Capital", "1")])),
        ("a name with a space", with(&[("x y", "1")])),
        ("a name with a colon", with(&[("x:y", "1")])),
        ("no name", with(&[("", "1")])),
        (
            "a value with a line in it",
            with(&[("x", "a\r\nhost: victim.test")]),
        ),
        ("a value with NUL", with(&[("x", "a\0b")])),
        ("connection", with(&[("connection", "keep-alive")])),
        ("keep-alive", with(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        (
            "transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("upgrade", with(&[("upgrade", "h2c")])),
        ("te that is not trailers", with(&[("te", "gzip")])),
        ("a field of ours to a client", with(&[(":status", "200")])),
        ("a field that nobody knows", with(&[(":other", "1")])),
        ("two methods", with(&[(":method", "POST")])),
        ("two paths", with(&[(":path", "/other")])),
        (
            "a path behind a field",
            [&[("x", "1")], &sound[..]].concat(),
        ),
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("no path", without(":path")),
    ] {
        assert_error(
            &served,
            name,
            &frame(HEADERS, WHOLE, 1, &head_with(&fields)),
            1,
        );
        assert_eq!(served.began(), Vec::<String>::new(), "{name}");
    }
}

/// A length that the body does not have.
#[test]
fn a_body_has_the_length_that_was_declared() {
    let served = Served::new();
    for (declared, chunks) in [
        ("2", &["abc"][..]),
        ("2", &["a", "b", "c"]),
        ("9", &["abc"]),
    ] {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "a.test"),
            (":path", "/p"),
            ("content-length", declared),
        ];
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &head_with(&fields));
        for (number, chunk) in chunks.iter().enumerate() {
            let is_last = number + 1 == chunks.len();
            let flags = if is_last { END_STREAM } else { 0 };
            bytes.extend(frame(DATA, flags, 1, chunk.as_bytes()));
        }
        assert_error(&served, declared, &bytes, 1);
    }
}
