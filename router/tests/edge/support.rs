//! A server whose dispatcher does as the path says, and a client that sends any bytes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use holm_router::{
    BodyError, Dispatch, Drained, Exchange, Refusal, ResponseBody, Server, Settings, Stats,
    Synthetic,
};
use http::{HeaderValue, Response, StatusCode};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Nothing in these tests takes that long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the dispatcher did, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A request arrived: `METHOD host path`.
    Began(String),
    /// Its future was dropped before it ended.
    Cancelled,
    /// The stream of its response was dropped before it ended.
    Unheard,
}

/// Does as the path says.
#[derive(Clone)]
pub(crate) struct Probe {
    events: mpsc::UnboundedSender<Event>,
    /// Held by `/wait` until the test lets go.
    gate: Arc<tokio::sync::Semaphore>,
}

impl Dispatch for Probe {
    async fn dispatch(&self, mut exchange: Exchange) -> Response<ResponseBody> {
        let method = exchange.request.method().clone();
        let began = format!("{method} {} {}", exchange.host, exchange.path());
        // Nobody may be listening any more.
        let _ = self.events.send(Event::Began(began.clone()));
        match exchange.path() {
            "/wait" => {
                let cancelled = OnDrop(Some((self.events.clone(), Event::Cancelled)));
                let _permit = self.gate.acquire().await.expect("the gate never closes");
                cancelled.defuse();
                Response::new(ResponseBody::from("waited"))
            }
            // One chunk, then a wait for the gate, then another.
            "/slow" => self.slow(None),
            "/slow-declared" => self.slow(Some(2)),
            // One chunk, and then the producer gives up.
            "/break" => broken(None),
            "/break-declared" => broken(Some(100)),
            "/endless" => self.endless(),
            // As many bytes as the query says, in one piece.
            "/large" => {
                let query = exchange.request.uri().query();
                let length = query.and_then(|query| query.parse().ok());
                let length = length.expect("a number of bytes");
                Response::new(ResponseBody::whole(vec![b'x'; length]))
            }
            "/upgrade" => {
                let mut response = Response::new(ResponseBody::empty());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response
            }
            "/hop-by-hop" => {
                let mut response = Response::new(ResponseBody::from("four"));
                for (name, value) in [
                    ("connection", "keep-alive, X-Private"),
                    ("connection", "x-more ,, bad name"),
                    ("x-private", "1"),
                    ("x-more", "1"),
                    ("x-kept", "1"),
                    ("te", "trailers"),
                    ("trailer", "x-kept"),
                    ("upgrade", "h2c"),
                    ("proxy-connection", "close"),
                    ("transfer-encoding", "gzip"),
                    ("content-length", "400"),
                    ("keep-alive", "timeout=1"),
                    ("server", "other"),
                ] {
                    response
                        .headers_mut()
                        .append(name, value.parse().expect(value));
                }
                response
            }
            // A status that no list has.
            "/unknown-status" => {
                let mut response = Response::new(ResponseBody::from("odd"));
                *response.status_mut() = StatusCode::from_u16(299).expect("a status");
                response
            }
            // Claims a length that its body does not have.
            "/claims" => claims(&exchange),
            "/blanks" => {
                let mut response = Response::new(ResponseBody::from("blanks"));
                for value in [" a", "b\t", "c d", " "] {
                    let value = HeaderValue::from_static(value);
                    response.headers_mut().append("x", value);
                }
                response
            }
            "/empty" => {
                let mut response = Response::new(ResponseBody::from("not sent"));
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            "/small-only" => {
                let headers = exchange.request.headers().clone();
                let body = exchange.request.body_mut();
                let limited = body.limit(8);
                match limited {
                    Ok(()) => echo(began, exchange).await,
                    Err(error) => refuse(&error, exchange.id, &headers),
                }
            }
            "/quick" => {
                exchange.request.body_mut().idle(Duration::from_millis(50));
                echo(began, exchange).await
            }
            // Its fields, one a line.
            "/fields" => Response::new(ResponseBody::whole(fields(exchange.request.headers()))),
            // The same, behind its body.
            "/all" => {
                let fields = String::from_utf8(fields(exchange.request.headers()));
                echo(fields.expect("text"), exchange).await
            }
            "/ignore-body" => Response::new(ResponseBody::from("ignored")),
            _ => echo(began, exchange).await,
        }
    }
}

impl Probe {
    fn slow(&self, declared: Option<u64>) -> Response<ResponseBody> {
        let (sender, receiver) = mpsc::channel(1);
        let gate = Arc::clone(&self.gate);
        tokio::spawn(async move {
            let _ = sender.send(Ok(Bytes::from_static(b"1"))).await;
            let _permit = gate.acquire().await.expect("the gate never closes");
            let _ = sender.send(Ok(Bytes::from_static(b"2"))).await;
        });
        Response::new(ResponseBody::stream(receiver, declared))
    }

