//! `[tls.acme]`: certificates that an authority issues, and whether all that it takes is there.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holm_router::hostname::Hostname;
use holm_router::tls::{CertifiedName, CertifiedNameError};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::Url;

use super::at::{At, List};
use super::plan::FunctionPlan;
use super::problem::{Findings, Problem};
use super::raw::{AcmeChallenge, RawAcme};
use super::{secret, tls};
use crate::acme;

/// The directory of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The most hosts: they are seen to one after the other.
const MOST_HOSTS: usize = 1_000;

/// Longest name, in bytes, so that a file can be called that, with an ending.
const LONGEST_NAME: usize = 240;

/// Certificates that an authority issues.
#[derive(Debug)]
pub(crate) struct AcmePlan {
    /// Each has a certificate of its own. Never empty, no name twice, and none has a `[[tls]]`.
    pub(crate) hosts: Vec<Hostname>,
    /// How the authority sees that they are ours.
    pub(crate) challenge: AcmeChallenge,
    /// Who issues them.
    pub(crate) authority: Arc<Authority>,
    /// Where in the file `dir` is: `holm.toml:3:8`.
    pub(crate) place: String,
    /// The same, in bytes.
    span: Range<usize>,
}

/// A certificate authority, and who we are to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// The URL of its directory, which begins with `https:`.
    pub(crate) directory: String,
    /// By whom the directory's own certificate may be signed, beside the roots that browsers have.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// The file of those, absolute.
    pub(crate) roots_file: Option<PathBuf>,
    /// Where it may write to.
    pub(crate) email: Option<String>,
    /// The account that ours is bound to.
    pub(crate) bound_to: Option<Binding>,
    /// Where all of it is kept, absolute.
    pub(crate) dir: PathBuf,
}

/// An account that the authority knows from elsewhere.
#[derive(PartialEq, Eq)]
pub(crate) struct Binding {
    /// The id of its key.
    pub(crate) key_id: String,
    /// The key, for HMAC.
    pub(crate) key: Vec<u8>,
}

/// Without the key.
impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binding")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Settles `[tls.acme]`. `taken` are the names that have a `[[tls]]`. Paths are relative to `folder`.
pub(super) fn settle(
    raw: Vec<At<RawAcme>>,
    taken: &HashMap<CertifiedName, Range<usize>>,
    folder: &Path,
    findings: &mut Findings,
) -> Option<AcmePlan> {
    let mut all = raw.into_iter();
    let At { value: raw, span } = all.next()?;
    for another in all {
        findings.report(
            Problem::new("there are two [tls.acme]")
                .at(another.span, "this one")
                .at(span.clone(), "and this one")
                .help("name all hosts in one of them"),
        );
    }
    let hosts = raw.hosts.map(|hosts| self::hosts(hosts, taken, findings));
    terms(raw.terms_agreed.as_ref(), findings);
    let email = raw.email.and_then(|email| self::email(email, findings));
    let directory = match raw.directory {
        Some(typed) => directory(typed, findings),
        None => Some(LETS_ENCRYPT.to_owned()),
    };
    let roots_file = raw.directory_ca.as_ref().map(|at| folder.join(&at.value));
    let roots = raw
        .directory_ca
        .map(|typed| roots(&typed, folder, findings));
    let bound_to = match (raw.eab_key_id, raw.eab_key) {
        (None, None) => None,
        (Some(At { value: key_id, .. }), Some(key)) => {
            let secret = secret::read(&key, "tls.acme.eab_key", folder, findings);
            let decoded = secret.and_then(|secret| {
                let text = secret.reveal().trim_end_matches('=');
                let decoded = URL_SAFE_NO_PAD.decode(text).ok();
                if decoded.is_none() {
                    findings.report(
                        Problem::new("`tls.acme.eab_key` is of no use: it is not base64url")
                            .at(key.span.clone(), "not a key")
                            .help("it has to be there as the authority gave it out"),
                    );
                }
                decoded
            });
            decoded.map(|key| Binding { key_id, key })
        }
        (Some(At { span, .. }), None) | (None, Some(At { span, .. })) => {
            findings.report(
                Problem::new("`tls.acme.eab_key_id` and `tls.acme.eab_key` need each other")
                    .at(span, "alone")
                    .help("the authority gives out both; most want neither"),
            );
            None
        }
    };
    let dir = raw.dir?;
    let (place, span) = (findings.place(&dir.span), dir.span.clone());
    let path = folder.join(&dir.value);
    let directory = directory?;
    if let Err(fault) = acme::Store::inspect(&path, &directory) {
        let fix = fault.fix();
        findings.report(
            Problem::new(format!("`tls.acme.dir`: {fault}"))
                .at(dir.span, fault.label())
                .help(fix),
        );
    }
    Some(AcmePlan {
        hosts: hosts?,
        challenge: raw.challenge.unwrap_or_default(),
        authority: Arc::new(Authority {
            directory,
            roots: roots.unwrap_or_default(),
            roots_file,
            email,
            bound_to,
            dir: path,
        }),
        place,
        span,
    })
}

impl AcmePlan {
    /// Reports that keys would be among the files that `function` serves, if they would.
    pub(super) fn keep_from(&self, function: &FunctionPlan, findings: &mut Findings) {
        let Some(assets) = &function.assets else {
            return;
        };
        let dir = &self.authority.dir;
        // It need not be there yet.
        let resolved = fs::canonicalize(dir).or_else(|_| {
            let parent = fs::canonicalize(dir.parent().unwrap_or(dir))?;
            Ok::<_, io::Error>(parent.join(dir.file_name().unwrap_or_default()))
        });
        if resolved.is_ok_and(|dir| dir.starts_with(&assets.dir)) {
            let name = &function.name;
            findings.report(
                Problem::new(format!(
                    "`tls.acme.dir` is in a folder that function `{name}` serves"
                ))
                .at(self.span.clone(), "clients could ask for the keys")
                .help("name one that is in no `assets`, such as \"/var/lib/holm/acme\""),
            );
        }
    }
}

