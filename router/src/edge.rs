//! One connection, from its first byte to its last.
//!
//! An [`Edge`] is what all connections share: the dispatcher, the settings, the counters. It does
//! not care where they come from: [`Edge::connection`] takes anything that carries bytes, so a
//! TLS acceptor hands over its streams in the same way as the plain listener does.

mod passed_on;
mod session;
mod sockets;
mod streams;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::sleep;
use tracing::debug;

use crate::body::ResponseBody;
use crate::crowd::{Crowd, OpenConnection};
use crate::dispatch::{Dispatch, RequestIds};
use crate::drain::Drain;
use crate::hints::Hints;
use crate::hostname::Hostname;
use crate::link::Link;
use crate::notices::Notices;
use crate::server::Seats;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::tls::{Alpn, Pending, TlsSession};
use crate::unsent::Unsent;
use crate::wire::{Spoken, Transport, Wire};

use session::{Reception, Session};
use sockets::Sockets;
use streams::{Starter, Streams};

/// What all connections share. Those of one listener can be drained without those of others: each
/// has a [`sibling`](Edge::sibling) of its own then.
#[derive(Debug)]
pub struct Edge<D> {
    dispatch: D,
    settings: Arc<ArcSwap<Settings>>,
    stats: Arc<Stats>,
    drain: Arc<Drain>,
    unsent: Arc<Unsent>,
    ids: RequestIds,
    hints: Arc<Hints>,
    /// What each address has open.
    crowd: Arc<Crowd>,
    /// The connections that may be closed for others.
    seats: Arc<Seats>,
    /// TLS handshakes under way.
    pending: Arc<Pending>,
    displaced: Arc<Mutex<Notices>>,
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The other end.
    pub peer: SocketAddr,
    /// `http`, or `https` over TLS.
    pub scheme: Scheme,
    /// What its TLS handshake settled. Requests for another host than its server name are refused
    /// (421).
    pub tls: Option<Arc<TlsSession>>,
}

impl Origin {
    /// A plain connection.
    pub fn http(peer: SocketAddr) -> Self {
        Self {
            peer,
            scheme: Scheme::HTTP,
            tls: None,
        }
    }

    /// A TLS connection.
    pub fn https(peer: SocketAddr, session: Arc<TlsSession>) -> Self {
        Self {
            peer,
            scheme: Scheme::HTTPS,
            tls: Some(session),
        }
    }

    /// The connection of a client that a proxy passes on, speaking the PROXY protocol.
    fn passed_on(self, client: SocketAddr, is_secure: bool) -> Self {
        Self {
            peer: client,
            scheme: if is_secure {
                Scheme::HTTPS
            } else {
                self.scheme
            },
            tls: self.tls,
        }
    }

    /// Whether this may be spoken on the connection. Over TLS it is HTTP/2 if, and only if, that was
    /// agreed on (RFC 9113, 3.2): whoever stands between may have gone by that.
    fn allows(&self, spoken: Spoken) -> bool {
        let Some(tls) = &self.tls else {
            return true;
        };
        match spoken {
            Spoken::Http1 => tls.alpn != Some(Alpn::Http2),
            Spoken::Http2 => tls.alpn == Some(Alpn::Http2),
        }
    }
}

impl<D: Dispatch> Edge<D> {
    /// Makes an edge that counts into `stats`.
    pub fn new(dispatch: D, settings: Settings, stats: Arc<Stats>) -> Arc<Self> {
        let unsent = Unsent::new(&settings);
        let pending = Pending::new(settings.handshakes);
        Arc::new(Self {
            dispatch,
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            stats,
            drain: Arc::default(),
            unsent,
            ids: RequestIds::random(),
            hints: Arc::new(Hints::new(Instant::now())),
            crowd: Arc::default(),
            seats: Arc::default(),
            pending,
            displaced: Arc::default(),
        })
    }

    /// An edge that shares everything with this one, but is drained by itself.
    pub fn sibling(&self) -> Arc<Self>
    where
        D: Clone,
    {
        Arc::new(Self {
            dispatch: self.dispatch.clone(),
            settings: Arc::clone(&self.settings),
            stats: Arc::clone(&self.stats),
            drain: Arc::default(),
            unsent: Arc::clone(&self.unsent),
            ids: self.ids,
            hints: Arc::clone(&self.hints),
            crowd: Arc::clone(&self.crowd),
            seats: Arc::clone(&self.seats),
            pending: Arc::clone(&self.pending),
            displaced: Arc::clone(&self.displaced),
        })
    }

