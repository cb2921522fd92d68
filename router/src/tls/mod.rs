//! TLS: certificates by server name, and the handshake.
//!
//! A connection is a few steps more than a plain one. The ClientHello is read, and nothing is decided
//! before it: the server name in it says which certificate answers, and which function will be
//! asked, so that it is made ready while the handshake runs ([`Edge::prewarm`](crate::Edge::prewarm)).
//! Then rustls does the handshake, and what comes out is one more [`Transport`] for the edge.
//!
//! - [`Pair`]: a certificate chain and its key, checked against each other
//! - [`CertificateSet`]: which names each pair is shown for; immutable
//! - [`Certificates`]: the set in force. [`replace`](Certificates::replace) swaps it: the next
//!   handshake sees the new one, and connections that stand go on
//! - `challenge`: what a certificate authority is shown that wants a proof ([`Certificates::prove`])
//! - `accept`: one handshake, with its deadline; `pending`: how many there may be at a time
//!
//! TLS 1.2 and 1.3, by rustls with the cryptography of aws-lc-rs; no early data, which could be
//! replayed; no client certificates; no renegotiation (rustls has none). Sessions are resumed by
//! tickets, whose keys change every six hours, and live in this process alone.

mod accept;
mod certificates;
mod challenge;
mod name;
mod pair;
mod pending;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server;

use crate::hostname::Hostname;
use crate::wire::Transport;

pub use certificates::{CertificateSet, CertificateSetBuilder, Certificates, Expiry, SetError};
pub use challenge::Proof;
pub use name::{CertifiedName, CertifiedNameError};
pub use pair::{Pair, PairFault};
pub(crate) use pending::Pending;

/// What a TLS handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// The version that is spoken.
    pub version: TlsVersion,
    /// The server name that the client asked for, if it named one.
    pub sni: Option<Hostname>,
    /// The protocol that was agreed on, if the client offered any.
    pub alpn: Option<Alpn>,
    /// Whether it continues an earlier session.
    pub is_resumed: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    /// `TLSv1.2` or `TLSv1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A protocol that the handshake agrees on (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Alpn {
    /// All of them; those that are preferred come first.
    pub const ALL: [Self; 2] = [Self::Http2, Self::Http1];

    /// Its name in the handshake.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|alpn| alpn.as_str().as_bytes() == name)
    }
}

impl fmt::Display for Alpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// TLS over `I`, behind its handshake.
#[derive(Debug)]
pub(crate) struct TlsStream<I>(
    /// In a place of its own: it is larger than all else that a connection keeps, which is moved
    /// a few times.
    Box<server::TlsStream<I>>,
);

impl<I: Transport> Transport for TlsStream<I> {
    /// TLS tells a clean end from another, but not every client asks. A reset is heard by all.
    fn reset(&mut self) {
        let (transport, _) = self.0.get_mut();
        transport.reset();
    }
}

impl<I: Transport> AsyncRead for TlsStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl<I: Transport> AsyncWrite for TlsStream<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
