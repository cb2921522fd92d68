//! Clients that go away: the function is told, its work stops, and the record says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;
use serde_json::Value as Json;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::log::{is_record, record_path};
use crate::harness::{Connection, Request, Server, World};

const HOST: &str = "cancel.test";

/// How long the subrequest of a canceled request may live on.
const GONE_DEADLINE: Duration = Duration::from_secs(10);

const WORKER: &str = "export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/calm') return new Response('calm');
    request.signal.addEventListener('abort', () => console.log('abort seen'));
    if (pathname === '/head') {
      await fetch(`${env.ORIGIN}/hang${search}`);
      return new Response('never sent');
    }
    if (pathname === '/made') {
      fetch(`${env.ORIGIN}/hang${search}`).catch(() => {});
      return new Response(new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          controller.enqueue(new TextEncoder().encode('first chunk'));
        },
        cancel() {
          console.log('stream canceled');
        },
      }));
    }
    if (pathname === '/written') {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      writer.write(new TextEncoder().encode('first chunk'));
      fetch(`${env.ORIGIN}/hang${search}`).catch(() => {});
      (async () => {
        // As fast as the client reads: it leaves in the middle of a write.
        for (;;) await writer.write(new Uint8Array(65536));
      })().catch(() => console.log('stream canceled'));
      return new Response(readable);
    }
    // Passed on without a detour through JavaScript.
    const upstream = await fetch(`${env.ORIGIN}/hang-body${search}`);
    return new Response(upstream.body);
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, version) in [("http1", Version::Http1), ("http2", Version::Http2)] {
        for (when, path) in [
            ("before_the_head", "/head"),
            ("in_a_body_made_here", "/made"),
            ("in_a_body_written", "/written"),
            ("in_a_body_passed_on", "/passed"),
        ] {
            let name = format!("cancel::{when}_{name}");
            trials.push(world.trial(name, async move |world| {
                canceled(&world, path, version).await
            }));
        }
    }
    trials
}

async fn canceled(world: &World, path: &str, version: Version) -> anyhow::Result<()> {
    let mut keys = function("worker.js", HOST);
    let vars = table([("ORIGIN", world.origin().url().into())]);
    keys.insert("vars".to_owned(), vars.into());
    keys.insert("limits".to_owned(), table([("cpu", "2s".into())]).into());
    let mut config = node(table([("cancel", keys.into())]));
    merge(&mut config, egress_to_loopback());
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;
    let key = format!("{}-{version:?}", path.trim_start_matches('/'));

    let mut connection = Connection::open(server.address(), version).await?;
    let request = Request::get(HOST, &format!("{path}?{key}"));
    let origin = world.origin();
    if path != "/head" {
        let mut answer = connection.head(request).await?.into_body();
        let first = answer.frame().await.context("no first chunk")??;
        ensure!(
            first
                .data_ref()
                .is_some_and(|data| data.starts_with(b"first chunk")),
            "got {first:?}"
        );
        origin.reached(&key).await;
    } else {
        tokio::select! {
            answer = connection.head(request) => {
                anyhow::bail!("answered {} before it was canceled", answer?.status());
            }
            () = origin.reached(&key) => {}
        }
    }
    // Over HTTP/1.1 going away means closing the connection. Over HTTP/2 the stream was reset when
    // its future or body was dropped above, and the connection stays open.
    if version == Version::Http1 {
        drop(connection);
    }

    // The exchange that the function was waiting on ends: its work has stopped.
    let gone = tokio::time::timeout(GONE_DEADLINE, origin.gone(&key)).await;
    gone.context("the subrequest still runs")?;
    let record = server
        .log()
        .first("record", |line| {
            is_record(line) && record_path(line) == path
        })
        .await?;
    ensure!(record["outcome"] == "canceled", "the record is {record}");
    let logs: &[Json] = record["logs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let told = logs.iter().any(|line| line["message"] == "abort seen");
    ensure!(told, "request.signal did not abort: {record}");
    let told = logs.iter().any(|line| line["message"] == "stream canceled");
    ensure!(
        told == (path == "/made" || path == "/written"),
        "cancel() of the stream: {record}"
    );
    ensure!(
        calm(server.address()).await?,
        "the function no longer answers"
    );
    server.assert_healthy().await
}

async fn calm(server: SocketAddr) -> anyhow::Result<bool> {
    Ok(Request::get(HOST, "/calm").send(server).await?.body == "calm")
}
