//! More requests than a function, or the node, may let wait: the rest is turned away at once, and
//! one function's flood is not the other's. So is a function that the node cannot bear.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::task::JoinSet;
use toml::Table;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::{Connection, Request, Server, World};

/// Stuck isolates that put a function into quarantine, as docs/limits.md says.
const STRIKES: usize = 3;

/// The longest that the first quarantine lasts, in seconds.
const QUARANTINE: u64 = 10;

const STUCK: &str = r#"export default {
  fetch() {
    // A search inside V8 that takes minutes and does not look up.
    const needle = "a".repeat(5e6) + "b" + "a".repeat(5e6);
    return new Response(String("a".repeat(2e7).indexOf(needle)));
  },
};
"#;

const WORKER: &str = "export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/hold') await fetch(`${env.ORIGIN}/hang${search}`);
    return new Response('answered');
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("overload::of_a_function", async |world| {
            function_queue(&world).await
        }),
        world.trial("overload::of_the_node_is_shared_out", async |world| {
            node_queue(&world).await
        }),
        world.trial("overload::of_connections", async |_| connections().await),
        world.trial("overload::quarantine", async |world| {
            quarantine(&world).await
        }),
    ]
}

/// Two functions with one isolate each.
fn config(world: &World, queue: i64) -> Table {
    let mut functions = Table::new();
    for name in ["a", "b"] {
        let mut keys = function("worker.js", &host(name));
        let vars = table([("ORIGIN", world.origin().url().into())]);
        let limits = table([("queue", queue.into()), ("max_isolates", 1.into())]);
        keys.insert("vars".to_owned(), vars.into());
        keys.insert("limits".to_owned(), limits.into());
        functions.insert(name.to_owned(), keys.into());
    }
    let mut config = node(functions);
    merge(&mut config, egress_to_loopback());
    config
}

fn host(name: &str) -> String {
    format!("{name}.overload.test")
}

/// Takes the only isolate of a function until the answer is dropped.
async fn hold(
    world: &World,
    server: &Server,
    name: &str,
    key: &str,
) -> anyhow::Result<JoinSet<()>> {
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    let request = Request::get(&host(name), &format!("/hold?{key}"));
    let mut held = JoinSet::new();
    held.spawn(async move {
        // It is never answered: the origin hangs.
        let _ = connection.exchange(request).await;
    });
    world.origin().reached(key).await;
    Ok(held)
}

/// Requests on connections of their own, all at once.
fn ask(server: SocketAddr, name: &str, count: usize) -> JoinSet<anyhow::Result<Answer>> {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let request = Request::get(&host(name), "/");
        asked.spawn(async move { request.send(server).await });
    }
    asked
}

/// The next answer, which must be a refusal.
async fn refused(asked: &mut JoinSet<anyhow::Result<Answer>>) -> anyhow::Result<()> {
    let answer = asked.join_next().await.context("nothing is left")???;
    ensure!(
        answer.status == 503
            && answer.headers["holm-outcome"] == "overloaded"
            && answer.headers["retry-after"] == "1",
        "{} {:?}",
        answer.status,
        answer.headers
    );
    Ok(())
}

/// The log says why a request was refused.
async fn reason(server: &Server, why: &str) -> anyhow::Result<()> {
    let says = |line: &Value| line["outcome"] == "overloaded" && line["logs"][0]["message"] == why;
    server.log().first(why, says).await?;
    Ok(())
}

async fn answered(mut asked: JoinSet<anyhow::Result<Answer>>, count: usize) -> anyhow::Result<()> {
    ensure!(asked.len() == count, "{} are left", asked.len());
    while let Some(answer) = asked.join_next().await {
        let answer = answer??;
        ensure!(answer.status == 200, "{}", answer.status);
    }
    Ok(())
}

