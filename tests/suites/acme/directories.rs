//! Directories that are no good: serving goes on, and they are asked less and less.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures::stream;
use http::{Request as HttpRequest, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libtest_mimic::Trial;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Site, acme, config};
use crate::harness::tls::Pair;
use crate::harness::{Request, World, program};

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let kinds = [
        ("garbage", Kind::Garbage, "not of the protocol"),
        ("long", Kind::Long, "length limit"),
        ("limited", Kind::Limited, "rateLimited"),
        ("busy", Kind::Busy, "503"),
        ("lying", Kind::Lying, "does not answer"),
    ];
    let mut trials: Vec<Trial> = kinds
        .into_iter()
        .map(|(name, kind, said)| {
            let name = format!("acme::a_directory_is_no_good::{name}");
            world.trial(name, async move |_| no_good(kind, said).await)
        })
        .collect();
    trials.push(
        world.trial("acme::a_directory_is_no_good::silent", async |_| {
            silent().await
        }),
    );
    trials
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A page.
    Garbage,
    /// A directory behind megabytes of spaces.
    Long,
    /// A problem: too many requests.
    Limited,
    /// A page, and when to come back.
    Busy,
    /// A directory whose URLs lead to where nobody listens.
    Lying,
    /// Nothing.
    Silent,
}

/// What a directory that is limited, or busy, asks for, in seconds.
const RETRY_AFTER: f64 = 7_000.0;

/// How long one host's limit may keep the others waiting, in seconds.
const FOR_ALL: f64 = 3_600.0;

/// A directory on loopback.
struct Directory {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    folder: TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Body = BoxBody<Bytes, Infallible>;

impl Directory {
    async fn start(kind: Kind) -> anyhow::Result<Self> {
        let pair = Pair::new(&["127.0.0.1"])?;
        let folder = tempfile::tempdir()?;
        pair.write(folder.path(), "directory")?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![pair.der.clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, asked) = (acceptor.clone(), counter.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    let service = service_fn(move |request: HttpRequest<Incoming>| {
                        asked.fetch_add(1, Ordering::SeqCst);
                        answer(kind, address, request)
                    });
                    // The client may leave whenever it likes.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            asked,
            folder,
            task,
        })
    }

    fn url(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("directory.pem")
    }
}

async fn answer(
    kind: Kind,
    own: SocketAddr,
    request: HttpRequest<Incoming>,
) -> Result<Response<Body>, http::Error> {
    let full = |text: String| Full::new(Bytes::from(text)).boxed();
    let response = Response::builder();
    let here = |path: &str| format!("https://{own}{path}");
    let directory = json!({
        "newNonce": here("/nonce"), "newAccount": here("/account"), "newOrder": here("/order"),
    });
    let is_directory = request.uri().path() == "/dir";
    match kind {
        Kind::Garbage => response.body(full("<html>hello</html>".to_owned())),
        Kind::Long => {
            let chunk = Bytes::from(vec![b' '; 1 << 16]);
            let end = Bytes::from(directory.to_string());
            let chunks = std::iter::repeat_n(chunk, 64).chain([end]);
            let frames = stream::iter(chunks.map(|chunk| Ok(Frame::data(chunk))));
            response.body(BodyExt::boxed(StreamBody::new(frames)))
        }
        Kind::Limited if is_directory => response.body(full(directory.to_string())),
        Kind::Limited if request.uri().path() == "/nonce" => response
            .header("replay-nonce", "bm9uY2U")
            .body(full(String::new())),
        Kind::Limited => response
            .status(429)
            .header("retry-after", RETRY_AFTER as u64)
            .header("content-type", "application/problem+json")
            .body(full(
                json!({
                    "type": "urn:ietf:params:acme:error:rateLimited",
                    "detail": "too many \u{1b}[2J",
                })
                .to_string(),
            )),
        Kind::Busy => response
            .status(503)
            .header("retry-after", RETRY_AFTER as u64)
            .body(full("busy".to_owned())),
        Kind::Lying => {
            let nowhere = "https://127.0.0.1:1/";
            response.body(full(
                json!({ "newNonce": nowhere, "newAccount": nowhere, "newOrder": nowhere })
                    .to_string(),
            ))
        }
        Kind::Silent => std::future::pending().await,
    }
}

