//! How much, how many, and how slowly.

use std::time::Duration;

use holm_router::Settings;

use crate::support::{Event, Served, header, status};

#[test]
fn a_head_has_limits() {
    let served = Served::new();
    let request = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{fields}\r\n")
    };
    let long = |length: usize| "a".repeat(length);
    for (request, expected) in [
        (request(&format!("/{}", long(16_383)), ""), 200),
        (request(&format!("/{}", long(16_384)), ""), 414),
        (request("/", &"X: y\r\n".repeat(98)), 200),
        (request("/", &"X: y\r\n".repeat(99)), 431),
        (request("/", &format!("X: {}\r\n", long(65_000))), 200),
        (request("/", &format!("X: {}\r\n", long(65_536))), 431),
        // Not complete, and already too much.
        (format!("GET /{}", long(20_000)), 414),
        (format!("GET / HTTP/1.1\r\nX: {}", long(66_000)), 431),
    ] {
        let answer = served.send(&request);
        let shown = &request[..request.len().min(60)];
        assert_eq!(status(&answer), expected, "{shown}: {answer}");
        assert_eq!(header(&answer, "connection"), Some("close"));
    }
}

fn impatient() -> Settings {
    Settings {
        head_time: Duration::from_millis(100),
        idle_time: Duration::from_millis(300),
        stall_time: Duration::from_millis(200),
        ..Settings::default()
    }
}

#[test]
fn slow_heads_are_answered_408_and_closed() {
    let served = Served::with(impatient());
    let mut client = served.client();
    client.send("GET / HTTP/1.1\r\nHost: a");
    let answer = client.rest();
    assert_eq!(status(&answer), 408, "{answer}");
    // Also behind a first request.
    let mut client = served.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HT");
    assert_eq!(status(&client.response()), 200);
    client.send("TP/1.1\r\n");
    assert_eq!(status(&client.rest()), 408);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let served = Served::with(impatient());
    assert_eq!(served.send(""), "");
    assert_eq!(served.send("PRI * HT"), "");
    let mut client = served.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(status(&client.response()), 200);
    assert_eq!(client.rest(), "");
}

/// Time that a function takes is not the client's.
#[test]
fn a_request_at_work_is_not_idle() {
    let served = Served::with(impatient());
    let mut waiting = served.client();
    waiting.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    // Another connection lives through the idle window and ends; the waiting one does not.
    let mut idle = served.client();
    idle.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    idle.response();
    assert_eq!(idle.rest(), "");
    served.open_gate();
    assert!(waiting.response().ends_with("waited"));
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let served = Served::with(impatient());
    let mut client = served.client();
    client.send("GET /endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(
        served.event(),
        Event::Began("GET a.test /endless".to_owned())
    );
    // Reads nothing; the kernel's buffers fill, and then the stall's clock runs out.
    assert_eq!(served.event(), Event::Unheard);
    drop(client);
}

#[test]
fn too_many_connections_are_told_so() {
    let served = Served::with(Settings {
        connections: 2,
        ..Settings::default()
    });
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut guests = [served.client(), served.client()];
    for guest in &mut guests {
        guest.send(request);
        assert_eq!(status(&guest.response()), 200);
    }
    assert_eq!(served.stats.open(), 2);
    let answer = served.send(request);
    assert_eq!(status(&answer), 503, "{answer}");
    assert_eq!(header(&answer, "retry-after"), Some("1"));
    assert_eq!(served.stats.shed(), 1);
    assert_eq!(served.stats.accepted(), 2);
    for guest in &mut guests {
        guest.send(request);
        assert_eq!(status(&guest.response()), 200);
    }
}
