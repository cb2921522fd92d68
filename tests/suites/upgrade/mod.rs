//! `holm upgrade` and socket activation: processes come and go, and no client notices.

mod activation;
mod ends;
mod load;
mod manager;
mod node;
mod refused;

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;

use crate::harness::{Request, World};
use load::Load;
use node::{HOST, Node};

/// Upgrades of the long test.
const UPGRADES: usize = 20;

/// Answers between two of them.
const BETWEEN: usize = 60;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = vec![
        world.trial("upgrade::many_under_load", async |_| many().await),
        world.trial("upgrade::addresses_that_change", async |_| {
            addresses().await
        }),
    ];
    trials.extend(refused::trials(world));
    trials.extend(ends::trials(world));
    trials.extend(activation::trials(world));
    trials.extend(manager::trials(world));
    trials
}

/// Twenty processes after each other, while clients of every kind ask all the time: none fails, and each request
/// leaves its record, in one piece, though two processes write to the same log.
async fn many() -> anyhow::Result<()> {
    let node = Node::serve(|_| {}).await?;
    let load = Load::on(&node).await?;
    let mut pids = vec![node.pid().await?];
    for nth in 0..UPGRADES {
        load.more(BETWEEN).await?;
        let done = node.upgrade().await?;
        ensure!(done.status.success(), "upgrade {nth}: {done:?}");
        let pid = node.pid().await?;
        ensure!(
            done.stdout.contains(&format!("process {pid} serves")),
            "{}",
            done.stdout
        );
        ensure!(!pids.contains(&pid), "{pid} again: {pids:?}");
        pids.push(pid);
        node.is_alone(nth).await?;
    }
    let answered = load.end().await?;
    node.signal("TERM").await?;
    let log = node.server.log();
    for nth in 0..=UPGRADES {
        log.nth("`ended` event", nth, |line| line["msg"] == "ended")
            .await?;
    }
    let records = log.records();
    let ok = records.iter().filter(|record| record["outcome"] == "ok");
    ensure!(
        ok.count() == answered && records.len() == answered,
        "{answered} answers, {} records",
        records.len()
    );
    let stray = log.take_stray();
    ensure!(stray.is_empty(), "{stray:?}");
    ensure!(
        !node.path("admin.sock").exists(),
        "the socket is still there"
    );
    Ok(())
}

/// The successor listens where the file says then, and nobody where it said before.
async fn addresses() -> anyhow::Result<()> {
    let node = Node::serve(|_| {}).await?;
    let before = (node.server.address(), node.server.https().await?);
    // A port that was just free; beside the old address, which covers it or is covered by it.
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    drop(taken);
    node.configure(|config| {
        config["server"]["http"] = format!("0.0.0.0:{port}").into();
        config["server"]["admin"] = "unix:other.sock".into();
    })?;
    let done = node.upgrade_at("admin.sock").await?;
    ensure!(done.status.success(), "{done:?}");
    let address = ([127, 0, 0, 1], port).into();
    let answer = Request::get(HOST, "/").send(address).await?;
    ensure!(answer.body == "one", "{answer:?}");
    node.is_alone(0).await?;
    ensure!(Request::get(HOST, "/").send(before.0).await.is_err());
    ensure!(!node.path("admin.sock").exists(), "it is still there");
    // To an address that the one before covers, while that still is open.
    node.configure(|config| {
        config["server"]["http"] = format!("127.0.0.1:{port}").into();
        config["server"]["admin"] = "unix:admin.sock".into();
    })?;
    let done = node.upgrade_at("other.sock").await?;
    ensure!(done.status.success(), "{done:?}");
    node.is_alone(1).await?;
    let answer = Request::get(HOST, "/").send(address).await?;
    ensure!(answer.body == "one", "{answer:?}");
    // What has not changed went from hand to hand, although the file says any port.
    let https = node.status().await?["listeners"][1]["address"].clone();
    ensure!(https == before.1.to_string(), "{https}");
    Ok(())
}
