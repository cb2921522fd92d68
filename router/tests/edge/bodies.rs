//! Bodies both ways: limits, cancellation, and ends that must not look like what they are not.

use std::io::ErrorKind;

use crate::support::{Event, Served, header, status};

/// What the probe's `/hop-by-hop` says and no client hears: the last two by its `Connection`.
pub(crate) const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "transfer-encoding",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
    "x-private",
    "x-more",
];

#[test]
fn bodies_of_each_kind_arrive_whole() {
    let served = Served::new();
    let mut client = served.client();
    client.send("POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhel");
    client.send("lo");
    assert!(client.response().ends_with("POST a.test /p hello"));
    client.send("POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel");
    client.send("\r\n2\r\nlo\r\n0\r\n\r\n");
    assert!(client.response().ends_with("POST a.test /p hello"));
    client.send("HEAD /p HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let head = client.until("\r\n\r\n");
    assert_eq!(header(&head, "content-length"), Some("15"));
    client.send("OPTIONS /p HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.response().ends_with("OPTIONS a.test /p "));
}

#[test]
fn expect_100_continue_is_answered_when_the_body_is_asked_for() {
    let served = Served::new();
    let mut client = served.client();
    let head = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    client.send(head("/p"));
    assert_eq!(status(&client.until("\r\n\r\n")), 100);
    client.send("123456789");
    assert!(client.response().ends_with("POST a.test /p 123456789"));
    // Nobody wants it: the client is spared sending it.
    client.send(head("/small-only"));
    assert_eq!(status(&client.response()), 413);
}

/// The client is told at once, and not to go on.
#[test]
fn other_expectations_are_refused() {
    let served = Served::new();
    let head = |version: &str, expect: &str| {
        format!("POST /p {version}\r\nHost: a.test\r\nContent-Length: 3\r\n{expect}\r\n\r\n")
    };
    for expect in [
        "Expect: a-pony",
        "Expect: 100-continue, a-pony",
        "Expect: 100-continue\r\nExpect: a-pony",
        "Expect:",
    ] {
        let mut client = served.client();
        client.send(head("HTTP/1.1", expect));
        let answer = client.response();
        assert_eq!(status(&answer), 417, "{expect}: {answer}");
        assert_eq!(served.began(), Vec::<String>::new(), "{expect}");
    }
    let mut client = served.client();
    client.send(head("HTTP/1.1", "expect: 100-Continue"));
    assert_eq!(status(&client.until("\r\n\r\n")), 100);
    client.send("abc");
    assert!(client.response().ends_with("POST a.test /p abc"));
    // HTTP/1.0 has neither expectations nor interim answers.
    for expect in ["Expect: 100-continue", "Expect: a-pony"] {
        let mut client = served.client();
        client.send(head("HTTP/1.0", expect) + "abc");
        let answer = client.rest();
        assert_eq!(status(&answer), 200, "{expect}: {answer}");
        assert!(answer.ends_with("POST a.test /p abc"), "{expect}: {answer}");
    }
    // Who has sent the body already needs no leave.
    let mut client = served.client();
    client.send(head("HTTP/1.1", "Expect: 100-continue") + "abc");
    let answer = client.until("POST a.test /p abc");
    assert_eq!(answer.matches(" 200 OK").count(), 1, "{answer}");
}

/// What a GET would say, and nothing behind it.
#[test]
fn a_head_has_no_body_whatever_answers_it() {
    let served = Served::new();
    served.open_gate();
    for path in [
        "/text",
        "/slow",
        "/slow-declared",
        "/large?3",
        "/empty",
        "/a/../b",
    ] {
        let mut client = served.client();
        let ask = |method| format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        client.send(ask("HEAD"));
        let of_head = client.until("\r\n\r\n");
        // Any byte of a body would be read as the start of the next answer.
        client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let next = client.response();
        assert!(next.ends_with("GET a.test /next "), "{path}: {next}");
        let mut client = served.client();
        client.send(ask("GET"));
        let of_get = client.until("\r\n\r\n");
        assert_eq!(status(&of_head), status(&of_get), "{path}");
        let length = |head: &str| {
            let length = header(head, "content-length")?;
            // The words name the method.
            Some(length.parse::<usize>().expect("a number"))
        };
        match (length(&of_head), length(&of_get)) {
            (Some(of_head), Some(of_get)) => assert!(of_head.abs_diff(of_get) <= 1, "{path}"),
            (of_head, of_get) => assert_eq!(of_head, of_get, "{path}"),
        }
    }
}

#[test]
fn a_body_over_its_limit_is_answered_413() {
    let served = Served::new();
    let declared =
        "POST /small-only HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n123456789";
    let mut client = served.client();
    client.send(declared);
    assert_eq!(status(&client.response()), 413);
    let chunked = "POST /small-only HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n4\r\nmore\r\n0\r\n\r\n";
    let mut client = served.client();
    client.send(chunked);
    let answer = client.response();
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(answer.contains("8 bytes"), "{answer}");
}

/// The answer must survive the rest of an upload that nobody reads.
#[test]
fn a_client_that_is_still_sending_gets_its_413() {
    let served = Served::new();
    let mut client = served.client();
    client.send("POST /small-only HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4000000\r\n\r\n");
    let piece = vec![b'x'; 100_000];
    for _ in 0..40 {
        client
            .try_send(&piece)
            .expect("the server reads on for a while");
    }
    assert_eq!(status(&client.rest()), 413);
}

#[test]
fn a_body_that_falls_silent_is_answered_408() {
    let served = Served::new();
    let mut client = served.client();
    client.send("POST /quick HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n1234");
    let answer = client.rest();
    assert_eq!(status(&answer), 408, "{answer}");
}

#[test]
fn a_client_that_leaves_cancels_its_request() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    drop(client);
    assert_eq!(served.event(), Event::Cancelled);
}

#[test]
fn a_client_that_leaves_stops_its_response() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.until("xxxx");
    assert_eq!(
        served.event(),
        Event::Began("GET a.test /endless".to_owned())
    );
    drop(client);
    assert_eq!(served.event(), Event::Unheard);
}

