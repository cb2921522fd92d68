//! The names that a certificate is for.

use std::fmt;

use crate::hostname::{Hostname, HostnameError};

/// A name as certificates have them: a host, or a wildcard for one label (RFC 9525, 6.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertifiedName {
    /// This host alone.
    Exact(Hostname),
    /// `*.suffix`: exactly one label in front of the suffix.
    OneLabel(Hostname),
}

/// Why a text is no name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertifiedNameError {
    /// It is no hostname.
    #[error(transparent)]
    Hostname(#[from] HostnameError),
    /// An address: clients name none in a handshake (RFC 6066, 3).
    #[error("an address is named in no handshake")]
    Address,
    /// A wildcard that is not the first label, or of any depth.
    #[error("a certificate's wildcard is its first label, and stands for one: `*.example.com`")]
    Wildcard,
}

impl CertifiedName {
    /// Reads `a.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// Says why no certificate can be for it.
    pub fn parse(text: &str) -> Result<Self, CertifiedNameError> {
        let (suffix, is_wildcard) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        if suffix.contains('*') {
            return Err(CertifiedNameError::Wildcard);
        }
        let host = Hostname::parse(suffix)?;
        if host.is_ip() {
            return Err(CertifiedNameError::Address);
        }
        Ok(if is_wildcard {
            Self::OneLabel(host)
        } else {
            Self::Exact(host)
        })
    }

    /// Whether a certificate for this name is one for `other`, too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OneLabel(suffix), Self::Exact(host)) => above(host) == Some(suffix.as_str()),
            (Self::Exact(_), _) | (Self::OneLabel(_), Self::OneLabel(_)) => self == other,
        }
    }
}

/// The name without its first label.
pub(super) fn above(host: &Hostname) -> Option<&str> {
    host.as_str().split_once('.').map(|(_, above)| above)
}

impl fmt::Display for CertifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::OneLabel(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CertifiedName {
        CertifiedName::parse(text).expect(text)
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        for (name_of_certificate, other, covers) in [
            ("a.test", "A.Test.", true),
            ("a.test", "b.test", false),
            ("a.test", "b.a.test", false),
            ("*.a.test", "b.a.test", true),
            ("*.a.test", "a.test", false),
            ("*.a.test", "c.b.a.test", false),
            ("*.a.test", "*.a.test", true),
            ("b.a.test", "*.a.test", false),
            ("*.test", "*.a.test", false),
        ] {
            let found = name(name_of_certificate).covers(&name(other));
            assert_eq!(found, covers, "{name_of_certificate} {other}");
        }
    }

    #[test]
    fn what_no_handshake_names_is_no_name() {
        for (text, expected) in [
            ("127.0.0.1", CertifiedNameError::Address),
            ("[::1]", CertifiedNameError::Address),
            ("*.127.0.0.1", CertifiedNameError::Address),
            ("**.a.test", CertifiedNameError::Wildcard),
            ("*", CertifiedNameError::Wildcard),
            ("a.*.test", CertifiedNameError::Wildcard),
            ("x*.test", CertifiedNameError::Wildcard),
        ] {
            assert_eq!(CertifiedName::parse(text), Err(expected), "{text}");
        }
    }
}
