//! What requests are charged is what their isolate's process spent.

use std::sync::Arc;

use anyhow::{bail, ensure};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::log::{charged, is_record};
use crate::harness::processes::cpu;
use crate::harness::program::thread_cpu;
use crate::harness::{Connection, Request, Server, World};

const HOST: &str = "accounting.test";

/// Its isolates' processes have it in their names.
const FUNCTION: &str = "charged";

const REQUESTS: usize = 300;

/// Times that the work of the node is measured: whatever else it does only adds to what is spent.
const TRIES: usize = 5;

/// How far the sum may be off.
const TOLERANCE: f64 = 0.01;

/// Computes, allocates, waits, streams: everything but nothing.
const WORKER: &str = "const work = [
  () => { let x = 0; for (let i = 0; i < 2e6; i++) x += i; return String(x); },
  () => JSON.stringify(Array.from({ length: 2e4 }, (_, i) => ({ i, text: 'x' + i }))),
  async () => { await new Promise((resolve) => setTimeout(resolve, 2)); return 'waited'; },
  () => new ReadableStream({
    start(controller) {
      for (let i = 0; i < 50; i++) controller.enqueue(new Uint8Array(4096));
      controller.close();
    },
  }),
];
export default {
  async fetch(request) {
    const path = new URL(request.url).pathname;
    return new Response(await work[Number(path.slice(1)) % work.length]());
  },
};
";

const INFLATE: &str = "export default {
  async fetch(request, env) {
    let rest = Number(new URL(request.url).pathname.slice(1)) * 1024 * 1024;
    const reader = (await fetch(`${env.ORIGIN}/bomb`)).body.getReader();
    while (rest > 0) rest -= (await reader.read()).value.byteLength;
    await reader.cancel();
    return new Response('enough');
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("accounting::requests_add_up_to_the_process", async |_| {
            add_up().await
        }),
        world.trial(
            "accounting::what_the_node_does_for_a_fetch_is_charged",
            async |world| inflate(world.origin().url()).await,
        ),
        world.trial("accounting::a_source_map_is_nobodys", async |_| {
            large_map().await
        }),
    ]
}

async fn add_up() -> anyhow::Result<()> {
    let mut keys = function("worker.js", HOST);
    let limits = table([("max_isolates", 1.into()), ("cpu", "5s".into())]);
    keys.insert("limits".to_owned(), limits.into());
    let config = node(table([(FUNCTION, keys.into())]));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;

    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    connection.exchange(Request::get(HOST, "/0")).await?;
    server.log().first("record", is_record).await?;
    let cell = one_cell(&server)?;
    let before = cpu(cell)?;
    for index in 0..REQUESTS {
        let request = Request::get(HOST, &format!("/{index}"));
        // Some on one connection, some on others.
        let answer = match index % 3 {
            0 => request.send(server.address()).await?,
            _ => connection.exchange(request).await?,
        };
        ensure!(answer.status == 200, "{}", answer.status);
    }
    server.log().nth("last record", REQUESTS, is_record).await?;
    let cold = |record: &&Value| record["coldStart"] == true;
    let records = server.log().records();
    if let Some(cold) = records.iter().skip(1).find(cold) {
        bail!("the isolate was not kept: {cold}");
    }
    let spent = cpu(cell)?.saturating_sub(before);
    let charged = charged(server.log().records().iter().skip(1))?;
    let off = (charged.as_secs_f64() / spent.as_secs_f64() - 1.0).abs();
    ensure!(
        off <= TOLERANCE,
        "{charged:?} were charged, {spent:?} spent"
    );
    server.assert_healthy().await
}

/// The process of the function's only isolate.
fn one_cell(server: &Server) -> anyhow::Result<u32> {
    match server.family().cells(FUNCTION)?[..] {
        [cell] => Ok(cell),
        ref cells => bail!("there are {cells:?}"),
    }
}

/// Inflating a body that the function merely counts: nearly all of it is done on the I/O threads.
async fn inflate(origin: String) -> anyhow::Result<()> {
    let mut keys = function("inflate.js", HOST);
    let limits = table([("max_isolates", 1.into()), ("cpu", "20s".into())]);
    keys.insert("limits".to_owned(), limits.into());
    let vars = table([("ORIGIN", origin.into())]);
    keys.insert("vars".to_owned(), vars.into());
    let mut config = node(table([(FUNCTION, keys.into())]));
    merge(&mut config, egress_to_loopback());
    let server = Server::serve(&config, &[("inflate.js", INFLATE)]).await?;

    Request::get(HOST, "/1").send(server.address()).await?;
    server.log().first("record", is_record).await?;
    let cell = one_cell(&server)?;
    let spent = || Ok::<_, anyhow::Error>(cpu(cell)? + thread_cpu(server.pid(), "holm-io")?);
    let mut seen = Vec::new();
    for nth in 1..=TRIES {
        let before = spent()?;
        let answer = Request::get(HOST, "/64").send(server.address()).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        let record = server.log().nth("record", nth, is_record).await?;
        let spent = spent()?.saturating_sub(before);
        let charged = charged([&record])?;
        ensure!(
            charged <= spent,
            "{charged:?} were charged, {spent:?} spent"
        );
        // The rest is the request that came in, and on a busy machine what turns between tasks take.
        if charged.as_secs_f64() >= 0.9 * spent.as_secs_f64() {
            return server.assert_healthy().await;
        }
        seen.push((charged, spent));
    }
    bail!("charged and spent: {seen:?}")
}

/// The first error that needs a large map is told like any other, within the usual CPU time.
async fn large_map() -> anyhow::Result<()> {
    let lines = vec![format!("AAAA{}", ",CAAA".repeat(9)); 100_000].join(";");
    let map = format!(r#"{{"version":3,"sources":["src/a.ts"],"names":[],"mappings":"{lines}"}}"#);
    let worker = "export default { fetch() { throw new Error('mapped'); } };\n\
        //# sourceMappingURL=worker.js.map\n";
    let config = node(table([(FUNCTION, function("worker.js", HOST).into())]));
    let files = [("worker.js", worker), ("worker.js.map", map.as_str())];
    let server = Server::serve(&config, &files).await?;
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.status == 500, "{}", answer.status);
    let record = server.log().first("record", is_record).await?;
    ensure!(record["outcome"] == "exception", "{record}");
    let stack = "Error: mapped\n    at Object.fetch (src/a.ts:1:1)";
    ensure!(record["error"]["stack"] == stack, "{record}");
    server.assert_healthy().await
}
