//! What the node knows of those in front of it, and what it does on the way, changes with the file.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use toml::{Table, Value};

use super::site::{DEADLINE, Site, config, host};
use crate::harness::Request;
use crate::harness::area::{merge, table};

/// The site's one function, for clients of one network alone, behind a node with `server`.
fn behind<const N: usize>(server: [(&str, Value); N]) -> anyhow::Result<Table> {
    let mut config = config(&["a"]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    let access = table([("allow", vec!["192.0.2.0/24"].into())]);
    keys.insert("access".to_owned(), access.into());
    merge(&mut config, table([("server", table(server).into())]));
    Ok(config)
}

fn trusted() -> Value {
    vec!["127.0.0.1"].into()
}

/// A client's address counts as far as it is believed, for access and for its share.
pub(super) async fn proxies() -> anyhow::Result<()> {
    let site = Site::serve_as(&["a"], behind([])?).await?;
    let address = site.server.address();
    let asked = || {
        Request::get(&host("a"), "/")
            .header("x-forwarded-for", "192.0.2.7")
            .send(address)
    };
    let answer = asked().await?;
    ensure!(answer.status == 403, "{answer:?}");

    site.configure(&behind([
        ("trusted_proxies", trusted()),
        ("request_id_header", "x-request-id".into()),
    ])?)?;
    let begin = Instant::now();
    let answer = loop {
        let answer = asked().await?;
        if answer.status == 200 {
            break answer;
        }
        ensure!(begin.elapsed() < DEADLINE, "not believed: {answer:?}");
    };
    ensure!(answer.headers.contains_key("x-request-id"), "{answer:?}");
    let answer = Request::get(&host("a"), "/").send(address).await?;
    ensure!(answer.status == 403, "the proxy itself: {answer:?}");

    // The listener stays, and reads the header from then on.
    site.configure(&behind([
        ("trusted_proxies", trusted()),
        ("proxy_protocol", vec!["http"].into()),
    ])?)?;
    let begin = Instant::now();
    loop {
        let mut stream = TcpStream::connect(address).await?;
        let host = host("a");
        let sent = format!(
            "PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\nGET / HTTP/1.1\r\nhost: {host}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(sent.as_bytes()).await?;
        let mut answer = String::new();
        // One that is refused may be reset.
        let _ = stream.read_to_string(&mut answer).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
        ensure!(begin.elapsed() < DEADLINE, "not read: {answer}");
    }

    // Nobody is believed any more.
    site.configure(&behind([])?)?;
    let begin = Instant::now();
    while asked().await.map_or(true, |answer| answer.status != 403) {
        ensure!(begin.elapsed() < DEADLINE, "still believed");
    }
    Ok(())
}
