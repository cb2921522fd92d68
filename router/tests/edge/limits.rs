//! How much, how many, and how slowly.

use std::time::{Duration, Instant};

use holm_router::Settings;

use crate::support::{Client, Event, PATIENCE, Served, header, status};

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
fn idle_connections_make_room_and_busy_ones_do_not() {
    let served = Served::with(Settings {
        connections: 3,
        ..Settings::default()
    });
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut busy = served.client();
    busy.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    let silent = served.client();
    let mut idle = served.client();
    idle.send(request);
    assert_eq!(status(&idle.response()), 200);
    assert_eq!(served.event(), Event::Began("GET a.test /".to_owned()));
    // Who was served a moment ago stays. The first of the new ones that gets in takes the place of
    // the silent one, the second that of the idle one; then all are busy.
    let mut guests = Vec::new();
    for left in [1, 0] {
        let began = Instant::now();
        let guest = loop {
            let mut guest = served.client();
            guest.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
            if gets_in(&served, &guest) {
                break guest;
            }
            assert!(began.elapsed() < PATIENCE, "{left} idle, and no room");
        };
        guests.push(guest);
    }
    assert_eq!(served.stats.reclaimed(), 2);
    assert_eq!(status(&served.send(request)), 503);
    served.open_gate();
    for guest in guests.iter_mut().chain([&mut busy]) {
        assert_eq!(status(&guest.response()), 200);
    }
    drop((silent, idle));
}

/// Whether the request that a client has sent is asked of the dispatcher, and not refused before.
fn gets_in(served: &Served, guest: &Client) -> bool {
    let began = Instant::now();
    loop {
        if !served.began().is_empty() {
            return true;
        }
        if guest.has_heard() {
            return false;
        }
        assert!(began.elapsed() < PATIENCE, "neither let in nor refused");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn one_address_has_its_share_of_connections_and_requests() {
    let served = Served::with(Settings {
        connections_per_address: 2,
        requests_per_address: 1,
        ..Settings::default()
    });
    let wait = "GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut first = served.client();
    first.send(wait);
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    let mut second = served.client();
    second.send(request);
    let answer = second.response();
    assert_eq!(status(&answer), 429, "{answer}");
    assert_eq!(header(&answer, "retry-after"), Some("1"));
    let answer = served.send(request);
    assert_eq!(status(&answer), 503, "{answer}");
    assert_eq!(served.stats.shed(), 1);
    served.open_gate();
    assert_eq!(status(&first.response()), 200);
    // The request is over with its answer, the connection stays.
    second.send(request);
    assert_eq!(status(&second.response()), 200);
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
