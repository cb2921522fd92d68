//! Going down without failing anybody.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use holm_router::{Dispatch, Drained, Exchange, ResponseBody, Server, Settings};
use http::Response;

use crate::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, head_of, next_frame,
};
use crate::support::{Event, PATIENCE, Served, header, status};

#[test]
fn a_request_at_work_is_finished_and_its_connection_closed() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    served.begin_drain();
    // The listener closes; wait for it, as an operator's probe would.
    while TcpStream::connect(served.address).is_ok() {}
    served.open_gate();
    let answer = client.rest();
    assert!(answer.ends_with("waited"), "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"));
    let drained = served.drained();
    assert_eq!(drained.aborted, 0);
    assert_eq!(served.stats.open(), 0);
}

#[test]
fn a_response_that_has_begun_is_finished() {
    let served = Served::new();
    let mut client = served.client();
    client.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.until("\r\n\r\n1\r\n1\r\n");
    served.begin_drain();
    while TcpStream::connect(served.address).is_ok() {}
    served.open_gate();
    assert_eq!(client.rest(), "1\r\n2\r\n0\r\n\r\n");
    assert_eq!(served.drained().aborted, 0);
}

#[test]
fn what_does_not_end_is_aborted_at_the_deadline() {
    let served = Served::with(Settings {
        drain_time: Duration::from_millis(100),
        ..Settings::default()
    });
    let mut client = served.client();
    client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    served.begin_drain();
    assert_eq!(
        served.drained(),
        Drained {
            finished: 0,
            aborted: 1
        }
    );
    assert_eq!(served.event(), Event::Cancelled);
    let end = client.end().map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
}

/// Sixteen clients send one request after the other on kept-alive connections, throughout the
/// drain. Each stops only when it is told to: not one request may fail.
/// A client that hears that the server goes, and does not answer that, as one does whose machine is gone.
#[test]
fn an_http2_connection_without_requests_holds_nothing_up() {
    let served = Served::with(Settings {
        drain_time: PATIENCE,
        arrival: Duration::from_millis(50),
        ..Settings::default()
    });
    let mut idle = served.client();
    idle.send(PREFACE);
    idle.send(frame(SETTINGS, 0, 0, &[]));
    next_frame(&mut idle, SETTINGS, 0);
    let mut busy = served.client();
    busy.send(PREFACE);
    busy.send(frame(SETTINGS, 0, 0, &[]));
    let whole = END_HEADERS | END_STREAM;
    busy.send(frame(HEADERS, whole, 1, &head_of("/wait")));
    assert_eq!(served.event(), Event::Began("GET a.test /wait".to_owned()));
    served.begin_drain();
    // It might just have come, and is left the time to ask; then the end.
    idle.rest();
    // Who waits for an answer gets it, however long that takes.
    assert_eq!(served.began(), Vec::<String>::new());
    served.open_gate();
    assert_eq!(next_frame(&mut busy, DATA, 1), b"waited");
    assert_eq!(served.drained().aborted, 0);
}

#[test]
fn no_request_fails_while_clients_hammer() {
    const CLIENTS: usize = 16;
    let served = Served::new();
    let answered = Arc::new(AtomicUsize::new(0));
    let started = Arc::new(Barrier::new(CLIENTS + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (address, answered) = (served.address, Arc::clone(&answered));
            let started = Arc::clone(&started);
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).expect("it listens");
                stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                let mut is_first = true;
                loop {
                    let is_last = request(&mut stream);
                    answered.fetch_add(1, Ordering::Relaxed);
                    if std::mem::take(&mut is_first) {
                        started.wait();
                    }
                    if is_last {
                        return;
                    }
                }
            })
        })
        .collect();
    started.wait();
    // Under way; let a few hundred pass, and then go down.
    while answered.load(Ordering::Relaxed) < 40 * CLIENTS {
        std::thread::yield_now();
    }
    served.begin_drain();
    for client in clients {
        client.join().expect("no request failed");
    }
    assert_eq!(served.drained().aborted, 0);
    assert_eq!(
        served.stats.requests(),
        answered.load(Ordering::Relaxed) as u64
    );
}

