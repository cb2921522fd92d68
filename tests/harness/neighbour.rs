//! A well-behaved function under steady load, next to whatever else the server has to bear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use tokio::task::JoinSet;

use super::client::{Connection, Request, Version};

/// Hostname of the neighbour.
pub(crate) const HOST: &str = "neighbour.test";

/// Pace of each of the clients: steady, and far from what the node can bear.
const PERIOD: Duration = Duration::from_millis(10);

/// Clients.
const CLIENTS: usize = 2;

/// Load on the neighbour until told to end.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<anyhow::Result<Vec<Duration>>>,
}

impl Load {
    /// Begins, once the neighbour has answered a first time.
    pub(crate) async fn begin(server: SocketAddr) -> anyhow::Result<Self> {
        ask(&mut Connection::open(server, Version::Http1).await?).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let stop = Arc::clone(&stop);
            clients.spawn(client(server, move |_| !stop.load(Ordering::Relaxed)));
        }
        Ok(Self { stop, clients })
    }

    /// Ends it. Fails if the neighbour saw a single error; gives its answer times otherwise.
    pub(crate) async fn end(mut self) -> anyhow::Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        while let Some(client) = self.clients.join_next().await {
            match client? {
                Ok(more) => times.extend(more),
                Err(error) => bail!("the neighbour saw an error: {error:#}"),
            }
        }
        ensure!(!times.is_empty(), "the neighbour was never asked");
        times.sort();
        Ok(times)
    }
}

/// The answer times of so many requests, one after the other at the same pace, sorted.
pub(crate) async fn times(server: SocketAddr, requests: usize) -> anyhow::Result<Vec<Duration>> {
    let mut times = client(server, move |asked| asked < requests).await?;
    times.sort();
    Ok(times)
}

/// Asks as long as `goes_on` says so of the number of requests so far.
async fn client(
    server: SocketAddr,
    goes_on: impl Fn(usize) -> bool,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = Connection::open(server, Version::Http1).await?;
    let mut pace = tokio::time::interval(PERIOD);
    let mut times = Vec::new();
    while goes_on(times.len()) {
        pace.tick().await;
        let begin = Instant::now();
        ask(&mut connection).await?;
        times.push(begin.elapsed());
    }
    Ok(times)
}

/// One request to the neighbour, whose answer must be right.
async fn ask(connection: &mut Connection) -> anyhow::Result<()> {
    let answer = connection.exchange(Request::get(HOST, "/")).await?;
    let body: serde_json::Value = match serde_json::from_slice(&answer.body) {
        Ok(body) => body,
        Err(_) => bail!(
            "{}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        ),
    };
    ensure!(answer.status == 200, "status {}: {body}", answer.status);
    ensure!(
        body["greeting"] == "hi" && body["polluted"] == 0,
        "a wrong answer: {body}"
    );
    Ok(())
}
