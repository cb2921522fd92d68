//! Heads over HTTP/2 that no client library sends.

use crate::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, head_with,
    next_frame, next_frame_of,
};
use crate::support::{Client, Served};

/// Statuses as HPACK has them in its table (RFC 7541, appendix A).
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8C;

/// Sends a GET of `/fields` with these fields too, or with other pseudo-fields.
fn client(served: &Served, fields: &[(&str, &str)]) -> Client {
    let mut all = vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", "/fields"),
    ];
    for (name, value) in fields {
        match all
            .iter_mut()
            .find(|(known, _)| known == name && known.starts_with(':'))
        {
            Some(known) => known.1 = value,
            None => all.push((name, value)),
        }
    }
    let mut client = served.client();
    client.send(PREFACE);
    client.send(frame(SETTINGS, 0, 0, &[]));
    client.send(frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &head_with(&all),
    ));
    client
}

/// The first byte of the answer's head, which is its status; none if the stream is reset.
fn status(client: &mut Client) -> Option<u8> {
    let (kind, payload) = next_frame_of(client, &[HEADERS, RST_STREAM], 1);
    (kind == HEADERS).then(|| payload[0])
}

/// Refused by the h2 crate, or with an answer.
fn assert_refused(served: &Served, fields: &[(&str, &str)]) {
    let status = status(&mut client(served, fields));
    assert!(
        matches!(status, None | Some(BAD_REQUEST)),
        "{fields:?}: {status:?}"
    );
    assert_eq!(served.began(), Vec::<String>::new(), "{fields:?}");
}

fn seen(served: &Served, fields: &[(&str, &str)]) -> String {
    let mut client = client(served, fields);
    assert_eq!(status(&mut client), Some(OK), "{fields:?}");
    assert_eq!(served.began(), ["GET a.test /fields"]);
    String::from_utf8(next_frame(&mut client, DATA, 1)).expect("text")
}

/// RFC 9113, 8.2.1. Over HTTP/1 they are no part of the value.
#[test]
fn values_neither_start_nor_end_with_blanks() {
    let served = Served::new();
    for value in [" a", "a ", "\ta", "a\t", " ", "\t"] {
        assert_refused(&served, &[("x", value)]);
        assert_refused(&served, &[("x", "fine"), ("x", value)]);
    }
    assert!(seen(&served, &[("x", "a \tb"), ("y", "")]).contains("x: a \tb\ny: \n"));
    let answer = served.send(
        "GET /fields HTTP/1.1\r\nHost: a.test\r\nX: \t a \tb \t\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.contains("\nx: a \tb\n"), "{answer}");
}

#[test]
fn a_length_that_is_said_twice_is_one() {
    let served = Served::new();
    let text = seen(&served, &[("content-length", "0"), ("content-length", "0")]);
    assert_eq!(text.matches("content-length: 0\n").count(), 1, "{text}");
    assert_refused(&served, &[("content-length", "0"), ("content-length", "1")]);
    assert_refused(
        &served,
        &[("content-length", "0"), ("content-length", "00")],
    );
}

/// RFC 9113, 8.3.1: it starts with a slash.
#[test]
fn a_path_is_a_path() {
    let served = Served::new();
    for path in ["?x", "fields", "http://a.test/fields", "a.test:80"] {
        assert_refused(&served, &[(":path", path)]);
    }
}

#[test]
fn an_authority_is_a_host() {
    let served = Served::new();
    for authority in ["", "me@a.test", "a.test/x", "a.test, b.test"] {
        assert_refused(&served, &[(":authority", authority)]);
    }
    assert_refused(&served, &[("host", "b.test")]);
}