    fn endless(&self) -> Response<ResponseBody> {
        let (sender, receiver) = mpsc::channel(1);
        let events = self.events.clone();
        tokio::spawn(async move {
            let chunk = Bytes::from(vec![b'x'; 16 << 10]);
            while sender.send(Ok(chunk.clone())).await.is_ok() {}
            let _ = events.send(Event::Unheard);
        });
        Response::new(ResponseBody::stream(receiver, None))
    }
}

/// A stream of two bytes with the lengths that the query gives.
fn claims(exchange: &Exchange) -> Response<ResponseBody> {
    let (sender, receiver) = mpsc::channel(2);
    for chunk in ["1", "2"] {
        let chunk = Ok(Bytes::from_static(chunk.as_bytes()));
        sender.try_send(chunk).expect("room for two");
    }
    let mut response = Response::new(ResponseBody::stream(receiver, None));
    let query = exchange.request.uri().query().unwrap_or_default();
    for length in query.split('&') {
        let length = HeaderValue::from_str(length).expect("a value");
        response.headers_mut().append("content-length", length);
    }
    response
}

fn fields(headers: &http::HeaderMap) -> Vec<u8> {
    let lines = headers
        .iter()
        .map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    lines.collect::<Vec<_>>().concat()
}

fn broken(declared: Option<u64>) -> Response<ResponseBody> {
    let (sender, receiver) = mpsc::channel(2);
    let aborted = BodyError::Aborted("on purpose".into());
    for item in [Ok(Bytes::from_static(b"some")), Err(aborted)] {
        sender.try_send(item).expect("room for two");
    }
    Response::new(ResponseBody::stream(receiver, declared))
}

async fn echo(began: String, mut exchange: Exchange) -> Response<ResponseBody> {
    let mut all = began.into_bytes();
    all.push(b' ');
    while let Some(chunk) = exchange.request.body_mut().chunk().await {
        match chunk {
            Ok(chunk) => all.extend_from_slice(&chunk),
            Err(error) => return refuse(&error, exchange.id, exchange.request.headers()),
        }
    }
    Response::new(ResponseBody::whole(all))
}

fn refuse(
    error: &BodyError,
    id: holm_router::RequestId,
    headers: &http::HeaderMap,
) -> Response<ResponseBody> {
    match Refusal::of_body(error) {
        Some(refusal) => Synthetic::from(refusal).respond(id, headers),
        None => Response::new(ResponseBody::empty()),
    }
}

/// Sends its event when it is dropped, unless it was defused.
struct OnDrop(Option<(mpsc::UnboundedSender<Event>, Event)>);

impl OnDrop {
    fn defuse(mut self) {
        self.0 = None;
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some((events, event)) = self.0.take() {
            let _ = events.send(event);
        }
    }
}

/// A served address, on a runtime of its own.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) stats: Arc<Stats>,
    pub(crate) runtime: Runtime,
    gate: Arc<tokio::sync::Semaphore>,
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
    shutdown: Mutex<Option<oneshot::Sender<()>>>,
    task: Mutex<Option<JoinHandle<std::io::Result<Drained>>>>,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (sender, receiver) = mpsc::unbounded_channel();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let probe = Probe {
            events: sender,
            gate: Arc::clone(&gate),
        };
        let (shutdown, told) = oneshot::channel();
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), settings);
        let server = server.expect("a free port");
        let (address, stats) = (server.local_addr(), server.stats());
        let task = runtime.spawn(async move {
            let told = async {
                let _ = told.await;
            };
            server.serve(probe, told).await
        });
        Self {
            address,
            stats,
            runtime,
            gate,
            events: Mutex::new(receiver),
            shutdown: Mutex::new(Some(shutdown)),
            task: Mutex::new(Some(task)),
        }
    }

    /// Lets every `/wait` and `/slow` go on.
    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(1 << 16);
    }

    /// Waits for the dispatcher's next event.
    pub(crate) fn event(&self) -> Event {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, events.recv())
                .await
                .expect("an event in time")
                .expect("the dispatcher lives")
        })
    }

    /// What the dispatcher has been asked so far.
    pub(crate) fn began(&self) -> Vec<String> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| events.try_recv().ok())
            .filter_map(|event| match event {
                Event::Began(what) => Some(what),
                Event::Cancelled | Event::Unheard => None,
            })
            .collect()
    }

    /// Starts the drain.
    pub(crate) fn begin_drain(&self) {
        let mut shutdown = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner);
        // Dropping the sender says the same.
        drop(shutdown.take());
    }

    /// Waits for the end of the drain.
    pub(crate) fn drained(&self) -> Drained {
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .expect("asked once");
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, task)
                .await
                .expect("the drain ends")
                .expect("serving does not panic")
                .expect("the listener is sound")
        })
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends bytes on a new connection, and reads until the server closes it.
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.client();
        client.send(bytes);
        client.rest()
    }
}