    /// The limits in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Changes the limits, for all siblings. What bounds a connection from its beginning (its buffers,
    /// its deadlines, HTTP/2), and whether its other end is a trusted proxy, stays as it is for those that
    /// are open; all else holds at once.
    pub fn adjust(&self, settings: Settings) {
        self.unsent.set_budget(settings.unsent);
        self.settings.store(Arc::new(settings));
    }

    /// The counters.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Tells every connection, now and from now on, to end as soon as it can without failing a
    /// request: HTTP/1 behind the response at hand, HTTP/2 with GOAWAY.
    pub fn drain(&self) {
        self.drain.begin();
    }

    /// Tells the dispatcher that connections are about to be aborted.
    pub(crate) fn aborting(&self) {
        self.dispatch.aborting();
    }

    /// The TLS handshake of a connection names `host`: its function is made ready while the
    /// handshake runs, as far as there are not too many such hints.
    pub fn prewarm(&self, host: &Hostname) {
        if self.hints.admit(Instant::now()) {
            self.dispatch.prewarm(host);
        }
    }

    /// TLS handshakes under way.
    pub(crate) fn pending(&self) -> &Arc<Pending> {
        &self.pending
    }

    /// Counts a handshake that was ended for a newer one; returns how many there were since the last
    /// line in the log, if it is time for one.
    pub(crate) fn displaced(&self, now: Instant) -> Option<u64> {
        let mut displaced = self
            .displaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        displaced.one(now)
    }

    /// Resolves when a drain has begun.
    pub(crate) async fn draining(&self) {
        self.drain.begun().await;
    }

    /// Serves one connection to its end. Dropping the future aborts it: its requests are
    /// cancelled, and the client sees a reset.
    pub fn connection<I: Transport>(
        self: Arc<Self>,
        io: I,
        origin: Origin,
    ) -> impl Future<Output = ()> + Send {
        // Counted before the future is first polled, or a burst would slip past the limit.
        let link = self.link();
        self.connection_on(link, io, origin)
    }

    /// As [`connection`](Self::connection), for one that others know by its link.
    pub(crate) fn connection_on<I: Transport>(
        self: Arc<Self>,
        link: Arc<Link>,
        io: I,
        origin: Origin,
    ) -> impl Future<Output = ()> + Send {
        let open = self.stats.connection();
        let connection = self.converse(link, io, origin, Reception::Serve);
        async move {
            connection.await;
            drop(open);
        }
    }

    /// As [`connection`](Self::connection), for one that is counted already.
    pub(crate) async fn serve<I: Transport>(
        self: Arc<Self>,
        link: Arc<Link>,
        io: I,
        origin: Origin,
    ) {
        self.converse(link, io, origin, Reception::Serve).await;
    }

    /// Answers whatever comes with 503.
    pub(crate) async fn turn_away<I: Transport>(self: Arc<Self>, io: I, origin: Origin) {
        let link = self.link();
        self.converse(link, io, origin, Reception::TurnAway).await;
    }

    /// Of a new connection.
    pub(crate) fn link(&self) -> Arc<Link> {
        Arc::new(Link::new(Arc::clone(&self.unsent)))
    }

    /// Whether the process has descriptors for one more connection.
    pub(crate) fn has_room(&self) -> bool {
        self.dispatch.has_room()
    }

    /// There is one more connection.
    pub(crate) fn connected(&self) {
        self.dispatch.connected();
    }

    /// The connections that may be closed for others.
    pub(crate) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// A place for one more connection of `address`, unless it has too many.
    pub(crate) fn place(&self, address: IpAddr) -> Option<OpenConnection> {
        let most = self.settings.load().connections_per_address;
        self.crowd.member(address).connect(most)
    }

    async fn converse<I: Transport>(
        self: Arc<Self>,
        link: Arc<Link>,
        io: I,
        origin: Origin,
        reception: Reception,
    ) {
        let settings = self.settings();
        let mut wire = Wire::new(
            io,
            Arc::clone(&link),
            Arc::clone(&self.drain),
            settings.limits(),
            settings.windows(),
        );
        let drain = Arc::clone(&self.drain);
        let spoken = {
            let version = pin!(std::future::poll_fn(|cx| wire.poll_version(cx)));
            drain.drive(version, |_| true).await
        };
        let peer = origin.peer;
        let edge = Arc::clone(&self);
        let served = Arc::clone(&link);
        let connection = pin!(async move {
            match spoken {
                Ok(Some(spoken)) if !origin.allows(spoken) => {
                    debug!(%peer, ?spoken, "not what the handshake agreed on");
                    Ok(())
                }
                Ok(Some(Spoken::Http1)) => edge.http1(wire, served, origin, reception).await,
                Ok(Some(Spoken::Http2)) => edge.http2(wire, served, origin, reception).await,
                // Came and went without a word.
                Ok(None) | Err(_) => Ok(()),
            }
        });
        match link.unsent.watch(connection).await {
            Some(Ok(())) => {}
            Some(Err(error)) => debug!(%peer, %error, "connection ended early"),
            None => {
                // It is dropped behind this, and must not look as if it ended well.
                link.break_off();
                self.stats.slow();
                self.unsent.note();
            }
        }
    }

