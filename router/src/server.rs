//! A listener, plain or with TLS: accepts, sheds what is too much, and drains.

mod bind;
mod seats;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use crate::crowd::OpenConnection;
use crate::dispatch::Dispatch;
use crate::edge::{Edge, Origin};
use crate::notices::Notices;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::tls::Certificates;

pub use bind::BindError;
pub(crate) use seats::Seats;

/// Connections that are told that there are too many; the next ones are just closed.
const TURNED_AWAY: usize = 64;
/// How long accepting pauses when the process is out of file descriptors or memory. Connections
/// wait in the backlog meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at whether there are descriptors for one more connection.
const SHORT_PAUSE: Duration = Duration::from_millis(10);

/// A bound address, not yet served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    is_shared: Arc<AtomicBool>,
    address: SocketAddr,
    settings: Settings,
    stats: Arc<Stats>,
    certificates: Option<Arc<Certificates>>,
    speaks_proxy: ProxyProtocol,
}

/// The socket of a listener.
#[derive(Debug)]
pub struct Socket {
    listener: TcpListener,
    is_shared: Arc<AtomicBool>,
}

impl Socket {
    /// Of a listening socket that this process was given and that it does not serve.
    pub fn of(listener: TcpListener) -> Self {
        Self {
            listener,
            is_shared: Arc::default(),
        }
    }

    /// Another process has it, too, and serves who waits in its backlog when this one stops.
    pub fn share(&self) {
        self.is_shared.store(true, Ordering::Relaxed);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Whether trusted proxies begin their connections to a listener with a PROXY header. Clones are of the
/// same listener.
#[derive(Clone, Debug, Default)]
pub struct ProxyProtocol(Arc<AtomicBool>);

impl ProxyProtocol {
    /// Holds for connections that are accepted from now on.
    pub fn set(&self, is_on: bool) {
        self.0.store(is_on, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were open when the drain began and ended by themselves.
    pub finished: usize,
    /// Connections that had to be aborted at its deadline.
    pub aborted: usize,
}

impl Server {
    /// Takes an address; port 0 takes any free port. Nothing is accepted yet, but clients that
    /// connect from now on wait for [`serve`](Self::serve). Needs no async runtime.
    ///
    /// # Errors
    /// Says which address, what is wrong with it, and what to do.
    pub fn bind(address: SocketAddr, settings: Settings) -> Result<Self, BindError> {
        Self::bind_beside(address, settings, &[])
    }

    /// As [`bind`](Self::bind), beside listeners of this process that have the same port and will close
    /// soon: `0.0.0.0:80` can be had although `127.0.0.1:80` still is open.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_beside(
        address: SocketAddr,
        settings: Settings,
        others: &[&Socket],
    ) -> Result<Self, BindError> {
        let listener = bind::listen(address, others)?;
        Self::on(listener, settings).map_err(|source| BindError::Other { address, source })
    }

    /// Serves a listening socket that this process was given.
    ///
    /// # Errors
    /// The system's: it is no such socket.
    pub fn inherit(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::on(listener, settings)
    }

    fn on(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            is_shared: Arc::default(),
            address,
            settings,
            stats: Arc::default(),
            certificates: None,
            speaks_proxy: ProxyProtocol::default(),
        })
    }

    /// Has trusted proxies (see [`Settings`]) begin their connections with a PROXY header. Others are
    /// served as they come; one of theirs that begins with such a header is refused.
    #[must_use]
    pub fn with_proxy_protocol(self, speaks_proxy: bool) -> Self {
        self.proxy_protocol().set(speaks_proxy);
        self
    }

    /// Changes that while it serves, for connections that are accepted from then on.
    pub fn proxy_protocol(&self) -> ProxyProtocol {
        self.speaks_proxy.clone()
    }

    /// Has it speak TLS, with these certificates, and nothing else.
    #[must_use]
    pub fn with_tls(mut self, certificates: Arc<Certificates>) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// The address it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Its socket once more, for [`bind_beside`](Self::bind_beside). The address is taken as long as it
    /// is kept.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn socket(&self) -> io::Result<Socket> {
        Ok(Socket {
            listener: self.listener.try_clone()?,
            is_shared: Arc::clone(&self.is_shared),
        })
    }

