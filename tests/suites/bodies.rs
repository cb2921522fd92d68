//! Bodies of 100 MiB, each way and both ways, in bounded memory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::Method;
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;

use crate::harness::area::{function, node, table};
use crate::harness::client::{Payload, Version};
use crate::harness::{Connection, Request, Server, World};

const MIB: u64 = 1024 * 1024;
const BODY: u64 = 100 * MIB;

/// What the server's memory may grow by while a body passes. The body is 100 MiB, so anything
/// that holds all of it fails. V8 looks at memory outside of its heap only after 64 MiB of it
/// (`kExternalAllocationSoftLimit`), so a function that makes chunks reaches that before any of
/// them is collected.
const GROWTH: u64 = 88 * MIB;

/// What may be made for a client that reads nothing: loopback's socket buffers and our own.
const STALLED: u64 = 12 * MIB;

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(10);

const HOST: &str = "bodies.test";

const WORKER: &str = "export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/mirror') return new Response(request.body);
    if (pathname === '/up') {
      let bytes = 0;
      for await (const chunk of request.body) bytes += chunk.byteLength;
      return new Response(String(bytes));
    }
    let left = Number(searchParams.get('bytes'));
    return new Response(new ReadableStream({
      pull(controller) {
        if (left === 0) return controller.close();
        const size = Math.min(left, 65536);
        left -= size;
        controller.enqueue(new Uint8Array(size).fill(97));
      },
    }));
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("bodies::100_mib_up", async |_| bounded("/up").await),
        world.trial("bodies::100_mib_down", async |_| bounded("/down").await),
        world.trial("bodies::100_mib_both_ways", async |_| {
            bounded("/mirror").await
        }),
        world.trial("bodies::reader_that_stalls", async |_| {
            stalled_reader().await
        }),
    ]
}

/// A client that takes the head and then reads nothing: the function is slowed to nothing, what is
/// held for the client stays small, and the wall-time limit ends it.
async fn stalled_reader() -> anyhow::Result<()> {
    let server = serve("2s").await?;
    transfer(&server, "/down", MIB)
        .await
        .context("1 MiB first")?;
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    let answer = connection
        .head(Request::get(HOST, &format!("/stall?bytes={BODY}")))
        .await?;
    ensure!(answer.status() == 200, "status {}", answer.status());
    let record = server.record(HOST, "GET", "/stall", 0).await?;
    ensure!(
        record["outcome"] == "exceededWallTime",
        "the record is {record}"
    );
    // What the kernel's two socket buffers take is beyond our control; the rest is ours.
    let made = record["bytesOut"].as_u64().context("no bytesOut")?;
    ensure!(
        made <= STALLED,
        "{made} bytes were made for a client that read none"
    );
    ensure!(
        answer.into_body().collect().await.is_err(),
        "the body ended as if it were whole"
    );
    server.assert_healthy().await
}

async fn bounded(path: &str) -> anyhow::Result<()> {
    let server = serve("2min").await?;

    transfer(&server, path, MIB).await.context("1 MiB first")?;
    let before = server.memory()?;
    let mut peak = before;
    let all = transfer(&server, path, BODY);
    tokio::pin!(all);
    let mut sample = tokio::time::interval(SAMPLE);
    loop {
        tokio::select! {
            result = &mut all => break result.context("100 MiB")?,
            _ = sample.tick() => peak = peak.max(server.memory()?),
        }
    }
    let growth = peak - before;
    ensure!(growth <= GROWTH, "memory grew by {} MiB", growth / MIB);
    server.assert_healthy().await
}

/// One function that counts, makes or mirrors bodies.
async fn serve(wall: &str) -> anyhow::Result<Server> {
    let mut keys = function("worker.js", HOST);
    // Generous: a debug build next to other tests takes its time, and this is about memory.
    let limits = table([("cpu", "30s".into()), ("wall", wall.into())]);
    keys.insert("limits".to_owned(), limits.into());
    let config = node(table([("bodies", keys.into())]));
    Server::serve(&config, &[("worker.js", WORKER)]).await
}

/// Moves `bytes` and checks what arrives, without keeping it.
async fn transfer(server: &Server, path: &str, bytes: u64) -> anyhow::Result<()> {
    let down = path == "/down";
    let request = Request {
        method: if down { Method::GET } else { Method::POST },
        payload: if down {
            Payload::None
        } else {
            Payload::Sized(bytes)
        },
        ..Request::get(HOST, &format!("{path}?bytes={bytes}"))
    };
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    let (head, mut body) = connection.head(request).await?.into_parts();
    ensure!(head.status == 200, "status {}", head.status);
    let mut count = 0;
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        count += data.len() as u64;
        match path {
            "/up" => text.extend_from_slice(&data),
            _ if data.iter().all(|&byte| byte == b'a') => {}
            _ => bail!("a wrong byte before {count}"),
        }
    }
    match path {
        "/up" => ensure!(text == bytes.to_string().as_bytes(), "counted {text:?}"),
        _ => ensure!(count == bytes, "{count} bytes came"),
    }
    Ok(())
}