/// Of ten requests four wait; the rest are told so while the isolate is still held.
async fn function_queue(world: &World) -> anyhow::Result<()> {
    let server = Server::serve(&config(world, 4), &[("worker.js", WORKER)]).await?;
    let held = hold(world, &server, "a", "overload-function").await?;
    let mut flood = ask(server.address(), "a", 10);
    for _ in 0..6 {
        refused(&mut flood).await?;
    }
    // The flood is nothing to the other function.
    answered(ask(server.address(), "b", 4), 4).await?;
    reason(&server, "its queue of 4 was full; `limits.queue` raises it").await?;
    drop(held);
    answered(flood, 4).await?;
    server.assert_healthy().await
}

/// Four may wait on the node. One function has them all, and the other still gets its half.
async fn node_queue(world: &World) -> anyhow::Result<()> {
    let mut config = config(world, 100);
    let max_queued = table([("max_queued", 4.into())]);
    merge(&mut config, table([("server", max_queued.into())]));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;
    let held = hold(world, &server, "a", "overload-node-a").await?;
    let also = hold(world, &server, "b", "overload-node-b").await?;
    let mut flood = ask(server.address(), "a", 10);
    for _ in 0..6 {
        refused(&mut flood).await?;
    }
    let mut few = ask(server.address(), "b", 3);
    refused(&mut few).await?;
    let full = "as many requests waited on the node as may; `server.max_queued` raises it";
    reason(&server, full).await?;
    drop((held, also));
    answered(flood, 4).await?;
    answered(few, 2).await?;
    server.assert_healthy().await
}

/// Connections beyond the cap are refused, which the log says once, with the key that raises it.
async fn connections() -> anyhow::Result<()> {
    let functions = table([("a", function("worker.js", &host("a")).into())]);
    let mut config = node(functions);
    let cap = table([("max_connections", 2.into())]);
    merge(&mut config, table([("server", cap.into())]));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;
    let request = Request::get(&host("a"), "/");
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(server.address(), Version::Http1).await?;
        let answer = connection.exchange(request.clone()).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        open.push(connection);
    }
    for _ in 0..10 {
        let answer = request.clone().send(server.address()).await?;
        ensure!(answer.status == 503, "{}", answer.status);
    }
    let line = server
        .log()
        .first("warning", |line| line["level"] == "warn")
        .await?;
    let message = line["msg"].as_str().unwrap_or_default();
    ensure!(
        message.contains("server.max_connections") && line["limit"] == 2 && line["refused"] == 1,
        "{line}"
    );
    let mut connection = open.pop().context("two are open")?;
    let answer = connection.exchange(request).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    server.record(&host("a"), "GET", "/", 2).await?;
    let told = server.log().events("warn");
    ensure!(told.len() == 1, "{told:?}");
    server.assert_healthy().await
}

/// A function that keeps getting stuck is not run for a while, and says so. Its neighbour is.
async fn quarantine(world: &World) -> anyhow::Result<()> {
    let mut config = config(world, 4);
    let stuck = function("stuck.js", &host("stuck"));
    let functions = table([("stuck", stuck.into())]);
    merge(&mut config, table([("functions", functions.into())]));
    let files = [("worker.js", WORKER), ("stuck.js", STUCK)];
    let server = Server::serve(&config, &files).await?;
    let request = Request::get(&host("stuck"), "/");
    for strike in 0..STRIKES {
        let answer = request.clone().send(server.address()).await?;
        ensure!(
            answer.status == 503 && answer.headers["holm-outcome"] == "exceededCpu",
            "strike {strike}: {} {:?}",
            answer.status,
            answer.headers
        );
        let raises = |line: &Value| line.to_string().contains("`limits.cpu` raises it");
        server.log().nth("reason", strike, raises).await?;
        answered(ask(server.address(), "a", 1), 1).await?;
    }
    let answer = request.send(server.address()).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == 503
            && answer.headers["holm-outcome"] == "overloaded"
            && text.contains("Quarantined"),
        "{} {:?} {text}",
        answer.status,
        answer.headers
    );
    reason(
        &server,
        "in quarantine: its isolates kept getting stuck in native code",
    )
    .await?;
    let after: u64 = answer.headers["retry-after"].to_str()?.parse()?;
    ensure!((1..=QUARANTINE).contains(&after), "retry-after: {after}");
    answered(ask(server.address(), "a", 1), 1).await?;
    server.assert_healthy().await
}