fn hosts(
    typed: List<String>,
    taken: &HashMap<CertifiedName, Range<usize>>,
    findings: &mut Findings,
) -> Vec<Hostname> {
    if typed.items.is_empty() && !typed.flawed {
        findings.report(
            Problem::new("`tls.acme.hosts` names no host")
                .at(typed.span.clone(), "nothing to have a certificate for")
                .help("write hosts = [\"example.com\"], or remove [tls.acme]"),
        );
    }
    if typed.items.len() > MOST_HOSTS {
        findings.report(
            Problem::new("`tls.acme.hosts` names more than makes sense")
                .at(typed.span.clone(), format!("at most {MOST_HOSTS}"))
                .help("authorities issue a few hundred a week: use a wildcard certificate, in [[tls]]"),
        );
    }
    let mut seen: HashMap<Hostname, Range<usize>> = HashMap::new();
    let mut hosts = Vec::new();
    for At { value, span } in typed.items {
        let Some(host) = host(&value, &span, findings) else {
            continue;
        };
        if let Some(first) = taken.get(&CertifiedName::Exact(host.clone())) {
            findings.report(
                Problem::new(format!("two certificates are for `{host}`"))
                    .at(span.clone(), "this one")
                    .at(first.clone(), "and this one")
                    .help("remove it here, or from the [[tls]]"),
            );
        }
        if let Some(first) = seen.insert(host.clone(), span.clone()) {
            findings.report(
                Problem::new(format!("`{host}` is named twice"))
                    .at(span, "again")
                    .at(first, "here it was")
                    .help("remove one of them"),
            );
            continue;
        }
        hosts.push(host);
    }
    hosts
}

/// One that an authority can be asked to look at.
fn host(typed: &str, span: &Range<usize>, findings: &mut Findings) -> Option<Hostname> {
    let (fault, help) = match CertifiedName::parse(typed) {
        Ok(CertifiedName::Exact(host)) if host.as_str().len() <= LONGEST_NAME => {
            return Some(host);
        }
        Ok(CertifiedName::Exact(_)) => (
            format!("it is longer than {LONGEST_NAME} bytes"),
            "use a shorter one",
        ),
        Ok(CertifiedName::OneLabel(_)) | Err(CertifiedNameError::Wildcard) => (
            "a wildcard is proved by DNS alone, which Holm cannot change".to_owned(),
            "name each host; or get the certificate by another tool, and name its file in [[tls]]",
        ),
        Err(fault @ CertifiedNameError::Address) => {
            (fault.to_string(), "name the host that leads to it")
        }
        Err(fault @ CertifiedNameError::Hostname(_)) => (
            fault.to_string(),
            "write a name like `example.com`, without scheme and port",
        ),
    };
    findings.report(
        Problem::new(format!(
            "no certificate can be issued for `{typed}`: {fault}"
        ))
        .at(span.clone(), "not a host's full name")
        .help(help),
    );
    None
}

fn terms(typed: Option<&At<bool>>, findings: &mut Findings) {
    if let Some(At { value: false, span }) = typed {
        findings.report(
            Problem::new("without `tls.acme.terms_agreed` there are no certificates")
                .at(span.clone(), "the authority issues none")
                .help("read its terms (https://letsencrypt.org/repository/) and write true if you agree"),
        );
    }
}

fn email(typed: At<String>, findings: &mut Findings) -> Option<String> {
    let At { value, span } = typed;
    let is_plain = |c: char| c.is_ascii_graphic() && !",;:?<>\"".contains(c);
    let is_address = value.chars().all(is_plain)
        && value.len() <= 254
        && value.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !host.contains('@')
        });
    if !is_address {
        findings.report(
            Problem::new("`tls.acme.email` is no e-mail address")
                .at(span, "not NAME@HOST")
                .help("write one, such as \"ops@example.com\", without `mailto:`; or leave it out"),
        );
        return None;
    }
    Some(value)
}

fn directory(typed: At<String>, findings: &mut Findings) -> Option<String> {
    let At { value, span } = typed;
    let url = Url::parse(&value).ok();
    let url = url.filter(|url| url.scheme() == "https" && url.has_host());
    if url.is_none() {
        findings.report(
            Problem::new("`tls.acme.directory` is not the URL of a directory")
                .at(span, "not https://HOST/PATH")
                .help(format!("leave it out for Let's Encrypt: {LETS_ENCRYPT}")),
        );
    }
    url.map(String::from)
}

fn roots(
    typed: &At<String>,
    folder: &Path,
    findings: &mut Findings,
) -> Vec<CertificateDer<'static>> {
    findings.watch(folder.join(&typed.value));
    let Some(file) = tls::read(typed, "acme.directory_ca", folder, findings) else {
        return Vec::new();
    };
    let roots = CertificateDer::pem_slice_iter(&file.bytes).collect::<Result<Vec<_>, _>>();
    let roots = roots.ok().filter(|roots| {
        let mut store = RootCertStore::empty();
        !roots.is_empty() && roots.iter().all(|root| store.add(root.clone()).is_ok())
    });
    if roots.is_none() {
        findings.report(
            Problem::new(format!(
                "`tls.acme.directory_ca`: `{}` has no certificates",
                typed.value
            ))
            .at(typed.span.clone(), "no certificates in PEM")
            .help("it has to be PEM; of DER, `openssl x509 -inform der -in FILE` makes that"),
        );
    }
    roots.unwrap_or_default()
}
