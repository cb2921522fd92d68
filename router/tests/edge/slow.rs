//! Clients that take their answers slowly, or not at all, while too much waits for them.

use std::io::Read as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holm_router::Settings;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::{Client, PATIENCE, Served, status};

/// More than what the kernel takes for a client that reads nothing.
const LARGE: usize = 32 << 20;

/// Less than that, and more than half of it: beyond twice the budget there is less time.
const BUDGET: usize = LARGE / 4 * 3;

/// How long a client may be too slow here.
const SLOW: Duration = Duration::from_secs(1);

fn served(budget: usize) -> Served {
    Served::with(Settings {
        unsent: budget as u64,
        slow_time: SLOW,
        ..Settings::default()
    })
}

fn ask(client: &mut Client, length: usize) {
    client.send(format!(
        "GET /large?{length} HTTP/1.1\r\nHost: a.test\r\n\r\n"
    ));
}

/// Has a neighbour ask for so many bytes and take them, again and again, until a connection is ended.
fn until_one_is_ended(served: &Served, lengths: &[usize]) {
    let began = Instant::now();
    let mut neighbour = served.client();
    while served.stats.too_slow() == 0 {
        assert!(began.elapsed() < PATIENCE, "nobody is ended");
        for length in lengths {
            ask(&mut neighbour, *length);
            assert_eq!(status(&neighbour.response()), 200);
        }
    }
    ask(&mut neighbour, 1);
    assert_eq!(status(&neighbour.response()), 200);
}

#[test]
fn who_takes_nothing_is_ended_when_too_much_waits() {
    let served = served(BUDGET);
    let mut stalled = served.client();
    ask(&mut stalled, LARGE);
    until_one_is_ended(&served, &[1, 1 << 20]);
    // Not an end that could be taken for the body's.
    let error = stalled.end().expect_err("it was not read in time");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(served.stats.too_slow(), 1);
}

#[test]
fn who_keeps_up_is_not_ended_with_those_who_do_not() {
    // Both together are over the budget, and not over twice of it.
    let served = served(LARGE + LARGE / 4);
    let mut steady = served.client();
    ask(&mut steady, LARGE);
    let head = steady.until("\r\n\r\n");
    assert_eq!(status(&head), 200);
    let mut stalled = served.client();
    ask(&mut stalled, LARGE);
    // Takes its time, three times what a slow client is given, and all the time a little: so little
    // that what the kernel might take ahead would last for longer than that.
    let (pieces, piece) = (30, 64 << 10);
    for _ in 0..pieces {
        steady.bytes(piece);
        sleep(3 * SLOW / pieces);
    }
    assert_eq!(served.stats.too_slow(), 1, "the other one");
    steady.bytes(LARGE - pieces as usize * piece);
    assert!(stalled.end().is_err());
    ask(&mut steady, 1);
    assert_eq!(status(&steady.response()), 200);
}

#[test]
fn within_the_budget_nobody_is_hurried() {
    let served = served(LARGE);
    let mut late = served.client();
    ask(&mut late, LARGE);
    sleep(2 * SLOW);
    let head = late.until("\r\n\r\n");
    assert_eq!(status(&head), 200);
    late.bytes(LARGE);
    assert_eq!(served.stats.too_slow(), 0);
}

/// hyper is done with the body of a stream as soon as the client takes its first bytes.
#[test]
fn windows_that_stay_shut_hold_no_more_than_the_budget() {
    let served = served(BUDGET);
    let body = served.runtime.block_on(async {
        let stream = TcpStream::connect(served.address)
            .await
            .expect("it listens");
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1024)
            .handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/2 is spoken");
        tokio::spawn(connection);
        let request = Request::get(format!("http://a.test/large?{LARGE}"))
            .body(Empty::<Bytes>::new())
            .expect("a sound request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        response.into_body()
    });
    until_one_is_ended(&served, &[1, 1 << 20]);
    let whole = served.runtime.block_on(body.collect());
    assert!(whole.is_err(), "it breaks off");
    assert_eq!(served.stats.too_slow(), 1);
}

/// What hyper holds of a stream counts, too, not only bodies that are there already.
#[test]
fn streams_are_held_to_the_same() {
    let served = Served::with(Settings {
        unsent: 100 << 10,
        slow_time: SLOW,
        ..Settings::default()
    });
    let mut stalled = served.client();
    stalled.send("GET /endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
    stalled.until("\r\n\r\n");
    until_one_is_ended(&served, &[1]);
    let mut piece = [0; 4096];
    let error = loop {
        match stalled.stream.read(&mut piece) {
            Ok(read) => assert!(read > 0, "no clean end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
