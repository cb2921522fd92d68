//! More requests than a function, or the node, may let wait: the rest is turned away at once, and
//! one function's flood is not the other's. So is a function whose isolates die one after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::task::JoinSet;
use toml::Table;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::{Connection, Request, Server, World};

/// Isolates that end over a request, one after the other, before the function is held back.
const DEATHS: usize = 8;

/// Requests for deaths after which it must have been: the first delays are shorter than a client may take to
/// come back, each is twice as long as the one before.
const MANY_DEATHS: usize = 20;

/// The longest that a function is held back, in seconds.
const LONGEST: u64 = 10;

const DEADLY: &str = "export default {
  fetch(request) {
    if (new URL(request.url).pathname === '/good') return new Response('good');
    for (;;);
  },
};
";

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
        world.trial("overload::of_deaths_in_a_row", async |world| {
            held_back(&world).await
        }),
        world.trial(
            "overload::deaths_with_answers_between_are_none",
            async |_| not_held_back().await,
        ),
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

/// The function whose requests can be deadly, with little to live for.
fn deadly() -> Table {
    let mut keys = function("deadly.js", &host("deadly"));
    keys.insert("limits".to_owned(), table([("cpu", "5ms".into())]).into());
    table([("deadly", keys.into())])
}

/// Asks for a death; whether there was one, or the function was held back.
async fn dies(server: &Server) -> anyhow::Result<Result<(), Answer>> {
    let request = Request::get(&host("deadly"), "/");
    let answer = request.send(server.address()).await?;
    ensure!(answer.status == 503, "{}", answer.status);
    if answer.headers["holm-outcome"] == "overloaded" {
        return Ok(Err(answer));
    }
    let outcome = &answer.headers["holm-outcome"];
    ensure!(outcome == "exceededCpu", "{outcome:?}");
    Ok(Ok(()))
}

/// A function whose isolates end one after the other is not run for a while, and says so. Its neighbour is.
async fn held_back(world: &World) -> anyhow::Result<()> {
    let mut config = config(world, 4);
    merge(&mut config, table([("functions", deadly().into())]));
    let files = [("worker.js", WORKER), ("deadly.js", DEADLY)];
    let server = Server::serve(&config, &files).await?;
    let mut deaths = 0;
    let answer = loop {
        match dies(&server).await? {
            Ok(()) => deaths += 1,
            Err(answer) => break answer,
        }
        ensure!(deaths < MANY_DEATHS, "it is never held back");
        answered(ask(server.address(), "a", 1), 1).await?;
    };
    ensure!(deaths >= DEATHS, "held back after {deaths} already");
    let text = String::from_utf8_lossy(&answer.body);
    // There is no native code that cannot be stopped any more.
    ensure!(!text.contains("native code"), "{text}");
    let after: u64 = answer.headers["retry-after"].to_str()?.parse()?;
    ensure!((1..=LONGEST).contains(&after), "retry-after: {after}");
    let why = "its isolates ended one after the other; the next one is started in ";
    let says = |line: &Value| {
        let told = line["logs"][0]["message"].as_str().unwrap_or_default();
        line["outcome"] == "overloaded" && told.starts_with(why)
    };
    server.log().first(why, says).await?;
    answered(ask(server.address(), "a", 1), 1).await?;
    // It is given another chance by itself, and one good answer makes up for all that was.
    let good = Request::get(&host("deadly"), "/good");
    loop {
        let answer = good.clone().send(server.address()).await?;
        if answer.status == 200 {
            break;
        }
        let outcome = &answer.headers["holm-outcome"];
        ensure!(outcome == "overloaded", "{outcome:?}");
        // No condition to wait for but time: clients are told so, too.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for death in 1..DEATHS {
        let died = dies(&server).await?;
        ensure!(died.is_ok(), "held back after {death} more");
    }
    server.assert_healthy().await
}

/// However many there are.
async fn not_held_back() -> anyhow::Result<()> {
    let server = Server::serve(&node(deadly()), &[("deadly.js", DEADLY)]).await?;
    for round in 0..3 {
        for death in 1..DEATHS {
            let died = dies(&server).await?;
            ensure!(died.is_ok(), "held back in round {round} after {death}");
        }
        let good = Request::get(&host("deadly"), "/good");
        let answer = good.send(server.address()).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        let nth = (round + 1) * DEATHS - 1;
        // What it came to is known to the node by now.
        server
            .log()
            .nth("record", nth, |line| line["type"] == "request")
            .await?;
    }
    server.assert_healthy().await
}
