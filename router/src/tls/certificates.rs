//! Which certificate is shown for which name, and the swap of all of them at once.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustc_hash::FxHashMap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Alpn;
use super::challenge::{ACME, Challenge, Proof};
use super::name::{CertifiedName, above};
use super::pair::{Pair, date, days};
use crate::hostname::Hostname;

/// Sessions that are remembered for clients of TLS 1.2 that take no tickets, at most.
const SESSIONS: usize = 1024;

/// Which pair is shown for which name. Immutable.
#[derive(Debug, Default)]
pub struct CertificateSet {
    pairs: Vec<(Arc<Pair>, Vec<CertifiedName>)>,
    exact: FxHashMap<Hostname, usize>,
    one_label: FxHashMap<Hostname, usize>,
    default: Option<usize>,
}

/// Puts a [`CertificateSet`] together.
#[derive(Debug, Default)]
pub struct CertificateSetBuilder {
    set: CertificateSet,
    fault: Option<SetError>,
}

/// Why pairs cannot be served together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Two for one name.
    #[error("two certificates are given for {0}")]
    Duplicate(CertifiedName),
    /// Two for all other names.
    #[error("two certificates are the default")]
    Defaults,
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The first name that it is shown for; `*` for a default that has none.
    pub name: String,
    /// When it ends.
    pub not_after: SystemTime,
}

impl Expiry {
    /// Whether it ends within `span` from `now`, or has ended.
    pub fn is_within(&self, span: Duration, now: SystemTime) -> bool {
        self.not_after <= now + span
    }
}

/// `*.example.com ends in 13 days, at 2026-12-04 10:00 UTC`
impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, not_after } = self;
        let (at, now) = (date(*not_after), SystemTime::now());
        match not_after.duration_since(now) {
            Ok(left) => write!(f, "{name} ends in {}, at {at}", days(left)),
            Err(past) => write!(f, "{name} ended {} ago, at {at}", days(past.duration())),
        }
    }
}

impl CertificateSet {
    /// An empty set.
    pub fn builder() -> CertificateSetBuilder {
        CertificateSetBuilder::default()
    }

    /// Which pair is shown to a client that asks for `sni`: that of the name, then that of its
    /// wildcard, then the default. `None`: the handshake is refused.
    fn find(&self, sni: Option<&Hostname>) -> Option<usize> {
        let named = sni.and_then(|sni| {
            let wildcard = || self.one_label.get(above(sni)?);
            self.exact.get(sni).or_else(wildcard)
        });
        named.copied().or(self.default)
    }

    /// When each certificate ends.
    pub fn expiries(&self) -> impl Iterator<Item = Expiry> + '_ {
        self.pairs.iter().map(|(pair, names)| Expiry {
            name: names.first().map_or("*".to_owned(), ToString::to_string),
            not_after: pair.not_after(),
        })
    }
}

impl CertificateSetBuilder {
    /// Shows `pair` for `names`, whether its certificate is for them or not, and for all other
    /// names, and to clients that name none, if it `is_default`.
    #[must_use]
    pub fn pair(mut self, pair: Arc<Pair>, names: Vec<CertifiedName>, is_default: bool) -> Self {
        let place = self.set.pairs.len();
        for name in &names {
            let taken = match name {
                CertifiedName::Exact(host) => self.set.exact.insert(host.clone(), place),
                CertifiedName::OneLabel(suffix) => self.set.one_label.insert(suffix.clone(), place),
            };
            if taken.is_some() {
                self.fault.get_or_insert(SetError::Duplicate(name.clone()));
            }
        }
        if is_default && self.set.default.replace(place).is_some() {
            self.fault.get_or_insert(SetError::Defaults);
        }
        self.set.pairs.push((pair, names));
        self
    }

    /// The set.
    ///
    /// # Errors
    /// A name, or the default, was given twice.
    pub fn build(self) -> Result<CertificateSet, SetError> {
        match self.fault {
            None => Ok(self.set),
            Some(fault) => Err(fault),
        }
    }
}

