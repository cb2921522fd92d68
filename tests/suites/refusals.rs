//! Requests that reach no function, in numbers: the log is not theirs to fill.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::area::{function, node, table};
use crate::harness::{Request, Server, World};

const FLOOD: usize = 3_000;

const WORKER: &str = "export default { fetch() { return new Response('hi'); } };\n";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial(
            "refusals::a_flood_is_counted_and_others_are_logged",
            async |_| flood("nowhere.test", 404).await,
        ),
        world.trial(
            "refusals::a_flood_at_a_function_that_takes_a_token_is_counted",
            async |_| flood("private.test", 401).await,
        ),
        world.trial(
            "refusals::a_flood_from_a_denied_address_is_counted",
            async |_| flood("denied.test", 403).await,
        ),
    ]
}

async fn flood(host: &str, status: u16) -> anyhow::Result<()> {
    let with_access = |host: &str, key: &str, value: toml::Value| {
        let mut keys = function("worker.js", host);
        keys.insert("access".to_owned(), table([(key, value)]).into());
        keys.into()
    };
    let functions = table([
        ("hello", function("worker.js", "hello.test").into()),
        (
            "private",
            with_access("private.test", "token", "file:token".into()),
        ),
        (
            "denied",
            with_access("denied.test", "deny", vec!["127.0.0.0/8"].into()),
        ),
    ]);
    let files = [("worker.js", WORKER), ("token", "preview-0123456789\n")];
    let server = Server::serve(&node(functions), &files).await?;
    let mut stream = TcpStream::connect(server.address()).await?;
    let (mut reader, mut writer) = stream.split();
    let request = format!("GET /x HTTP/1.1\r\nhost: {host}\r\n");
    let requests =
        format!("{request}\r\n").repeat(FLOOD - 1) + &format!("{request}connection: close\r\n\r\n");
    let begins = format!("HTTP/1.1 {status} ");
    let send = async {
        writer.write_all(requests.as_bytes()).await?;
        anyhow::Ok(())
    };
    let receive = async {
        let mut answers = String::new();
        reader.read_to_string(&mut answers).await?;
        anyhow::Ok(answers.matches(&begins).count())
    };
    let ((), answered) = tokio::try_join!(send, receive)?;
    ensure!(answered == FLOOD, "{answered} answers");
    let answer = Request::get("hello.test", "/")
        .send(server.address())
        .await?;
    ensure!(answer.status == 200, "{answer:?}");
    server.record("hello.test", "GET", "/", 0).await?;

    server.terminate().await?;
    server.ended().await?;
    let ended = |line: &Value| line["msg"] == "ended";
    server.log().first("the end", ended).await?;
    let records = server.log().records();
    let written = records.iter().filter(|record| record["host"] == host);
    let written = written.count();
    let warnings = server.log().events("warn");
    let left_out = warnings.iter().filter_map(|line| line["left_out"].as_u64());
    let left_out: u64 = left_out.sum();
    let left_out = usize::try_from(left_out).context("a number of requests")?;
    ensure!(written >= 1_000, "{written} are written");
    ensure!(
        left_out > 0 && written + left_out == FLOOD,
        "{written} {left_out}"
    );
    Ok(())
}