    async fn http1<I: Transport>(
        self: Arc<Self>,
        wire: Wire<I>,
        link: Arc<Link>,
        origin: Origin,
        reception: Reception,
    ) -> hyper::Result<()> {
        let drain = Arc::clone(&self.drain);
        let settings = self.settings.load_full();
        let builder = http1_builder(&settings);
        let sockets = Sockets::of_connection(&drain, settings.websocket);
        let service = self.service(link, origin, reception, sockets.clone());
        let connection = builder.serve_connection(TokioIo::new(wire), service);
        let connection = pin!(connection.with_upgrades());
        // hyper's own graceful shutdown closes an idle connection on the spot, under a request
        // that may be on its way. The wire gives it a last chance, and every response says
        // `connection: close`.
        drain.drive(connection, |_| true).await?;
        sockets.go_on().await;
        Ok(())
    }

    async fn http2<I: Transport>(
        self: Arc<Self>,
        wire: Wire<I>,
        link: Arc<Link>,
        origin: Origin,
        reception: Reception,
    ) -> hyper::Result<()> {
        let drain = Arc::clone(&self.drain);
        let last_link = Arc::clone(&link);
        let streams = Streams::default();
        let settings = self.settings.load_full();
        let starter = streams.starter(settings.stall_time);
        let sockets = Sockets::of_streams(&drain, settings.websocket, starter.clone());
        let builder = http2_builder(&settings, starter);
        let asked = Arc::clone(&link);
        let service = self.service(link, origin, reception, sockets);
        let connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
        let mut served = pin!(drain.drive(connection, |connection| {
            // A client that hears GOAWAY before it has asked cannot ask any more: whoever has just
            // connected is told with the first answer.
            let has_asked = asked.requests() > 0;
            if has_asked {
                connection.graceful_shutdown();
            }
            has_asked
        }));
        let mut asks_no_more = pin!(asks_no_more(&last_link, settings.arrival));
        // Looked at once there is a drain, and not before: `served` is woken by that.
        poll_fn(|cx| match served.as_mut().poll(cx) {
            Poll::Pending if drain.has_begun() => asks_no_more.as_mut().poll(cx).map(Ok),
            polled => polled,
        })
        .await
    }

    /// What hyper calls for each request. Nothing is boxed and nothing is spawned on the way to
    /// the dispatcher.
    fn service(
        self: Arc<Self>,
        link: Arc<Link>,
        origin: Origin,
        reception: Reception,
        sockets: Sockets,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + 'static {
        let session = Session::new(self, link, origin, reception, sockets);
        service_fn(move |request: Request<Incoming>| {
            let (received, active) = (Instant::now(), session.begin(request.version()));
            Arc::clone(&session).answer(request, received, active)
        })
    }
}

/// Resolves when a connection that is to end has asked for nothing for as long as `chance`. hyper ends it as soon as the
/// client has confirmed that it knows; one that does not is not waited for.
async fn asks_no_more(link: &Link, chance: Duration) {
    let mut requests = None;
    loop {
        let seen = Some(link.requests());
        if std::mem::replace(&mut requests, seen) == seen && !link.is_active() {
            return;
        }
        sleep(chance).await;
    }
}

fn http1_builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(settings.http1_buffer())
        // The wire keeps the time; hyper's way sets and clears a timer for every request.
        .header_read_timeout(None);
    // Not `pipeline_flush`: it copies every body, and lifts the bound on what waits for a client
    // that does not read.
    //
    // Not `max_headers` either, unless asked for: with its default of 100, hyper keeps the parser's
    // table on the stack.
    if settings.fields > 100 {
        builder.max_headers(settings.fields);
    }
    builder
}

fn http2_builder(settings: &Settings, starter: Starter) -> http2::Builder<Starter> {
    let mut builder = http2::Builder::new(starter);
    let limits = &settings.http2;
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.error_resets)
        .max_send_buf_size(settings.buffer)
        .keep_alive_interval(limits.ping_every)
        .keep_alive_timeout(limits.ping_time)
        // WebSockets (RFC 8441).
        .enable_connect_protocol();
    builder
}