    /// Its counters, which outlive it.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Serves until `shutdown` completes and the drain after it is over.
    ///
    /// The drain: what waits in the backlog is still accepted, unless the socket is
    /// [shared](Socket::share), then the listener closes. Requests at hand are finished, idle connections
    /// get a last chance (see [`Settings`]), and what is left at the deadline is aborted. Dropping the future aborts everything at once.
    ///
    /// # Errors
    /// The listener cannot be registered with the async runtime.
    pub async fn serve<D: Dispatch>(
        self,
        dispatch: D,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let stats = Arc::clone(&self.stats);
        let edge = Edge::new(dispatch, self.settings.clone(), stats);
        self.serve_edge(edge, shutdown).await
    }

    /// As [`serve`](Self::serve), with an edge that other listeners may share.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_edge<D: Dispatch>(
        self,
        edge: Arc<Edge<D>>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        self.serve_for_now(edge, std::future::pending(), shutdown)
            .await
    }

    /// As [`serve_edge`](Self::serve_edge), also until `retired` completes: another listener has taken
    /// this one's place. Then the connections are drained without a deadline, since the edge stays and
    /// nothing need be aborted: that comes with `shutdown`.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_for_now<D: Dispatch>(
        self,
        edge: Arc<Edge<D>>,
        retired: impl Future<Output = ()>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let mut short = Notices::default();
        let mut guests = Guests::new(Arc::clone(&edge), self.certificates, self.speaks_proxy);
        let mut shutdown = pin!(shutdown);
        let mut retired = pin!(retired);
        let mut is_shut_down = true;
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = &mut retired => {
                    is_shut_down = false;
                    break;
                }
                Some(()) = guests.ended() => {}
                accepted = accept(&listener, &edge, &mut short) => match accepted {
                    Ok((stream, peer)) => guests.receive(stream, peer),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        guests.edge.drain();
        // Who is in the backlog has been told that the connection stands, and may have sent. The
        // runtime may not have heard of them yet, so the socket is asked itself. Where somebody else
        // has the socket they are his: he can serve them for longer than this process lives.
        let is_left = is_shut_down && self.is_shared.load(Ordering::Relaxed);
        let listener = listener.into_std()?;
        let waiting = if is_left { 0 } else { bind::BACKLOG };
        for _ in 0..waiting {
            let Ok((stream, peer)) = listener.accept() else {
                break;
            };
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                guests.receive(stream, peer);
            }
        }
        drop(listener);
        let begun_with = guests.served.len();
        if !is_shut_down {
            let all_ended = async { while guests.ended().await.is_some() {} };
            tokio::select! {
                biased;
                () = all_ended => {}
                () = &mut shutdown => {}
            }
        }
        Ok(guests.drain(begun_with).await)
    }
}

/// The open connections of one listener.
struct Guests<D> {
    edge: Arc<Edge<D>>,
    certificates: Option<Arc<Certificates>>,
    speaks_proxy: ProxyProtocol,
    served: JoinSet<()>,
    turned_away: JoinSet<()>,
    refused: Notices,
}

impl<D: Dispatch> Guests<D> {
    fn new(
        edge: Arc<Edge<D>>,
        certificates: Option<Arc<Certificates>>,
        speaks_proxy: ProxyProtocol,
    ) -> Self {
        Self {
            edge,
            certificates,
            speaks_proxy,
            served: JoinSet::new(),
            turned_away: JoinSet::new(),
            refused: Notices::default(),
        }
    }

