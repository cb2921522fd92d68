//! Connections that move in with whoever answers their requests.
//!
//! A request that crosses from one thread to another and back costs two wake-ups, which is more
//! than all the rest of a small answer. So a dispatcher may offer a connection a [`Home`]: the
//! tokio runtime of the thread that does the work. The connection then lives there, socket and
//! all, until it is told to leave, and its requests are dispatched on that thread. For the
//! dispatcher nothing else changes.
//!
//! The task that the connection began in stays behind and waits for it, so who counts, drains or
//! aborts connections need not know where they are.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use http::Response;
use socket2::Socket;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::body::ResponseBody;
use crate::dispatch::{RequestId, RequestIds};
use crate::link::Link;

/// The last response of a connection whose home is lost.
pub type Farewell = Box<dyn FnOnce(RequestId) -> Response<ResponseBody> + Send>;

/// Where a connection may live.
pub struct Home {
    /// Names it for the dispatcher; not zero.
    pub key: u64,
    /// The runtime of its thread.
    pub runtime: Handle,
    /// Changes when its connections are to leave. A receiver is held for as long as one lives
    /// there.
    pub leave: watch::Receiver<()>,
    /// Resolves when the thread does not respond any more. Its connections are ended, with this
    /// response if one was due.
    pub lost: Pin<Box<dyn Future<Output = Farewell> + Send>>,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// One connection, as far as it can be moved. Orders are carried out after the request at hand.
#[derive(Clone, Debug)]
pub struct Mover(Arc<Link>);

impl Mover {
    pub(crate) fn new(link: &Arc<Link>) -> Option<Self> {
        link.roaming.is_movable().then(|| Self(Arc::clone(link)))
    }

    /// Notes a request for the home `key`, and returns how many there were of them in a row.
    pub fn streak(&self, key: u64) -> u32 {
        let roaming = &self.0.roaming;
        if roaming.last.swap(key, Ordering::Relaxed) != key {
            roaming.streak.store(0, Ordering::Relaxed);
        }
        roaming.streak.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The key of the home where the connection lives.
    pub fn home(&self) -> Option<u64> {
        let key = self.0.roaming.home.load(Ordering::Relaxed);
        (key != 0).then_some(key)
    }

    /// Has the connection move.
    pub fn settle(&self, home: Home) {
        self.0.roaming.order(Order::To(home));
    }

    /// Has the connection go back to where it began.
    pub fn go_back(&self) {
        let roaming = &self.0.roaming;
        roaming.streak.store(0, Ordering::Relaxed);
        roaming.order(Order::Back);
    }
}

#[derive(Debug)]
enum Order {
    To(Home),
    Back,
}

/// Where a connection is. Its requests are one task's business over HTTP/1, so nothing here needs
/// an order among its parts; the lock is there for the one move in a million requests.
#[derive(Debug, Default)]
pub(crate) struct Roaming {
    is_movable: AtomicBool,
    has_order: AtomicBool,
    order: Mutex<Option<Order>>,
    /// The key of its home; zero where it began.
    home: AtomicU64,
    /// The socket is to be registered with the runtime that polls it now.
    has_moved: AtomicBool,
    /// Another handle on the socket while it is away.
    second: Mutex<Option<Socket>>,
    /// One more than the serial number of the request that has no response yet; zero if there is
    /// none.
    due: AtomicU64,
    last: AtomicU64,
    streak: AtomicU32,
}

impl Roaming {
    pub(crate) fn set_movable(&self) {
        self.is_movable.store(true, Ordering::Relaxed);
    }

    fn is_movable(&self) -> bool {
        self.is_movable.load(Ordering::Relaxed)
    }

    /// Whether it has moved since this was last asked.
    pub(crate) fn has_moved(&self) -> bool {
        self.has_moved.load(Ordering::Relaxed) && self.has_moved.swap(false, Ordering::Relaxed)
    }

    /// Whether it is away from where it began.
    pub(crate) fn is_away(&self) -> bool {
        self.home.load(Ordering::Relaxed) != 0
    }

    /// Keeps a handle to end the connection by if its home is lost.
    pub(crate) fn keep(&self, second: Socket) {
        *lock(&self.second) = Some(second);
    }

    fn order(&self, order: Order) {
        *lock(&self.order) = Some(order);
        self.has_order.store(true, Ordering::Relaxed);
    }

    fn take_order(&self) -> Option<Order> {
        if !self.has_order.load(Ordering::Relaxed) {
            return None;
        }
        self.has_order.store(false, Ordering::Relaxed);
        lock(&self.order).take()
    }

    fn moves_to(&self, key: u64) {
        self.home.store(key, Ordering::Relaxed);
        self.has_moved.store(true, Ordering::Relaxed);
        *lock(&self.second) = None;
    }

    /// A request is being answered.
    pub(crate) fn owes(&self, serial: u64) {
        self.due.store(serial.wrapping_add(1), Ordering::Relaxed);
    }

    /// Its response is there.
    pub(crate) fn settles(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// Ends the connection from afar, with a last response if one is due and nothing else can be
    /// on its way.
    fn hang_up(&self, farewell: Farewell, ids: RequestIds, is_alone: bool) {
        if let Some(socket) = lock(&self.second).take() {
            let due = self.due.load(Ordering::Relaxed).checked_sub(1);
            if let Some(serial) = due.filter(|_| is_alone) {
                // It fits into an empty send buffer; a client that is gone needs no answer.
                let _ = socket.send(&on_the_wire(farewell(ids.id(serial))));
            }
            // Fails only on a socket that is gone already.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A response as HTTP/1.1, on a connection that ends with it.
fn on_the_wire(mut response: Response<ResponseBody>) -> Vec<u8> {
    let body = response.body_mut().take_whole().unwrap_or_default();
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let end = format!(
        "connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    bytes.extend_from_slice(end.as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Drives a connection to its end, wherever it lives.
pub(crate) async fn roam(mut connection: Connection, link: Arc<Link>, ids: RequestIds) {
    loop {
        let order = poll_fn(|cx| {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            match link.roaming.take_order() {
                Some(Order::To(home)) => Poll::Ready(Some(home)),
                Some(Order::Back) | None => Poll::Pending,
            }
        });
        let Some(home) = order.await else { return };
        link.roaming.moves_to(home.key);
        let mut lost = home.lost;
        let stay = stay(connection, Arc::clone(&link), home.leave);
        let mut away = Away(home.runtime.spawn(stay));
        connection = tokio::select! {
            back = &mut away.0 => match back {
                Ok(Some(connection)) => connection,
                // It ended, or the runtime did and took it along.
                Ok(None) | Err(_) => return,
            },
            farewell = &mut lost => {
                return link.roaming.hang_up(farewell, ids, link.is_alone());
            }
        };
        link.roaming.moves_to(0);
    }
}

/// Drives a connection in its home. Gives it back when it is to leave.
async fn stay(
    mut connection: Connection,
    link: Arc<Link>,
    mut leave: watch::Receiver<()>,
) -> Option<Connection> {
    let has_ended = {
        let mut news = pin!(leave.changed());
        poll_fn(|cx| {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            if let Some(Order::Back) = link.roaming.take_order() {
                return Poll::Ready(false);
            }
            news.as_mut().poll(cx).map(|_| false)
        })
        .await
    };
    (!has_ended).then_some(connection)
}

/// The task of a connection that is away; aborted with the one that waits for it.
struct Away(JoinHandle<Option<Connection>>);

impl Drop for Away {
    fn drop(&mut self) {
        self.0.abort();
    }
}
