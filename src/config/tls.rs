//! Certificates: the files read, each pair checked, and whether all of them go together.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use holm_router::hostname::Hostname;
use holm_router::tls::{CertificateSet, CertifiedName, CertifiedNameError, Pair, PairFault};
use toml::Spanned;
use toml::de::DeValue;

use super::acme::{self, AcmePlan};
use super::at::{At, List};
use super::fields::FromToml;
use super::problem::{Findings, Problem};
use super::raw::{RawTls, RawTlsTables};
use super::scalars::text;

/// Longest file of certificates or keys, in bytes. A chain is a few KiB.
const MAX_FILE: u64 = 1 << 20;

/// HTTPS: where, and with which certificates.
#[derive(Clone, Debug)]
pub(crate) struct TlsPlan {
    /// Address for HTTPS. Port 0 is any free one.
    pub(crate) https: SocketAddr,
    /// The certificates, in the order of the file. No name is in two of them, and at most one is the
    /// default.
    pub(crate) pairs: Vec<PairPlan>,
    /// Those that an authority issues. There are some if `pairs` is empty.
    pub(crate) acme: Option<Arc<AcmePlan>>,
}

/// One `[[tls]]`.
#[derive(Clone, Debug)]
pub(crate) struct PairPlan {
    /// The file of the certificate, absolute. What it had when the plan was made is in `pair`.
    pub(crate) cert: PathBuf,
    /// The file of its key, absolute.
    pub(crate) key: PathBuf,
    /// The names that it is shown for.
    pub(crate) hosts: Vec<CertifiedName>,
    /// Whether it is shown for all others, too.
    pub(crate) is_default: bool,
    /// The two, read.
    pub(crate) pair: Arc<Pair>,
}

impl TlsPlan {
    /// What the edge is to show, with what was `issued` so far.
    pub(crate) fn certificates(&self, issued: &BTreeMap<Hostname, Arc<Pair>>) -> CertificateSet {
        let pairs = self.pairs.iter();
        let mut set = pairs.fold(CertificateSet::builder(), |set, plan| {
            set.pair(plan.pair.clone(), plan.hosts.clone(), plan.is_default)
        });
        for host in self.acme.iter().flat_map(|acme| &acme.hosts) {
            if let Some(pair) = issued.get(host) {
                let name = CertifiedName::Exact(host.clone());
                set = set.pair(pair.clone(), vec![name], false);
            }
        }
        set.build().expect("the plan has no name twice")
    }

    /// The files that it was read from, absolute.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.pairs.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        let acme = self.acme.iter();
        let roots = acme.filter_map(|acme| acme.authority.roots_file.as_ref());
        pairs.chain(roots).map(PathBuf::as_path)
    }

    /// Certificates that end within `span` from `now`, in words.
    pub(crate) fn ending(&self, span: Duration, now: SystemTime) -> Vec<String> {
        // Nothing issued: those renew themselves.
        let set = self.certificates(&BTreeMap::new());
        let pairs = self.pairs.iter().zip(set.expiries());
        let ending = pairs.filter(|(_, expiry)| expiry.is_within(span, now));
        let words = ending.map(|(pair, expiry)| {
            let file = pair.cert.display();
            format!("the certificate of {expiry}: renew {file}")
        });
        words.collect()
    }

    /// Keys that everybody may read, in words.
    pub(crate) fn open_keys(&self) -> Vec<String> {
        let keys = self.pairs.iter().map(|pair| &pair.key);
        let open = keys.filter(|key| {
            fs::metadata(key).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
        });
        let warnings = open.map(|key| {
            let key = key.display();
            format!("every user of this machine may read the private key {key}; chmod o-rwx {key}")
        });
        warnings.collect()
    }
}

