//! Which host a request is for, and requests that are for none.

use crate::support::{Served, header, status};

#[test]
fn the_host_arrives_canonical() {
    let served = Served::new();
    for (target, field, seen) in [
        ("/", "Host: Hello.LOCALHOST.:8080\r\n", "hello.localhost /"),
        (
            "/x?y",
            "Host: xn--bcher-kva.example\r\n",
            "xn--bcher-kva.example /x",
        ),
        ("http://A.test/x", "Host: a.test\r\n", "a.test /x"),
        ("http://a.test:80/", "Host: a.test\r\n", "a.test /"),
        ("http://a.test?x", "Host: a.test\r\n", "a.test /"),
        ("http://a.test", "Host: a.test\r\n", "a.test /"),
        ("/caf\u{e9}", "Host: [::1]:80\r\n", "[::1] /caf%C3%A9"),
    ] {
        let answer = served.send(format!(
            "GET {target} HTTP/1.1\r\n{field}Connection: close\r\n\r\n"
        ));
        assert_eq!(status(&answer), 200, "{target} {field}: {answer}");
        assert_eq!(served.began(), vec![format!("GET {seen}")]);
        assert_eq!(header(&answer, "server"), Some("holm"));
        assert!(header(&answer, "date").is_some());
    }
}

/// Only HTTP/1.1 asks for the field (RFC 9112, 3.2).
#[test]
fn a_target_alone_names_the_host_of_an_older_client() {
    let served = Served::new();
    let answer = served.send("GET http://a.test/fields HTTP/1.0\r\n\r\n");
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("host: a.test\n"), "{answer}");
}

#[test]
fn a_host_that_is_missing_or_in_doubt_is_refused() {
    let served = Served::new();
    for (line, fields) in [
        ("GET / HTTP/1.1", ""),
        ("GET / HTTP/1.0", ""),
        ("GET http://a.test/ HTTP/1.1", ""),
        ("GET / HTTP/1.1", "Host: \r\n"),
        ("GET / HTTP/1.1", "Host: a.test\r\nHost: a.test\r\n"),
        ("GET / HTTP/1.1", "Host: a.test\r\nHost: b.test\r\n"),
        ("GET / HTTP/1.1", "Host: a.test, b.test\r\n"),
        ("GET / HTTP/1.1", "Host: a..test\r\n"),
        ("GET / HTTP/1.1", "Host: a.test/x\r\n"),
        ("GET / HTTP/1.1", "Host: user@a.test\r\n"),
        ("GET / HTTP/1.1", "Host: a.test:http\r\n"),
        ("GET / HTTP/1.1", "Host: 127.1\r\n"),
        ("GET / HTTP/1.1", "Host: \u{e9}.test\r\n"),
        ("GET http://b.test/ HTTP/1.1", "Host: a.test\r\n"),
        ("GET http://a.test:81/ HTTP/1.1", "Host: a.test\r\n"),
        ("GET http://u@a.test/ HTTP/1.1", "Host: a.test\r\n"),
    ] {
        let answer = served.send(format!("{line}\r\n{fields}\r\n"));
        assert_eq!(status(&answer), 400, "{line} {fields}: {answer}");
        assert_eq!(header(&answer, "connection"), Some("close"));
        assert_eq!(served.began(), Vec::<String>::new(), "{line} {fields}");
    }
}

#[test]
fn what_is_not_for_functions_is_turned_away() {
    let served = Served::new();
    for (line, expected) in [
        ("CONNECT a.test:443 HTTP/1.1", 405),
        ("TRACE / HTTP/1.1", 405),
        ("TRACK / HTTP/1.1", 405),
        ("connect a.test:443 HTTP/1.1", 405),
        ("Connect / HTTP/1.1", 405),
        ("trace / HTTP/1.1", 405),
        ("Trace http://a.test/ HTTP/1.1", 405),
        ("track / HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 404),
        ("GET /a/../b HTTP/1.1", 400),
        ("GET /a/%2e%2E/b HTTP/1.1", 400),
        ("GET /a\\b HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ("GET /a?b#c HTTP/1.1", 400),
        ("GET /# HTTP/1.1", 400),
        ("GET http://a.test/#b HTTP/1.1", 400),
        ("GET http://a.test#b HTTP/1.1", 400),
        ("OPTIONS *#b HTTP/1.1", 400),
    ] {
        let host = if line.contains(":443") {
            "a.test:443"
        } else {
            "a.test"
        };
        let answer = served.send(format!(
            "{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        if expected == 405 {
            assert!(header(&answer, "allow").is_some_and(|allow| allow.contains("GET")));
        }
        assert_eq!(served.began(), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_refusal_that_leaves_no_doubt_keeps_the_connection() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /a/../b HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(status(&client.response()), 400);
    client.send("GET /b HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(status(&client.response()), 200);
}

#[test]
fn a_connection_for_one_server_name_answers_for_no_other() {
    use holm_router::tls::{TlsSession, TlsVersion};
    use holm_router::{Edge, Exchange, Hostname, Origin, ResponseBody, Settings};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    struct Ok200;
    impl holm_router::Dispatch for Ok200 {
        async fn dispatch(&self, exchange: Exchange) -> http::Response<ResponseBody> {
            http::Response::new(ResponseBody::from(exchange.url()))
        }
    }

    let served = Served::new();
    served.runtime.block_on(async {
        let edge = Edge::new(Ok200, Settings::default(), served.stats.clone());
        let (mut client, server) = tokio::io::duplex(4096);
        let sni = Some(Hostname::parse("a.test").expect("a host"));
        let session = TlsSession {
            version: TlsVersion::V1_3,
            sni,
            alpn: None,
            is_resumed: false,
        };
        let origin = Origin::https(served.address, session.into());
        let connection = tokio::spawn(edge.connection(server, origin));
        let requests = "GET /x HTTP/1.1\r\nHost: b.test\r\n\r\n\
                        GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        client
            .write_all(requests.as_bytes())
            .await
            .expect("it reads");
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.expect("text");
        assert!(answers.starts_with("HTTP/1.1 421 "), "{answers}");
        assert!(answers.contains("HTTP/1.1 200 "), "{answers}");
        assert!(answers.ends_with("https://a.test/x"), "{answers}");
        drop(client);
        connection.await.expect("it ends");
    });
}
