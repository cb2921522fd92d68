//! `requests_per_isolate`: an isolate that answers so many requests and no more, and one that is never used twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use libtest_mimic::Trial;
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::harness::area::{function, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::log::is_record;
use crate::harness::processes::Kind;
use crate::harness::program::until;
use crate::harness::{Connection, Request, Server, World};

const HOST: &str = "fresh.test";

const FUNCTION: &str = "fresh";

/// Requests, one after the other or at the same time.
const REQUESTS: usize = 40;

/// Requests that one isolate may answer, where it is more than one.
const SEVERAL: usize = 5;

/// Longer than spare isolates are made behind a request.
const SPARE: Duration = Duration::from_millis(1_500);

/// What one request leaves behind, wherever that is possible, and what it finds.
const WORKER: &str = "import { kept } from './kept.js';
let count = 0;
class Counter { static count = 0; }
const weak = new WeakMap();
export default {
  async fetch(request, env, ctx) {
    const found = {
      module: count++,
      imported: kept.length,
      class: Counter.count++,
      global: globalThis.left ?? 0,
      prototype: Object.prototype.left ?? 0,
      weak: weak.has(env),
      env: env.left ?? 0,
      symbol: Symbol.for('left') in globalThis,
      json: JSON.left ?? 0,
      shared: (await import('./kept.js')).kept.length,
    };
    kept.push(count);
    weak.set(env, 1);
    globalThis.left = count;
    globalThis[Symbol.for('left')] = count;
    Object.defineProperty(Object.prototype, 'left', { value: count, writable: true, configurable: true });
    try { env.left = count; } catch {}
    JSON.left = count;
    setTimeout(() => { globalThis.late = 1; }, 1);
    const random = [Math.random(), crypto.randomUUID(), performance.timeOrigin];
    return Response.json({ found, random });
  },
};
";

const KEPT: &str = "export const kept = [];\n";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("fresh::nothing_is_seen_by_the_next", async |_| {
            one_by_one().await
        }),
        world.trial("fresh::nor_by_those_at_the_same_time", async |_| {
            at_once().await
        }),
        world.trial("fresh::after_several", async |_| several().await),
        world.trial("fresh::beside_each_other", async |_| shared().await),
        world.trial("fresh::nothing_is_left_over", async |_| left_over().await),
        world.trial("fresh::a_body_is_whole", async |_| whole().await),
    ]
}

async fn serve(requests: usize, limits: Table, keys: Table) -> anyhow::Result<Server> {
    let mut all = table([(
        "requests_per_isolate",
        Value::Integer(i64::try_from(requests)?),
    )]);
    all.extend(limits);
    let mut function = function("worker.js", HOST);
    function.insert("limits".to_owned(), all.into());
    function.extend(keys);
    let config = node(table([(FUNCTION, function.into())]));
    Server::serve(&config, &[("worker.js", WORKER), ("kept.js", KEPT)]).await
}

/// What an answer says that its request found.
fn told(answer: &Answer) -> anyhow::Result<Json> {
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "{}: {text}", answer.status);
    serde_json::from_slice(&answer.body).with_context(|| text.into_owned())
}

/// Fails if a request has found anything of another.
fn ensure_clean(told: &Json) -> anyhow::Result<()> {
    let found = told["found"].as_object().context("nothing is told")?;
    let is_clean = |value: &Json| *value == 0 || *value == false;
    ensure!(found.values().all(is_clean), "found {told}");
    Ok(())
}

/// Fails if two have drawn the same: nothing that must differ is copied.
fn ensure_apart(told: &[Json]) -> anyhow::Result<()> {
    for (place, what) in ["Math.random()", "crypto.randomUUID()"].iter().enumerate() {
        let drawn: BTreeSet<String> = told
            .iter()
            .map(|told| told["random"][place].to_string())
            .collect();
        ensure!(
            drawn.len() == told.len(),
            "{what} gave {} values to {} isolates",
            drawn.len(),
            told.len()
        );
    }
    Ok(())
}

async fn one_by_one() -> anyhow::Result<()> {
    let server = serve(1, Table::new(), Table::new()).await?;
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    let mut all = Vec::new();
    for _ in 0..REQUESTS {
        let told = told(&connection.exchange(Request::get(HOST, "/")).await?)?;
        ensure_clean(&told)?;
        all.push(told);
    }
    ensure_apart(&all)?;
    server
        .log()
        .nth("last record", REQUESTS - 1, is_record)
        .await?;
    for record in server.log().records() {
        ensure!(record["outcome"] == "ok", "{record}");
        ensure!(record["coldStart"].is_boolean(), "{record}");
    }
    // Nobody was there for the first one.
    let first = server.log().first("record", is_record).await?;
    ensure!(first["coldStart"] == true, "{first}");
    server.assert_healthy().await
}

