//! Every limit of the edge, with its default.

use std::time::Duration;

use http::HeaderName;

use crate::framing::Limits;
use crate::proxies::Proxies;
use crate::websocket::Keeping;
use crate::wire::Windows;

/// What the edge allows. [`Settings::default`] is meant for the open internet.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of a request's head: 64 KiB; beyond it 431.
    pub head: usize,
    /// Header fields of a request: 100; beyond it 431.
    pub fields: usize,
    /// Bytes of a request's URL: 16 KiB; beyond it 414. HTTP's own limit here is 65,534.
    pub url: usize,
    /// How long a head may take from its first byte, and a new connection to its first byte: 10 s;
    /// after it 408.
    pub head_time: Duration,
    /// How long a TLS handshake may take: 10 s.
    pub handshake_time: Duration,
    /// TLS handshakes at once: 1,024. Beyond it the oldest is ended for each new one.
    pub handshakes: usize,
    /// How long a connection may be silent between two requests: 60 s. It is closed at some time
    /// between that and twice that.
    pub idle_time: Duration,
    /// How long a client may take nothing of a response that is ready: 30 s.
    pub stall_time: Duration,
    /// Connections at once: 8,192. Beyond it one that has been idle for a second is closed for each new
    /// one; if there is none, a few new ones are told so (503), and the rest closed.
    pub connections: usize,
    /// Connections at once from one address, or one /64 of IPv6: 2,500. The proxies may have any number.
    pub connections_per_address: usize,
    /// Requests in flight of one address: 2,000; beyond it 429.
    pub requests_per_address: usize,
    /// Bytes that wait for a slow client, per HTTP/1 connection and per HTTP/2 stream: 128 KiB.
    /// The kernel takes as many ahead of what is on the way.
    pub buffer: usize,
    /// Bytes a second that a client has to send of a request's body while they are waited for, on
    /// average: 1 KiB; and how long it may wait on top of that: 30 s. So a small body has 30 s.
    pub upload_rate: u64,
    /// See `upload_rate`.
    pub upload_time: Duration,
    /// How long a client may be silent within a body that is waited for: 30 s.
    pub upload_idle: Duration,
    /// Bytes of responses that wait for slow clients, over all connections: 256 MiB. Beyond it,
    /// connections are ended whose clients do not keep up (`slow_rate`, `slow_time`).
    pub unsent: u64,
    /// Bytes a second that a client has to take to keep up: 8 KiB. If more than that times 600 s
    /// waits for it, as many as take all of it in 600 s.
    pub slow_rate: u64,
    /// How long it may take less, on average: 10 s; a quarter of that when twice `unsent` is held.
    pub slow_time: Duration,
    /// How long a drain may take before what is left is aborted: 30 s.
    pub drain_time: Duration,
    /// How long an idle HTTP/1 connection stays open at the start of a drain: 500 ms. A client
    /// that is about to send on it is answered, and told to close.
    pub last_chance: Duration,
    /// How long a client may take from then on to shake hands, or to send its first byte, if it has sent none:
    /// 3 s. It is not idle but on its way. So long, too, it may take to say that it has read HTTP/2's GOAWAY.
    pub arrival: Duration,
    /// Who may speak of clients that are not on the other end of their connections: nobody.
    pub proxies: Proxies,
    /// The field of every response that carries the id of its request: none.
    pub request_id: Option<HeaderName>,
    /// How WebSockets are kept.
    pub websocket: Keeping,
    /// Limits of HTTP/2.
    pub http2: Http2Settings,
}

/// What the edge allows an HTTP/2 client.
#[derive(Clone, Debug)]
pub struct Http2Settings {
    /// Streams at once per connection: 256.
    pub streams: u32,
    /// Bytes of a request's head after decompression: 64 KiB.
    pub head: u32,
    /// Bytes that a client may send ahead on one stream: 256 KiB.
    pub stream_window: u32,
    /// Bytes that a client may send ahead on one connection: 1 MiB.
    pub connection_window: u32,
    /// Streams that a client may reset before they were looked at: 20 ("rapid reset",
    /// CVE-2023-44487).
    pub pending_resets: usize,
    /// Streams that may be reset for a client's mistakes before the connection is: 256.
    pub error_resets: usize,
    /// How often a silent connection is asked whether it lives: 20 s.
    pub ping_every: Duration,
    /// How long it may take to say so: 20 s.
    pub ping_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            head: 64 << 10,
            fields: 100,
            url: 16 << 10,
            head_time: Duration::from_secs(10),
            handshake_time: Duration::from_secs(10),
            handshakes: 1024,
            idle_time: Duration::from_secs(60),
            stall_time: Duration::from_secs(30),
            connections: 8192,
            connections_per_address: 2_500,
            requests_per_address: 2_000,
            buffer: 128 << 10,
            upload_rate: 1 << 10,
            upload_time: Duration::from_secs(30),
            upload_idle: Duration::from_secs(30),
            unsent: 256 << 20,
            slow_rate: 8 << 10,
            slow_time: Duration::from_secs(10),
            drain_time: Duration::from_secs(30),
            last_chance: Duration::from_millis(500),
            arrival: Duration::from_secs(3),
            proxies: Proxies::default(),
            request_id: None,
            websocket: Keeping::default(),
            http2: Http2Settings::default(),
        }
    }
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            streams: 256,
            head: 64 << 10,
            stream_window: 256 << 10,
            connection_window: 1 << 20,
            pending_resets: 20,
            error_resets: 256,
            ping_every: Duration::from_secs(20),
            ping_time: Duration::from_secs(20),
        }
    }
}

impl Settings {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            head: self.head,
            url: self.url,
            fields: self.fields,
        }
    }

    pub(crate) fn windows(&self) -> Windows {
        Windows {
            head: self.head_time,
            idle: self.idle_time,
            last_chance: self.last_chance,
            arrival: self.arrival,
            stall: self.stall_time,
        }
    }

    /// hyper's read buffer is bounded by the same number as its write buffer, and has to hold a
    /// head that was found sound.
    pub(crate) fn http1_buffer(&self) -> usize {
        self.buffer.max(self.head + 4096).max(8192)
    }
}
