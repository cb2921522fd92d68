//! A node that may have few descriptors: more functions than it can hold at once, more clients than it can serve.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::{Connection, Request, Server, World};

/// `RLIMIT_NOFILE` of the node.
const FEW: usize = 256;

/// Even if each of them took one descriptor, they would not all fit.
const FUNCTIONS: usize = 260;

/// Clients that are connected at the same time.
const CLIENTS: usize = 400;

/// How long anything may take here, on a debug build and a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

const WORKER: &str = "export default {
  fetch(request, env) { return new Response(env.NAME); },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("descriptors::few_serve_many_functions", async |_| {
            functions().await
        }),
        world.trial("descriptors::without_any_left_clients_wait", async |_| {
            clients().await
        }),
    ]
}

fn name(index: usize) -> String {
    format!("f{index}")
}

async fn serve(functions: usize, keys: Table) -> anyhow::Result<Server> {
    let functions = (0..functions).map(|index| {
        let name = name(index);
        let mut keys = function("worker.js", &format!("{name}.test"));
        let vars = table([("NAME", name.as_str().into())]);
        keys.insert("vars".to_owned(), vars.into());
        (name, keys.into())
    });
    let mut config = node(functions.collect());
    merge(&mut config, table([("server", keys.into())]));
    let limited = format!("ulimit -n {FEW}; exec \"$0\" \"$@\"");
    Server::serve_by(&["sh", "-c", &limited], &config, &[("worker.js", WORKER)]).await
}

/// Nothing went wrong, and what there is was said.
fn assert_quiet(server: &Server, said: &str) -> anyhow::Result<()> {
    let errors = server.log().events("error");
    ensure!(errors.is_empty(), "{errors:?}");
    let warnings = server.log().events("warn");
    let is_said = |line: &Value| line["msg"].as_str().is_some_and(|msg| msg.contains(said));
    ensure!(warnings.iter().any(is_said), "{warnings:?}");
    Ok(())
}

/// Functions that were asked for longest ago make room for the next ones, and are there again when they are asked.
async fn functions() -> anyhow::Result<()> {
    let server = serve(FUNCTIONS, table([])).await?;
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    for round in 0..2 {
        for index in 0..FUNCTIONS {
            let name = name(index);
            let request = Request::get(&format!("{name}.test"), "/");
            let answer = timeout(DEADLINE, connection.exchange(request)).await??;
            ensure!(
                answer.status == 200 && answer.body == name,
                "{round} {name}: {answer:?}"
            );
        }
    }
    // Many at once, too.
    let mut asked = JoinSet::new();
    for index in 0..40 {
        let address = server.address();
        let host = format!("{}.test", name(index * 6));
        asked.spawn(async move { Request::get(&host, "/").send(address).await });
    }
    while let Some(answer) = timeout(DEADLINE, asked.join_next()).await? {
        let answer = answer??;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid()))?.count();
    ensure!(open < FEW, "{open}");
    assert_quiet(&server, "RLIMIT_NOFILE is 256")?;
    server.assert_healthy().await
}

/// Who is there is served, functions start, and who comes waits until others have gone.
async fn clients() -> anyhow::Result<()> {
    let server = serve(20, table([])).await?;
    let mut guest = Connection::open(server.address(), Version::Http1).await?;
    let first = guest.exchange(Request::get("f0.test", "/")).await?;
    ensure!(first.status == 200, "{first:?}");
    // Neither idle nor done.
    let mut crowd = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(server.address()).await?;
        client.write_all(b"GET / HTTP/1.1\r\nhost: f1.te").await?;
        crowd.push(client);
    }
    let waits = |line: &Value| {
        let message = line["msg"].as_str().unwrap_or_default();
        message.contains("new connections wait")
    };
    // Not idle for long enough to make room.
    for index in 0..20 {
        let request = Request::get(&format!("{}.test", name(index)), "/");
        let answer = timeout(DEADLINE, guest.exchange(request)).await??;
        ensure!(answer.status == 200, "{answer:?}");
    }
    timeout(DEADLINE, server.log().first("connections that wait", waits)).await??;
    // Each of them gets a turn, the last ones as well.
    let last = crowd.last_mut().context("some clients")?;
    last.write_all(b"st\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    timeout(DEADLINE, last.read_to_string(&mut answer)).await??;
    ensure!(answer.ends_with("f1"), "{answer}");
    drop(crowd);
    let since = std::time::Instant::now();
    loop {
        let asked = Request::get("f2.test", "/").send(server.address());
        let answer = timeout(DEADLINE, asked).await??;
        if answer.status == 200 {
            break;
        }
        if since.elapsed() > DEADLINE {
            bail!("{answer:?}");
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_quiet(&server, "few descriptors are left")?;
    server.assert_healthy().await
}
