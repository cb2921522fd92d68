//! Certificates that an authority issues: against pebble, and against directories that are no good.

mod directories;
mod files;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use tempfile::TempDir;
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::log::{is_record, record_path};
use crate::harness::pebble::{self, Pebble};
use crate::harness::tls::{Pair, client, connect};
use crate::harness::{Connection, Request, Server, World, server};

/// How long an order may take, on a debug build and a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Says what it was asked for.
const WORKER: &str = "export default {
  fetch(request) { return new Response('function ' + request.url); },
};
";

/// Where an authority asks.
const CHALLENGE: &str = "/.well-known/acme-challenge/";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = vec![
        world.trial("acme::by_tls_and_after_a_restart", async |_| by_tls().await),
        world.trial("acme::by_http_before_routes_and_redirects", async |_| {
            by_http().await
        }),
        world.trial("acme::renewed_at_two_thirds", async |_| renewed().await),
        world.trial("acme::hosts_come_and_go_with_the_file", async |_| {
            reloaded().await
        }),
        world.trial("acme::bound_to_another_account", async |_| bound().await),
    ];
    trials.extend(directories::trials(world));
    trials.extend(files::trials(world));
    trials
}

/// A server whose certificates are issued, and its folder.
struct Site {
    server: Server,
    folder: TempDir,
    https: SocketAddr,
    admin: SocketAddr,
}

/// `[tls.acme]` for these hosts, by the directory at `url`.
fn acme(hosts: &[&str], url: &str, ca: &Path) -> Table {
    table([
        ("hosts", hosts.to_vec().into()),
        ("dir", "acme".into()),
        ("terms_agreed", true.into()),
        ("email", "ops@example.com".into()),
        ("directory", url.into()),
        ("directory_ca", ca.display().to_string().into()),
    ])
}

/// A node with this `[tls.acme]`, a certificate of its own for `own.test`, and a function for every host.
fn config(acme: Table) -> Table {
    let mut all = function("worker.js", "a.test");
    all.insert("routes".to_owned(), vec!["*"].into());
    let mut config = node(table([("all", all.into())]));
    let server = table([
        ("https", "127.0.0.1:0".into()),
        ("admin", "127.0.0.1:0".into()),
    ]);
    merge(&mut config, table([("server", server.into())]));
    let own = table([
        ("cert", "own.pem".into()),
        ("key", "own.key".into()),
        ("acme", acme.into()),
    ]);
    config.insert("tls".to_owned(), vec![own].into());
    config
}

impl Site {
    async fn serve(config: &Table) -> anyhow::Result<(Self, Pair)> {
        let own = Pair::new(&["own.test"])?;
        let files = [
            ("worker.js", WORKER),
            ("own.pem", &own.cert),
            ("own.key", &own.key),
        ];
        let folder = server::folder(config, &files)?;
        Ok((Self::start(folder).await?, own))
    }

    async fn start(folder: TempDir) -> anyhow::Result<Self> {
        let server = Server::spawn(&["serve", "holm.toml"], folder.path()).await?;
        let https = server.https().await?;
        let is_admin = |line: &Value| line["msg"] == "admin listens";
        let line = server.log().first("admin's address", is_admin).await?;
        let admin = line["addr"].as_str().context("it has no addr")?.parse()?;
        Ok(Self {
            server,
            folder,
            https,
            admin,
        })
    }

    /// Has `pebble` find it.
    fn found_by(&self, pebble: &Pebble) {
        pebble.http.lead_to(self.server.address());
        pebble.tls.lead_to(self.https);
        pebble.directory.lead_to(pebble.address());
    }

    /// What is answered over HTTPS to a client that trusts `root` alone, and the certificate that it was shown.
    async fn ask(
        &self,
        root: &Pair,
        host: &str,
        path: &str,
    ) -> anyhow::Result<(Answer, CertificateDer<'static>)> {
        let config = client(&[root], &["http/1.1"], &[&TLS13, &TLS12])?;
        let stream = connect(&config, self.https, host).await?;
        let (_, tls) = stream.get_ref();
        let shown = tls.peer_certificates().context("no certificate")?;
        let shown = shown.first().context("no certificate")?.clone();
        let mut connection = Connection::over(stream, Version::Http1).await?;
        let answer = connection.exchange(Request::get(host, path)).await?;
        Ok((answer, shown))
    }

