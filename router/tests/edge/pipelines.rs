//! Requests one behind the other on one connection, with one among them that fails.

use crate::support::{Event, Served, status};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

/// The statuses of all answers, in their order.
fn statuses(answers: &str) -> Vec<u16> {
    let starts = answers.match_indices("HTTP/1.1 ");
    starts.map(|(at, _)| status(&answers[at..])).collect()
}

/// What is refused and sound is answered in its turn, and the connection goes on.
#[test]
fn a_refusal_is_one_answer_among_others() {
    let served = Served::new();
    for (middle, refusal) in [
        (get("/a/../b"), 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), 404),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nExpect: a-pony\r\n\r\n".to_owned(),
            417,
        ),
        (get("/upgrade"), 502),
    ] {
        let mut client = served.client();
        client.send(get("/first") + &middle + &get("/last"));
        client.half_close();
        let answers = client.rest();
        assert_eq!(statuses(&answers), [200, refusal, 200], "{answers}");
        let began = served.began();
        assert_eq!(began.first().map(String::as_str), Some("GET a.test /first"));
        assert_eq!(began.last().map(String::as_str), Some("GET a.test /last"));
    }
}

/// Behind what makes the framing doubtful, nothing runs.
#[test]
fn what_ends_the_connection_ends_it_behind_the_answers_before() {
    let served = Served::new();
    let chunked = "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (middle, refusal) in [
        ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), 405),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n".to_owned(),
            400,
        ),
        (
            format!(
                "GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n",
                "a".repeat(20_000)
            ),
            414,
        ),
        (format!("{chunked}5\r\nhello\r\nnonsense\r\n0\r\n\r\n"), 400),
        (
            format!("{chunked}ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
            400,
        ),
    ] {
        let answers = served.send(get("/first") + &middle + &get("/smuggled"));
        assert_eq!(statuses(&answers), [200, refusal], "{middle}: {answers}");
        let began = served.began();
        assert!(
            !began.iter().any(|what| what.contains("smuggled")),
            "{began:?}"
        );
    }
}

/// The refusal is known long before the answer that it has to wait for.
#[test]
fn a_refusal_waits_for_the_answers_before_it() {
    let served = Served::new();
    let mut client = served.client();
    client.send(get("/wait") + "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + &get("/smuggled"));
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    served.open_gate();
    let answers = client.rest();
    assert_eq!(statuses(&answers), [200, 400], "{answers}");
    assert_eq!(served.began(), Vec::<String>::new());
}

/// An answer that breaks off leaves its client no way to find the next one.
#[test]
fn behind_an_answer_that_breaks_nothing_is_sent() {
    let served = Served::new();
    let mut client = served.client();
    client.send(get("/first") + &get("/break") + &get("/last"));
    let first = client.response();
    assert!(first.ends_with("GET a.test /first "), "{first}");
    let rest = client.rest();
    assert!(!rest.contains("/last"), "{rest}");
}
