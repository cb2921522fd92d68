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
use crate::harness::{Request, Server, World};

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
    ]
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