#[test]
fn a_response_that_breaks_never_ends_well() {
    let served = Served::new();
    // Chunked: no last chunk, and a reset.
    let mut client = served.client();
    client.send("GET /break HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let end = client.end();
    assert_eq!(end.map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    // Declared: too few bytes, and a reset.
    let mut client = served.client();
    client.send("GET /break-declared HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let end = client.end();
    assert_eq!(end.map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    // HTTP/1.0 ends a body by closing: only a reset tells a broken one from a whole one.
    let mut client = served.client();
    client.send("GET /break HTTP/1.0\r\nHost: a.test\r\n\r\n");
    let end = client.end();
    assert_eq!(end.map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    // And a whole one ends well.
    served.open_gate();
    let mut client = served.client();
    client.send("GET /slow HTTP/1.0\r\nHost: a.test\r\n\r\n");
    assert!(client.end().expect("a clean end").ends_with("\r\n\r\n12"));
    let mut client = served.client();
    client.send("GET /slow HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let text = client.end().expect("a clean end");
    assert!(text.ends_with("1\r\n1\r\n1\r\n2\r\n0\r\n\r\n"), "{text}");
    let mut client = served.client();
    client.send("GET /slow-declared HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.response().ends_with("\r\n\r\n12"));
}

#[test]
fn what_belongs_to_the_connection_is_not_the_responses_to_say() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /hop-by-hop HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answer = client.response();
    assert!(answer.ends_with("\r\n\r\nfour"), "{answer}");
    assert_eq!(header(&answer, "content-length"), Some("4"));
    assert_eq!(header(&answer, "server"), Some("holm"));
    for name in HOP_BY_HOP {
        assert_eq!(header(&answer, name), None, "{answer}");
    }
    assert_eq!(header(&answer, "x-kept"), Some("1"));
    client.send("GET /empty HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answer = client.response();
    assert_eq!(status(&answer), 204);
    assert_eq!(header(&answer, "content-length"), None, "{answer}");
    client.send("GET /upgrade HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(status(&client.response()), 502);
}

/// Ours to say is the truth, where we know it; else what the function says, once.
#[test]
fn a_stream_has_the_length_that_it_was_given() {
    let served = Served::new();
    for (claim, length) in [
        ("2", Some("2")),
        ("2&2", Some("2")),
        ("2&3", None),
        ("+2", None),
        ("two", None),
    ] {
        let mut client = served.client();
        client.send(format!(
            "GET /claims?{claim} HTTP/1.1\r\nHost: a.test\r\n\r\n"
        ));
        let head = client.until("\r\n\r\n");
        assert_eq!(header(&head, "content-length"), length, "{claim}: {head}");
        client.until("2");
        let mut client = served.client();
        client.send(format!(
            "HEAD /claims?{claim} HTTP/1.1\r\nHost: a.test\r\n\r\n"
        ));
        let head = client.until("\r\n\r\n");
        assert_eq!(header(&head, "content-length"), length, "{claim}: {head}");
    }
    let mut client = served.client();
    client.send("GET /claims?1 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert!(client.end().expect("a clean end").ends_with("\r\n\r\n1"));
    let mut client = served.client();
    client.send("GET /claims?3 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let end = client.end();
    assert_eq!(end.map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_status_that_has_no_words_gets_none() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /unknown-status HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answer = client.response();
    assert!(answer.starts_with("HTTP/1.1 299 \r\n"), "{answer}");
}

#[test]
fn values_go_out_without_blanks_at_their_ends() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /blanks HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answer = client.response();
    for line in ["x: a", "x: b", "x: c d", "x: "] {
        assert!(
            answer.lines().any(|seen| seen == line),
            "{line:?}: {answer:?}"
        );
    }
}

#[test]
fn an_unread_body_does_not_become_a_request() {
    let served = Served::new();
    let mut client = served.client();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: victim.test\r\n\r\n";
    client.send(format!(
        "POST /ignore-body HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    ));
    let answer = client.response();
    assert!(answer.ends_with("ignored"), "{answer}");
    client.half_close();
    assert_eq!(client.rest(), "");
    assert_eq!(served.began(), vec!["POST a.test /ignore-body"]);
}

#[test]
fn twenty_megabytes_arrive_both_ways() {
    let served = Served::new();
    let mut client = served.client();
    let size = 20 << 20;
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sender = std::thread::spawn(move || {
        use std::io::Write as _;
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {size}\r\n\r\n");
        writer.write_all(head.as_bytes())?;
        writer.write_all(&vec![b'y'; size])
    });
    let answer = client.response();
    sender.join().expect("no panic").expect("all sent");
    assert_eq!(answer.matches('y').count(), size);
}
