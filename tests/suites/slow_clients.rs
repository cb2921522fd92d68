//! Clients that ask a function for much and take nothing of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::{Connection, Request, Server, World};

const HOST: &str = "slow.test";

/// Bytes of an answer: more than the kernel takes for a client that reads nothing.
const LARGE: usize = 32 << 20;

/// How long it may take until the log has it, and until the client hears of it.
const DEADLINE: Duration = Duration::from_secs(20);

const WORKER: &str = "export default {
  fetch(request) {
    const length = Number(new URL(request.url).searchParams.get('length'));
    return new Response(new Uint8Array(length));
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("slow_clients::are_ended_beyond_the_budget", async |_| {
            beyond_the_budget().await
        }),
        world.trial(
            "slow_clients::of_all_kinds_cost_a_good_one_nothing",
            async |_| together().await,
        ),
    ]
}

/// Clients of each kind.
const EACH: usize = 80;

/// Requests of the good client, half of them on new connections.
const REQUESTS: usize = 200;

/// How a client is slow: what it sends at first, and what it sends then to be answered after all.
const KINDS: [(&str, &str, &str); 5] = [
    (
        "head",
        "GET /?length=5 HTTP/1.1\r\nhost: slow.test\r\nx: ",
        "\r\nconnection: close\r\n\r\n",
    ),
    (
        "body",
        "POST /?length=5 HTTP/1.1\r\nhost: slow.test\r\nconnection: close\r\ncontent-length: 20000\r\n\r\n",
        "",
    ),
    (
        "reader",
        "GET /?length=300000 HTTP/1.1\r\nhost: slow.test\r\nconnection: close\r\n\r\n",
        "",
    ),
    (
        "half-open",
        "GET /?length=300000 HTTP/1.1\r\nhost: slow.test\r\n\r\n",
        "",
    ),
    (
        "idle",
        "",
        "GET /?length=5 HTTP/1.1\r\nhost: slow.test\r\nconnection: close\r\n\r\n",
    ),
];

/// All of them at once, each within its limits: a good client is answered every time, and so are they in the end.
async fn together() -> anyhow::Result<()> {
    let mut config = node(table([("slow", function("worker.js", HOST).into())]));
    let keys = table([("max_connections", 1_000.into())]);
    merge(&mut config, table([("server", keys.into())]));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;
    let mut slow = Vec::new();
    for _ in 0..EACH {
        for kind in KINDS {
            let mut stream = TcpStream::connect(server.address()).await?;
            stream.write_all(kind.1.as_bytes()).await?;
            if kind.0 == "half-open" {
                stream.shutdown().await?;
            }
            slow.push((kind, stream));
        }
    }
    let mut kept = Connection::open(server.address(), Version::Http1).await?;
    for (number, (kind, stream)) in slow.iter_mut().take(REQUESTS).enumerate() {
        // They are not idle, either: a byte now and then.
        if matches!(kind.0, "head" | "body") {
            stream.write_all(b"a").await?;
        }
        let request = Request::get(HOST, "/?length=5");
        let answer = match number % 2 {
            0 => timeout(DEADLINE, kept.exchange(request)).await??,
            _ => timeout(DEADLINE, request.send(server.address())).await??,
        };
        ensure!(
            answer.status == 200 && answer.body.len() == 5,
            "{number}: {answer:?}"
        );
    }
    for (number, ((kind, _, rest), mut stream)) in slow.into_iter().enumerate() {
        if kind == "half-open" {
            // Whose side is shut later than behind its request has a second to take the answer.
            continue;
        }
        stream.write_all(rest.as_bytes()).await?;
        if kind == "body" {
            let sent = usize::from(number < REQUESTS);
            stream.write_all(&vec![b'a'; 20_000 - sent]).await?;
        }
        let mut answer = Vec::new();
        timeout(DEADLINE, stream.read_to_end(&mut answer)).await??;
        let is_whole = match kind {
            "reader" => answer.len() > 300_000,
            _ => answer.ends_with(&[0; 5]),
        };
        ensure!(
            is_whole && answer.starts_with(b"HTTP/1.1 200 "),
            "{kind} {number}: {} bytes, {}",
            answer.len(),
            String::from_utf8_lossy(&answer[..answer.len().min(200)])
        );
    }
    server.assert_healthy().await
}

/// The connection ends, the log says why, and others are answered all the while.
async fn beyond_the_budget() -> anyhow::Result<()> {
    let mut keys = function("worker.js", HOST);
    keys.insert("limits".to_owned(), table([("cpu", "5s".into())]).into());
    let mut config = node(table([("slow", keys.into())]));
    let budget = table([("max_unsent", "1MiB".into())]);
    merge(&mut config, table([("server", budget.into())]));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;

    let mut stalled = TcpStream::connect(server.address()).await?;
    let request = format!("GET /?length={LARGE} HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    stalled.write_all(request.as_bytes()).await?;
    let told = timeout(DEADLINE, others_until_told(&server)).await??;
    let message = told["msg"].as_str().unwrap_or_default();
    ensure!(
        message.contains("server.max_unsent") && told["limit"] == 1 << 20 && told["ended"] == 1,
        "{told}"
    );
    // What the kernel had for it may still come, but neither all nor a clean end.
    let mut piece = vec![0; 64 << 10];
    loop {
        match timeout(DEADLINE, stalled.read(&mut piece)).await? {
            Ok(0) => bail!("the answer ends as if it were whole"),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    server.assert_healthy().await
}

/// Others ask, and are answered, until the log has a warning, which is returned.
async fn others_until_told(server: &Server) -> anyhow::Result<Value> {
    loop {
        let answer = Request::get(HOST, "/?length=1000000")
            .send(server.address())
            .await?;
        ensure!(answer.status == 200 && answer.body.len() == 1_000_000);
        if let Some(told) = server.log().events("warn").pop() {
            return Ok(told);
        }
    }
}
