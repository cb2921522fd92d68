//! Several requests at once in one isolate: `concurrency = N`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::{join_all, try_join, try_join_all};
use libtest_mimic::Trial;
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::log::{charged, is_record, record_path};
use crate::harness::processes::cpu;
use crate::harness::{Connection, Request, Server, World};

const HOST: &str = "sharing.test";

/// Its isolates' processes have it in their names.
const FUNCTION: &str = "shared";

/// Requests of one function that run at the same time.
const AT_ONCE: usize = 8;

/// How far the sum of what is charged may be off.
const TOLERANCE: f64 = 0.01;

/// How long a client that went away may go unnoticed.
const DEADLINE: Duration = Duration::from_secs(10);

/// Requests that wait for each other can only be answered by one isolate.
const WORKER: &str = "const meetings = new Map();
function meet(name, size) {
  const meeting = meetings.get(name) ?? { size, ...Promise.withResolvers() };
  meetings.set(name, meeting);
  if (--meeting.size === 0) {
    meetings.delete(name);
    meeting.resolve();
  }
  return meeting.promise;
}
const ended = Promise.withResolvers();
const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
export default {
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    const [, what, name] = pathname.split('/');
    const size = Number(searchParams.get('size') ?? 1);
    request.signal.addEventListener('abort', () => console.log(`${name} aborted`));
    switch (what) {
      case 'meet':
        console.log(`${name} came`);
        await meet('here', size);
        console.log(`${name} met`);
        await wait(1);
        setTimeout(() => console.log(`${name} in a timer`), 1);
        await wait(2);
        return new Response(name);
      case 'outlive':
        ctx.waitUntil(ended.promise.then(() => console.log('outlived')));
        return new Response('will do');
      case 'late':
        request.signal.addEventListener('abort', () => ended.resolve());
        setTimeout(() => console.log('from beyond'), 60000);
        await new Promise(() => {});
        return;
      case 'beside':
        await meet('start', size);
        await new Promise(() => {});
        return;
      case 'fetch':
        await meet('start', size);
        for (let i = 0; i < Number(name); i++) {
          await (await fetch(`${env.ORIGIN}/hello`)).text();
        }
        await meet('end', size);
        return new Response('fetched');
      case 'hang':
        await fetch(`${env.ORIGIN}/hang?${name}`);
        return;
      case 'loop':
        await meet('start', size);
        await wait(1);
        for (;;);
      case 'spin': {
        await meet('start', size);
        let x = 0;
        for (let i = 0; i < 5e7; i++) x += i;
        await meet('end', size);
        return new Response(String(x));
      }
      case 'stuck': {
        await meet('start', size);
        // A search that is quadratic, and that nothing interrupts.
        const needle = 'a'.repeat(5e6) + 'b' + 'a'.repeat(5e6);
        return new Response(String('a'.repeat(2e7).indexOf(needle)));
      }
      case 'hoard': {
        await meet('start', size);
        const kept = [];
        for (;;) kept.push(new Array(131072).fill(kept.length));
      }
      case 'work': {
        let x = 0;
        for (let turn = 0; turn < 4; turn++) {
          for (let i = 0; i < 5e5; i++) x += i;
          await wait(1);
        }
        return new Response(String(x));
      }
    }
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("sharing::requests_meet_in_one_isolate", async |_| {
            together().await
        }),
        world.trial("sharing::beyond_it_another_isolate_starts", async |world| {
            beyond(&world).await
        }),
        world.trial("sharing::late_requests_end_alone", async |_| late().await),
        world.trial("sharing::subrequests_are_counted_apart", async |world| {
            subrequests(world.origin().url()).await
        }),
        world.trial("sharing::clients_leave_alone", async |world| {
            leaves(&world).await
        }),
        world.trial("sharing::each_request_adds_to_the_cpu_time", async |_| {
            purse().await
        }),
        world.trial("sharing::cpu_time_is_shared", async |_| {
            ended("/loop", "exceededCpu", 503).await
        }),
        world.trial("sharing::who_gets_stuck_takes_all_along", async |_| {
            ended("/stuck", "exceededCpu", 503).await
        }),
        world.trial("sharing::memory_is_shared", async |_| {
            ended("/hoard", "exceededMemory", 503).await
        }),
        world.trial("sharing::requests_add_up_to_the_process", async |_| {
            add_up().await
        }),
    ]
}

async fn serve(limits: Table, origin: &str) -> anyhow::Result<Server> {
    let mut keys = function("worker.js", HOST);
    let at_once = i64::try_from(AT_ONCE)?;
    keys.insert("concurrency".to_owned(), at_once.into());
    keys.insert("limits".to_owned(), limits.into());
    let vars = table([("ORIGIN", origin.into())]);
    keys.insert("vars".to_owned(), vars.into());
    let neighbour = function("worker.js", "neighbour.test");
    let mut config = node(table([
        (FUNCTION, keys.into()),
        ("neighbour", neighbour.into()),
    ]));
    merge(&mut config, egress_to_loopback());
    Server::serve(&config, &[("worker.js", WORKER)]).await
}

