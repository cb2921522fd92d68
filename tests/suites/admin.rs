//! The admin listener: what it tells, to whom, and that nothing else leads there.

mod access;
mod commands;
mod numbers;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::{Answer, Connection, Version};
use crate::harness::{Request, Server, World, server};

const HOST: &str = "admin.test";

const WORKER: &str = "export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/throw') throw new Error('no stock');
    if (pathname === '/loop') for (;;);
    if (pathname === '/wait') return fetch(`${env.ORIGIN}/gone${searchParams.get('gate')}`);
    if (pathname === '/fetch') {
      try {
        return await fetch(searchParams.get('url'));
      } catch (error) {
        return new Response(`refused: ${error.message}`);
      }
    }
    return new Response(`function ${pathname}`);
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = access::trials(world);
    trials.extend(numbers::trials(world));
    trials.extend(commands::trials(world));
    trials
}

/// A node with an admin listener on loopback.
struct Node {
    server: Server,
    admin: SocketAddr,
}

/// A configuration with one function, `site`, at [`HOST`] and everywhere else.
fn config(world: &World) -> Table {
    let mut keys = function("worker.js", HOST);
    keys.insert("routes".to_owned(), vec![HOST, "*"].into());
    let vars = table([("ORIGIN", world.origin().url().into())]);
    keys.insert("vars".to_owned(), vars.into());
    let mut config = node(table([("site", keys.into())]));
    let everything = table([("allow", vec!["*"].into())]);
    merge(&mut config, table([("egress", everything.into())]));
    merge(&mut config, in_server("admin", "127.0.0.1:0"));
    config
}

fn in_server(key: &str, value: &str) -> Table {
    table([("server", table([(key, value.into())]).into())])
}

impl Node {
    async fn serve(config: &Table, files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut all = vec![("worker.js", WORKER)];
        all.extend(files);
        let server = Server::serve(config, &all).await?;
        let is_admin = |line: &Value| line["msg"] == "admin listens";
        let line = server
            .log()
            .first("`admin listens` event", is_admin)
            .await?;
        let admin = line["addr"].as_str().context("it has no addr")?.parse()?;
        Ok(Self { server, admin })
    }

    /// What the admin listener answers.
    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        Request::get("127.0.0.1", path).send(self.admin).await
    }

    async fn status(&self) -> anyhow::Result<Value> {
        let answer = self.get("/status").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// What the node's function answers.
    async fn ask(&self, path: &str) -> anyhow::Result<Answer> {
        Request::get(HOST, path).send(self.server.address()).await
    }
}

/// A node with an admin socket in its folder, and the folder.
async fn with_socket(world: &World) -> anyhow::Result<(Server, TempDir)> {
    let mut config = config(world);
    merge(&mut config, in_server("admin", "unix:admin.sock"));
    let folder = server::folder(&config, &[("worker.js", WORKER)])?;
    let server = Server::spawn(&["serve", "holm.toml"], folder.path()).await?;
    Ok((server, folder))
}

/// The body as text.
fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Waits until nobody accepts any more.
async fn refused(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

async fn open(to: SocketAddr) -> anyhow::Result<Connection> {
    Connection::open(to, Version::Http1).await
}
