//! Who sent a request.

use std::net::IpAddr;

/// Who sent a request, as far as the edge can tell. Nothing in it is taken from a client's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address: the other end of the connection, or what a trusted proxy says.
    pub address: IpAddr,
    /// What its TLS handshake settled, if this node did it.
    pub tls: Option<ClientTls>,
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The server name that the client asked for, if it named one.
    pub sni: Option<Box<str>>,
    /// The protocol that was agreed on, if the client offered any: `h2` or `http/1.1`.
    pub alpn: Option<&'static str>,
}
