//! A certificate authority on loopback: Debian's `pebble`, with names that all lead to 127.0.0.1.
//!
//! It has to be told the ports that it connects to before the server under test has any, and the server the
//! directory's URL before that listens: relays are in between, whose other ends are set later.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::client::Version;
use super::tls::{Pair, client, connect};
use super::{Connection, Request};

/// The program, of the Debian package of that name.
const PROGRAM: &str = "pebble";

/// How long it may take to listen.
const START: Duration = Duration::from_secs(30);

/// Whether there is one on this machine. If not, says so.
pub(crate) fn is_there() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&paths).any(|path| path.join(PROGRAM).is_file());
    if !is_there {
        eprintln!(
            "skipped: there is no `pebble` here (Debian's package of that name; tools/setup installs it)"
        );
    }
    is_there
}

/// A port whose connections are passed on, once it is known where to. Closed by drop.
pub(crate) struct Relay {
    port: u16,
    to: watch::Sender<Option<SocketAddr>>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Passes nothing on yet: connections are reset.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let to = watch::Sender::new(None::<SocketAddr>);
        let known = to.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(to) = *known.borrow() else {
                    continue;
                };
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(to).await {
                        // Whoever ends it first is right.
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(Self { port, to, task })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Passes connections on to `to` from now on.
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        self.to.send_replace(Some(to));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A running authority. Dropping it kills the process.
pub(crate) struct Pebble {
    address: SocketAddr,
    management: SocketAddr,
    /// What it asks by HTTP, and by TLS.
    pub(crate) http: Relay,
    pub(crate) tls: Relay,
    /// What the server under test knows of it, so that it can be down.
    pub(crate) directory: Relay,
    certificate: Pair,
    lines: watch::Receiver<Vec<String>>,
    folder: TempDir,
    names: tokio::task::JoinHandle<()>,
    _child: Child,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.names.abort();
    }
}

impl Pebble {
    /// Starts one; `more` are further keys of its configuration.
    pub(crate) async fn start(more: Value) -> anyhow::Result<Self> {
        Self::start_refusing(0, more).await
    }

    /// The same, that refuses so many of a hundred sound nonces: clients have to come again with another.
    pub(crate) async fn start_refusing(nonces: u8, more: Value) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let certificate = Pair::new(&["127.0.0.1"])?;
        certificate.write(folder.path(), "directory")?;
        let (http, tls) = (Relay::start().await?, Relay::start().await?);
        let directory = Relay::start().await?;
        let (address, management) = (free().await?, free().await?);
        let mut keys = json!({
            "listenAddress": address.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": folder.path().join("directory.pem"),
            "privateKey": folder.path().join("directory.key"),
            "httpPort": http.port(),
            "tlsPort": tls.port(),
            "externalAccountBindingRequired": false,
        });
        let more = more.as_object().context("keys")?.clone();
        keys.as_object_mut().context("keys")?.extend(more);
        let config = folder.path().join("pebble.json");
        std::fs::write(&config, json!({ "pebble": keys }).to_string())?;
        let (names, resolver) = resolver().await?;
        let mut child = Command::new(PROGRAM)
            .arg("-config")
            .arg(&config)
            .args(["-dnsserver", &resolver.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", nonces.to_string())
            // Each order is to be proved.
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start pebble")?;
        let stdout = child.stdout.take().context("it has no stdout")?;
        let (sender, lines) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut input = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = input.next_line().await {
                sender.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        let pebble = Self {
            address,
            management,
            http,
            tls,
            directory,
            certificate,
            lines,
            folder,
            names,
            _child: child,
        };
        let listening = async {
            for address in [pebble.address, pebble.management] {
                while TcpStream::connect(address).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        };
        let listening = timeout(START, listening).await;
        listening
            .with_context(|| format!("pebble does not listen: {:?}", *pebble.lines.borrow()))?;
        Ok(pebble)
    }

    /// The URL of its directory, for the server under test.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.directory.port())
    }

    /// The file of the certificate that has signed its own.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("directory.pem")
    }

    /// Where it listens itself.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was asked for this, by its log.
    pub(crate) fn asked(&self, what: &str) -> usize {
        let lines = self.lines.borrow();
        lines.iter().filter(|line| line.contains(what)).count()
    }

    /// How many orders were made.
    pub(crate) fn orders(&self) -> usize {
        self.asked("POST /order-plz")
    }

    /// The certificate by which it signs what it issues.
    pub(crate) async fn root(&self) -> anyhow::Result<Pair> {
        let config = client(&[&self.certificate], &["http/1.1"], &[&TLS13, &TLS12])?;
        let stream = connect(&config, self.management, "127.0.0.1").await?;
        let mut connection = Connection::over(stream, Version::Http1).await?;
        let answer = connection
            .exchange(Request::get("127.0.0.1", "/roots/0"))
            .await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(Pair {
            der: CertificateDer::from_pem_slice(&answer.body)?,
            cert: String::new(),
            key: String::new(),
        })
    }
}

/// An address where nobody listens now.
async fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

/// A name server by which every name is 127.0.0.1.
async fn resolver() -> anyhow::Result<(tokio::task::JoinHandle<()>, SocketAddr)> {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
    let address = socket.local_addr()?;
    let task = tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            if let Some(answer) = resolved(&query[..length]) {
                // It asks again.
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    Ok((task, address))
}

/// The answer to a query (RFC 1035, 4): an address to those of type A, nothing to others.
fn resolved(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let mut end = HEADER;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(HEADER..end + 5)?;
    let is_a = question[question.len() - 4..question.len() - 2] == [0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(question);
    if is_a {
        // The name of the question, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
