//! HTTPS for `holm dev`: an authority of the user's own, and a certificate by it for this machine.
//!
//! Browsers take no wildcard right below `localhost`, so a certificate has to name each function, and a
//! new function needs another certificate. What the user trusts, once, is therefore an authority. It may
//! sign for `localhost` and what is below, and for loopback addresses; for anything else it is worth
//! nothing to whoever gets hold of its key. Certificates are made at each start, and kept nowhere.

use std::env;
use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holm_router::tls::CertifiedName;
use holm_router::tls::Pair;
use holm_router::tls::PairFault;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CidrSubnet;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::GeneralSubtree;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::NameConstraints;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::Plan;
use super::tls::PairPlan;
use super::tls::TlsPlan;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long an authority lasts.
const AUTHORITY: Duration = Duration::from_secs(3650 * 24 * 3600);
/// It is made again so long before its end.
const RENEWAL: Duration = Duration::from_secs(100 * 24 * 3600);
/// How long a certificate lasts; no `holm dev` runs for longer.
const CERTIFICATE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Why there is no certificate for this machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalCaError {
    /// Nobody knows where to keep the authority.
    #[error("cannot keep an authority for HTTPS: neither XDG_DATA_HOME nor HOME is set")]
    NoHome,
    /// A file of it cannot be read or written.
    #[error("cannot keep an authority for HTTPS in {path}: {1}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// Its files are there, and are not what was written.
    #[error("{path} is not an authority that Holm can use: {1}; remove it, and another is made", path = .0.display())]
    Damaged(PathBuf, #[source] PairFault),
    /// The certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Made(#[from] rcgen::Error),
    /// What was made is not sound.
    #[error("cannot use the certificate that was made: {0}")]
    Unsound(#[from] PairFault),
}

/// Who signs for this machine.
#[derive(Debug)]
pub(crate) struct LocalCa {
    /// Its certificate, for browsers and other clients to trust.
    pub(crate) file: PathBuf,
    key: KeyPair,
}

impl LocalCa {
    /// The user's, made if there is none, or none that lasts.
    ///
    /// # Errors
    /// It cannot be read, or not be kept.
    pub(crate) fn of_user() -> Result<Self, LocalCaError> {
        let folder = data_folder().ok_or(LocalCaError::NoHome)?;
        Self::in_folder(&folder)
    }

    fn in_folder(folder: &Path) -> Result<Self, LocalCaError> {
        let (file, secret) = (folder.join("dev-ca.pem"), folder.join("dev-ca.key"));
        let of = |path: &Path| {
            let path = path.to_owned();
            move |error| LocalCaError::File(path, error)
        };
        match (read(&file), read(&secret)) {
            (Ok(Some(certificate)), Ok(Some(key))) => {
                let damaged = |fault| LocalCaError::Damaged(file.clone(), fault);
                let pair = Pair::from_pem(&certificate, &key).map_err(damaged)?;
                if pair.not_after() > SystemTime::now() + RENEWAL {
                    let key = PrivateKeyDer::from_pem_slice(&key).map_err(PairFault::KeyPem);
                    let key = KeyPair::try_from(&key.map_err(damaged)?)?;
                    return Ok(Self { file, key });
                }
            }
            (Err(error), _) => return Err(of(&file)(error)),
            (_, Err(error)) => return Err(of(&secret)(error)),
            (Ok(None), _) | (_, Ok(None)) => {}
        }
        let key = KeyPair::generate()?;
        let certificate = authority(&key)?.self_signed(&key)?;
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(of(folder))?;
        let secret_text = pem("PRIVATE KEY", &key.serialize_der());
        write(&secret, 0o600, &secret_text).map_err(of(&secret))?;
        let text = pem("CERTIFICATE", certificate.der());
        write(&file, 0o644, &text).map_err(of(&file))?;
        Ok(Self { file, key })
    }

    /// Has `plan` answer over HTTPS at `port` of this machine.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub(crate) fn serve(&self, plan: &mut Plan, port: u16) -> Result<(), LocalCaError> {
        let mut names = vec!["localhost".to_owned()];
        let hosts = plan.exact_hosts().map(ToString::to_string);
        names.extend(hosts.filter(|host| host.ends_with(".localhost")));
        names.sort();
        names.dedup();
        let hosts: Vec<CertifiedName> = names
            .iter()
            .filter_map(|name| CertifiedName::parse(name).ok())
            .collect();
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        let key = KeyPair::generate()?;
        let now = SystemTime::now();
        let mut params = CertificateParams::new(names)?;
        params.not_before = (now - DAY).into();
        params.not_after = (now + CERTIFICATE).into();
        params
            .distinguished_name
            .push(DnType::CommonName, "holm dev");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(authority(&self.key)?, &self.key);
        let certificate = params.signed_by(&key, &issuer)?;
        let pair = Pair::new(vec![certificate.der().clone()], key.into())?;
        plan.tls = Some(TlsPlan {
            https: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            pairs: vec![PairPlan {
                cert: self.file.clone(),
                key: self.file.with_extension("key"),
                hosts,
                is_default: true,
                pair: Arc::new(pair),
            }],
            acme: None,
        });
        Ok(())
    }
}

/// `$XDG_DATA_HOME/holm`, or where the XDG Base Directory Specification has it without.
fn data_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let data = set("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/share")))?;
    Some(data.join("holm"))
}

/// The same for the same key, but for its time: so nothing but the key has to be read back to sign.
fn authority(key: &KeyPair) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let id: String = params
        .key_identifier(key)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = format!("holm dev on this machine ({id})");
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + AUTHORITY).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(
                std::net::Ipv6Addr::LOCALHOST.octets(),
                [255; 16],
            )),
        ],
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file anew, beside its place first: another `holm dev` may be reading it.
fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    let written = file.write_all(text.as_bytes());
    let outcome = written.and_then(|()| fs::rename(&beside, path));
    if outcome.is_err() {
        // What went wrong first is what is told.
        let _ = fs::remove_file(&beside);
    }
    outcome
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
