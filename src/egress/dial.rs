//! From a URL's authority to a connected socket.
//!
//! The check is made on the addresses that are then connected to, between resolution and
//! connection, so a name that changes its mind (DNS rebinding) gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use holm_runtime::descriptors::{Descriptors, Purpose};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::address::Allow;
use super::charge::{self, Billed};
use crate::admin::leads_to;

/// How long an attempt has before the next address is tried beside it (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried; a hostile zone may hold thousands.
const ADDRESSES: usize = 8;

/// Name look-ups that one function may have under way. Each holds a thread of the runtime's
/// blocking pool, up to the system resolver's own time-out.
const LOOKUPS_PER_FUNCTION: usize = 8;

/// Name look-ups of the whole node, well below tokio's 512 blocking threads, which file access
/// needs too.
const LOOKUPS_PER_NODE: usize = 128;

/// Opens the connections of one function.
#[derive(Clone)]
pub(super) struct Dialer {
    allow: Arc<ArcSwap<Allow>>,
    /// Where the node itself is administered.
    admin: Arc<OnceLock<SocketAddr>>,
    /// What connections are made of; without a bound if there are none.
    descriptors: Arc<OnceLock<Descriptors>>,
    node: Arc<Semaphore>,
    function: Arc<Semaphore>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// No address of this host may be reached.
    #[error("not a public address")]
    Forbidden,
    /// The resolver failed, or knows no address.
    #[error("cannot resolve the name: {0}")]
    Resolve(#[source] io::Error),
    /// No permitted address accepted a connection; the last one's error.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// Resolving, connecting and the TLS handshake took longer than this together.
    #[error("no connection within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl Dialer {
    pub(super) fn new(allow: Allow) -> Self {
        Self {
            allow: Arc::new(ArcSwap::from_pointee(allow)),
            admin: Arc::default(),
            descriptors: Arc::default(),
            node: Arc::new(Semaphore::new(LOOKUPS_PER_NODE)),
            function: Arc::new(Semaphore::new(LOOKUPS_PER_FUNCTION)),
        }
    }

    /// Nobody is connected to `listener` from now on; the first one counts.
    pub(super) fn keep_from(&self, listener: SocketAddr) {
        let _ = self.admin.set(listener);
    }

    /// Nobody is connected where `descriptors` are short; the first ones count.
    pub(super) fn spares(&self, descriptors: &Descriptors) {
        let _ = self.descriptors.set(descriptors.clone());
    }

    fn permits(&self, address: SocketAddr) -> bool {
        let is_admin = |listener: &SocketAddr| leads_to(address, *listener);
        !self.admin.get().is_some_and(is_admin) && self.allow.load().permits(address.ip())
    }

    /// The same dialer with a share of look-ups of its own, for another function.
    pub(super) fn for_function(&self) -> Self {
        Self {
            function: Arc::new(Semaphore::new(LOOKUPS_PER_FUNCTION)),
            ..self.clone()
        }
    }

    /// From now on functions may reach these. Returns whether that is a change.
    pub(super) fn set_allow(&self, allow: &Allow) -> bool {
        let is_other = **self.allow.load() != *allow;
        if is_other {
            self.allow.store(Arc::new(allow.clone()));
        }
        is_other
    }

    /// Dropping the future closes every attempt. A look-up goes on in its thread and keeps its
    /// permits until the resolver returns.
    async fn dial(self, host: String, port: u16) -> Result<TcpStream, DialError> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.resolve(host, port).await?,
        };
        let permitted: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|address| self.permits(*address))
            .take(ADDRESSES)
            .collect();
        if permitted.is_empty() {
            return Err(DialError::Forbidden);
        }
        if let Some(descriptors) = self.descriptors.get() {
            if descriptors.are_short(Purpose::Connection) {
                let reason = io::Error::other("the node has no descriptors left for connections");
                return Err(DialError::Connect(reason));
            }
            descriptors.connected();
        }
        connect(permitted).await.map_err(DialError::Connect)
    }

    async fn resolve(&self, host: String, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        // In this order: whoever waits for its own share must not hold one of the node's.
        let function = Arc::clone(&self.function).acquire_owned().await;
        let node = Arc::clone(&self.node).acquire_owned().await;
        let permits = (function, node);
        let payer = charge::payer();
        let found = tokio::task::spawn_blocking(move || {
            let _permits = permits;
            let look_up = || (host.as_str(), port).to_socket_addrs();
            charge::blocking(payer, look_up).map(|addresses| addresses.collect::<Vec<_>>())
        })
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(DialError::Resolve)?;
        if found.is_empty() {
            let reason = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Err(DialError::Resolve(reason));
        }
        Ok(found)
    }
}