/// As many requests for `path` at the same time as one isolate takes, each with its number as
/// `name`.
async fn crowd(server: &Server, path: &str, count: usize) -> anyhow::Result<Vec<Answer>> {
    let requests = (0..count).map(|name| {
        let path = format!("{path}/{name}?size={count}");
        let request = Request::get(HOST, &path);
        async move { request.send(server.address()).await }
    });
    try_join_all(requests).await
}

/// The first `count` records.
async fn records(server: &Server, count: usize) -> anyhow::Result<Vec<Json>> {
    server
        .log()
        .nth("last record", count - 1, is_record)
        .await?;
    Ok(server.log().records())
}

fn messages(record: &Json) -> Vec<&str> {
    let lines = record["logs"].as_array().map(Vec::as_slice);
    let messages = lines.unwrap_or_default().iter();
    messages
        .filter_map(|line| line["message"].as_str())
        .collect()
}

/// The process of the function's only isolate.
fn one_cell(server: &Server) -> anyhow::Result<u32> {
    match server.family().cells(FUNCTION)?[..] {
        [cell] => Ok(cell),
        ref cells => anyhow::bail!("there are {cells:?}"),
    }
}

fn one_isolate() -> Table {
    table([("max_isolates", 1.into()), ("wall", "10s".into())])
}

async fn together() -> anyhow::Result<()> {
    let server = serve(one_isolate(), "").await?;
    let answers = crowd(&server, "/meet", AT_ONCE).await?;
    for (name, answer) in answers.iter().enumerate() {
        ensure!(answer.status == 200, "{name}: {}", answer.status);
        ensure!(answer.body == name.to_string(), "{name}: {:?}", answer.body);
    }
    one_cell(&server)?;
    // What each wrote, before and after it waited, is in its own record.
    for record in records(&server, AT_ONCE).await? {
        let name = record_path(&record).rsplit('/').next().context("no name")?;
        let expected = ["came", "met", "in a timer"].map(|what| format!("{name} {what}"));
        ensure!(messages(&record) == expected, "{record}");
        ensure!(record["outcome"] == "ok", "{record}");
    }
    server.assert_healthy().await
}

/// More than one isolate takes, all in the middle of something.
async fn beyond(world: &World) -> anyhow::Result<()> {
    let origin = world.origin();
    let server = serve(table([("max_isolates", 2.into())]), &origin.url()).await?;
    let address = server.address();
    let asked = (0..AT_ONCE + 1).map(|name| {
        let request = Request::get(HOST, &format!("/hang/sharing-beyond-{name}"));
        async move { request.send(address).await }
    });
    let reached = (0..AT_ONCE + 1).map(|name| {
        let key = format!("sharing-beyond-{name}");
        async move { origin.reached(&key).await }
    });
    tokio::select! {
        answers = try_join_all(asked) => anyhow::bail!("answered: {:?}", answers?),
        _ = join_all(reached) => {}
    }
    let cells = server.family().cells(FUNCTION)?;
    ensure!(cells.len() == 2, "there are {cells:?}");
    server.assert_healthy().await
}

async fn late() -> anyhow::Result<()> {
    let limits = table([("max_isolates", 1.into()), ("wall", "300ms".into())]);
    let server = serve(limits, "").await?;
    let early = Request::get(HOST, "/outlive/early").send(server.address());
    ensure!(early.await?.status == 200);
    let late = Request::get(HOST, "/late/late").send(server.address());
    ensure!(late.await?.status == 504);
    for record in records(&server, 2).await? {
        let (outcome, expected) = match record_path(&record) {
            "/late/late" => {
                let raises = "took longer than its 300ms; `limits.wall` raises it";
                ("exceededWallTime", vec!["late aborted", raises])
            }
            _ => ("ok", vec!["outlived"]),
        };
        ensure!(record["outcome"] == outcome, "{record}");
        ensure!(messages(&record) == expected, "{record}");
    }
    // The isolate lives on.
    let next = Request::get(HOST, "/meet/next").send(server.address());
    ensure!(next.await?.status == 200);
    let next = server.log().nth("record", 2, is_record).await?;
    ensure!(next["coldStart"] == false, "{next}");
    server.assert_healthy().await
}

async fn subrequests(origin: String) -> anyhow::Result<()> {
    let mut limits = one_isolate();
    limits.insert("subrequests".to_owned(), 3.into());
    let server = serve(limits, &origin).await?;
    let ask = |count: u32| {
        let path = format!("/fetch/{count}?size=2");
        let request = Request::get(HOST, &path);
        let address = server.address();
        async move { request.send(address).await }
    };
    let (two, three) = try_join(ask(2), ask(3)).await?;
    ensure!(two.status == 200 && three.status == 200);
    for record in records(&server, 2).await? {
        let made = record["subrequests"].as_u64().context("no subrequests")?;
        ensure!(record_path(&record) == format!("/fetch/{made}"), "{record}");
    }
    let four = Request::get(HOST, "/fetch/4").send(server.address());
    ensure!(four.await?.status == 500);
    server.assert_healthy().await
}