/// A client that knows nothing of HTTP but where a response ends.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a read time-out");
        stream.set_nodelay(true).expect("no delay");
        let read = Vec::new();
        Self { stream, read }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("it takes it");
    }

    /// Sends as much as the server takes.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is open");
    }

    /// Whether an answer has come, or the end of the connection.
    pub(crate) fn has_heard(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket");
        let heard = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a socket");
        !heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Reads until `needle` has come, and returns everything up to its end.
    pub(crate) fn until(&mut self, needle: &str) -> String {
        loop {
            let found = self
                .read
                .windows(needle.len())
                .position(|window| window == needle.as_bytes());
            if let Some(at) = found {
                let taken: Vec<u8> = self.read.drain(..at + needle.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let read = self.more().expect("readable");
            assert!(read > 0, "closed before {needle:?}: {}", self.so_far());
        }
    }

    fn more(&mut self) -> std::io::Result<usize> {
        let mut piece = [0; 4096];
        let read = self.stream.read(&mut piece)?;
        self.read.extend_from_slice(&piece[..read]);
        Ok(read)
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Reads so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().expect("readable") > 0, "{count} bytes");
        }
        self.read.drain(..count).collect()
    }

    /// Reads one response: a head, and as many bytes as it declares.
    pub(crate) fn response(&mut self) -> String {
        let head = self.until("\r\n\r\n");
        let length = header(&head, "content-length").map_or(0, |n| n.parse().expect("a number"));
        while self.read.len() < length {
            assert!(self.more().expect("readable") > 0, "the whole body");
        }
        let body: Vec<u8> = self.read.drain(..length).collect();
        head + &String::from_utf8_lossy(&body)
    }

    /// Reads until the server closes. A reset counts as an end like any other.
    pub(crate) fn rest(&mut self) -> String {
        match self.end() {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => self.so_far(),
            Err(error) => panic!("{error} after {:?}", self.so_far()),
        }
    }

    /// Reads until the server closes, and says how.
    pub(crate) fn end(&mut self) -> std::io::Result<String> {
        while self.more()? > 0 {}
        Ok(self.so_far())
    }
}

pub(crate) fn status(response: &str) -> u16 {
    let digits = response.get(9..12).unwrap_or_default();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("a status line: {response:?}"))
}

pub(crate) fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = response.split_once("\r\n\r\n")?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
