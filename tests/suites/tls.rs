//! HTTPS: certificates, versions, redirects, and clients that mean no good.

mod files;
mod hostile;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::process::Command;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::tls::{Pair, client, connect};
use crate::harness::{Connection, Request, Server, World};

/// Whatever has to come comes within.
const DEADLINE: Duration = Duration::from_secs(20);

/// Says where it was asked for.
const WORKER: &str = "export default {
  fetch(request) { return new Response(request.url); },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = vec![
        world.trial("tls::certificate_by_name", async |_| by_name().await),
        world.trial("tls::versions_and_protocols", async |_| versions().await),
        world.trial("tls::sessions_are_resumed", async |_| resumed().await),
        world.trial("tls::another_host_is_misdirected", async |_| {
            misdirected().await
        }),
        world.trial("tls::files_that_change_are_served", async |_| {
            renewed().await
        }),
        world.trial("tls::http_is_sent_on", async |_| sent_on().await),
        world.trial("tls::curl_and_openssl", async |_| others().await),
        world.trial("tls::a_name_alone_starts_a_cell", async |_| {
            prewarmed().await
        }),
    ];
    trials.extend(files::trials(world));
    trials.extend(hostile::trials(world));
    trials
}

/// A node with HTTPS for `a.test`, `*.w.test` and, by default, `d.test`.
struct Site {
    server: Server,
    https: SocketAddr,
    a: Pair,
    w: Pair,
    d: Pair,
}

/// Begins one, with more keys for [server].
async fn site(has_default: bool, more: toml::Table) -> anyhow::Result<Site> {
    let (a, w, d) = (
        Pair::new(&["a.test"])?,
        Pair::new(&["*.w.test"])?,
        Pair::new(&["d.test"])?,
    );
    let mut hello = function("worker.js", "a.test");
    hello["routes"] = vec!["a.test", "*.w.test", "d.test", "else.test", "127.0.0.1"].into();
    let mut plain = function("worker.js", "plain.test");
    plain.insert("redirect_to_https".to_owned(), false.into());
    plain.insert("hsts".to_owned(), "60s".into());
    let mut neighbour = function("neighbour.js", crate::harness::neighbour::HOST);
    neighbour.insert("redirect_to_https".to_owned(), false.into());
    let mut config = node(table([
        ("hello", hello.into()),
        ("plain", plain.into()),
        ("neighbour", neighbour.into()),
    ]));
    let mut server = table([("https", "127.0.0.1:0".into())]);
    merge(&mut server, more);
    merge(&mut config, table([("server", server.into())]));
    let pair = |name: &str| {
        table([
            ("cert", format!("{name}.pem").into()),
            ("key", format!("{name}.key").into()),
        ])
    };
    let mut default = pair("d");
    default.insert("default".to_owned(), has_default.into());
    let pairs = vec![pair("a"), pair("w"), default];
    config.insert("tls".to_owned(), pairs.into());
    let files = [
        ("worker.js", WORKER),
        ("neighbour.js", NEIGHBOUR),
        ("a.pem", &a.cert),
        ("a.key", &a.key),
        ("w.pem", &w.cert),
        ("w.key", &w.key),
        ("d.pem", &d.cert),
        ("d.key", &d.key),
    ];
    let server = Server::serve(&config, &files).await?;
    let https = server.https().await?;
    Ok(Site {
        server,
        https,
        a,
        w,
        d,
    })
}

/// What the harness's neighbour has to answer.
const NEIGHBOUR: &str = "export default {
  fetch() { return Response.json({ greeting: 'hi', polluted: 0 }); },
};
";

