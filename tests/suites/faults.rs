//! Processes that are killed under load, and processes that cannot be had.
//!
//! Killing any of them but the edge costs at most the requests inside it. Everything is waited for by what can be
//! seen from outside; how long it took is printed, and is no verdict.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use tokio::task::JoinSet;
use toml::Table;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::log::{is_record, record_path};
use crate::harness::processes::{Kind, is_alive};
use crate::harness::program::{self, until};
use crate::harness::{Connection, Request, Server, World};
use ends::{no_more, outlived};
use garbage::garbage;
use storm::storm;

mod ends;
mod garbage;
mod storm;

/// Functions under load.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Requests that are handed over to a cell ahead of its time.
const AHEAD: usize = 8;

const WORKER: &str = "let count = 0;
const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    switch (pathname) {
      case '/wait':
        await wait(2);
        break;
      case '/work':
        for (let i = 0; i < 1e5; i++) count += i;
        break;
      case '/loop':
        for (;;);
      case '/hold':
        await fetch(`${env.ORIGIN}/hang${search}`);
        break;
      case '/echo':
        return new Response(await request.text());
    }
    return new Response('answered');
  },
};
";

/// Starts in a way that cannot be copied.
const ALONE: &str = "const id = crypto.randomUUID();
export default { fetch: () => new Response(id) };
";

/// Takes its time to start.
const SLOW: &str = "let count = 0;
for (let i = 0; i < 2e6; i++) count += i % 7;
export default { fetch: () => new Response('answered') };
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let one = |kind: Kind, signal: &'static str| {
        let whom = match kind {
            Kind::Zygote => "zygotes",
            Kind::Template => "templates",
            Kind::Cell => "cells",
            Kind::Compiler => "compilers",
        };
        let name = format!("faults::{whom}_get_{}", signal.to_lowercase());
        world.trial(name, async move |world| {
            storm(&world, &[(kind, signal)]).await
        })
    };
    vec![
        one(Kind::Cell, "KILL"),
        one(Kind::Cell, "SEGV"),
        one(Kind::Template, "KILL"),
        one(Kind::Template, "SEGV"),
        one(Kind::Zygote, "KILL"),
        one(Kind::Zygote, "SEGV"),
        world.trial("faults::all_of_them_in_turn", async |world| {
            let all = [
                (Kind::Cell, "KILL"),
                (Kind::Template, "SEGV"),
                (Kind::Zygote, "KILL"),
                (Kind::Cell, "SEGV"),
            ];
            storm(&world, &all).await
        }),
        world.trial("faults::what_was_not_begun_moves_on", async |_| {
            moves_on().await
        }),
        world.trial("faults::what_was_begun_is_lost_alone", async |world| {
            lost_alone(&world).await
        }),
        world.trial("faults::a_template_that_starts_again", async |_| {
            killed_at_its_start().await
        }),
        world.trial("faults::nothing_outlives_the_edge", async |world| {
            outlived(&world).await
        }),
        world.trial("faults::a_cell_that_says_what_it_may_not", async |world| {
            garbage(&world).await
        }),
        world.trial("faults::no_more_processes", async |world| {
            no_more(&world).await
        }),
    ]
}

fn host(name: &str) -> String {
    format!("{name}.faults.test")
}

fn config(world: &World, limits: Table) -> Table {
    let mut functions = Table::new();
    for name in NAMES {
        let mut keys = function("worker.js", &host(name));
        let vars = table([("ORIGIN", world.origin().url().into())]);
        keys.insert("vars".to_owned(), vars.into());
        keys.insert("limits".to_owned(), limits.clone().into());
        functions.insert(name.to_owned(), keys.into());
    }
    let mut config = node(functions);
    merge(&mut config, egress_to_loopback());
    config
}

/// Isolates go as soon as nobody asks.
fn impatient() -> Table {
    table([("idle", "0ms".into()), ("cpu", "5s".into())])
}

const FILES: &[(&str, &str)] = &[
    ("worker.js", WORKER),
    ("alone.js", ALONE),
    ("slow.js", SLOW),
];

/// The only cell of `a`, once requests are answered fast enough to be handed over ahead.
async fn quick_cell(server: &Server) -> anyhow::Result<u32> {
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    for _ in 0..200 {
        let answer = connection.exchange(Request::get(&host("a"), "/")).await?;
        ensure!(answer.status == 200, "{}", answer.status);
    }
    match server.family().cells("a")?[..] {
        [cell] => Ok(cell),
        ref cells => bail!("there are {cells:?}"),
    }
}

