//! Clients that send their bodies byte by byte: they hold no isolate, and have an end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::area::{function, merge, node, table};
use crate::harness::{Request, Server, World};

const HOST: &str = "upload.test";

/// Clients that trickle.
const SLOW: usize = 8;

/// One byte each.
const PAUSE: Duration = Duration::from_millis(100);

const WORKER: &str = "export default {
  async fetch(request) {
    let bytes = 0;
    for await (const chunk of request.body ?? []) bytes += chunk.byteLength;
    return new Response(String(bytes));
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("uploads::that_trickle_hold_no_isolate", async |_| {
            trickle().await
        }),
        world.trial("uploads::that_trickle_have_an_end", async |_| end().await),
        world.trial("uploads::are_whole_whatever_is_read_ahead", async |_| {
            whole().await
        }),
    ]
}

/// A node whose function has one isolate.
async fn serve(keys: toml::Table) -> anyhow::Result<Server> {
    let mut hello = function("worker.js", HOST);
    let limits = table([("max_isolates", 1.into()), ("cpu", "5s".into())]);
    hello.insert("limits".to_owned(), limits.into());
    let mut config = node(table([("hello", hello.into())]));
    merge(&mut config, table([("server", keys.into())]));
    Server::serve(&config, &[("worker.js", WORKER)]).await
}

/// Sends a head, and then a byte now and then until there is an answer.
async fn send_slowly(server: &Server, fields: &str, byte: &[u8]) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address()).await?;
    let head = format!("POST /slow HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(byte).await?;
    Ok(stream)
}

async fn answer(mut stream: TcpStream, byte: &'static [u8]) -> anyhow::Result<String> {
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let trickle = async {
        while writer.write_all(byte).await.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        read = reader.read_to_end(&mut answer) => {
            // It may be reset behind the answer.
            let _ = read;
        }
        () = trickle => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn trickle() -> anyhow::Result<()> {
    let server = serve(table([])).await?;
    let mut slow = JoinSet::new();
    for n in 0..SLOW {
        let (fields, byte): (_, &'static [u8]) = if n % 2 == 0 {
            ("transfer-encoding: chunked", b"1\r\na\r\n")
        } else {
            ("content-length: 500000", b"a")
        };
        let stream = send_slowly(&server, fields, byte).await?;
        slow.spawn(answer(stream, byte));
    }
    // Were one of them in the isolate, nobody else would be for 30 s.
    for _ in 0..3 {
        let quick = Request::post(HOST, "/quick", "abc").send(server.address());
        let quick = tokio::time::timeout(Duration::from_secs(10), quick).await??;
        ensure!(quick.body == "3", "{quick:?}");
    }
    ensure!(slow.try_join_next().is_none(), "one is answered");
    server.assert_healthy().await
}

async fn end() -> anyhow::Result<()> {
    let server = serve(table([("upload_time", "500ms".into())])).await?;
    for (fields, byte) in [
        ("transfer-encoding: chunked", &b"1\r\na\r\n"[..]),
        ("content-length: 500000", b"a"),
        // Read whole, before anybody is asked.
        ("content-length: 1000", b"a"),
    ] {
        let stream = send_slowly(&server, fields, byte).await?;
        let answer = answer(stream, byte).await?;
        ensure!(answer.starts_with("HTTP/1.1 408 "), "{fields}: {answer}");
    }
    for n in 0..3 {
        let record = server.record(HOST, "POST", "/slow", n).await?;
        ensure!(
            record["outcome"] == "refused" && record["status"] == 408,
            "{record}"
        );
    }
    server.assert_healthy().await
}

async fn whole() -> anyhow::Result<()> {
    for ahead in ["0B", "100KiB", "1MiB"] {
        let server = serve(table([("upload_ahead", ahead.into())])).await?;
        for length in [16 << 10, 100 << 10, (1 << 20) + 1, 3 << 20] {
            let body = vec![b'a'; length];
            let answer = Request::post(HOST, "/", body)
                .send(server.address())
                .await?;
            ensure!(
                answer.body == length.to_string(),
                "{ahead} {length}: {answer:?}"
            );
        }
        server.assert_healthy().await?;
    }
    Ok(())
}
