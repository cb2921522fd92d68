//! How sockets end: by either side, by a fault, with their isolate, and with the node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use toml::Table;

use super::{HOST, count, lines, serve};
use crate::harness::area::table;
use crate::harness::program;
use crate::harness::websocket::{Ended, WebSocket, frame, raw};
use crate::harness::{Request, World};

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("websockets::closed_by_either_side", async |_| {
            closes().await
        }),
        world.trial("websockets::last_words", async |_| last_words().await),
        world.trial("websockets::faults_of_clients", async |_| faults().await),
        world.trial("websockets::clients_that_go_away", async |_| left().await),
        world.trial("websockets::silent_clients_are_asked", async |_| {
            silent().await
        }),
        world.trial("websockets::end_with_their_isolate", async |_| {
            killed().await
        }),
        world.trial("websockets::end_with_the_node", async |_| drained().await),
    ]
}

async fn closes() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let mut socket = WebSocket::open(server.address(), HOST, "/echo").await?;
    socket.send("close").await?;
    ensure!(socket.ended().await? == Ended::Closed(1000, "done".into()));
    ensure!(
        socket.ended().await? == Ended::Lost,
        "the connection goes on"
    );
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    ensure!(lines(&record) == ["close 1000 done true 3"], "{record}");

    for (nth, (code, reason)) in [(1000, ""), (1001, "gone"), (3000, "a"), (4999, "ö")]
        .into_iter()
        .enumerate()
    {
        let mut socket = WebSocket::open(server.address(), HOST, "/echo").await?;
        let close = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        socket.0.close(Some(close)).await?;
        let ended = socket.ended().await?;
        ensure!(ended == Ended::Closed(code, reason.into()), "{ended:?}");
        let record = server.record(HOST, "GET", "/echo", nth + 1).await?;
        let line = format!("close {code} {reason} true 3");
        ensure!(
            record["websocket"]["code"] == code && lines(&record) == [line],
            "{record}"
        );
    }
    Ok(())
}

/// What a client says before its close is answered before that is.
async fn last_words() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let mut stream = raw(server.address(), HOST, "/echo").await?;
    let wire = [frame(0x81, b"last"), frame(0x88, &1000_u16.to_be_bytes())].concat();
    stream.write_all(&wire).await?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await?;
    ensure!(all == b"\x81\x04last\x88\x02\x03\xe8", "{all:x?}");
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    let messages = &record["websocket"];
    ensure!(
        messages["received"] == 1 && messages["sent"] == 1,
        "{record}"
    );
    Ok(())
}

/// Each breaks the protocol in another way, and is told so; the function hears of it.
async fn faults() -> anyhow::Result<()> {
    let limits = table([("websocket_message", "10KiB".into())]);
    let server = serve(limits, Table::new()).await?;
    for (nth, (wire, code)) in [
        (frame(0x82, &[0; 10_241]), 1009_u16),
        (
            [frame(0x02, &[0; 10_000]), frame(0x80, &[0; 241])].concat(),
            1009,
        ),
        (frame(0x81, b"\xc3\x28"), 1007),
        ([frame(0x01, b"\xf0\x9f"), frame(0x80, b"a")].concat(), 1007),
        (b"\x81\x01a".to_vec(), 1002),
        (frame(0xC1, b"a"), 1002),
        (frame(0x80, b"a"), 1002),
        (frame(0x88, &1005_u16.to_be_bytes()), 1002),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = raw(server.address(), HOST, "/echo").await?;
        stream.write_all(&wire).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        let told = all
            .get(2..4)
            .map(|code| u16::from_be_bytes([code[0], code[1]]));
        ensure!(
            all.first() == Some(&0x88) && told == Some(code),
            "{wire:x?}: {all:x?}"
        );
        let record = server.record(HOST, "GET", "/echo", nth).await?;
        let begins = format!("close {code} ");
        ensure!(
            record["websocket"]["code"] == code
                && record["outcome"] == "ok"
                && lines(&record).iter().any(|line| line.starts_with(&begins)),
            "{record}"
        );
    }
    // What is just not too long is no fault.
    let mut socket = WebSocket::open(server.address(), HOST, "/echo").await?;
    let most = "a".repeat(10_240);
    socket.exchange(&most, &most).await?;
    server.assert_healthy().await
}

