//! SIGTERM and its like: no request that the server took is lost, and the process ends with success.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail, ensure};
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::{Connection, Request, Server, World};

const HOST: &str = "drain.test";
const CLIENTS: usize = 8;

/// A drain that is over before its deadline, and one that is not.
const IN_TIME: &str = "20s";
const TOO_SHORT: &str = "100ms";

/// Requests that the load makes before the signal.
const BEFORE: usize = 400;

const WORKER: &str = "export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/quick') return new Response('quick');
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    writer.write(new TextEncoder().encode('begin '));
    fetch(`${env.ORIGIN}/gone${search}`).then(async (response) => {
      await writer.write(new TextEncoder().encode(await response.text()));
      await writer.close();
    });
    return new Response(readable);
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("drain::in_flight_requests_finish", async |world| {
            in_flight(&world, "TERM").await
        }),
        world.trial("drain::by_ctrl_c", async |world| {
            in_flight(&world, "INT").await
        }),
        world.trial(
            "drain::aborted_requests_are_not_their_clients",
            async |world| aborted(&world).await,
        ),
        world.trial("drain::under_load_http1", async |world| {
            under_load(&world, Version::Http1).await
        }),
        world.trial("drain::under_load_http2", async |world| {
            under_load(&world, Version::Http2).await
        }),
    ]
}

/// Answers that have begun before the signal come to their end after it.
async fn in_flight(world: &World, signal: &str) -> anyhow::Result<()> {
    let server = serve(world, IN_TIME).await?;
    let mut answers = Vec::new();
    for _ in 0..CLIENTS {
        let mut connection = Connection::open(server.address(), Version::Http1).await?;
        let answer = connection
            .head(Request::get(HOST, &format!("/slow?{signal}")))
            .await?;
        ensure!(answer.status() == 200, "status {}", answer.status());
        answers.push((connection, answer));
    }
    server.signal(signal).await?;
    refused(server.address()).await;
    world.origin().release(signal);
    for (_connection, answer) in answers {
        let body = answer
            .into_body()
            .collect()
            .await
            .context("an answer was cut")?
            .to_bytes();
        ensure!(body == "begin gone", "got {body:?}");
    }
    let status = server.ended().await?;
    ensure!(status.success(), "ended with {status}");
    // The last word: how all of them ended.
    let is_end = |line: &serde_json::Value| line["msg"] == "ended";
    let end = server.log().first("`ended` event", is_end).await?;
    ensure!(end["requests"] == format!("ok {CLIENTS}"), "{end}");
    Ok(())
}

/// What the drain's deadline ends was taken away by the node: no client went away.
async fn aborted(world: &World) -> anyhow::Result<()> {
    let server = serve(world, TOO_SHORT).await?;
    let mut early = Connection::open(server.address(), Version::Http1).await?;
    let answer = early.head(Request::get(HOST, "/slow")).await?;
    ensure!(answer.status() == 200, "status {}", answer.status());
    let mut upload = TcpStream::connect(server.address()).await?;
    let head = format!("POST /upload HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 10\r\n\r\nabc");
    upload.write_all(head.as_bytes()).await?;
    // It is on its way once the next one is answered.
    Request::get(HOST, "/quick").send(server.address()).await?;
    server.terminate().await?;
    for (method, path) in [("GET", "/slow"), ("POST", "/upload")] {
        let record = server.record(HOST, method, path, 0).await?;
        ensure!(record["outcome"] == "reset", "{record}");
    }
    let status = server.ended().await?;
    ensure!(status.success(), "ended with {status}");
    drop((answer, upload));
    Ok(())
}

/// Clients that ask as fast as they can see no failure: a connection ends between two requests.
async fn under_load(world: &World, version: Version) -> anyhow::Result<()> {
    let server = serve(world, IN_TIME).await?;
    let answered = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(Notify::new());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (answered, enough) = (Arc::clone(&answered), Arc::clone(&enough));
        let mut connection = Connection::open(server.address(), version).await?;
        clients.spawn(async move {
            loop {
                let answer = match connection.exchange(Request::get(HOST, "/quick")).await {
                    Ok(answer) => answer,
                    Err(error) if never_sent(&error) => return Ok(()),
                    Err(error) => return Err(error),
                };
                ensure!(answer.broken.is_none(), "cut: {:?}", answer.broken);
                ensure!(answer.status == 200 && answer.body == "quick", "{answer:?}");
                if answered.fetch_add(1, Ordering::Relaxed) + 1 == BEFORE {
                    enough.notify_one();
                }
            }
        });
    }
    tokio::select! {
        () = enough.notified() => {}
        early = clients.join_next() => {
            early.context("no clients")???;
            bail!("a connection was closed before the signal");
        }
    }
    server.terminate().await?;
    while let Some(client) = clients.join_next().await {
        client?.context("a request failed while draining")?;
    }
    let status = server.ended().await?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

async fn serve(world: &World, drain: &str) -> anyhow::Result<Server> {
    let mut keys = function("worker.js", HOST);
    let vars = table([("ORIGIN", world.origin().url().into())]);
    keys.insert("vars".to_owned(), vars.into());
    let mut config = node(table([("drain", keys.into())]));
    merge(&mut config, egress_to_loopback());
    merge(
        &mut config,
        table([("server", table([("drain", drain.into())]).into())]),
    );
    Server::serve(&config, &[("worker.js", WORKER)]).await
}

/// Waits until nobody accepts any more: the drain has begun.
async fn refused(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Whether a request failed before a byte of it was on its way: the connection had been closed
/// between two requests, which is how a server says that it wants no more.
pub(super) fn never_sent(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_canceled() || error.is_closed() || is_go_away(error))
}

/// An HTTP/2 server that goes away in order has not looked at the streams that fail with it
/// (RFC 9113, 6.8).
fn is_go_away(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(|source| source.to_string().contains("not a result of an error"))
}
