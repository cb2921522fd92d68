//! A certificate and its key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::InconsistentKeys;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::name::CertifiedName;

/// Longest chain: a leaf, a few intermediates, perhaps a root. More is a bundle of something else.
const LONGEST_CHAIN: usize = 10;

/// A certificate chain with the key of its first certificate. They fit each other.
pub struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    names: Vec<CertifiedName>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// Why a certificate and a key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PairFault {
    /// The certificates' file is not PEM.
    #[error("the certificate is not sound PEM: {0}")]
    CertificatePem(pem::Error),
    /// There is no certificate in it.
    #[error("there is no certificate in it (no `-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// There are more than any chain has.
    #[error("it has {0} certificates, which is no chain")]
    LongChain(usize),
    /// The first certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key's file is not PEM.
    #[error("the key is not sound PEM: {0}")]
    KeyPem(pem::Error),
    /// There is no key in it.
    #[error("there is no private key in it (no `-----BEGIN PRIVATE KEY-----`)")]
    NoKey,
    /// The key is behind a password.
    #[error("the key is encrypted, and nobody is there to type its password")]
    EncryptedKey,
    /// A key that cannot sign.
    #[error("the key cannot be used: {0}")]
    Key(rustls::Error),
    /// The key is that of another certificate.
    #[error("the key is not the one of the certificate")]
    Mismatch,
    /// It is over.
    #[error("the certificate expired {} ago, at {}", days(*.0), date(*.1))]
    Expired(Duration, SystemTime),
    /// It has not begun.
    #[error("the certificate is not valid before {}, in {}", date(*.1), days(*.0))]
    NotYet(Duration, SystemTime),
}

impl PairFault {
    /// Whether it is the key that is at fault, not the certificate.
    pub fn is_of_key(&self) -> bool {
        match self {
            Self::KeyPem(_) | Self::NoKey | Self::EncryptedKey | Self::Key(_) | Self::Mismatch => {
                true
            }
            Self::CertificatePem(_)
            | Self::NoCertificate
            | Self::LongChain(_)
            | Self::Certificate(_)
            | Self::Expired(..)
            | Self::NotYet(..) => false,
        }
    }
}

impl Pair {
    /// Reads a chain, its leaf first, and the leaf's key, both in PEM.
    ///
    /// # Errors
    /// What is wrong with them, or that they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, PairFault> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(PairFault::CertificatePem)?;
        if chain.len() > LONGEST_CHAIN {
            return Err(PairFault::LongChain(chain.len()));
        }
        Self::new(chain, private_key(key)?)
    }

    /// As [`from_pem`](Self::from_pem), from what is in the PEM.
    ///
    /// # Errors
    /// As there.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, PairFault> {
        let leaf = chain.first().ok_or(PairFault::NoCertificate)?;
        let unreadable = |error: &dyn fmt::Display| PairFault::Certificate(error.to_string());
        let (_, read) = X509Certificate::from_der(leaf).map_err(|error| unreadable(&error))?;
        let validity = read.validity();
        let (not_before, not_after) = (instant(validity.not_before), instant(validity.not_after));
        let names = names(&read).map_err(|error| unreadable(&error))?;
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key);
        let key = CertifiedKey::new(chain, signer.map_err(PairFault::Key)?);
        key.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => PairFault::Mismatch,
            other => unreadable(&other),
        })?;
        Ok(Self {
            key: Arc::new(key),
            names,
            not_before,
            not_after,
        })
    }

    /// The names that the certificate is for.
    pub fn names(&self) -> &[CertifiedName] {
        &self.names
    }

    /// Whether the certificate is for `name`.
    pub fn covers(&self, name: &CertifiedName) -> bool {
        self.names.iter().any(|own| own.covers(name))
    }

    /// When the certificate begins.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether the certificate is valid at `now`.
    ///
    /// # Errors
    /// That it is not, and since when or until when.
    pub fn check_time(&self, now: SystemTime) -> Result<(), PairFault> {
        if let Ok(since) = now.duration_since(self.not_after) {
            return Err(PairFault::Expired(since, self.not_after));
        }
        match self.not_before.duration_since(now) {
            Ok(until) if !until.is_zero() => Err(PairFault::NotYet(until, self.not_before)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Without the key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("names", &self.names)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PairFault> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
            if text.windows(encrypted.len()).any(|part| part == encrypted) {
                PairFault::EncryptedKey
            } else {
                PairFault::NoKey
            }
        }
        other => PairFault::KeyPem(other),
    })
}

/// The DNS names among the alternative names. Clients have not looked at the common name for years
/// (RFC 9525, 2). A name that no host can have is none that a client could ask for.
fn names(
    certificate: &X509Certificate<'_>,
) -> Result<Vec<CertifiedName>, x509_parser::error::X509Error> {
    let Some(alternative) = certificate.subject_alternative_name()? else {
        return Ok(Vec::new());
    };
    let names = alternative.value.general_names.iter();
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => CertifiedName::parse(name).ok(),
        // Clients compare no other kind with a host.
        _ => None,
    });
    Ok(names.collect())
}

fn instant(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH + Duration::from_secs(after),
        Err(_) => UNIX_EPOCH,
    }
}

/// A time as people write it: `2026-11-21 23:40 UTC`.
pub(super) fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(seconds.as_secs()).unwrap_or(i64::MAX);
    ASN1Time::from_timestamp(seconds).map_or_else(
        |_| "the end of time".to_owned(),
        |time| {
            let time = time.to_datetime();
            format!(
                "{}-{:02}-{:02} {:02}:{:02} UTC",
                time.year(),
                u8::from(time.month()),
                time.day(),
                time.hour(),
                time.minute()
            )
        },
    )
}

/// A time span in days, or in hours where it is short.
pub(super) fn days(span: Duration) -> String {
    let hours = span.as_secs() / 3600;
    match hours / 24 {
        0 | 1 => format!("{hours} h"),
        days => format!("{days} days"),
    }
}
