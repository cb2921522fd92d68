//! Addresses that a node has, and does not serve at yet.

use std::net::SocketAddr;
use std::sync::Arc;

use holm_router::Server;
use holm_router::Socket;
use holm_router::tls::Certificates;

use super::Scheme;
use crate::acme::Opened;
use crate::upgrade::Holder;

/// Addresses that were taken, and where nobody is accepted yet.
#[derive(Debug)]
pub(in crate::app) struct Taken {
    pub(super) servers: Vec<TakenServer>,
    /// For HTTPS, if it is served.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// What an authority has issued, if one is asked.
    pub(super) acme: Option<Opened>,
}

#[derive(Debug)]
pub(super) struct TakenServer {
    pub(super) scheme: Scheme,
    pub(super) wanted: SocketAddr,
    pub(super) server: Server,
    pub(super) socket: Socket,
    pub(super) holder: Holder,
}

/// The addresses of a node that does not serve yet.
#[derive(Debug)]
pub(crate) struct Bound(pub(super) Taken);

impl Bound {
    /// The port for HTTP.
    pub(crate) fn port(&self) -> u16 {
        self.port_of(Scheme::Http).unwrap_or(0)
    }

    /// The port for HTTPS, if it is served.
    pub(crate) fn https_port(&self) -> Option<u16> {
        self.port_of(Scheme::Https)
    }

    fn port_of(&self, scheme: Scheme) -> Option<u16> {
        let mut servers = self.0.servers.iter();
        let taken = servers.find(|taken| taken.scheme == scheme);
        taken.map(|taken| taken.server.local_addr().port())
    }
}