impl Site {
    /// The URL that the function sees, asked over a connection of its own.
    async fn ask(&self, pair: &Pair, host: &str, path: &str) -> anyhow::Result<String> {
        let config = client(&[pair], &["http/1.1"], &[&TLS13, &TLS12])?;
        let stream = connect(&config, self.https, host).await?;
        let mut connection = Connection::over(stream, Version::Http1).await?;
        let answer = connection.exchange(Request::get(host, path)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(String::from_utf8(answer.body.to_vec())?)
    }
}

/// The alert that ends a handshake.
async fn alert(site: &Site, trusted: &Pair, host: &str) -> anyhow::Result<String> {
    let config = client(&[trusted], &[], &[&TLS13, &TLS12])?;
    match connect(&config, site.https, host).await {
        Ok(_) => anyhow::bail!("a handshake for {host}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// A certificate that is renewed in its place; connections that stand go on.
async fn renewed() -> anyhow::Result<()> {
    let site = site(false, table([])).await?;
    let config = client(&[&site.a], &["http/1.1"], &[&TLS13])?;
    let stream = connect(&config, site.https, "a.test").await?;
    let mut standing = Connection::over(stream, Version::Http1).await?;
    let other = Pair::new(&["a.test"])?;
    let folder = site.server.folder()?;
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    // Between the two the pair does not match: nothing changes yet.
    write("a.pem", &other.cert)?;
    write("a.key", &other.key)?;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while site.ask(&other, "a.test", "/").await.is_err() {
        ensure!(
            tokio::time::Instant::now() < deadline,
            "the old one is served:\n{}",
            site.server.log().tail()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = standing.exchange(Request::get("a.test", "/")).await?;
    ensure!(answer.status == 200, "{answer:?}");

    write("a.key", "no key")?;
    let refused = |line: &serde_json::Value| {
        let text = line["msg"].as_str().unwrap_or_default();
        text.contains("not reloaded") && text.contains("a.key")
    };
    site.server.log().first("its refusal", refused).await?;
    let seen = site.ask(&other, "a.test", "/still").await?;
    ensure!(seen.ends_with("/still"), "{seen}");
    site.server.assert_healthy().await
}

async fn by_name() -> anyhow::Result<()> {
    let site = site(false, table([])).await?;
    for (pair, host) in [
        (&site.a, "a.test"),
        (&site.w, "x.w.test"),
        (&site.d, "d.test"),
    ] {
        // The client trusts that certificate alone.
        let url = site.ask(pair, host, "/p?q=1").await?;
        ensure!(url == format!("https://{host}/p?q=1"), "{url}");
    }
    for host in ["else.test", "y.x.w.test", "w.test", "127.0.0.1"] {
        let alert = alert(&site, &site.a, host).await?;
        ensure!(alert.contains("UnrecognisedName"), "{host}: {alert}");
    }
    site.server.assert_healthy().await?;

    let site = self::site(true, table([])).await?;
    let url = site.ask(&site.a, "a.test", "/").await?;
    ensure!(url == "https://a.test/", "{url}");
    // Shown to all others, who find that it is not for them.
    for host in ["else.test", "127.0.0.1"] {
        let alert = alert(&site, &site.d, host).await?;
        ensure!(alert.contains("not valid for name"), "{host}: {alert}");
    }
    site.server.assert_healthy().await
}

async fn versions() -> anyhow::Result<()> {
    let site = site(false, table([])).await?;
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for (offered, agreed, http) in [
            (&["h2", "http/1.1"][..], Some("h2"), Version::Http2),
            (&["http/1.1", "h2"], Some("h2"), Version::Http2),
            (&["http/1.1"], Some("http/1.1"), Version::Http1),
            (&[], None, Version::Http1),
        ] {
            let config = client(&[&site.a], offered, &[version])?;
            let stream = connect(&config, site.https, "a.test").await?;
            let (_, session) = stream.get_ref();
            ensure!(session.protocol_version() == Some(expected));
            ensure!(session.alpn_protocol() == agreed.map(str::as_bytes));
            let mut connection = Connection::over(stream, http).await?;
            let answer = connection.exchange(Request::get("a.test", "/")).await?;
            ensure!(answer.body == "https://a.test/", "{answer:?}");
        }
        let config = client(&[&site.a], &["spdy/3"], &[version])?;
        let refused = connect(&config, site.https, "a.test").await;
        let refused = format!("{:#}", refused.err().context("a protocol of its own")?);
        ensure!(refused.contains("NoApplicationProtocol"), "{refused}");
        // HTTP/2 that was not agreed on, and the other way round.
        for (offered, http) in [(&[][..], Version::Http2), (&["h2"], Version::Http1)] {
            let config = client(&[&site.a], offered, &[version])?;
            let stream = connect(&config, site.https, "a.test").await?;
            let answer = async {
                let mut connection = Connection::over(stream, http).await?;
                connection.exchange(Request::get("a.test", "/")).await
            };
            ensure!(answer.await.is_err(), "{offered:?}");
        }
    }
    site.server.assert_healthy().await
}

async fn resumed() -> anyhow::Result<()> {
    let site = site(false, table([])).await?;
    for version in [&TLS12, &TLS13] {
        let mut config = client(&[&site.a, &site.w], &["http/1.1"], &[version])?;
        Arc::get_mut(&mut config)
            .context("shared")?
            .enable_early_data = true;
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = connect(&config, site.https, "a.test").await?;
            let (_, session) = stream.get_mut();
            ensure!(session.handshake_kind() == Some(expected), "{version:?}");
            ensure!(!session.is_early_data_accepted(), "early data");
            // Tickets of TLS 1.3 come with the first answer.
            let mut connection = Connection::over(stream, Version::Http1).await?;
            let answer = connection.exchange(Request::get("a.test", "/")).await?;
            ensure!(answer.status == 200, "{answer:?}");
        }
    }
    site.server.assert_healthy().await
}

async fn misdirected() -> anyhow::Result<()> {
    let site = site(true, table([])).await?;
    for (offered, http) in [("h2", Version::Http2), ("http/1.1", Version::Http1)] {
        let config = client(&[&site.a], &[offered], &[&TLS13])?;
        let stream = connect(&config, site.https, "a.test").await?;
        let mut connection = Connection::over(stream, http).await?;
        for (host, status) in [
            ("a.test", 200),
            // Served, and even covered by no other certificate than the default.
            ("d.test", 421),
            ("else.test", 421),
            ("nowhere.test", 421),
            ("a.test", 200),
        ] {
            let answer = connection.exchange(Request::get(host, "/")).await?;
            ensure!(answer.status == status, "{offered} {host}: {answer:?}");
        }
    }
    let record = site.server.record("d.test", "GET", "/", 0).await?;
    ensure!(
        record["status"] == 421 && record["outcome"] == "refused",
        "{record}"
    );
    site.server.assert_healthy().await
}

async fn sent_on() -> anyhow::Result<()> {
    let more = table([("redirect_to_https", true.into()), ("hsts", "8760h".into())]);
    let site = site(false, more).await?;
    let (http, https) = (site.server.address(), site.https.port());
    let port = http.port();
    for (host, path, location) in [
        (
            "a.test",
            "/x/y?z=%20",
            "https://a.test/x/y?z=%20".to_owned(),
        ),
        ("A.test:80", "/", "https://a.test/".to_owned()),
        (
            &format!("a.test:{port}"),
            "/",
            format!("https://a.test:{https}/"),
        ),
    ] {
        let answer = Request::post(host, path, "body").send(http).await?;
        ensure!(answer.status == 308, "{answer:?}");
        ensure!(answer.headers["location"] == location, "{answer:?}");
        ensure!(!answer.headers.contains_key("strict-transport-security"));
    }
    let record = site.server.record("a.test", "POST", "/x/y", 0).await?;
    ensure!(
        record["outcome"] == "ok" && record["status"] == 308,
        "{record}"
    );
    ensure!(record["function"] == "hello", "{record}");
    // Not where nobody is, and not where the function does not want it.
    let answer = Request::get("nowhere.test", "/").send(http).await?;
    ensure!(answer.status == 404, "{answer:?}");
    let answer = Request::get("plain.test", "/").send(http).await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(!answer.headers.contains_key("strict-transport-security"));

    let config = client(&[&site.a], &["http/1.1"], &[&TLS13])?;
    let stream = connect(&config, site.https, "a.test").await?;
    let mut connection = Connection::over(stream, Version::Http1).await?;
    let answer = connection.exchange(Request::get("a.test", "/")).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let hsts = answer.headers.get("strict-transport-security");
    ensure!(hsts.context("no HSTS")? == "max-age=31536000", "{answer:?}");
    site.server.assert_healthy().await
}

/// Clients of another make.
async fn others() -> anyhow::Result<()> {
    let site = site(true, table([])).await?;
    let folder = tempfile::tempdir()?;
    site.a.write(folder.path(), "a")?;
    let port = site.https.port();
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--cacert", "a.pem", flag])
            .arg("--resolve")
            .arg(format!("a.test:{port}:127.0.0.1"))
            .args(["--write-out", " %{http_version}"])
            .arg(format!("https://a.test:{port}/p"))
            .current_dir(folder.path())
            .output()
            .await?;
        let said = String::from_utf8(curl.stdout)?;
        let errors = String::from_utf8_lossy(&curl.stderr);
        ensure!(
            said == format!("https://a.test:{port}/p {version}"),
            "{said} {errors}"
        );
    }
    for (flag, reached) in [
        ("-tls1_3", true),
        ("-tls1_2", true),
        ("-tls1_1", false),
        ("-tls1", false),
    ] {
        let openssl = Command::new("openssl")
            .args(["s_client", "-brief", "-cipher", "ALL:@SECLEVEL=0", flag])
            .args(["-servername", "a.test", "-CAfile", "a.pem", "-connect"])
            .arg(site.https.to_string())
            .current_dir(folder.path())
            .stdin(std::process::Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&openssl.stderr);
        let is_verified = said.contains("Verification: OK");
        ensure!(is_verified == reached, "{flag}: {said}");
    }
    site.server.assert_healthy().await
}

/// A ClientHello, and no more of the handshake, forks a cell of the function.
async fn prewarmed() -> anyhow::Result<()> {
    let site = site(false, table([])).await?;
    let family = site.server.family();
    ensure!(family.cells("hello")?.is_empty(), "there is one before");
    let hello = hostile::client_hello("a.test")?;
    let mut socket = tokio::net::TcpStream::connect(site.https).await?;
    tokio::io::AsyncWriteExt::write_all(&mut socket, &hello).await?;
    let cell = crate::harness::program::until(|| Ok(family.cells("hello")?.pop())).await?;
    ensure!(cell.is_some(), "no cell for a.test");
    drop(socket);
    site.server.assert_healthy().await
}