/// Whether everything else is as ever.
async fn serves(site: &Site, own: &Pair) -> anyhow::Result<()> {
    let (answer, _) = site.ask(own, "own.test", "/").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let plain = Request::get("a.test", "/")
        .send(site.server.address())
        .await?;
    ensure!(plain.status == 200, "{plain:?}");
    let alert = site.alert("a.test", &["h2"]).await?;
    ensure!(alert.contains("UnrecognisedName"), "{alert}");
    Ok(())
}

async fn no_good(kind: Kind, said: &str) -> anyhow::Result<()> {
    let directory = Directory::start(kind).await?;
    let config = config(acme(
        &["a.test", "b.test"],
        &directory.url(),
        &directory.ca(),
    ));
    let (site, own) = Site::serve(&config).await?;
    let is_told = |line: &Value| line["msg"] == "no certificate was issued";
    let line = site.server.log().first("its failure", is_told).await?;
    let problem = line["problem"].as_str().context("no problem")?;
    ensure!(problem.contains(said), "{line}");
    ensure!(!problem.contains('\u{1b}'), "{line}");
    serves(&site, &own).await?;
    let status = site.status("a.test").await?;
    let message = status["lastProblem"]["message"].as_str();
    ensure!(message == Some(problem), "{status}");
    ensure!(status["state"] == "missing", "{status}");

    let args = ["status", "--admin", &site.admin.to_string()].map(str::to_owned);
    let printed = program::run(site.folder.path(), &args).await?.stdout;
    for part in ["certificate of a.test by ACME: missing", problem] {
        ensure!(printed.contains(part), "no {part:?}: {printed}");
    }

    let next = status["nextTrySeconds"].as_f64().context("no time")?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let wait = next - now.as_secs_f64();
    match kind {
        Kind::Limited | Kind::Busy => {
            ensure!(wait > RETRY_AFTER - 60.0, "{wait} s: {status}");
            // The other host has to wait as well, and nobody who asks for a reload changes that.
            let asked = directory.asked.load(Ordering::SeqCst);
            site.server.signal("HUP").await?;
            let is_reloaded = |line: &Value| line["msg"] == "reloaded";
            site.server.log().first("the reload", is_reloaded).await?;
            let other = site.status("b.test").await?;
            ensure!(
                other["failures"] == 0 && other["state"] == "missing",
                "{other}"
            );
            let next = other["nextTrySeconds"].as_f64().context("no time")?;
            ensure!(next - now.as_secs_f64() > FOR_ALL - 60.0, "{other}");
            ensure!(
                directory.asked.load(Ordering::SeqCst) == asked,
                "asked again"
            );
        }
        Kind::Garbage | Kind::Long | Kind::Lying => {
            ensure!(wait < 8.0, "{wait} s: {status}");
            // It goes on trying, one host after the other.
            let line = site.server.log().nth("the second", 1, is_told).await?;
            ensure!(line["host"] == "b.test", "{line}");
        }
        Kind::Silent => {}
    }
    site.server.assert_healthy().await
}

/// One that takes the request and says nothing: nobody waits for it, not even the end.
async fn silent() -> anyhow::Result<()> {
    let directory = Directory::start(Kind::Silent).await?;
    let config = config(acme(&["a.test"], &directory.url(), &directory.ca()));
    let (site, own) = Site::serve(&config).await?;
    let begin = std::time::Instant::now();
    while directory.asked.load(Ordering::SeqCst) == 0 {
        ensure!(begin.elapsed() < super::DEADLINE, "nobody asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    serves(&site, &own).await?;
    let status = site.status("a.test").await?;
    ensure!(status["state"] == "ordering", "{status}");
    site.server.assert_healthy().await?;
    let begin = std::time::Instant::now();
    site.end().await?;
    ensure!(
        begin.elapsed() < Duration::from_secs(20),
        "the end waited for it"
    );
    Ok(())
}
