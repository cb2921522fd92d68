//! Connections that move to another thread and back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use holm_router::{Dispatch, Exchange, Farewell, Home, ResponseBody, Server, Settings, Stats};
use http::Response;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{oneshot, watch};

use crate::support::{Client, header, status};

/// Key of the only home.
const KEY: u64 = 7;

/// Answers with the name of the thread it is on, after doing as the path says.
struct Mobile {
    home: Handle,
    leave: watch::Sender<()>,
    lost: watch::Sender<()>,
    /// Rings when `/block` begins to block its thread.
    blocking: mpsc::Sender<()>,
    /// What `/block` waits for.
    unblocked: Mutex<mpsc::Receiver<()>>,
}

impl Dispatch for Mobile {
    async fn dispatch(&self, exchange: Exchange) -> Response<ResponseBody> {
        let here = thread::current().name().unwrap_or_default().to_owned();
        let mover = exchange.mover.as_ref();
        match (exchange.path(), mover) {
            ("/move", Some(mover)) => mover.settle(Home {
                key: KEY,
                runtime: self.home.clone(),
                leave: self.leave.subscribe(),
                lost: Box::pin(lost(self.lost.subscribe())),
            }),
            ("/back", Some(mover)) => mover.go_back(),
            ("/block", _) => {
                // Whoever listens may have seen enough.
                let _ = self.blocking.send(());
                let unblocked = self.unblocked.lock();
                let _ = unblocked.unwrap_or_else(PoisonError::into_inner).recv();
            }
            // As one that has crossed to another thread.
            ("/yield", _) => tokio::task::yield_now().await,
            _ => {}
        }
        let home = mover.and_then(|mover| mover.home());
        Response::new(ResponseBody::from(format!("{here} {home:?}")))
    }
}

async fn lost(mut lost: watch::Receiver<()>) -> Farewell {
    if lost.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    Box::new(|_| Response::new(ResponseBody::from("farewell")))
}

/// A server on threads called `io`, and a home on one called `home`.
struct Village {
    address: SocketAddr,
    stats: Arc<Stats>,
    mobile: Arc<Mobile>,
    blocking: mpsc::Receiver<()>,
    unblock: mpsc::Sender<()>,
    /// Ends the home's thread.
    end: Option<oneshot::Sender<()>>,
    home: Option<JoinHandle<()>>,
    _io: Runtime,
}

impl Village {
    fn new() -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let (handle, handles) = mpsc::channel();
        let home = thread::Builder::new().name("home".into()).spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            handle
                .send(runtime.handle().clone())
                .expect("it is awaited");
            // Ends when the other end is dropped.
            let _ = runtime.block_on(ended);
        });
        let (blocking, begins) = mpsc::channel();
        let (unblock, unblocked) = mpsc::channel();
        let mobile = Arc::new(Mobile {
            home: handles.recv().expect("the thread starts"),
            leave: watch::Sender::new(()),
            lost: watch::Sender::new(()),
            blocking,
            unblocked: Mutex::new(unblocked),
        });
        let mut io = Builder::new_multi_thread();
        let io = io.worker_threads(1).thread_name("io").enable_all().build();
        let io = io.expect("a runtime");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(any, Settings::default()).expect("a free port");
        let (address, stats) = (server.local_addr(), server.stats());
        io.spawn(server.serve(Arc::clone(&mobile), std::future::pending()));
        Self {
            address,
            stats,
            mobile,
            blocking: begins,
            unblock,
            end: Some(end),
            home: Some(home.expect("a thread")),
            _io: io,
        }
    }

    fn end_home(&mut self) {
        self.end = None;
        if let Some(home) = self.home.take() {
            home.join().expect("it does not panic");
        }
    }
}

impl Drop for Village {
    fn drop(&mut self) {
        self.end_home();
    }
}

/// Asks for `path` and returns what the body says.
fn ask(client: &mut Client, path: &str) -> String {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    let response = client.response();
    assert_eq!(status(&response), 200, "{response}");
    let (_, body) = response.split_once("\r\n\r\n").expect("a body");
    body.to_owned()
}

#[test]
fn a_connection_moves_and_comes_back() {
    let village = Village::new();
    let mut client = Client::connect(village.address);
    for _ in 0..3 {
        assert_eq!(ask(&mut client, "/"), "io None");
        ask(&mut client, "/move");
        for path in ["/", "/yield", "/"] {
            assert_eq!(ask(&mut client, path), "home Some(7)");
        }
        ask(&mut client, "/back");
        assert_eq!(ask(&mut client, "/yield"), "io None");
    }
    drop(client);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let village = Village::new();
    let mut client = Client::connect(village.address);
    let paths = ["/", "/move", "/yield", "/", "/back", "/yield", "/"];
    let requests: String = paths
        .iter()
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"))
        .collect();
    client.send(requests);
    for path in paths {
        assert_eq!(status(&client.response()), 200, "{path}");
    }
}

#[test]
fn guests_leave_when_they_are_told_to() {
    let mut village = Village::new();
    let mut clients: Vec<_> = (0..5).map(|_| Client::connect(village.address)).collect();
    for client in &mut clients {
        ask(client, "/move");
        assert_eq!(ask(client, "/"), "home Some(7)");
    }
    assert_eq!(village.mobile.leave.receiver_count(), 5);
    village.mobile.leave.send_replace(());
    village.mobile.home.block_on(village.mobile.leave.closed());
    village.end_home();
    for client in &mut clients {
        assert_eq!(ask(client, "/"), "io None");
    }
}

#[test]
fn a_home_that_is_lost_ends_its_connections_and_no_others() {
    let village = Village::new();
    let mut guest = Client::connect(village.address);
    let mut other = Client::connect(village.address);
    let mut stranger = Client::connect(village.address);
    ask(&mut guest, "/move");
    ask(&mut other, "/move");
    assert_eq!(ask(&mut guest, "/"), "home Some(7)");
    // It moves behind its response, and has to be there before its home is lost.
    assert_eq!(ask(&mut other, "/"), "home Some(7)");
    guest.send("GET /block HTTP/1.1\r\nHost: a.test\r\n\r\n");
    village.blocking.recv().expect("it blocks");
    village.mobile.lost.send_replace(());
    let answer = guest.rest();
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("\r\n\r\nfarewell"), "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"));
    // Nothing was due on this one.
    assert_eq!(other.rest(), "");
    assert_eq!(ask(&mut stranger, "/"), "io None");
    village.unblock.send(()).expect("it waits");
}

#[test]
fn a_home_that_ends_under_its_guests_closes_them() {
    let mut village = Village::new();
    let mut guest = Client::connect(village.address);
    ask(&mut guest, "/move");
    assert_eq!(ask(&mut guest, "/"), "home Some(7)");
    village.end_home();
    guest.rest();
    let mut next = Client::connect(village.address);
    assert_eq!(ask(&mut next, "/"), "io None");
    // The one that was closed is not counted any more.
    while village.stats.open() > 1 {
        thread::yield_now();
    }
}

#[test]
fn a_client_that_leaves_from_afar_is_noticed() {
    let village = Village::new();
    let mut client = Client::connect(village.address);
    ask(&mut client, "/move");
    assert_eq!(ask(&mut client, "/"), "home Some(7)");
    drop(client);
    while village.stats.open() > 0 {
        thread::yield_now();
    }
    assert_eq!(village.mobile.leave.receiver_count(), 0);
}