impl Service<Uri> for Dialer {
    type Response = Billed<TokioIo<TcpStream>>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let default = if uri.scheme() == Some(&http::uri::Scheme::HTTPS) {
            443
        } else {
            80
        };
        let port = uri.port_u16().unwrap_or(default);
        let dialer = self.clone();
        Box::pin(async move {
            let socket = dialer.dial(host, port).await?;
            Ok(Billed::new(TokioIo::new(socket)))
        })
    }
}

/// Connects to the first address that answers, starting the next attempt when one fails or is
/// slow ("Happy Eyeballs", RFC 8305); the resolver's order stands.
async fn connect(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => {
                    // A request's last small write must not wait for an acknowledgement.
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failure = error,
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::net::TcpListener;

    use super::*;

    fn loopback() -> Allow {
        Allow::Public {
            and: vec!["127.0.0.0/8".parse().expect("a network")],
        }
    }

    #[tokio::test]
    async fn a_literal_that_is_not_public_is_refused() {
        for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"] {
            let outcome = Dialer::new(Allow::PUBLIC).dial(host.into(), 80).await;
            assert!(matches!(outcome, Err(DialError::Forbidden)), "{host}");
        }
    }

    #[tokio::test]
    async fn the_admin_listener_is_out_of_reach_whatever_is_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("bound");
        let dialer = Dialer::new(Allow::Everything);
        let before = dialer
            .clone()
            .dial("127.0.0.1".into(), address.port())
            .await;
        assert!(before.is_ok(), "{before:?}");
        dialer.keep_from(address);
        for host in [
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "::ffff:127.0.0.1",
            "::",
        ] {
            // As a function's own dialer, made before or after.
            let outcome = dialer
                .for_function()
                .dial(host.into(), address.port())
                .await;
            assert!(matches!(outcome, Err(DialError::Forbidden)), "{host}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let outcome = Dialer::new(Allow::PUBLIC)
            .dial("localhost".into(), 80)
            .await;
        assert!(matches!(outcome, Err(DialError::Forbidden)), "{outcome:?}");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("bound").port();
        // `localhost` may also be ::1, which is not permitted here and must not be tried.
        let stream = Dialer::new(loopback()).dial("localhost".into(), port).await;
        let peer = stream.expect("connected").peer_addr().expect("connected");
        assert_eq!(peer, listener.local_addr().expect("bound"));
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let open = listener.local_addr().expect("bound");
        let closed = {
            let other = TcpListener::bind("127.0.0.2:0").await.expect("bind");
            other.local_addr().expect("bound")
        };
        let stream = connect(vec![closed, open]).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("connected"), open);

        let failure = connect(vec![closed]).await.expect_err("nobody listens");
        assert_eq!(failure.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn look_ups_of_one_function_are_bounded() {
        let dialer = Dialer::new(loopback());
        let held = Arc::clone(&dialer.function)
            .acquire_many_owned(LOOKUPS_PER_FUNCTION as u32)
            .await
            .expect("open");
        let waiting = dialer.resolve("localhost".into(), 80);
        let mut waiting = std::pin::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        // Another function has a share of its own.
        let other = dialer.for_function().resolve("localhost".into(), 80).await;
        assert!(other.is_ok());
        drop(held);
        assert!(waiting.await.is_ok());
    }
}
