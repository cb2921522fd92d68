//! Isolates come when they are needed, and go when they are not.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use toml::{Table, Value};

use crate::harness::area::{function, node, table};
use crate::harness::log::is_record;
use crate::harness::processes::Kind;
use crate::harness::program::{self, until};
use crate::harness::{Request, Server, World};

const FUNCTION: &str = "scaled";

/// Functions that are checked at the start, and what the edge may have held by then, in MiB. It holds no
/// function's heap: each that it did would be some 3.
const CHECKED: usize = 150;
const CHECKED_MIB: u64 = 256;

/// What a template may add to what all processes hold, in KiB, on a debug build: a heap of its own would be more.
const TEMPLATE_KIB: u64 = 2_500;

/// Functions that share the node's memory, more than fit.
const MANY: usize = 60;

/// What the node may hold, in MiB.
const MEMORY_MIB: u64 = 128;

/// Memory in the heap, kept beyond a request or not.
const WORKER: &str = "const kept = [];
export default {
  fetch(request) {
    const mib = Number(new URL(request.url).pathname.slice(1));
    for (let i = 0; i < mib; i++) kept.push(new Array(131072).fill(i));
    return new Response(`holds ${kept.length} MiB`);
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("scaling::to_zero_and_back", async |_| to_zero().await),
        world.trial("scaling::a_check_keeps_nothing_running", async |_| {
            nothing_kept().await
        }),
        world.trial("scaling::what_is_kept_stays", async |_| kept().await),
        world.trial("scaling::a_lost_isolate_is_replaced", async |_| {
            replaced().await
        }),
        world.trial("scaling::copies_have_their_functions_limits", async |_| {
            limits_of_its_own().await
        }),
        world.trial("scaling::the_node_stays_within_its_memory", async |_| {
            within_memory().await
        }),
    ]
}

fn host(name: &str) -> String {
    format!("{name}.scaling.test")
}

async fn serve(limits: Table) -> anyhow::Result<Server> {
    let mut keys = function("worker.js", &host(FUNCTION));
    keys.insert("limits".to_owned(), limits.into());
    let config = node(table([(FUNCTION, keys.into())]));
    Server::serve(&config, &[("worker.js", WORKER)]).await
}

/// Waits until the function has so many isolates.
async fn isolates(server: &Server, count: usize) -> anyhow::Result<()> {
    until(|| Ok((cells(server)?.len() == count).then_some(())))
        .await?
        .with_context(|| format!("there are never {count} isolates"))
}

/// Asks for a path; returns the outcome, and whether an isolate was started for it.
async fn ask(
    server: &Server,
    name: &str,
    path: &str,
    nth: usize,
) -> anyhow::Result<(String, bool)> {
    Request::get(&host(name), path)
        .send(server.address())
        .await?;
    let record = server.log().nth("record", nth, is_record).await?;
    let outcome = record["outcome"].as_str().context("no outcome")?;
    let cold = record["coldStart"].as_bool().context("no coldStart")?;
    Ok((outcome.to_owned(), cold))
}

async fn to_zero() -> anyhow::Result<()> {
    let server = serve(table([("idle", "0ms".into())])).await?;
    for nth in 0..4 {
        isolates(&server, 0).await?;
        let (outcome, cold) = ask(&server, FUNCTION, "/0", nth).await?;
        ensure!(outcome == "ok" && cold, "{nth}: {outcome}, cold {cold}");
    }
    server.assert_healthy().await
}

/// Every function is started once before the node listens. None of them goes on; what is kept of them is little.
async fn nothing_kept() -> anyhow::Result<()> {
    let mut functions = Table::new();
    for index in 0..CHECKED {
        let name = format!("g{index}");
        functions.insert(name.clone(), function("worker.js", &host(&name)).into());
    }
    let server = Server::serve(&node(functions), &[("worker.js", WORKER)]).await?;
    // What is copied stays, and is at rest: one for each function.
    let templates = server.family().kind(Kind::Template)?;
    ensure!(templates.len() == CHECKED, "{} are kept", templates.len());
    let cells = server.family().kind(Kind::Cell)?;
    ensure!(cells.is_empty(), "{cells:?} go on");
    let peak = program::memory(server.pid(), "VmHWM")? >> 20;
    ensure!(
        peak <= CHECKED_MIB,
        "the edge held {peak} MiB for {CHECKED} functions"
    );
    let held = server.memory()? >> 10;
    let allowed = (CHECKED_MIB << 10) + CHECKED as u64 * TEMPLATE_KIB;
    ensure!(
        held <= allowed,
        "{held} KiB are held for {CHECKED} functions, allowed are {allowed}"
    );
    let (outcome, cold) = ask(&server, "g7", "/0", 0).await?;
    ensure!(outcome == "ok" && cold, "{outcome}, cold {cold}");
    server.assert_healthy().await
}

