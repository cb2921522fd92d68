//! What comes before `holm serve` serves: the end, or a warning.

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::area::{function, merge, node, table};
use crate::harness::{Server, World, program};

const WORKER: &str = "export default { fetch() { return new Response('hi'); } };\n";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("listen::port_in_use", async |_| port_in_use().await),
        world.trial("listen::handlers_that_nothing_calls", async |_| {
            uncalled().await
        }),
        world.trial("listen::address_not_ours", async |_| {
            // TEST-NET-1, RFC 5737: on no machine.
            refused("192.0.2.1:8080", &["192.0.2.1:8080"]).await
        }),
    ]
}

/// The log says once what `holm check` warns of.
async fn uncalled() -> anyhow::Result<()> {
    let worker = WORKER.replace("fetch()", "scheduled() {}, fetch()");
    let config = node(table([(
        "hello",
        function("worker.js", "hello.test").into(),
    )]));
    let server = Server::serve(&config, &[("worker.js", &worker)]).await?;
    let warns = |line: &Value| {
        line["level"] == "warn" && line["function"] == "hello" && line["handler"] == "scheduled"
    };
    server.log().first("warning", warns).await?;
    server.assert_healthy().await
}

async fn port_in_use() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    refused(&address, &[&address, "in use"]).await
}

/// `holm serve` on this address ends with an error that says all of `parts`.
async fn refused(address: &str, parts: &[&str]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("worker.js"), WORKER)?;
    let mut config = node(table([(
        "hello",
        function("worker.js", "hello.test").into(),
    )]));
    merge(
        &mut config,
        table([("server", table([("http", address.into())]).into())]),
    );
    std::fs::write(folder.path().join("holm.toml"), toml::to_string(&config)?)?;
    let args = ["serve".to_owned(), "holm.toml".to_owned()];
    let finished = program::run(folder.path(), &args).await?;
    // 4 is "cannot listen": a script can tell it from a bad file or a broken function.
    let status = finished.status;
    ensure!(status.code() == Some(4), "{status}: {}", finished.stderr);
    for part in parts {
        ensure!(
            finished.stderr.contains(part),
            "no {part:?} in {}",
            finished.stderr
        );
    }
    ensure!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    Ok(())
}