/// One request; returns whether the server wants the connection closed.
fn request(stream: &mut TcpStream) -> bool {
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    stream.write_all(request).expect("sent");
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    while !read.ends_with(b"GET a.test / ") {
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "closed without an answer");
        read.extend_from_slice(&piece[..count]);
    }
    let answer = String::from_utf8_lossy(&read);
    assert_eq!(status(&answer), 200);
    header(&answer, "connection") == Some("close")
}

/// Connections that wait in the backlog when the drain begins were promised an answer.
#[test]
fn the_backlog_is_served() {
    let served = Served::new();
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut clients: Vec<_> = (0..8).map(|_| served.client()).collect();
    for client in &mut clients {
        client.send(request);
    }
    served.begin_drain();
    for client in &mut clients {
        assert_eq!(status(&client.response()), 200);
    }
    assert_eq!(served.drained().aborted, 0);
}

/// Whoever has just connected is about to ask, however short the last chance of those that have been idle. A
/// request on its way to a connection that is closed is lost.
#[test]
fn who_has_just_connected_is_waited_for() {
    let served = Served::with(Settings {
        last_chance: Duration::from_millis(1),
        ..Settings::default()
    });
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut fresh = served.client();
    let mut idle = served.client();
    idle.send(request);
    assert_eq!(status(&idle.response()), 200);
    // Accepted in turn, so both are there.
    assert_eq!(served.stats.open(), 2);
    served.begin_drain();
    assert_eq!(idle.rest(), "");
    fresh.send(request);
    let answer = fresh.rest();
    assert_eq!(status(&answer), 200);
    assert_eq!(header(&answer, "connection"), Some("close"));
    assert_eq!(served.drained().aborted, 0);
}

/// The same over HTTP/2, where a client that hears GOAWAY first sends nothing.
#[test]
fn who_has_just_connected_over_http2_is_answered() {
    let served = Served::new();
    served.runtime.block_on(async {
        let (mut fresh, mut other) = (
            crate::http2::connect(served.address).await,
            crate::http2::connect(served.address).await,
        );
        let answer = other.send_request(crate::http2::request("/x", "")).await;
        assert_eq!(answer.expect("an answer").status(), 200);
        served.begin_drain();
        // This one has asked before, and hears of it.
        while other.ready().await.is_ok() && !other.is_closed() {
            tokio::task::yield_now().await;
        }
        let answer = fresh.send_request(crate::http2::request("/x", "")).await;
        assert_eq!(answer.expect("an answer").status(), 200);
        while fresh.ready().await.is_ok() && !fresh.is_closed() {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(served.drained().aborted, 0);
}

/// Where another process has the socket, too, who waits in its backlog is that one's.
#[test]
fn the_backlog_of_a_shared_socket_is_left_to_who_shares_it() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Settings::default()).expect("a port");
    let address = server.local_addr();
    let socket = server.socket().expect("a descriptor");
    let other = socket.as_fd().try_clone_to_owned().expect("a descriptor");
    socket.share();
    drop(socket);
    let mut waiting = TcpStream::connect(address).expect("it listens");
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    waiting.write_all(request).expect("sent");
    // It ends at once, and has accepted nobody.
    let drained = runtime.block_on(server.serve(Never, async {}));
    let nobody = Drained {
        finished: 0,
        aborted: 0,
    };
    assert_eq!(drained.expect("it listens"), nobody);
    let heir = Server::inherit(other.into(), Settings::default()).expect("it listens");
    assert_eq!(heir.local_addr(), address);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let heir = runtime.spawn(heir.serve(Fine, async {
        let _ = stopped.await;
    }));
    waiting
        .set_read_timeout(Some(PATIENCE))
        .expect("a time-out");
    let mut answer = [0; 12];
    waiting.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(waiting);
    stop.send(()).expect("it serves");
    let drained = runtime.block_on(heir).expect("no panic");
    assert_eq!(drained.expect("no error").aborted, 0);
}

/// Nobody asks it.
struct Never;

impl Dispatch for Never {
    async fn dispatch(&self, exchange: Exchange) -> Response<ResponseBody> {
        panic!("{} was to be answered by another one", exchange.url());
    }
}

struct Fine;

impl Dispatch for Fine {
    async fn dispatch(&self, _exchange: Exchange) -> Response<ResponseBody> {
        Response::new(ResponseBody::from("fine"))
    }
}