/// Settles `[[tls]]` and `server.https`, which need each other. Paths are relative to `folder`.
pub(super) fn settle(
    https: Option<At<SocketAddr>>,
    raw: Option<RawTlsTables>,
    folder: &Path,
    findings: &mut Findings,
) -> Option<TlsPlan> {
    let tables = raw.map(|RawTlsTables { pairs, acme }| {
        let mut names = Names::default();
        let mut is_flawed = false;
        let place = pairs.as_ref().map(|list| list.span.clone());
        let place = place.or_else(|| acme.first().map(|acme| acme.span.clone()));
        let pairs: Vec<_> = pairs.map_or_else(Vec::new, |list| {
            is_flawed = list.flawed;
            let pairs = list.items.into_iter();
            pairs
                .filter_map(|raw| pair(raw, folder, &mut names, findings))
                .collect()
        });
        let acme = acme::settle(acme, &names.taken, folder, findings);
        (pairs, acme, place.unwrap_or_default(), is_flawed)
    });
    match (https, tables) {
        (Some(https), Some((pairs, acme, ..))) => Some(TlsPlan {
            https: https.value,
            pairs,
            acme: acme.map(Arc::new),
        }),
        (Some(At { span, .. }), None) => {
            findings.report(
                Problem::new("there is no certificate for `server.https`")
                    .at(span, "needs a [[tls]]")
                    .help(
                        "add [[tls]] with cert = \"certs/example.pem\" and key = \
                         \"certs/example.key\", or [tls.acme]; `holm dev --https` makes one for this \
                         machine",
                    ),
            );
            None
        }
        (None, Some((_, _, span, false))) => {
            findings.report(
                Problem::new("nobody sees the certificates of [[tls]]")
                    .at(span, "there is no listener for HTTPS")
                    .help("write https = \"0.0.0.0:8443\" in [server]"),
            );
            None
        }
        (None, Some((.., true)) | None) => None,
    }
}

/// Who has a name already: the place of its `[[tls]]`.
#[derive(Default)]
struct Names {
    taken: HashMap<CertifiedName, Range<usize>>,
    default: Option<Range<usize>>,
}

fn pair(
    raw: At<RawTls>,
    folder: &Path,
    names: &mut Names,
    findings: &mut Findings,
) -> Option<PairPlan> {
    let At { value: raw, span } = raw;
    let is_default = raw.default.as_ref().is_some_and(|default| default.value);
    if let Some(At { value: true, span }) = raw.default
        && let Some(first) = names.default.replace(span.clone())
    {
        findings.report(
            Problem::new("two certificates are the default")
                .at(span, "this one")
                .at(first, "and this one")
                .help("leave one of them: it is what clients see that name no host"),
        );
    }
    let (cert, key) = (raw.cert?, raw.key?);
    let chain = read(&cert, "cert", folder, findings);
    let secret = read(&key, "key", folder, findings);
    let (chain, secret) = (chain?, secret?);
    let pair = Pair::from_pem(&chain.bytes, &secret.bytes).and_then(|pair| {
        pair.check_time(SystemTime::now())?;
        Ok(pair)
    });
    let pair = match pair {
        Ok(pair) => pair,
        Err(fault) => {
            findings.report(faulty(&fault, &cert, &key));
            return None;
        }
    };
    let hosts = match raw.hosts {
        Some(hosts) => {
            uncovered(&hosts, &pair, findings);
            hosts.items
        }
        None => {
            let at = |name: &CertifiedName| At {
                value: name.clone(),
                span: cert.span.clone(),
            };
            pair.names().iter().map(at).collect()
        }
    };
    if hosts.is_empty() && !is_default {
        findings.report(
            Problem::new("nobody sees this certificate")
                .at(span, "it has no host, and is not the default")
                .help("name its hosts: hosts = [\"example.com\"], or write default = true"),
        );
    }
    for host in &hosts {
        if let Some(first) = names.taken.insert(host.value.clone(), host.span.clone()) {
            findings.report(
                Problem::new(format!("two certificates are for `{}`", host.value))
                    .at(host.span.clone(), "this one")
                    .at(first, "and this one")
                    .help("name each host in the `hosts` of one of them"),
            );
        }
    }
    Some(PairPlan {
        cert: chain.path,
        key: secret.path,
        hosts: hosts.into_iter().map(|at| at.value).collect(),
        is_default,
        pair: Arc::new(pair),
    })
}

/// Reports hosts that the certificate is not for: no client would take it.
fn uncovered(hosts: &List<CertifiedName>, pair: &Pair, findings: &mut Findings) {
    let names = pair.names().iter().map(|name| format!("`{name}`"));
    let names = names.collect::<Vec<_>>().join(", ");
    let help = if names.is_empty() {
        "it is for no host: it has no alternative names of the DNS kind".to_owned()
    } else {
        format!("it is for {names}")
    };
    for host in &hosts.items {
        if !pair.covers(&host.value) {
            findings.report(
                Problem::new(format!("the certificate is not for `{}`", host.value))
                    .at(host.span.clone(), "clients would not accept it")
                    .help(help.clone()),
            );
        }
    }
}