async fn leaves(world: &World) -> anyhow::Result<()> {
    let origin = world.origin();
    let server = serve(one_isolate(), &origin.url()).await?;
    let staying = Request::get(HOST, "/meet/staying?size=2").send(server.address());
    let leaving = async {
        let mut connection = Connection::open(server.address(), Version::Http1).await?;
        let request = Request::get(HOST, "/hang/sharing-leaves");
        tokio::select! {
            answer = connection.head(request) => {
                anyhow::bail!("answered {}", answer?.status());
            }
            () = origin.reached("sharing-leaves") => {}
        }
        drop(connection);
        let gone = tokio::time::timeout(DEADLINE, origin.gone("sharing-leaves")).await;
        gone.context("its subrequest still runs")?;
        let record = server
            .log()
            .first("record", |line| {
                is_record(line) && record_path(line) == "/hang/sharing-leaves"
            })
            .await?;
        ensure!(record["outcome"] == "canceled", "{record}");
        ensure!(messages(&record) == ["sharing-leaves aborted"], "{record}");
        Request::get(HOST, "/meet/other?size=2")
            .send(server.address())
            .await
    };
    let (staying, other) = try_join(staying, leaving).await?;
    for answer in [staying, other] {
        ensure!(answer.status == 200, "{}", answer.status);
    }
    server.assert_healthy().await
}

/// What one of several requests overdraws is at the expense of all that are in the isolate, and of
/// nobody else.
async fn ended(path: &str, outcome: &str, status: u16) -> anyhow::Result<()> {
    let mut limits = one_isolate();
    if path == "/hoard" {
        limits.insert("memory".to_owned(), "64MiB".into());
        limits.insert("cpu".to_owned(), "5s".into());
    }
    let server = serve(limits, "").await?;
    let beside = Request::get(HOST, "/beside?size=2").send(server.address());
    let offender = Request::get(HOST, &format!("{path}?size=2")).send(server.address());
    let (beside, offender) = try_join(beside, offender).await?;
    ensure!(offender.status == status, "{}", offender.status);
    ensure!(beside.status == status, "{}", beside.status);
    for record in records(&server, 2).await? {
        ensure!(record["outcome"] == outcome, "{record}");
        // None of them is accused of what another may have done.
        let told = messages(&record)
            .iter()
            .any(|text| text.contains("its isolate used more") && text.contains("raises it"));
        ensure!(told, "{record}");
    }
    let neighbour = Request::get("neighbour.test", "/meet/n").send(server.address());
    ensure!(neighbour.await?.status == 200);
    // And in an isolate that was not condemned.
    let next = Request::get(HOST, "/meet/next").send(server.address());
    ensure!(next.await?.status == 200);
    server.assert_healthy().await
}

/// Together they take longer than any of them may, but no longer than all of them may.
async fn purse() -> anyhow::Result<()> {
    let mut limits = one_isolate();
    let limit = Duration::from_millis(200);
    limits.insert("cpu".to_owned(), format!("{}ms", limit.as_millis()).into());
    let server = serve(limits, "").await?;
    for answer in crowd(&server, "/spin", AT_ONCE).await? {
        ensure!(answer.status == 200, "{}", answer.status);
    }
    let all = records(&server, AT_ONCE).await?;
    let sum = charged(&all)?;
    ensure!(sum > limit, "{sum:?} are too little to tell");
    // What they may use is gone with them.
    let alone = Request::get(HOST, "/loop/alone").send(server.address());
    ensure!(alone.await?.status == 503);
    let record = server.log().nth("record", AT_ONCE, is_record).await?;
    ensure!(charged([&record])? < 2 * limit, "{record}");
    server.assert_healthy().await
}

async fn add_up() -> anyhow::Result<()> {
    let mut limits = one_isolate();
    limits.insert("cpu".to_owned(), Value::from("5s"));
    let server = serve(limits, "").await?;
    crowd(&server, "/work", 1).await?;
    server.log().first("record", is_record).await?;
    let cell = one_cell(&server)?;
    let before = cpu(cell)?;
    const ROUNDS: usize = 10;
    for _ in 0..ROUNDS {
        for answer in crowd(&server, "/work", AT_ONCE).await? {
            ensure!(answer.status == 200, "{}", answer.status);
        }
    }
    let all = records(&server, 1 + ROUNDS * AT_ONCE).await?;
    let spent = cpu(one_cell(&server)?)?.saturating_sub(before);
    let charged = charged(all.iter().skip(1))?;
    let off = (charged.as_secs_f64() / spent.as_secs_f64() - 1.0).abs();
    ensure!(
        off <= TOLERANCE,
        "{charged:?} were charged, {spent:?} spent"
    );
    server.assert_healthy().await
}