    fn receive(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            // The client is gone already.
            tracing::debug!(%peer, %error, "TCP_NODELAY");
        }
        // How a client keeps up shows in what the kernel takes for it. Left alone, that takes megabytes
        // ahead, and then nothing until the client has read them; and it is memory in nobody's budget.
        let ahead = u32::try_from(self.edge.settings().buffer).unwrap_or(u32::MAX);
        if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(ahead) {
            tracing::debug!(%peer, %error, "TCP_NOTSENT_LOWAT");
        }
        let is_proxy = self.edge.settings().proxies.trusts(peer.ip());
        let place = self.edge.place(peer.ip()).map(Some);
        let Some(place) = place.or(is_proxy.then_some(None)) else {
            let limit = self.edge.settings().connections_per_address;
            self.shed(stream, peer, |refused, _| {
                warn!(
                    refused,
                    %peer,
                    limit,
                    "too many connections from one address: new ones are refused; \
                     `server.max_connections_per_address` is the limit"
                );
            });
            return;
        };
        if !self.has_room() {
            let limit = self.edge.settings().connections;
            self.shed(stream, peer, |refused, open| {
                warn!(
                    refused,
                    open,
                    limit,
                    "too many connections: new ones are refused; `server.max_connections` is the \
                     limit"
                );
            });
            return;
        }
        self.serve(stream, peer, is_proxy, place);
    }

    /// Whether there may be one more connection, perhaps in the place of one that asks for nothing.
    fn has_room(&mut self) -> bool {
        // The counter is shared with other listeners of this edge, as the limit is.
        let stats = self.edge.stats();
        if stats.open() < self.edge.settings().connections as u64 {
            return true;
        }
        let is_reclaimed = self.edge.seats().reclaim(Instant::now());
        if is_reclaimed {
            stats.reclaiming();
        }
        is_reclaimed
    }

    fn serve(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        is_proxy: bool,
        place: Option<OpenConnection>,
    ) {
        let edge = Arc::clone(&self.edge);
        let link = edge.link();
        let seat = Arc::downgrade(&link);
        if let Some(place) = place {
            link.keep(place);
        }
        let certificates = self.certificates.clone();
        let task = match certificates {
            certificates if self.speaks_proxy.is_on() && is_proxy => {
                let connection = edge.passed_on_connection(link, stream, peer, certificates);
                self.served.spawn(connection)
            }
            None => {
                let connection = edge.connection_on(link, stream, Origin::http(peer));
                self.served.spawn(connection)
            }
            Some(certificates) => {
                let connection = edge.tls_connection_on(link, stream, peer, certificates);
                self.served.spawn(connection)
            }
        };
        self.edge.seats().add(seat, task, Instant::now());
    }

    /// Refuses a connection, and has `say` say so now and then: how many there were, and how many are
    /// open.
    fn shed(&mut self, stream: TcpStream, peer: SocketAddr, say: impl FnOnce(u64, u64)) {
        self.edge.stats().shedding();
        if let Some(refused) = self.refused.one(Instant::now()) {
            say(refused, self.edge.stats().open());
        }
        // A handshake costs more than all the rest of a connection: one that is too many gets none.
        if self.certificates.is_none() && self.turned_away.len() < TURNED_AWAY {
            let (edge, origin) = (Arc::clone(&self.edge), Origin::http(peer));
            self.turned_away.spawn(edge.turn_away(stream, origin));
        }
    }

    /// The next connection that ends; `None` if there are none, which a `select!` skips.
    async fn ended(&mut self) -> Option<()> {
        let ended = tokio::select! {
            Some(ended) = self.served.join_next() => ended,
            Some(ended) = self.turned_away.join_next() => ended,
            else => return None,
        };
        // Some are ended for others.
        if let Err(panic) = ended
            && panic.is_panic()
        {
            error!(%panic, "a connection's task panicked");
        }
        Some(())
    }

    async fn drain(mut self, begun_with: usize) -> Drained {
        let deadline = self.edge.settings().drain_time;
        let all_ended = async { while self.ended().await.is_some() {} };
        let _ = timeout(deadline, all_ended).await;
        let aborted = self.served.len();
        if aborted > 0 {
            warn!(aborted, "the drain's deadline passed");
            self.edge.aborting();
        }
        self.served.shutdown().await;
        self.turned_away.shutdown().await;
        Drained {
            finished: begun_with - aborted,
            aborted,
        }
    }
}

/// The next connection, once there are descriptors for it. Whoever waits for them is in the backlog, and idle
/// connections make room.
async fn accept<D: Dispatch>(
    listener: &tokio::net::TcpListener,
    edge: &Edge<D>,
    short: &mut Notices,
) -> io::Result<(TcpStream, SocketAddr)> {
    while !edge.has_room() {
        if let Some(times) = short.one(Instant::now()) {
            warn!(
                times,
                open = edge.stats().open(),
                "few descriptors are left: new connections wait; a higher hard limit (`ulimit -Hn`, \
                 `LimitNOFILE` of a systemd unit) makes more"
            );
        }
        if edge.seats().reclaim(Instant::now()) {
            edge.stats().reclaiming();
        }
        sleep(SHORT_PAUSE).await;
    }
    let accepted = listener.accept().await?;
    edge.connected();
    Ok(accepted)
}

async fn pause_after(error: &io::Error) {
    match error.kind() {
        // The client's trouble, over with it.
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted => {}
        _ => {
            error!(%error, "cannot accept connections; trying again");
            sleep(PAUSE).await;
        }
    }
}