async fn left() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let mut socket = WebSocket::open(server.address(), HOST, "/echo").await?;
    socket.exchange("a", "a").await?;
    drop(socket);
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    ensure!(
        record["outcome"] == "canceled"
            && record["websocket"]["code"] == 1006
            && lines(&record) == ["close 1006  false 3"],
        "{record}"
    );
    Ok(())
}

/// Who answers pings may be silent for ever; who does not is gone.
async fn silent() -> anyhow::Result<()> {
    let ping = table([("websocket_ping", "1s".into())]);
    let server = serve(Table::new(), ping).await?;
    let mut good = WebSocket::open(server.address(), HOST, "/echo").await?;
    let begun = Instant::now();
    let mut bad = raw(server.address(), HOST, "/echo?bad").await?;
    let reads = tokio::spawn(async move {
        // Reading is what answers pings.
        let next = good.next().await;
        (next, good)
    });
    let mut all = Vec::new();
    // It is broken off.
    let _ = bad.read_to_end(&mut all).await;
    let after = begun.elapsed();
    ensure!(all == b"\x89\x00", "{all:x?}");
    ensure!(after >= Duration::from_millis(1_900), "after {after:?}");
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    ensure!(record["websocket"]["code"] == 1006, "{record}");
    // Long enough for the other one to have been asked and ended, had it not answered.
    let mut witness = raw(server.address(), HOST, "/echo?witness").await?;
    let _ = witness.read_to_end(&mut all).await;
    ensure!(!reads.is_finished(), "the one that answers was ended");
    server.terminate().await?;
    let (ended, _good) = reads.await?;
    let ended = ended?;
    ensure!(matches!(&ended, Err(Ended::Closed(1001, _))), "{ended:?}");
    Ok(())
}

/// Sockets of an isolate that is killed are closed, and those of others are not.
async fn killed() -> anyhow::Result<()> {
    let server = serve(table([("websockets", count(1))]), Table::new()).await?;
    let mut one = WebSocket::open(server.address(), HOST, "/echo").await?;
    one.exchange("a", "a").await?;
    let cells = server.family().cells("ws")?;
    let [cell] = cells[..] else {
        anyhow::bail!("{} isolates", cells.len());
    };
    // An isolate that has as many as it may is given no more requests.
    let mut other = WebSocket::open(server.address(), HOST, "/echo?other").await?;
    other.exchange("b", "b").await?;
    ensure!(server.family().cells("ws")?.len() == 2, "one isolate");
    program::signal(cell, "KILL").await?;
    let ended = one.ended().await?;
    ensure!(matches!(&ended, Ended::Closed(1011, _)), "{ended:?}");
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    ensure!(record["outcome"] == "crashed", "{record}");
    other.exchange("c", "c").await?;
    let answer = Request::get(HOST, "/served").send(server.address()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// At the drain's begin clients are told, and the node ends when they have answered, or at its deadline.
async fn drained() -> anyhow::Result<()> {
    for answers in [true, false] {
        let server = serve(Table::new(), table([("drain", "20s".into())])).await?;
        let mut good = WebSocket::open(server.address(), HOST, "/echo").await?;
        good.exchange("a", "a").await?;
        let bad = raw(server.address(), HOST, "/echo?bad").await?;
        let bad = (!answers).then_some(bad);
        let begun = Instant::now();
        server.terminate().await?;
        let ended = good.ended().await?;
        ensure!(
            ended == Ended::Closed(1001, "the server stops".into()),
            "{ended:?}"
        );
        // The close is answered as the next one is waited for.
        let _ = good.ended().await?;
        let status = server.ended().await?;
        ensure!(status.success(), "ended with {status}");
        let after = begun.elapsed();
        ensure!(
            after < Duration::from_secs(12),
            "{answers}: after {after:?}"
        );
        drop(bad);
        let records = server.log().records();
        ensure!(records.len() == 2, "{} records", records.len());
        let good = records
            .iter()
            .find(|record| record["websocket"]["code"] == 1001);
        let good = good.context("no record of a socket that was told")?;
        ensure!(good["outcome"] == "ok", "{good}");
    }
    Ok(())
}
