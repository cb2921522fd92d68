//! What is shown to an authority that wants to see that a host is ours.
//!
//! By HTTP (RFC 8555, 8.3) the node answers itself, before it looks for a function; by TLS the edge shows a
//! certificate in a handshake that serves nothing else. One is shown at a time, since orders come one after
//! the other, and it is withdrawn when its order is over.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use holm_router::hostname::Hostname;
use holm_router::tls::{Certificates, Proof};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Where an authority asks for it, the token behind.
const PATH: &str = "/.well-known/acme-challenge/";

/// What is shown at present, for whoever answers.
#[derive(Debug, Default)]
pub(crate) struct HttpProof(ArcSwapOption<Told>);

#[derive(Debug)]
struct Told {
    host: Hostname,
    token: String,
    text: Bytes,
}

impl HttpProof {
    /// The answer to a request for `path` of `host`, if an authority asks for it.
    pub(crate) fn answer(&self, host: &Hostname, path: &str) -> Option<Bytes> {
        let told = self.0.load();
        let told = told.as_ref()?;
        let is_it = told.host == *host && path.strip_prefix(PATH) == Some(told.token.as_str());
        is_it.then(|| told.text.clone())
    }
}

/// Where proofs are shown.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    pub(super) http: Arc<HttpProof>,
    /// Nothing before HTTPS is served.
    pub(super) tls: ArcSwapOption<Certificates>,
}

/// Shows a proof; withdraws it when it is dropped.
#[derive(Debug)]
pub(super) enum Shown {
    Http(Arc<HttpProof>),
    Tls {
        /// Withdraws it by itself.
        _proof: Proof,
    },
}

/// Why there is no proof by TLS.
#[derive(Debug)]
pub(super) enum NotShown {
    /// HTTPS is not served.
    NoListener,
    /// The library does not take it.
    Tls(rustls::Error),
}

impl fmt::Display for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoListener => f.write_str("there is no listener for HTTPS"),
            Self::Tls(error) => write!(f, "the proof cannot be shown: {error}"),
        }
    }
}

impl std::error::Error for NotShown {}

impl Proofs {
    /// Has the node answer a request for `token` of `host` with `text`.
    pub(super) fn by_http(&self, host: Hostname, token: String, text: &str) -> Shown {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let told = Told { host, token, text };
        self.http.0.store(Some(Arc::new(told)));
        Shown::Http(self.http.clone())
    }

    /// Has the edge show `certificate` in the handshake for `host`.
    pub(super) fn by_tls(
        &self,
        host: Hostname,
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Shown, NotShown> {
        let certificates = self.tls.load_full().ok_or(NotShown::NoListener)?;
        let proof = certificates.prove(host, certificate, key);
        let proof = proof.map_err(NotShown::Tls)?;
        Ok(Shown::Tls { _proof: proof })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        match self {
            Self::Http(proof) => proof.0.store(None),
            Self::Tls { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_of_the_host_is_answered_and_only_while_it_is_shown() {
        let host = |name: &str| Hostname::parse(name).expect(name);
        let proofs = Proofs::default();
        let answer = |name: &str, path: &str| proofs.http.answer(&host(name), path);
        let path = format!("{PATH}token");
        assert_eq!(answer("a.test", &path), None);
        let shown = proofs.by_http(host("a.test"), "token".to_owned(), "token.print");
        assert_eq!(
            answer("a.test", &path).as_deref(),
            Some(&b"token.print"[..])
        );
        assert_eq!(answer("b.test", &path), None);
        for other in ["/", PATH, "/.well-known/acme-challenge/token/", "/token"] {
            assert_eq!(answer("a.test", other), None, "{other}");
        }
        drop(shown);
        assert_eq!(answer("a.test", &path), None);
    }
}