async fn kept() -> anyhow::Result<()> {
    let limits = table([("idle", "0ms".into()), ("min_isolates", 2.into())]);
    let server = serve(limits).await?;
    isolates(&server, 2).await?;
    for nth in 0..4 {
        let (outcome, cold) = ask(&server, FUNCTION, "/0", nth).await?;
        ensure!(outcome == "ok" && !cold, "{nth}: {outcome}, cold {cold}");
    }
    isolates(&server, 2).await?;
    server.assert_healthy().await
}

async fn replaced() -> anyhow::Result<()> {
    let limits = table([
        ("min_isolates", 1.into()),
        ("memory", "64MiB".into()),
        ("cpu", "5s".into()),
    ]);
    let server = serve(limits).await?;
    isolates(&server, 1).await?;
    let lost = cells(&server)?;
    let (outcome, _) = ask(&server, FUNCTION, "/100", 0).await?;
    ensure!(outcome == "exceededMemory", "{outcome}");
    // Nobody asks; there is one again all the same.
    replacement(&server, &lost).await?;
    let (outcome, cold) = ask(&server, FUNCTION, "/0", 1).await?;
    ensure!(outcome == "ok" && !cold, "{outcome}, cold {cold}");
    server.assert_healthy().await
}

/// The zygote's isolate, of which all others are copies, is made with the default limit of 128 MiB.
async fn limits_of_its_own() -> anyhow::Result<()> {
    for (memory, holds, too_much) in [("256MiB", "/180", "/400"), ("64MiB", "/30", "/100")] {
        let limits = table([
            ("idle", "0ms".into()),
            ("memory", memory.into()),
            ("cpu", "10s".into()),
        ]);
        let server = serve(limits).await?;
        isolates(&server, 0).await?;
        let held = ask(&server, FUNCTION, holds, 0).await?;
        ensure!(
            held == ("ok".to_owned(), true),
            "{memory} {holds}: {held:?}"
        );
        isolates(&server, 0).await?;
        let over = ask(&server, FUNCTION, too_much, 1).await?;
        ensure!(
            over == ("exceededMemory".to_owned(), true),
            "{memory} {too_much}: {over:?}"
        );
        server.assert_healthy().await?;
    }
    Ok(())
}

/// The processes of the function's isolates.
fn cells(server: &Server) -> anyhow::Result<Vec<u32>> {
    server.family().cells(FUNCTION)
}

/// Waits until the function has one isolate, and it is none of the `lost` ones.
async fn replacement(server: &Server, lost: &[u32]) -> anyhow::Result<()> {
    until(|| match cells(server)?[..] {
        [pid] if !lost.contains(&pid) => Ok(Some(())),
        _ => Ok(None),
    })
    .await?
    .with_context(|| format!("no isolate has taken the place of {lost:?}"))
}

async fn within_memory() -> anyhow::Result<()> {
    let name = |index: usize| format!("f{index}");
    let mut functions = Table::new();
    for index in 0..MANY {
        functions.insert(
            name(index),
            function("worker.js", &host(&name(index))).into(),
        );
    }
    let mut config = node(functions);
    let memory = table([("memory", format!("{MEMORY_MIB}MiB").into())]);
    config.insert("node".to_owned(), Value::Table(memory));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;

    let mut asked = 0;
    for _ in 0..2 {
        for index in 0..MANY {
            let (outcome, _) = ask(&server, &name(index), "/1", asked).await?;
            ensure!(outcome == "ok", "{index}: {outcome}");
            asked += 1;
        }
    }
    let mut held = u64::MAX;
    until(|| {
        held = server.memory()? >> 20;
        Ok((held <= MEMORY_MIB).then_some(()))
    })
    .await?;
    ensure!(held <= MEMORY_MIB, "{held} MiB are held");
    // Who was asked last is still there, who was first is not.
    let (_, cold) = ask(&server, &name(MANY - 1), "/0", asked).await?;
    ensure!(!cold, "the last one was ended; {held} MiB were held");
    let (outcome, cold) = ask(&server, &name(0), "/0", asked + 1).await?;
    ensure!(outcome == "ok" && cold, "the first one was kept: {outcome}");
    server.assert_healthy().await
}
