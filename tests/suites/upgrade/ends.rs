//! What becomes of the process that was replaced.

use std::sync::Arc;

use anyhow::ensure;
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;

use super::node::{HOST, Node};
use crate::harness::area::{merge, table};
use crate::harness::client::Version;
use crate::harness::websocket::{Ended, WebSocket};
use crate::harness::{Connection, Request, World};

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("upgrade::what_was_begun_is_finished", async |world| {
            finished(&world).await
        }),
        world.trial("upgrade::what_takes_too_long_is_cut", async |world| {
            cut(&world).await
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
