//! Kept-alive connections that change the hostname with every request.

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::Value as Json;
use tokio::task::JoinSet;
use toml::Table;

use crate::harness::area::{function, node, table};
use crate::harness::client::Version;
use crate::harness::{Connection, Request, Server, World};

const HOSTS: usize = 20;
const CONNECTIONS: usize = 4;
const REQUESTS: usize = 1_000;

const WORKER: &str = "export default {
  fetch(request, env) {
    return Response.json({ name: env.NAME, path: new URL(request.url).pathname });
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("keep_alive::1000_requests_over_20_hosts", async |_| {
            interleaved().await
        }),
    ]
}

/// Every request is answered by the function of its hostname, on connections that never close.
async fn interleaved() -> anyhow::Result<()> {
    let mut functions = Table::new();
    for index in 0..HOSTS {
        let mut keys = function("worker.js", &host(index));
        keys.insert(
            "vars".to_owned(),
            table([("NAME", name(index).into())]).into(),
        );
        functions.insert(name(index), keys.into());
    }
    let config = node(functions);
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;

    let mut clients = JoinSet::new();
    for client in 0..CONNECTIONS {
        let address = server.address();
        clients.spawn(async move {
            let mut connection = Connection::open(address, Version::Http1).await?;
            for request in (client..REQUESTS).step_by(CONNECTIONS) {
                // Steps through all hosts in an order that is different for each connection.
                let index = (request * (2 * client + 3)) % HOSTS;
                let path = format!("/{request}");
                let answer = connection
                    .exchange(Request::get(&host(index), &path))
                    .await?;
                let body: Json = serde_json::from_slice(&answer.body)?;
                ensure!(
                    answer.status == 200 && body["name"] == name(index) && body["path"] == path,
                    "request {request} to {}: {} {body}",
                    host(index),
                    answer.status,
                );
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }

    // One record each, with the name of the function that the hostname says.
    let is_record = |line: &Json| line["type"] == "request";
    server
        .log()
        .nth("1,000th record", REQUESTS - 1, is_record)
        .await?;
    let records = server.log().records();
    ensure!(records.len() == REQUESTS, "{} records", records.len());
    for record in records {
        let host = record["host"].as_str().unwrap_or_default();
        let function = record["function"].as_str().unwrap_or_default();
        ensure!(
            host.strip_suffix(".hosts.test") == Some(function) && record["outcome"] == "ok",
            "a wrong record: {record}",
        );
    }
    server.assert_healthy().await
}

fn name(index: usize) -> String {
    format!("site-{index}")
}

fn host(index: usize) -> String {
    format!("site-{index}.hosts.test")
}