fn faulty(fault: &PairFault, cert: &At<String>, key: &At<String>) -> Problem {
    let (at, other) = if fault.is_of_key() {
        (key, cert)
    } else {
        (cert, key)
    };
    let problem = Problem::new(format!("`{}`: {fault}", at.value));
    match fault {
        PairFault::Mismatch => problem
            .at(at.span.clone(), "the key")
            .at(other.span.clone(), "the certificate")
            .help("the certificate comes first in its file, and those that signed it behind; else, ask for one for this key"),
        PairFault::Expired(..) => problem
            .at(at.span.clone(), "no client accepts it any more")
            .help("renew it"),
        PairFault::NotYet(..) => problem
            .at(at.span.clone(), "no client accepts it yet")
            .help("is the clock of this machine right? `date` shows it"),
        PairFault::CertificatePem(_) | PairFault::NoCertificate => problem
            .at(at.span.clone(), "no certificate")
            .help("it has to be PEM; of DER, `openssl x509 -inform der -in FILE` makes that"),
        PairFault::KeyPem(_) | PairFault::NoKey => problem
            .at(at.span.clone(), "no key")
            .help("it has to be PEM; of DER, `openssl pkey -inform der -in FILE` makes that"),
        PairFault::EncryptedKey => problem
            .at(at.span.clone(), "needs a password")
            .help("`openssl pkey -in FILE -out NEW` takes the password off; let nobody else read NEW"),
        PairFault::Key(_) => problem
            .at(at.span.clone(), "cannot sign")
            .help("use an ECDSA key (P-256, P-384), Ed25519, or RSA from 2048 bits up"),
        PairFault::LongChain(_) => problem
            .at(at.span.clone(), "too many")
            .help("the certificate first, then those that signed it, without the root"),
        PairFault::Certificate(_) => problem
            .at(at.span.clone(), "cannot be read")
            .help("`openssl x509 -in FILE -text` shows what is in it"),
    }
}

pub(super) struct FileRead {
    path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// The file that `typed`, the value of `tls.KEY`, names.
pub(super) fn read(
    typed: &At<String>,
    key: &str,
    folder: &Path,
    findings: &mut Findings,
) -> Option<FileRead> {
    let path = folder.join(&typed.value);
    let shown = path.display();
    let mut bytes = Vec::new();
    // Opening a pipe would wait for somebody to write into it.
    let outcome = fs::metadata(&path).and_then(|metadata| {
        if !metadata.is_file() {
            let kind = io::ErrorKind::InvalidInput;
            return Err(io::Error::new(kind, "it is not a file"));
        }
        File::open(&path)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
    });
    let problem = match outcome {
        Ok(_) if bytes.len() as u64 <= MAX_FILE => return Some(FileRead { path, bytes }),
        Ok(_) => Problem::new(format!("`tls.{key}`: {shown} is longer than 1MiB"))
            .at(typed.span.clone(), "too long")
            .help("is it the right file?"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Problem::new(format!("`tls.{key}`: {shown} does not exist"))
                .at(typed.span.clone(), "no such file")
                .help("the path is relative to the folder of this file")
        }
        Err(error) => Problem::new(format!("`tls.{key}`: cannot read {shown}: {error}"))
            .at(typed.span.clone(), "cannot be read")
            .help("check that the user who runs Holm may read it"),
    };
    findings.report(problem);
    None
}

impl FromToml for CertifiedName {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let typed = text(value, name, "an array of hostnames", None, findings)?;
        match Self::parse(typed) {
            Ok(host) => Some(host),
            Err(fault) => {
                let help = match &fault {
                    CertifiedNameError::Address => {
                        "clients that name no host see the certificate with default = true"
                    }
                    CertifiedNameError::Wildcard => {
                        "write `*.example.com`, or default = true for all hosts"
                    }
                    CertifiedNameError::Hostname(_) => {
                        "write a name like `example.com` or `*.example.com`, without scheme and port"
                    }
                };
                findings.report(
                    Problem::new(format!("no certificate can be for `{typed}`: {fault}"))
                        .at(value.span(), "not a name for a certificate")
                        .help(help),
                );
                None
            }
        }
    }
}
