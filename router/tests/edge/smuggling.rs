//! Requests that two parsers could read in two ways: 400, close, and nothing behind them runs.

use crate::support::{Served, header, status};

/// What would run if the edge were fooled.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: victim.test\r\n\r\n";

fn assert_refused(served: &Served, attack: &str) {
    let answer = served.send(attack);
    assert_eq!(status(&answer), 400, "{attack:?}: {answer}");
    assert_eq!(header(&answer, "connection"), Some("close"), "{attack:?}");
    assert!(header(&answer, "holm-request-id").is_some(), "{attack:?}");
    assert_eq!(
        header(&answer, "holm-outcome"),
        Some("refused"),
        "{attack:?}"
    );
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "{attack:?}: {answer}"
    );
    assert_eq!(served.began(), Vec::<String>::new(), "{attack:?}");
}

#[test]
fn ambiguous_framing_is_refused_and_nothing_behind_it_runs() {
    let served = Served::new();
    let length = SMUGGLED.len();
    for fields in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}, {length}\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length : {length}\r\n"),
        format!("Content-Length: {length} \r\n Content-Length: 0\r\n"),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding:\r\n chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, chunked\r\n".to_owned(),
        "Transfer-Encoding: \u{b}chunked\r\n".to_owned(),
        "X: a\r\n folded\r\n".to_owned(),
        "X: a\nTransfer-Encoding: chunked\r\n".to_owned(),
        "X: a\rTransfer-Encoding: chunked\r\n".to_owned(),
        "X: a\0\r\n".to_owned(),
        "X\0: a\r\n".to_owned(),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
        assert_refused(&served, &format!("{head}0\r\n\r\n{SMUGGLED}"));
        assert_refused(&served, &format!("{head}{SMUGGLED}"));
    }
    for attack in [
        format!("GET / HTTP/1.1\nHost: a.test\n\n{SMUGGLED}"),
        format!("GET / HTTP/1.1\r\nHost: a.test\r\n\n{SMUGGLED}"),
        format!("GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n{SMUGGLED}"),
        format!("GET / HTTP/1.2\r\nHost: a.test\r\n\r\n{SMUGGLED}"),
        format!("GET /\r\nHost: a.test\r\n\r\n{SMUGGLED}"),
        format!(
            "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
        ),
        format!("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n{SMUGGLED}"),
    ] {
        assert_refused(&served, &attack);
    }
    assert_eq!(served.stats.refused(), served.stats.requests());
}

#[test]
fn requests_in_front_of_a_refused_one_are_answered_in_their_turn() {
    let served = Served::new();
    let sound = "GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let bad = "GET /second HTTP/1.1\r\nHost: a.test\r\nContent-Length: +1\r\n\r\n";
    let answer = served.send(format!("{sound}{sound}{bad}{SMUGGLED}"));
    let statuses: Vec<_> = answer.matches("HTTP/1.1 ").collect();
    assert_eq!(statuses.len(), 3, "{answer}");
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("HTTP/1.1 400 Bad Request"), "{answer}");
    assert_eq!(served.began(), vec!["GET a.test /first"; 2]);
}

#[test]
fn a_body_that_looks_like_a_request_stays_a_body() {
    let served = Served::new();
    let length = SMUGGLED.len();
    let mut client = served.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
    ));
    assert!(client.response().ends_with(SMUGGLED));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x};ext=1\r\n{SMUGGLED}\r\n0\r\nTrailer: x\r\n\r\n"
    ));
    assert!(client.response().ends_with(SMUGGLED));
    assert_eq!(served.began(), vec!["POST a.test /"; 2]);
}

#[test]
fn a_badly_chunked_body_ends_its_connection() {
    let served = Served::new();
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        let answer = served.send(format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}"
        ));
        assert_eq!(status(&answer), 400, "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{body:?}");
        assert_eq!(served.began(), vec!["POST a.test /"], "{body:?}");
    }
}

/// However the bytes are cut, the same requests run.
#[test]
fn a_head_in_single_bytes_is_one_head() {
    let served = Served::new();
    let mut client = served.client();
    for byte in format!("{0}{0}", "GET /slowly HTTP/1.1\r\nHost: a.test\r\n\r\n").bytes() {
        client.send([byte]);
    }
    assert_eq!(status(&client.response()), 200);
    assert_eq!(status(&client.response()), 200);
    client.send("GET /\nHost: a.test\r\n\r\n");
    assert_eq!(status(&client.rest()), 400);
    assert_eq!(served.began(), vec!["GET a.test /slowly"; 2]);
}