    /// Waits until the function answers for `host` with a certificate by `root`. Returns that.
    async fn served(&self, root: &Pair, host: &str) -> anyhow::Result<CertificateDer<'static>> {
        let begin = Instant::now();
        loop {
            match self.ask(root, host, "/x").await {
                Ok((answer, shown)) => {
                    ensure!(answer.status == 200, "{answer:?}");
                    ensure!(answer.body == format!("function https://{host}/x"));
                    return Ok(shown);
                }
                Err(error) => ensure!(
                    begin.elapsed() < DEADLINE,
                    "{error:#}\n{}",
                    self.server.log().tail()
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The alert that ends a handshake for `host`.
    async fn alert(&self, host: &str, protocols: &[&str]) -> anyhow::Result<String> {
        let config = client(&[], protocols, &[&TLS13, &TLS12])?;
        match connect(&config, self.https, host).await {
            Ok(_) => anyhow::bail!("a handshake for {host}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// What `/status` says of `host`.
    async fn status(&self, host: &str) -> anyhow::Result<Value> {
        let answer = Request::get("127.0.0.1", "/status")
            .send(self.admin)
            .await?;
        let status: Value = serde_json::from_slice(&answer.body)?;
        let hosts = status["acme"]["hosts"].as_array().context("no hosts")?;
        let mut hosts = hosts.iter().filter(|entry| entry["host"] == host);
        Ok(hosts.next().context("not this one")?.clone())
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let answer = Request::get("127.0.0.1", "/metrics")
            .send(self.admin)
            .await?;
        Ok(String::from_utf8(answer.body.to_vec())?)
    }

    fn configure(&self, config: &Table) -> anyhow::Result<()> {
        let text = toml::to_string(config)?;
        Ok(std::fs::write(self.folder.path().join("holm.toml"), text)?)
    }

    /// Ends it, and returns its folder.
    async fn end(self) -> anyhow::Result<TempDir> {
        self.server.terminate().await?;
        let status = self.server.ended().await?;
        ensure!(status.success(), "{status}");
        Ok(self.folder)
    }
}

/// Files below a folder, each with its mode.
fn modes(folder: &Path) -> anyhow::Result<Vec<(String, u32)>> {
    let mut modes = vec![(
        folder.display().to_string(),
        folder.metadata()?.mode() & 0o7777,
    )];
    if folder.is_dir() {
        for entry in folder.read_dir()? {
            modes.extend(self::modes(&entry?.path())?);
        }
    }
    Ok(modes)
}

async fn by_tls() -> anyhow::Result<()> {
    if !pebble::is_there() {
        return Ok(());
    }
    let pebble = Pebble::start(json!({})).await?;
    let config = config(acme(&["a.test", "b.test"], &pebble.url(), &pebble.ca()));
    // The directory is down at first.
    let (site, own) = Site::serve(&config).await?;
    let is_down = |line: &Value| line["msg"] == "no certificate was issued";
    site.server.log().first("its failure", is_down).await?;
    // As it is without [tls.acme]: there is no default certificate.
    let alert = site.alert("a.test", &["h2"]).await?;
    ensure!(alert.contains("UnrecognisedName"), "{alert}");
    let (answer, _) = site.ask(&own, "own.test", "/").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let status = site.status("a.test").await?;
    ensure!(status["state"] == "missing", "{status}");
    ensure!(status["failures"].as_u64() >= Some(1), "{status}");
    let problem = status["lastProblem"]["message"].as_str();
    ensure!(
        problem.is_some_and(|why| why.contains("does not answer")),
        "{status}"
    );

    site.found_by(&pebble);
    site.server.signal("HUP").await?;
    let root = pebble.root().await?;
    let first = site.served(&root, "a.test").await?;
    site.served(&root, "b.test").await?;
    ensure!(pebble.orders() == 2, "{} orders", pebble.orders());
    let status = site.status("a.test").await?;
    ensure!(
        status["state"] == "valid" && status["failures"] == 0,
        "{status}"
    );
    ensure!(
        status["until"].is_string() && status["nextTry"].is_string(),
        "{status}"
    );
    let metrics = site.metrics().await?;
    for line in [
        "holm_acme_orders_total{outcome=\"ok\"} 2",
        "holm_acme_hosts{state=\"valid\"} 2.0",
        "holm_acme_failures{name=\"b.test\"} 0.0",
    ] {
        ensure!(
            metrics.lines().any(|other| other == line),
            "no {line}: {metrics}"
        );
    }
    // Routed, and not listed.
    let alert = site.alert("c.test", &["h2"]).await?;
    ensure!(alert.contains("UnrecognisedName"), "{alert}");
    ensure!(
        pebble.asked("c.test") == 0,
        "an order for a host that is not listed"
    );
    // No order is under way, so nobody is shown a proof.
    let alert = site.alert("a.test", &["acme-tls/1"]).await?;
    ensure!(alert.contains("NoApplicationProtocol"), "{alert}");
    for (path, mode) in modes(&site.folder.path().join("acme"))? {
        let expected = if Path::new(&path).is_dir() {
            0o700
        } else {
            0o600
        };
        ensure!(mode == expected, "{path}: {mode:o}");
    }
    site.server.assert_healthy().await?;

    // With what is on disk, from the first handshake on.
    let folder = site.end().await?;
    let site = Site::start(folder).await?;
    site.found_by(&pebble);
    let (answer, again) = site.ask(&root, "a.test", "/").await?;
    ensure!(answer.status == 200 && again == first, "{answer:?}");
    ensure!(pebble.orders() == 2, "{} orders", pebble.orders());

    // One that is lost is had anew, by the account that is kept.
    let accounts = pebble.asked("POST /sign-me-up");
    let folder = site.end().await?;
    let mut kept = modes(&folder.path().join("acme"))?.into_iter();
    let lost = kept.find(|(path, _)| path.ends_with("/a.test.pem"));
    std::fs::remove_file(lost.context("not kept")?.0)?;
    let site = Site::start(folder).await?;
    site.found_by(&pebble);
    let other = site.served(&root, "a.test").await?;
    ensure!(other != first);
    ensure!(pebble.orders() == 3, "{} orders", pebble.orders());
    ensure!(
        pebble.asked("POST /sign-me-up") == accounts,
        "another account"
    );
    site.server.assert_healthy().await
}

async fn by_http() -> anyhow::Result<()> {
    if !pebble::is_there() {
        return Ok(());
    }
    let pebble = Pebble::start_refusing(5, json!({})).await?;
    let mut acme = acme(&["a.test"], &pebble.url(), &pebble.ca());
    acme.insert("challenge".to_owned(), "http-01".into());
    let mut config = config(acme);
    // What the function would say, or the redirect, would be no proof.
    let redirect = table([("redirect_to_https", true.into())]);
    merge(&mut config, table([("server", redirect.into())]));
    let (site, _) = Site::serve(&config).await?;
    site.found_by(&pebble);
    let root = pebble.root().await?;
    site.server.signal("HUP").await?;
    site.served(&root, "a.test").await?;
    let is_proof = |line: &Value| is_record(line) && record_path(line).starts_with(CHALLENGE);
    let record = site.server.log().first("a proof", is_proof).await?;
    ensure!(record["status"] == 200, "{record}");
    let function = record.get("function");
    ensure!(function.is_none_or(Value::is_null), "{record}");
    // What is not ours is the function's.
    let path = format!("{CHALLENGE}other");
    let answer = Request::get("a.test", &path)
        .send(site.server.address())
        .await?;
    ensure!(answer.status == 308, "{answer:?}");
    let (answer, _) = site.ask(&root, "a.test", &path).await?;
    ensure!(answer.body.starts_with(b"function "), "{answer:?}");
    site.server.assert_healthy().await
}

async fn renewed() -> anyhow::Result<()> {
    if !pebble::is_there() {
        return Ok(());
    }
    // Two thirds of it are 20 s.
    let life = 30;
    let pebble = Pebble::start(json!({ "certificateValidityPeriod": life })).await?;
    let config = config(acme(&["a.test"], &pebble.url(), &pebble.ca()));
    let (site, _) = Site::serve(&config).await?;
    site.found_by(&pebble);
    let root = pebble.root().await?;
    site.server.signal("HUP").await?;
    let first = site.served(&root, "a.test").await?;
    let begin = Instant::now();
    let tls = client(&[&root], &["http/1.1"], &[&TLS13])?;
    let stream = connect(&tls, site.https, "a.test").await?;
    let mut standing = Connection::over(stream, Version::Http1).await?;
    let issued = || {
        let events = site.server.log().events("info");
        let issued = |line: &&Value| line["msg"] == "a certificate was issued";
        events.iter().filter(issued).count()
    };
    // In use meanwhile, as it would be ended otherwise.
    while issued() < 2 {
        let answer = standing.exchange(Request::get("a.test", "/")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(begin.elapsed() < DEADLINE, "not renewed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = begin.elapsed();
    ensure!(
        took > Duration::from_secs(life / 3) && took < Duration::from_secs(life),
        "renewed after {took:?}"
    );
    let second = site.served(&root, "a.test").await?;
    ensure!(second != first, "the old one is shown");
    let answer = standing.exchange(Request::get("a.test", "/")).await?;
    ensure!(answer.status == 200, "{answer:?}");
    // It renews itself: nobody is told to.
    let told = site.server.log().events("warn");
    let told = told
        .iter()
        .any(|line| line.to_string().contains("ends soon"));
    ensure!(!told, "{}", site.server.log().tail());
    site.server.assert_healthy().await
}

async fn reloaded() -> anyhow::Result<()> {
    if !pebble::is_there() {
        return Ok(());
    }
    let pebble = Pebble::start(json!({})).await?;
    let of = |hosts: &[&str]| config(acme(hosts, &pebble.url(), &pebble.ca()));
    let (site, own) = Site::serve(&of(&["a.test"])).await?;
    site.found_by(&pebble);
    site.server.signal("HUP").await?;
    let root = pebble.root().await?;
    let first = site.served(&root, "a.test").await?;
    let tls = client(&[&root], &["http/1.1"], &[&TLS13])?;
    let stream = connect(&tls, site.https, "a.test").await?;
    let mut standing = Connection::over(stream, Version::Http1).await?;

    site.configure(&of(&["a.test", "b.test"]))?;
    site.served(&root, "b.test").await?;
    let (_, shown) = site.ask(&root, "a.test", "/").await?;
    ensure!(shown == first, "another one for a host that stayed");

    site.configure(&of(&["b.test"]))?;
    let begin = Instant::now();
    while site.ask(&root, "a.test", "/").await.is_ok() {
        ensure!(begin.elapsed() < DEADLINE, "shown for a host that is gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = standing.exchange(Request::get("a.test", "/")).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let (answer, _) = site.ask(&own, "own.test", "/").await?;
    ensure!(answer.status == 200, "{answer:?}");

    // It is still on disk.
    site.configure(&of(&["a.test", "b.test"]))?;
    let again = site.served(&root, "a.test").await?;
    ensure!(again == first, "it was ordered anew");
    ensure!(pebble.orders() == 2, "{} orders", pebble.orders());
    site.server.assert_healthy().await
}

async fn bound() -> anyhow::Result<()> {
    if !pebble::is_there() {
        return Ok(());
    }
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let pebble = Pebble::start(json!({
        "externalAccountBindingRequired": true,
        "externalAccountMACKeys": { "kid-1": key },
    }))
    .await?;
    let plain = acme(&["a.test"], &pebble.url(), &pebble.ca());
    let (site, _) = Site::serve(&config(plain.clone())).await?;
    site.found_by(&pebble);
    site.server.signal("HUP").await?;
    let is_refused = |line: &Value| line.to_string().contains("externalAccountRequired");
    site.server.log().first("its refusal", is_refused).await?;

    let mut bound = plain;
    bound.insert("eab_key_id".to_owned(), "kid-1".into());
    bound.insert("eab_key".to_owned(), "file:eab".into());
    std::fs::write(site.folder.path().join("eab"), key)?;
    site.configure(&config(bound))?;
    site.served(&pebble.root().await?, "a.test").await?;
    site.server.assert_healthy().await
}
