//! What the two ends of one connection know of each other.
//!
//! hyper sits between the [`Wire`](crate::wire::Wire), which sees bytes, and the service, which
//! sees requests. This is their way around it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;

use crate::crowd::{OpenConnection, OpenRequest};
use crate::refusal::Refusal;
use crate::unsent::{Account, Counted, Unsent};

/// Shared by the wire, the service and the responses of one connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Heads that the wire let through to hyper.
    heads: AtomicU64,
    /// Requests that hyper made of them.
    requests: AtomicU64,
    /// Requests whose response is not yet written.
    active: AtomicUsize,
    /// The head that the wire replaced by a stand-in, counted from 1, and why.
    refused: OnceLock<(u64, Refusal)>,
    /// The connection is a WebSocket from here on.
    is_upgraded: AtomicBool,
    /// A response broke off: the connection must not look as if it ended well.
    is_broken: AtomicBool,
    /// Its place among those of its address; given back when the last response is let go, too.
    place: OnceLock<OpenConnection>,
    /// What its responses hold.
    pub(crate) unsent: Account,
}

// The counters are written by one task and read by others that need no more than a recent value
// of each by itself; over HTTP/1 it is all one task. So: relaxed throughout.
impl Link {
    /// Of a new connection, among all that share `unsent`.
    pub(crate) fn new(unsent: Arc<Unsent>) -> Self {
        Self {
            heads: AtomicU64::default(),
            requests: AtomicU64::default(),
            active: AtomicUsize::default(),
            refused: OnceLock::default(),
            is_upgraded: AtomicBool::default(),
            is_broken: AtomicBool::default(),
            place: OnceLock::default(),
            unsent: Account::new(unsent),
        }
    }

    /// Keeps a place for as long as the connection lives.
    pub(crate) fn keep(&self, place: OpenConnection) {
        // Only ever called once: by whoever accepted it.
        let _ = self.place.set(place);
    }

    /// The wire let `heads` heads through so far.
    pub(crate) fn passed(&self, heads: u64) {
        self.heads.store(heads, Ordering::Relaxed);
    }

    /// The wire put a stand-in behind the heads it let through.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        let number = self.heads.load(Ordering::Relaxed) + 1;
        // Only ever called once: nothing passes behind a stand-in.
        let _ = self.refused.set((number, refusal));
    }

    /// Whether a stand-in was put in.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.get().is_some()
    }

    /// Notes the next request that hyper made. Over HTTP/1, returns why it must not run.
    pub(crate) fn request(&self, is_http1: bool) -> Option<Refusal> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if !is_http1 {
            return None;
        }
        match self.refused.get() {
            Some((refused, refusal)) if *refused == number => Some(refusal.clone()),
            _ if number > self.heads.load(Ordering::Relaxed) => {
                Some(Refusal::Malformed("it can be read in two ways"))
            }
            _ => None,
        }
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether a request waits for its response or the rest of it.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// The answer to the request at hand makes the connection a WebSocket: what comes from now on is no HTTP.
    pub(crate) fn upgrade(&self) {
        self.is_upgraded.store(true, Ordering::Relaxed);
    }

    /// Whether it is one.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Relaxed)
    }

    /// Notes that a response breaks off.
    pub(crate) fn break_off(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether a response broke off.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }
}

/// One request from its head to the end of its response; ends by drop.
#[derive(Debug)]
pub(crate) struct Active {
    link: Arc<Link>,
    is_http2: bool,
    /// Its place among those of its client.
    open: Option<OpenRequest>,
}

impl Active {
    pub(crate) fn new(link: &Arc<Link>, is_http2: bool) -> Self {
        link.active.fetch_add(1, Ordering::Relaxed);
        let link = Arc::clone(link);
        Self {
            link,
            is_http2,
            open: None,
        }
    }

    /// Counts it among its client's until it ends.
    pub(crate) fn counts(&mut self, open: OpenRequest) {
        self.open = Some(open);
    }

    /// Notes that the response breaks off.
    pub(crate) fn broken(&self) {
        self.link.break_off();
    }

    /// Counts so many bytes that wait for the client until what is returned is dropped.
    pub(crate) fn count(&self, length: u64) -> Counted {
        Account::count(&self.link, length)
    }

    /// Counts a piece of the response until it is let go.
    pub(crate) fn hold(&self, bytes: Bytes) -> Bytes {
        Account::hold(&self.link, bytes, self.is_http2)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.link.active.fetch_sub(1, Ordering::Relaxed);
    }
}
