//! One handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustls::server::Acceptor;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tracing::{debug, warn};

use super::challenge;
use super::pending::Place;
use super::{Alpn, Certificates, TlsSession, TlsStream, TlsVersion};
use crate::dispatch::Dispatch;
use crate::edge::{Edge, Origin};
use crate::hostname::Hostname;
use crate::link::Link;
use crate::wire::Transport;

/// A fatal alert in a record of its own: `unrecognized_name` (RFC 8446, 6; RFC 6066, 3). It is sent in
/// place of a ServerHello, so nothing is encrypted yet.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum HandshakeFailure {
    /// No certificate is for the name, and there is no default.
    #[error("no certificate is for {}", .0.as_ref().map_or("a client that names no host", |name| name))]
    UnknownName(Option<String>),
    /// What came is no handshake, or the client gave it up.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// It had to make room for newer ones.
    #[error("there are too many others")]
    Displaced,
    /// It was a certificate authority, and that was all it wanted.
    #[error("a certificate authority was shown that {0} is ours")]
    Proved(Hostname),
    /// The server is going down.
    #[error("the server is going down")]
    Draining,
}

impl<D: Dispatch> Edge<D> {
    /// Shakes hands over `io`, and serves the connection to its end. As
    /// [`connection`](Self::connection) otherwise.
    pub fn tls_connection<I: Transport>(
        self: Arc<Self>,
        io: I,
        peer: SocketAddr,
        certificates: Arc<Certificates>,
    ) -> impl Future<Output = ()> + Send {
        let link = self.link();
        self.tls_connection_on(link, io, peer, certificates)
    }

    /// As [`tls_connection`](Self::tls_connection), for one that others know by its link.
    pub(crate) fn tls_connection_on<I: Transport>(
        self: Arc<Self>,
        link: Arc<Link>,
        io: I,
        peer: SocketAddr,
        certificates: Arc<Certificates>,
    ) -> impl Future<Output = ()> + Send {
        // Counted before the future is first polled, as every connection.
        let open = self.stats().connection();
        let place = self.begin_handshake();
        async move {
            self.secured(link, io, peer, certificates, place).await;
            drop(open);
        }
    }

    /// Takes the place that a handshake needs, from the oldest one if there is no other.
    pub(crate) fn begin_handshake(&self) -> Place {
        let (place, is_full) = self.pending().begin();
        if is_full {
            self.note_displaced();
        }
        place
    }

    /// As [`tls_connection`](Self::tls_connection), for a connection that is counted already.
    pub(crate) async fn secured<I: Transport>(
        self: Arc<Self>,
        link: Arc<Link>,
        io: I,
        peer: SocketAddr,
        certificates: Arc<Certificates>,
        place: Place,
    ) {
        // Its state is large, and over soon.
        let shaken = Box::pin(self.shake(io, peer, certificates, place)).await;
        match shaken {
            Ok((stream, origin)) => self.serve(link, stream, origin).await,
            Err(failure) => self.note_failure(peer, &failure),
        }
    }

    async fn shake<I: Transport>(
        &self,
        io: I,
        peer: SocketAddr,
        certificates: Arc<Certificates>,
        mut place: Place,
    ) -> Result<(TlsStream<I>, Origin), HandshakeFailure> {
        let (deadline, arrival) = (self.settings().handshake_time, self.settings().arrival);
        let draining = async {
            self.draining().await;
            sleep(arrival).await;
        };
        let session = tokio::select! {
            session = timeout(deadline, self.negotiate(io, &certificates)) => match session {
                Ok(session) => session?,
                Err(_) => return Err(HandshakeFailure::TimedOut),
            },
            () = place.ended() => return Err(HandshakeFailure::Displaced),
            () = draining => return Err(HandshakeFailure::Draining),
        };
        let (stream, session) = session;
        self.stats().handshake(session.is_resumed);
        Ok((stream, Origin::https(peer, Arc::new(session))))
    }

    async fn negotiate<I: Transport>(
        &self,
        io: I,
        certificates: &Certificates,
    ) -> Result<(TlsStream<I>, TlsSession), HandshakeFailure> {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        let named = start.client_hello().server_name().map(str::to_owned);
        let sni = named.as_deref().map(Hostname::parse).transpose();
        let is_challenge = challenge::is_asked(&start.client_hello());
        if is_challenge
            && let Ok(Some(host)) = &sni
            && let Some(config) = certificates.proof(host)
        {
            let mut stream = start.into_stream(config).await?;
            // It may have hung up already: it has seen what it came for.
            let _ = stream.shutdown().await;
            return Err(HandshakeFailure::Proved(host.clone()));
        }
        let found = match &sni {
            Ok(sni) => certificates.find(sni.as_ref()),
            // No host has such a name.
            Err(_) => None,
        };
        let (Ok(sni), Some(config)) = (sni, found) else {
            start.io.write_all(&UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            return Err(HandshakeFailure::UnknownName(named));
        };
        if let Some(host) = &sni {
            self.prewarm(host);
        }
        let stream = start.into_stream(config).await?;
        let (_, connection) = stream.get_ref();
        let session = TlsSession {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
                // No other is offered.
                _ => TlsVersion::V1_2,
            },
            sni,
            alpn: connection.alpn_protocol().and_then(Alpn::of),
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        Ok((TlsStream(Box::new(stream)), session))
    }

    fn note_failure(&self, peer: SocketAddr, failure: &HandshakeFailure) {
        let stats = self.stats();
        match failure {
            HandshakeFailure::UnknownName(_) => stats.unknown_name(),
            HandshakeFailure::Proved(_) => stats.handshake(false),
            // The line about too many is written where the new one comes in.
            HandshakeFailure::Io(_)
            | HandshakeFailure::TimedOut
            | HandshakeFailure::Displaced
            | HandshakeFailure::Draining => stats.failed_handshake(),
        }
        debug!(%peer, %failure, "no TLS connection");
    }

    fn note_displaced(&self) {
        self.stats().displaced_handshake();
        if let Some(ended) = self.displaced(Instant::now()) {
            warn!(
                ended,
                pending = self.pending().count(),
                limit = self.settings().handshakes,
                "too many TLS handshakes at a time: the oldest are ended; `server.max_handshakes` is \
                 the limit"
            );
        }
    }
}
