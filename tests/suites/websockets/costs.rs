//! What sockets may cost: CPU time per message, memory on either side, nothing at rest.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use toml::Table;

use super::{HOST, WORKER, count, lines, serve};
use crate::harness::area::{function, node, table};
use crate::harness::neighbour;
use crate::harness::processes;
use crate::harness::websocket::{Ended, WebSocket, frame, raw};
use crate::harness::{Request, Server, World};

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("websockets::cpu_per_message", async |_| cpu().await),
        world.trial("websockets::clients_that_do_not_read", async |_| {
            slow().await
        }),
        world.trial("websockets::functions_that_do_not_read", async |_| {
            deaf().await
        }),
        world.trial("websockets::many_in_one_isolate", async |_| many().await),
        world.trial("websockets::at_rest", async |_| rest().await),
    ]
}

const NEIGHBOUR: &str = include_str!("../../hostile/neighbour.js");

/// A message that computes for ever ends its isolate, and costs the neighbour nothing; many that compute for a while
/// are many.
async fn cpu() -> anyhow::Result<()> {
    let mut own = function("worker.js", HOST);
    own.insert("limits".into(), table([("cpu", "200ms".into())]).into());
    let mut beside = function("neighbour.js", neighbour::HOST);
    beside.insert("limits".into(), table([("cpu", "1s".into())]).into());
    beside.insert("vars".into(), table([("GREETING", "hi".into())]).into());
    let config = node(table([("ws", own.into()), ("neighbour", beside.into())]));
    let files = [("worker.js", WORKER), ("neighbour.js", NEIGHBOUR)];
    let server = Server::serve(&config, &files).await?;
    let load = neighbour::Load::begin(server.address()).await?;

    let mut bystander = WebSocket::open(server.address(), HOST, "/echo?bystander").await?;
    let mut socket = WebSocket::open(server.address(), HOST, "/burn").await?;
    for _ in 0..40 {
        socket.exchange("10", "burnt").await?;
    }
    // Together they have used far more than one may.
    bystander.exchange("a", "a").await?;
    bystander.send("loop").await?;
    let ended = bystander.ended().await?;
    ensure!(
        ended == Ended::Closed(1011, "the function failed".into()),
        "{ended:?}"
    );
    // The same isolate had both.
    ensure!(matches!(socket.ended().await?, Ended::Closed(1011, _)));
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    let cpu = record["cpuUs"].as_u64().context("no CPU time")?;
    ensure!(
        record["outcome"] == "exceededCpu" && (190_000..260_000).contains(&cpu),
        "{record}"
    );
    let record = server.record(HOST, "GET", "/burn", 0).await?;
    ensure!(record["outcome"] == "reset", "{record}");

    // So does a timer that a message has set.
    let mut timer = WebSocket::open(server.address(), HOST, "/timer").await?;
    timer.send("go").await?;
    ensure!(matches!(timer.ended().await?, Ended::Closed(1011, _)));
    let record = server.record(HOST, "GET", "/timer", 0).await?;
    ensure!(record["outcome"] == "exceededCpu", "{record}");
    load.end().await?;
    server.assert_healthy().await
}

/// A function that sends to who does not read is stopped, and the node holds little of it.
async fn slow() -> anyhow::Result<()> {
    let server = serve(table([("cpu", "2s".into())]), Table::new()).await?;
    let before = server.family().memory_of_edge()?;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = raw(server.address(), HOST, "/flood").await?;
        stream.write_all(&frame(0x81, b"go")).await?;
        streams.push(stream);
    }
    // Requests are answered as ever.
    for _ in 0..20 {
        let answer = Request::get(HOST, "/served").send(server.address()).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let grown = server.family().memory_of_edge()?.saturating_sub(before);
    ensure!(grown < 32 << 20, "the edge has grown by {grown}");
    drop(streams);
    for nth in 0..8 {
        let record = server.record(HOST, "GET", "/flood", nth).await?;
        let line = lines(&record).into_iter().next().unwrap_or_default();
        let rest = line
            .strip_prefix("OperationError after ")
            .with_context(|| record.to_string())?;
        let (sent, buffers) = rest.split_once(", ").context("no number")?;
        let sent: u64 = sent.parse()?;
        ensure!((10..200).contains(&sent) && buffers == "true", "{record}");
    }
    Ok(())
}

/// What a function has not accepted stays with the client.
async fn deaf() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let before = server.family().memory_of_edge()?;
    let mut socket = WebSocket::open(server.address(), HOST, "/deaf").await?;
    let bytes = Message::binary(vec![0; 64 << 10]);
    let mut sent = 0_u64;
    // It has stopped when nothing moves for so long.
    while let Ok(taken) = timeout(Duration::from_secs(2), socket.send(bytes.clone())).await {
        taken?;
        sent += 64 << 10;
        ensure!(sent < 64 << 20, "all of it is taken");
    }
    let grown = server.family().memory_of_edge()?.saturating_sub(before);
    ensure!(grown < 8 << 20, "the edge has grown by {grown}");
    let answer = Request::get(HOST, "/served").send(server.address()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// Hundreds in one isolate, which answers requests as well.
async fn many() -> anyhow::Result<()> {
    const MANY: usize = 300;
    let limits = table([("websockets", count(300)), ("max_isolates", count(1))]);
    let server = serve(limits, Table::new()).await?;
    let mut sockets = Vec::new();
    for _ in 0..MANY - 1 {
        sockets.push(WebSocket::open(server.address(), HOST, "/echo").await?);
    }
    for (index, socket) in sockets.iter_mut().enumerate() {
        socket.send(format!("{index}").as_str()).await?;
    }
    for (index, socket) in sockets.iter_mut().enumerate() {
        let next = socket.next().await?;
        ensure!(next == Ok(Message::text(format!("{index}"))), "{next:?}");
    }
    ensure!(server.family().cells("ws")?.len() == 1, "several isolates");
    let answer = Request::get(HOST, "/served").send(server.address()).await?;
    ensure!(answer.body == format!("{}", MANY - 1), "{answer:?}");
    for mut socket in sockets {
        socket.0.close(None).await?;
        socket.ended().await?;
    }
    server.record(HOST, "GET", "/echo", MANY - 2).await?;
    // The isolate is as good as before.
    let answer = Request::get(HOST, "/served").send(server.address()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    server.assert_healthy().await
}

/// A socket that rests costs no CPU time in its isolate, outlives the wall time of a request and the idle time of an
/// isolate, and is there when it is needed.
async fn rest() -> anyhow::Result<()> {
    let limits = table([
        ("wall", "200ms".into()),
        ("idle", "100ms".into()),
        ("wait_until", "100ms".into()),
    ]);
    let server = serve(limits, Table::new()).await?;
    let mut socket = WebSocket::open(server.address(), HOST, "/echo").await?;
    socket.exchange("a", "a").await?;
    let cells = server.family().cells("ws")?;
    let cell = *cells.first().context("no isolate")?;
    // What it still does behind the message.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = processes::cpu(cell)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = processes::cpu(cell)?.saturating_sub(before);
    ensure!(
        spent < Duration::from_millis(1),
        "at rest it has used {spent:?}"
    );
    socket.exchange("b", "b").await?;
    ensure!(server.family().cells("ws")? == cells, "another isolate");
    Ok(())
}
