//! What the file says of routes, limits, the node and its listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::site::{DEADLINE, Load, POLL, Site, config, host, says};
use crate::harness::area::{egress_to_loopback, merge, table};
use crate::harness::client::Version;
use crate::harness::processes::{self};
use crate::harness::program::until;
use crate::harness::{Connection, Request, World};

pub(super) async fn routes() -> anyhow::Result<()> {
    let site = Site::serve(&["a", "b"]).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(20).await?;
    let mut config = config(&["a", "b"]);
    config["functions"]["b"]["routes"] = vec![host("b"), host("new")].into();
    site.configure(&config)?;
    site.until("new", 200, "b").await?;
    // From one function to another, with nobody in between.
    let moved = Load::on(site.server.address(), "new");
    moved.more(20).await?;
    config["functions"]["b"]["routes"] = vec![host("b")].into();
    config["functions"]["a"]["routes"] = vec![host("a"), host("new")].into();
    site.configure(&config)?;
    site.until("new", 200, "a").await?;
    ensure!(moved.end().await? == ["b", "a"]);
    config["functions"]["a"]["routes"] = vec![host("a")].into();
    site.configure(&config)?;
    site.until("new", 404, "").await?;
    // Nothing of that is a reason to start a function anew, a variable is.
    let untouched = site.server.family().templates("b")?;
    let vars = table([("W", "!".into())]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("vars".to_owned(), vars.into());
    site.configure(&config)?;
    site.until("a", 200, "a!").await?;
    let post = || Request::post(&host("a"), "/", vec![b'x'; 2_000]).send(site.server.address());
    ensure!(post().await?.status == 200);
    let limits = table([("request_body", "1KiB".into())]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("limits".to_owned(), limits.into());
    site.configure(&config)?;
    let begin = Instant::now();
    while post().await?.status != 413 {
        ensure!(begin.elapsed() < DEADLINE, "the limit does not come");
    }
    ensure!(site.server.family().templates("b")? == untouched);
    ensure!(load.end().await? == ["a", "a!"]);
    site.server.assert_healthy().await
}

/// Keys that are no function's: they hold without a restart, and the one that cannot is named.
pub(super) async fn node_wide(world: Arc<World>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = "export default { fetch: (_, env) => fetch(env.ORIGIN + '/echo')\n\
        .then(() => new Response('reached'), () => new Response('refused')) };\n";
    std::fs::write(folder.path().join("a.js"), worker)?;
    let mut config = config(&["a"]);
    let vars = table([("ORIGIN", world.origin().url().into())]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("vars".to_owned(), vars.into());
    let base = config.clone();
    let site = Site::start(folder, &config).await?;
    site.until("a", 200, "refused").await?;
    let template = site.server.family().templates("a")?;
    merge(&mut config, egress_to_loopback());
    site.configure(&config)?;
    site.until("a", 200, "reached").await?;
    // Connections that were made before are no way around.
    site.configure(&base)?;
    site.until("a", 200, "refused").await?;
    let mut other = base.clone();
    merge(
        &mut other,
        table([
            ("node", table([("sandbox", "off".into())]).into()),
            ("log", table([("requests", "none".into())]).into()),
        ]),
    );
    site.configure(&other)?;
    let line = site
        .logged("warn", &["`node.sandbox`", "started again"])
        .await?;
    ensure!(line.to_string().contains("holm.toml:"), "{line}");
    // The function itself was in nobody's way.
    ensure!(site.server.family().templates("a")? == template);
    let mut one = base;
    merge(
        &mut one,
        table([("server", table([("max_connections", 1.into())]).into())]),
    );
    site.configure(&one)?;
    let begin = Instant::now();
    loop {
        // New each time: one that is idle for long makes room.
        let _held = Connection::open(site.server.address(), Version::Http1).await;
        // Too many are told so, or closed.
        let answer = Request::get(&host("a"), "/").send(site.server.address());
        if answer.await.map_or(true, |answer| answer.status == 503) {
            break;
        }
        ensure!(begin.elapsed() < DEADLINE, "the bound does not come");
    }
    Ok(())
}

pub(super) async fn in_flight(world: Arc<World>) -> anyhow::Result<()> {
    const SLOW: &str = "export default { async fetch(request, env) {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      writer.write(new TextEncoder().encode('begin '));
      fetch(`${env.ORIGIN}/gone?${env.KEY}`).then(async (response) => {
        await writer.write(new TextEncoder().encode(await response.text()));
        await writer.close();
      });
      return new Response(readable);
    } };\n";
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("a.js"), SLOW)?;
    let mut config = config(&["a"]);
    merge(&mut config, egress_to_loopback());
    let vars = table([
        ("ORIGIN", world.origin().url().into()),
        ("KEY", "reload".into()),
    ]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("vars".to_owned(), vars.into());
    let site = Site::start(folder, &config).await?;
    let mut connection = Connection::open(site.server.address(), Version::Http1).await?;
    let answer = connection.head(Request::get(&host("a"), "/")).await?;
    ensure!(answer.status() == 200, "status {}", answer.status());
    let old = site.server.family().cells("a")?;
    ensure!(old.len() == 1, "{old:?}");
    site.write("a.js", &says("new"))?;
    let reloaded = |line: &Value| line["msg"] == "reloaded";
    site.server
        .log()
        .first("`reloaded` event", reloaded)
        .await?;
    site.until("a", 200, "new").await?;
    ensure!(processes::is_alive(old[0]), "its isolate was ended");
    world.origin().release("reload");
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(body == "begin gone", "{body:?}");
    // Nobody keeps it for longer than that, nor what it was copied from.
    let gone = || Ok((!processes::is_alive(old[0])).then_some(()));
    until(gone).await?.context("the old isolate stays")?;
    let one = || Ok((site.server.family().templates("a")?.len() == 1).then_some(()));
    until(one).await?.context("the old template stays")?;
    let record = site.server.record(&host("a"), "GET", "/", 0).await?;
    ensure!(record["outcome"] == "ok", "{record}");
    site.server.assert_healthy().await
}

pub(super) async fn removed() -> anyhow::Result<()> {
    let mut both = config(&["a", "b"]);
    let limits = table([("min_isolates", 2.into())]);
    let keys = both["functions"]["b"].as_table_mut().context("a table")?;
    keys.insert("limits".to_owned(), limits.into());
    let site = Site::serve_as(&["a", "b"], both).await?;
    site.until("b", 200, "b").await?;
    ensure!(site.server.family().cells("b")?.len() >= 2);
    site.configure(&config(&["a"]))?;
    site.until("b", 404, "").await?;
    let gone = || {
        let left = site.server.family().all()?;
        let is_left = left
            .iter()
            .any(|process| process.name == "b" || process.name == "b, template");
        Ok((!is_left).then_some(()))
    };
    until(gone).await?.context("processes stay")?;
    let reloaded = |line: &Value| line["msg"] == "reloaded" && line["removed"] == "b";
    site.server
        .log()
        .first("`reloaded` event", reloaded)
        .await?;
    site.until("a", 200, "a").await
}

/// An address that nobody has at the moment.
async fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

pub(super) async fn moved() -> anyhow::Result<()> {
    let at = |address: String| {
        let mut config = config(&["a"]);
        config["server"]["http"] = address.into();
        config
    };
    let (first, second) = (free().await?, free().await?);
    let site = Site::serve_as(&["a"], at(first.to_string())).await?;
    ensure!(site.server.address() == first);
    let load = Load::on(first, "a");
    load.more(50).await?;
    // The other one can be had before this one goes: both answer for a moment.
    load.move_to(second);
    site.configure(&at(second.to_string()))?;
    until_listening(second).await?;
    site.until_at(second, "a", 200, "a").await?;
    let closed = || async { TcpStream::connect(first).await.is_err() };
    let begin = Instant::now();
    while !closed().await {
        ensure!(begin.elapsed() < DEADLINE, "the first one stays open");
    }
    load.more(100).await?;
    // From this machine to everyone, on the same port.
    let all = format!("0.0.0.0:{}", second.port());
    site.configure(&at(all.clone()))?;
    let listens = |line: &Value| line["msg"] == "listening" && line["addr"] == all.as_str();
    site.server
        .log()
        .first("`listening` event", listens)
        .await?;
    load.more(100).await?;
    site.until_at(second, "a", 200, "a").await?;
    ensure!(load.end().await? == ["a"]);
    site.server.assert_healthy().await?;
    site.server.terminate().await?;
    let status = site.server.ended().await?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

async fn until_listening(address: SocketAddr) -> anyhow::Result<()> {
    let begin = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        ensure!(begin.elapsed() < DEADLINE, "nobody listens on {address}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The rest of such a file is not applied either.
pub(super) async fn taken() -> anyhow::Result<()> {
    let site = Site::serve(&["a"]).await?;
    let other = TcpListener::bind("127.0.0.1:0").await?;
    let mut config = config(&["a"]);
    config["server"]["http"] = other.local_addr()?.to_string().into();
    config["functions"]["a"]["routes"] = vec![host("other")].into();
    site.configure(&config)?;
    let line = site.logged("error", &["not reloaded: ", "in use"]).await?;
    ensure!(line.to_string().contains("holm.toml:"), "{line}");
    site.until("a", 200, "a").await?;
    site.until("other", 404, "").await
}

pub(super) async fn by_signal() -> anyhow::Result<()> {
    let mut config = config(&["a"]);
    merge(
        &mut config,
        table([("node", table([("watch", false.into())]).into())]),
    );
    let site = Site::serve_as(&["a"], config).await?;
    site.write("a.js", &says("new"))?;
    // What watches would have seen it by now, however busy the machine is: a file of another server was.
    let other = Site::serve(&["a"]).await?;
    other.write("a.js", &says("new"))?;
    other.until("a", 200, "new").await?;
    let answer = Request::get(&host("a"), "/").send(site.server.address());
    ensure!(answer.await?.body == "a");
    site.server.signal("HUP").await?;
    site.until("a", 200, "new").await?;
    site.server.assert_healthy().await
}