/// The certificates in force, shared by listeners and whoever swaps them.
pub struct Certificates {
    current: ArcSwap<Current>,
    /// What a certificate authority is shown that wants a proof, while it wants one.
    pub(super) challenge: ArcSwapOption<Challenge>,
    common: Common,
}

/// One set, ready for handshakes.
struct Current {
    set: CertificateSet,
    /// One for each pair.
    configs: Vec<Arc<ServerConfig>>,
}

/// What all handshakes share, across swaps too: so a session that began under another set is
/// resumed. rustls does so only under the same server name.
struct Common {
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<ServerSessionMemoryCache>,
}

impl Certificates {
    /// Begins with `set`.
    ///
    /// # Errors
    /// The system gives no random numbers for the keys of tickets.
    pub fn new(set: CertificateSet) -> Result<Arc<Self>, rustls::Error> {
        let common = Common {
            provider: Arc::new(default_provider()),
            tickets: Ticketer::new()?,
            sessions: ServerSessionMemoryCache::new(SESSIONS),
        };
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(common.prepare(set)?),
            challenge: ArcSwapOption::empty(),
            common,
        }))
    }

    /// Handshakes that begin from now on see `set`. Those under way, and connections, go on with
    /// what they have.
    ///
    /// # Errors
    /// The library cannot work with a certificate of `set`; the old ones stay.
    pub fn replace(&self, set: CertificateSet) -> Result<(), rustls::Error> {
        let prepared = self.common.prepare(set)?;
        self.current.store(Arc::new(prepared));
        Ok(())
    }

    /// When each certificate in force ends.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.current.load().set.expiries().collect()
    }

    /// Shows `certificate` to a certificate authority that wants to know whether `host` is ours (TLS-ALPN-01,
    /// RFC 8737), and to no other client, until the result is dropped. One at a time: a later one takes
    /// the place of it.
    ///
    /// # Errors
    /// The library cannot work with the key.
    pub fn prove(
        self: &Arc<Self>,
        host: Hostname,
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Proof, rustls::Error> {
        let key = self
            .common
            .provider
            .key_provider
            .load_private_key(key.clone_key())?;
        // Not compared: it has an extension that none but the authority knows.
        let key = CertifiedKey::new(vec![certificate], key);
        let mut config = self.common.bare(Arc::new(key))?;
        config.alpn_protocols = vec![ACME.into()];
        // There is nothing to come back to.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let config = Arc::new(config);
        Ok(Proof::begin(self, Challenge { host, config }))
    }

    /// How to shake hands with a client that asks for `sni`; `None`: not at all.
    pub(super) fn find(&self, sni: Option<&Hostname>) -> Option<Arc<ServerConfig>> {
        let current = self.current.load();
        let place = current.set.find(sni)?;
        Some(Arc::clone(&current.configs[place]))
    }
}

impl Common {
    fn prepare(&self, set: CertificateSet) -> Result<Current, rustls::Error> {
        let configs = set.pairs.iter().map(|(pair, _)| self.config(pair));
        let configs = configs.collect::<Result<_, _>>()?;
        Ok(Current { set, configs })
    }

    /// Without protocols.
    fn bare(&self, key: Arc<CertifiedKey>) -> Result<ServerConfig, rustls::Error> {
        let certificate = SingleCertAndKey::from(key);
        Ok(
            ServerConfig::builder_with_provider(Arc::clone(&self.provider))
                .with_protocol_versions(&[&TLS13, &TLS12])?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(certificate)),
        )
    }

    fn config(&self, pair: &Pair) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = self.bare(Arc::clone(&pair.key))?;
        config.alpn_protocols = Alpn::ALL.map(|alpn| alpn.as_str().into()).to_vec();
        config.ticketer = Arc::clone(&self.tickets);
        config.session_storage = Arc::clone(&self.sessions) as Arc<dyn StoresServerSessions>;
        // Early data can be replayed by whoever sees it, and a function cannot tell.
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

/// Without keys.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("set", &self.current.load().set)
            .finish_non_exhaustive()
    }
}