/// Requests of all kinds that a cell has, or that wait for it.
fn ask_behind(server: SocketAddr) -> JoinSet<anyhow::Result<Answer>> {
    let mut asked = JoinSet::new();
    for nth in 0..AHEAD {
        let request = match nth % 2 {
            0 => Request::get(&host("a"), "/"),
            _ => Request::post(&host("a"), "/echo", "answered"),
        };
        asked.spawn(async move { request.send(server).await });
    }
    asked
}

/// Waits until the kernel says that a process is stopped.
async fn stopped(pid: u32) -> anyhow::Result<()> {
    let is_stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(stat.contains(") T ").then_some(()))
    };
    until(is_stopped).await?.context("it does not stop")
}

/// A cell that is stopped has begun nothing of what it is given, and dies so.
async fn moves_on() -> anyhow::Result<()> {
    let mut keys = function("worker.js", &host("a"));
    let limits = table([("max_isolates", 1.into()), ("cpu", "5s".into())]);
    keys.insert("limits".to_owned(), limits.into());
    let config = node(table([("a", keys.into())]));
    let server = Server::serve(&config, FILES).await?;
    for signal in ["KILL", "SEGV"] {
        let cell = quick_cell(&server).await?;
        program::signal(cell, "STOP").await?;
        stopped(cell).await?;
        let mut asked = ask_behind(server.address());
        // They have come as far as they can: none is answered, since nobody is there to do it.
        let early = tokio::time::timeout(Duration::from_millis(100), asked.join_next()).await;
        ensure!(early.is_err(), "answered by nobody: {early:?}");
        program::signal(cell, signal).await?;
        if signal != "KILL" {
            program::signal(cell, "CONT").await?;
        }
        while let Some(answer) = asked.join_next().await {
            let answer = answer??;
            ensure!(
                answer.status == 200 && answer.body == "answered",
                "{signal}: {answer:?}\n{}",
                server.log().tail()
            );
        }
        ensure!(!is_alive(cell), "{cell} lives");
    }
    server.assert_healthy().await
}

/// What ends a template while it starts again is not the function's fault: the request that waits is answered.
async fn killed_at_its_start() -> anyhow::Result<()> {
    let mut keys = function("slow.js", &host("a"));
    keys.insert("limits".to_owned(), impatient().into());
    let server = Server::serve(&node(table([("a", keys.into())])), FILES).await?;
    let family = server.family();
    let template = || Ok(family.kind(Kind::Template)?.first().map(|found| found.pid));
    let first = until(template).await?.context("no template")?;
    program::signal(first, "KILL").await?;
    until(|| Ok((!is_alive(first)).then_some(()))).await?;
    let address = server.address();
    let asked = tokio::spawn(async move { Request::get(&host("a"), "/").send(address).await });
    let second = until(|| Ok(template()?.filter(|pid| *pid != first))).await?;
    program::signal(second.context("no other template")?, "KILL").await?;
    let answer = asked.await??;
    ensure!(answer.status == 200, "{answer:?}\n{}", server.log().tail());
    server.assert_healthy().await
}

/// One request waits inside the cell, others wait behind it.
async fn lost_alone(world: &World) -> anyhow::Result<()> {
    let mut limits = impatient();
    limits.insert("max_isolates".to_owned(), 1.into());
    limits.insert("idle".to_owned(), "1min".into());
    let server = Server::serve(&config(world, limits), FILES).await?;
    let cell = quick_cell(&server).await?;
    let address = server.address();
    let held = Request::get(&host("a"), "/hold?faults-lost");
    let held = tokio::spawn(async move { held.send(address).await });
    world.origin().reached("faults-lost").await;
    let mut asked = ask_behind(address);
    program::signal(cell, "SEGV").await?;
    let answer = held.await??;
    let outcome = answer.headers.get("holm-outcome").context("no outcome")?;
    ensure!(outcome == "crashed", "{answer:?}");
    let of_it = |line: &serde_json::Value| is_record(line) && record_path(line) == "/hold";
    let record = server.log().first("its record", of_it).await?;
    ensure!(record["outcome"] == "crashed", "{record}");
    while let Some(answer) = asked.join_next().await {
        let answer = answer??;
        ensure!(answer.status == 200, "{answer:?}");
    }
    // What it asked of others goes with it.
    world.origin().gone("faults-lost").await;
    server.assert_healthy().await
}