async fn at_once() -> anyhow::Result<()> {
    let server = serve(1, Table::new(), Table::new()).await?;
    let address = server.address();
    let asked = (0..REQUESTS).map(|_| Request::get(HOST, "/").send(address));
    let mut all = Vec::new();
    for answer in try_join_all(asked).await? {
        let told = told(&answer)?;
        ensure_clean(&told)?;
        all.push(told);
    }
    ensure_apart(&all)?;
    server.assert_healthy().await
}

/// One isolate counts to five, and no further.
async fn several() -> anyhow::Result<()> {
    let limits = table([("max_isolates", 1.into())]);
    let server = serve(SEVERAL, limits, Table::new()).await?;
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    for nth in 0..3 * SEVERAL {
        let told = told(&connection.exchange(Request::get(HOST, "/")).await?)?;
        let expected = Json::from(nth % SEVERAL);
        ensure!(told["found"]["module"] == expected, "{nth}: {told}");
        ensure!(told["found"]["global"] == expected, "{nth}: {told}");
    }
    server.assert_healthy().await
}

/// Requests that share an isolate count together.
async fn shared() -> anyhow::Result<()> {
    let keys = table([("concurrency", 4.into())]);
    let server = serve(SEVERAL, Table::new(), keys).await?;
    let address = server.address();
    let asked = (0..REQUESTS).map(|_| Request::get(HOST, "/").send(address));
    let mut isolates = 0;
    for answer in try_join_all(asked).await? {
        let told = told(&answer)?;
        let before = told["found"]["module"].as_u64().context("no count")?;
        ensure!(before < SEVERAL as u64, "{told}");
        isolates += u64::from(before == 0);
    }
    let least = REQUESTS.div_ceil(SEVERAL) as u64;
    ensure!(isolates >= least, "{isolates} isolates answered");
    server.assert_healthy().await
}

/// Spare isolates are there while requests come, and go when none do.
async fn left_over() -> anyhow::Result<()> {
    let limits = table([("idle", "0ms".into())]);
    let server = serve(1, limits, Table::new()).await?;
    let before = server.family().all()?;
    let address = server.address();
    for _ in 0..3 {
        let asked = (0..REQUESTS).map(|_| Request::get(HOST, "/").send(address));
        for answer in try_join_all(asked).await? {
            ensure_clean(&told(&answer)?)?;
        }
    }
    let cells = || server.family().kind(Kind::Cell);
    // Spare ones are made for a while behind the last request, and go.
    let mut since = Instant::now();
    until(|| {
        if !cells()?.is_empty() {
            since = Instant::now();
        }
        Ok((since.elapsed() >= SPARE).then_some(()))
    })
    .await?
    .with_context(|| format!("left over: {:?}", cells()))?;
    let after = server.family().all()?;
    ensure!(after == before, "{before:?} became {after:?}");
    server.assert_healthy().await
}

/// An isolate ends behind its last answer, not in the middle of it, and not before what it leaves to `waitUntil`.
async fn whole() -> anyhow::Result<()> {
    let worker = "export default {
      fetch(request, env, ctx) {
        const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
        ctx.waitUntil(wait(30).then(() => console.log('after all')));
        let left = 20;
        return new Response(new ReadableStream({
          async pull(controller) {
            await wait(1);
            controller.enqueue(new Uint8Array(10_000).fill(97));
            if (--left === 0) controller.close();
          },
        }));
      },
    };";
    let mut keys = function("worker.js", HOST);
    let limits = table([("requests_per_isolate", 1.into())]);
    keys.insert("limits".to_owned(), limits.into());
    let config = node(table([(FUNCTION, keys.into())]));
    let server = Server::serve(&config, &[("worker.js", worker)]).await?;
    let address = server.address();
    let asked = (0..4).map(|_| Request::get(HOST, "/").send(address));
    for answer in try_join_all(asked).await? {
        ensure!(answer.broken.is_none(), "{:?}", answer.broken);
        ensure!(answer.body.len() == 200_000, "{} bytes", answer.body.len());
    }
    server.log().nth("last record", 3, is_record).await?;
    for record in server.log().records() {
        ensure!(record["outcome"] == "ok", "{record}");
        ensure!(record["logs"][0]["message"] == "after all", "{record}");
    }
    server.assert_healthy().await
}
