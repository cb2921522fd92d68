//! What becomes of the process that was replaced.

use std::sync::Arc;

use anyhow::ensure;
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::task::JoinSet;

use super::node::{HOST, Node};
use crate::harness::area::{merge, table};
use crate::harness::client::Version;
use crate::harness::websocket::{Ended, WebSocket};
use crate::harness::{Connection, Request, World};

/// Lines that each of two processes writes at the same time.
const LINES: usize = 24;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("upgrade::what_was_begun_is_finished", async |world| {
            finished(&world).await
        }),
        world.trial("upgrade::what_takes_too_long_is_cut", async |world| {
            cut(&world).await
        }),
        world.trial("upgrade::two_processes_write_one_log", async |world| {
            one_log(&world).await
        }),
    ]
}

/// A request that hangs until the origin is told to answer it.
fn waiting(key: &str) -> Request {
    Request::get(HOST, &format!("/wait?{key}"))
}

/// A node whose function asks the harness's origin.
async fn serve(world: &World, drain: &str) -> anyhow::Result<Node> {
    let origin = world.origin().url().to_owned();
    Node::serve(|config| {
        let vars = table([("vars", table([("ORIGIN", origin.into())]).into())]);
        let extra = table([
            ("server", table([("drain", drain.into())]).into()),
            ("functions", table([("site", vars.into())]).into()),
        ]);
        merge(config, extra);
    })
    .await
}

async fn finished(world: &World) -> anyhow::Result<()> {
    const KEY: &str = "upgrade-finished";
    let node = serve(world, "60s").await?;
    let address = node.server.address();
    let mut first = Connection::open(address, Version::Http1).await?;
    let mut second = Connection::open(address, Version::Http2).await?;
    let mut socket = WebSocket::open(address, HOST, "/socket").await?;
    socket.exchange("there", "there").await?;
    let answers = [
        first.head(waiting(KEY)).await?,
        second.head(waiting(KEY)).await?,
    ];
    let done = node.upgrade().await?;
    ensure!(done.status.success(), "{done:?}");
    // Whoever comes now meets the successor, which says that the one before it still works.
    let status = node.status().await?;
    ensure!(
        status["upgrades"]["predecessor"] == node.server.pid(),
        "{status}"
    );
    let again = node.upgrade().await?;
    ensure!(again.status.code() == Some(1), "{again:?}");
    ensure!(again.stderr.contains("still finishes"), "{again:?}");
    let answer = Request::get(HOST, "/").send(address).await?;
    ensure!(answer.body == "one", "{answer:?}");
    world.origin().release(KEY);
    for answer in answers {
        ensure!(answer.status() == 200, "{answer:?}");
        ensure!(answer.into_body().collect().await?.to_bytes() == "begin gone");
    }
    let ended = socket.ended().await?;
    ensure!(matches!(ended, Ended::Closed(1001, _)), "{ended:?}");
    let status = node.server.ended().await?;
    ensure!(status.success(), "{status}");
    node.is_alone(0).await?;
    let status = node.status().await?;
    ensure!(status["upgrades"]["predecessor"].is_null(), "{status}");
    Ok(())
}

async fn cut(world: &World) -> anyhow::Result<()> {
    const KEY: &str = "upgrade-cut";
    let node = serve(world, "200ms").await?;
    let address = node.server.address();
    let mut connection = Connection::open(address, Version::Http1).await?;
    let answer = connection.head(waiting(KEY)).await?;
    let done = node.upgrade().await?;
    ensure!(done.status.success(), "{done:?}");
    ensure!(answer.into_body().collect().await.is_err(), "it was whole");
    let record = node.server.record(HOST, "GET", "/wait", 0).await?;
    ensure!(record["outcome"] == "reset", "{record}");
    let status = node.server.ended().await?;
    ensure!(status.success(), "{status}");
    node.is_alone(0).await?;
    let answer = Request::get(HOST, "/").send(address).await?;
    ensure!(answer.body == "one", "{answer:?}");
    Ok(())
}

/// Lines that are longer than what a pipe takes at once, of both processes at the same time: each is whole.
async fn one_log(world: &World) -> anyhow::Result<()> {
    const KEY: &str = "upgrade-log";
    let node = serve(world, "60s").await?;
    let address = node.server.address();
    let mut held = Vec::new();
    for _ in 0..LINES {
        let mut connection = Connection::open(address, Version::Http1).await?;
        let answer = connection.head(waiting(KEY)).await?;
        held.push((connection, answer));
    }
    let done = node.upgrade().await?;
    ensure!(done.status.success(), "{done:?}");
    world.origin().release(KEY);
    let mut others = JoinSet::new();
    for _ in 0..LINES {
        others.spawn(Request::get(HOST, "/log").send(address));
    }
    for (_connection, answer) in held {
        answer.into_body().collect().await?;
    }
    while let Some(answer) = others.join_next().await {
        let answer = answer??;
        ensure!(answer.status == 200, "{answer:?}");
    }
    node.is_alone(0).await?;
    node.signal("TERM").await?;
    let is_end = |line: &Value| line["msg"] == "ended";
    node.server.log().nth("second end", 1, is_end).await?;
    let stray = node.server.log().take_stray();
    ensure!(stray.is_empty(), "{} lines are in pieces", stray.len());
    let records = node.server.log().records();
    let whole = records.iter().filter(|record| {
        let line = record["logs"][0]["message"].as_str().unwrap_or_default();
        line.len() == 60_000
    });
    let (whole, all) = (whole.count(), records.len());
    ensure!((whole, all) == (2 * LINES, 2 * LINES), "{whole} of {all}");
    Ok(())
}
