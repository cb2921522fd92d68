//! TLS-ALPN-01 (RFC 8737): a handshake by which a certificate authority sees that a name is ours.
//!
//! It asks for the name and for the protocol `acme-tls/1` alone, is shown a certificate that was made for
//! that one question, and hangs up. Nobody else is shown it, and nothing is served over the connection.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ClientHello;

use super::Certificates;
use crate::hostname::Hostname;

/// The protocol in such a handshake.
pub(super) const ACME: &[u8] = b"acme-tls/1";

/// A name, and what is shown for it.
#[derive(Debug)]
pub(super) struct Challenge {
    pub(super) host: Hostname,
    pub(super) config: Arc<ServerConfig>,
}

/// While it is held, the certificate that it was made of is shown to the authority.
#[derive(Debug)]
#[must_use = "the proof is withdrawn when it is dropped"]
pub struct Proof {
    certificates: Arc<Certificates>,
    challenge: Arc<Challenge>,
}

impl Proof {
    pub(super) fn begin(certificates: &Arc<Certificates>, challenge: Challenge) -> Self {
        let challenge = Arc::new(challenge);
        certificates.challenge.store(Some(challenge.clone()));
        Self {
            certificates: certificates.clone(),
            challenge,
        }
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        // A later one stays.
        self.certificates.challenge.rcu(|shown| {
            let is_this = |shown: &&Arc<Challenge>| Arc::ptr_eq(shown, &self.challenge);
            shown.as_ref().filter(|shown| !is_this(shown)).cloned()
        });
    }
}

/// Whether only an authority says this.
pub(super) fn is_asked(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|names| names.eq([ACME]))
}

impl Certificates {
    /// How to shake hands with an authority that asks for `host`, if a proof is there.
    pub(super) fn proof(&self, host: &Hostname) -> Option<Arc<ServerConfig>> {
        let challenge = self.challenge.load();
        let challenge = challenge.as_ref().filter(|shown| shown.host == *host)?;
        Some(challenge.config.clone())
    }
}
