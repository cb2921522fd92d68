//! What a case file cannot say about HTTP: many streams at once, and bytes of our own making.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::log::is_record;
use crate::harness::{Connection, Request, Server, World};

const STREAMS: usize = 50;

/// How long the server may take to answer bytes that are no request, or to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(20);

const WORKER: &str = "export default {
  async fetch(request) {
    const { host, pathname } = new URL(request.url);
    if (pathname === '/stream') {
      let left = 5;
      return new Response(new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          controller.enqueue(new TextEncoder().encode(`[${left}]`));
          if (--left === 0) controller.close();
        },
      }));
    }
    const body = await request.text();
    return new Response(`[${host}${pathname} ${body}]`);
  },
};
";

/// Bytes that must be refused with 400, with no request run and the connection closed.
const REFUSED: [(&str, &str); 8] = [
    ("no_host", "GET / HTTP/1.1\r\n\r\n"),
    (
        "two_hosts",
        "GET / HTTP/1.1\r\nhost: one.test\r\nhost: two.test\r\n\r\n",
    ),
    (
        "host_unlike_target",
        "GET http://two.test/ HTTP/1.1\r\nhost: one.test\r\n\r\n",
    ),
    (
        "length_and_chunked",
        "POST / HTTP/1.1\r\nhost: one.test\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: one.test\r\n\r\n",
    ),
    (
        "two_lengths",
        "POST / HTTP/1.1\r\nhost: one.test\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
    ),
    (
        "length_with_plus",
        "POST / HTTP/1.1\r\nhost: one.test\r\ncontent-length: +4\r\n\r\nabcd",
    ),
    (
        "folded_header",
        "GET / HTTP/1.1\r\nhost: one.test\r\nx: a\r\n b\r\n\r\n",
    ),
    (
        "nul_in_header",
        "GET / HTTP/1.1\r\nhost: one.test\r\nx: a\0b\r\n\r\n",
    ),
];

/// Requests whose body never comes in full before the client closes, and what their records say.
const BROKEN_OFF: [(&str, &str, &str); 3] = [
    (
        "small_body",
        "POST /part HTTP/1.1\r\nhost: one.test\r\ncontent-length: 10\r\n\r\nabc",
        "canceled",
    ),
    (
        "large_body",
        "POST /part HTTP/1.1\r\nhost: one.test\r\ncontent-length: 1000000\r\n\r\nabc",
        "canceled",
    ),
    (
        "chunked_body",
        "POST /part HTTP/1.1\r\nhost: one.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "canceled",
    ),
];

/// Bytes behind which a client sends its FIN at once, and what the answers to them end in.
const SENT_WHOLE: [(&str, &str, &[&str]); 5] = [
    (
        "get",
        "GET /get HTTP/1.1\r\nhost: one.test\r\n\r\n",
        &["\r\n\r\n[one.test/get ]"],
    ),
    (
        "body",
        "POST /post HTTP/1.1\r\nhost: one.test\r\ncontent-length: 3\r\n\r\nabc",
        &["\r\n\r\n[one.test/post abc]"],
    ),
    (
        "chunked_body",
        "POST /post HTTP/1.1\r\nhost: one.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        &["\r\n\r\n[one.test/post abc]"],
    ),
    (
        "pipeline",
        "GET /a HTTP/1.1\r\nhost: one.test\r\n\r\nGET /b HTTP/1.1\r\nhost: two.test\r\n\r\n",
        &["\r\n\r\n[one.test/a ]", "\r\n\r\n[two.test/b ]"],
    ),
    (
        "streamed_answer",
        "GET /stream HTTP/1.1\r\nhost: one.test\r\n\r\n",
        &["[1]\r\n0\r\n\r\n"],
    ),
];

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = vec![
        world.trial("wire::http2_streams_at_once", async |_| streams().await),
        world.trial("wire::pipelined_requests_answer_in_order", async |_| {
            pipelined().await
        }),
        world.trial(
            "wire::leave_to_send_is_given_where_a_body_is_wanted",
            async |_| leave().await,
        ),
        world.trial("wire::sizes_and_times_are_those_of_the_file", async |_| {
            bounds().await
        }),
        world.trial("wire::frames_do_not_write_the_log", async |_| {
            frames().await
        }),
        world.trial("wire::slow_client_does_not_hold_others", async |_| {
            slow_client().await
        }),
    ];
    for (name, bytes, outcome) in BROKEN_OFF {
        let name = format!("wire::broken_off_{name}");
        let trial = async move |_| broken_off(bytes, outcome).await;
        trials.push(world.trial(name, trial));
    }
    for (name, bytes, bodies) in SENT_WHOLE {
        let name = format!("wire::sent_whole_{name}");
        trials.push(world.trial(name, async move |_| sent_whole(bytes, bodies).await));
    }
    for (name, bytes) in REFUSED {
        let name = format!("wire::refused_{name}");
        trials.push(world.trial(name, async move |_| refused(bytes).await));
    }
    trials
}

async fn serve() -> anyhow::Result<Server> {
    let functions = table([
        ("one", function("worker.js", "one.test").into()),
        ("two", function("worker.js", "two.test").into()),
    ]);
    Server::serve(&node(functions), &[("worker.js", WORKER)]).await
}

/// Streams of one HTTP/2 connection to two hostnames, all under way together.
async fn streams() -> anyhow::Result<()> {
    let server = serve().await?;
    let mut exchanges = JoinSet::new();
    let connection = Connection::open(server.address(), Version::Http2).await?;
    for index in 0..STREAMS {
        let mut connection = connection.another_stream()?;
        exchanges.spawn(async move {
            let host = if index % 2 == 0 {
                "one.test"
            } else {
                "two.test"
            };
            let request = Request::post(host, &format!("/{index}"), format!("body {index}"));
            let answer = connection.exchange(request).await?;
            let expected = format!("[{host}/{index} body {index}]");
            ensure!(
                answer.status == 200 && answer.body == expected,
                "{answer:?}"
            );
            anyhow::Ok(())
        });
    }
    while let Some(exchange) = exchanges.join_next().await {
        exchange??;
    }
    server.assert_healthy().await
}

async fn pipelined() -> anyhow::Result<()> {
    let server = serve().await?;
    let mut bytes = String::new();
    for index in 0..10 {
        let host = if index % 2 == 0 {
            "one.test"
        } else {
            "two.test"
        };
        bytes += &format!("GET /{index} HTTP/1.1\r\nhost: {host}\r\n");
        bytes += if index == 9 {
            "connection: close\r\n\r\n"
        } else {
            "\r\n"
        };
    }
    let answer = raw(server.address(), &bytes).await?;
    let mut rest = answer.as_str();
    for index in 0..10 {
        let host = if index % 2 == 0 {
            "one.test"
        } else {
            "two.test"
        };
        let expected = format!("[{host}/{index} ]");
        let at = rest
            .find(&expected)
            .with_context(|| format!("no {expected} in {answer}"))?;
        rest = &rest[at + expected.len()..];
    }
    server.assert_healthy().await
}

/// The sizes and times of `[server]`.
async fn bounds() -> anyhow::Result<()> {
    let mut config = node(table([("one", function("worker.js", "one.test").into())]));
    let keys = table([
        ("max_head", "4KiB".into()),
        ("head_time", "1s".into()),
        ("keep_alive", "2s".into()),
        ("upload_idle", "1s".into()),
        ("max_streams", 7.into()),
    ]);
    merge(&mut config, table([("server", keys.into())]));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;
    let to = server.address();
    let get = "GET / HTTP/1.1\r\nhost: one.test\r\n";
    let long = format!("{get}x: {}\r\n\r\n", "a".repeat(5_000));
    let body = "POST / HTTP/1.1\r\nhost: one.test\r\ncontent-length: 9\r\n\r\n123";
    let whole = format!("{get}\r\n");
    let (long, silent, half, body, kept) = tokio::try_join!(
        raw(to, &long),
        raw(to, ""),
        raw(to, get),
        raw(to, body),
        raw(to, &whole),
    )?;
    ensure!(long.starts_with("HTTP/1.1 431 "), "{long}");
    ensure!(silent.is_empty(), "{silent}");
    ensure!(half.starts_with("HTTP/1.1 408 "), "{half}");
    ensure!(body.starts_with("HTTP/1.1 408 "), "{body}");
    // And closed, long before it is by default.
    ensure!(kept.starts_with("HTTP/1.1 200 "), "{kept}");
    let mut socket = TcpStream::connect(to).await?;
    socket
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await?;
    let mut settings = [0; 64];
    let read = tokio::time::timeout(CLOSE_DEADLINE, socket.read(&mut settings)).await??;
    // SETTINGS_MAX_CONCURRENT_STREAMS, and SETTINGS_MAX_HEADER_LIST_SIZE.
    for setting in [[0, 3, 0, 0, 0, 7], [0, 6, 0, 0, 16, 0]] {
        let mut seen = settings[..read].windows(6);
        ensure!(seen.any(|seen| seen == setting), "{:?}", &settings[..read]);
    }
    server.assert_healthy().await
}

/// `Expect: 100-continue` spares a client sending what is refused.
async fn leave() -> anyhow::Result<()> {
    let mut small = function("worker.js", "small.test");
    let limits = table([("request_body", "1KiB".into())]);
    small.insert("limits".to_owned(), limits.into());
    let mut closed = function("worker.js", "closed.test");
    let access = table([("deny", vec!["127.0.0.0/8"].into())]);
    closed.insert("access".to_owned(), access.into());
    let functions = table([
        ("one", function("worker.js", "one.test").into()),
        ("small", small.into()),
        ("closed", closed.into()),
    ]);
    let server = Server::serve(&node(functions), &[("worker.js", WORKER)]).await?;
    let body = "b".repeat(50_000);
    for (host, expect, begins) in [
        ("one.test", "100-continue", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("one.test", "a-pony", "HTTP/1.1 417 "),
        ("small.test", "100-continue", "HTTP/1.1 413 "),
        ("closed.test", "100-continue", "HTTP/1.1 403 "),
        ("nowhere.test", "100-continue", "HTTP/1.1 404 "),
    ] {
        let mut socket = TcpStream::connect(server.address()).await?;
        let head = format!(
            "POST /p HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nexpect: {expect}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await?;
        let mut answer = vec![0; begins.len()];
        let read = socket.read_exact(&mut answer);
        tokio::time::timeout(CLOSE_DEADLINE, read).await??;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        ensure!(answer == begins, "{host} {expect}: {answer}");
        if begins.contains(" 100 ") {
            socket.write_all(body.as_bytes()).await?;
        }
        let mut rest = String::new();
        let read = socket.read_to_string(&mut rest);
        tokio::time::timeout(CLOSE_DEADLINE, read).await??;
        ensure!(
            rest.ends_with("b]") == begins.contains(" 100 "),
            "{host} {expect}: {rest}"
        );
    }
    server.assert_healthy().await
}

/// A client could fill the log with what it costs nothing to send.
async fn frames() -> anyhow::Result<()> {
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &str = "\0\0\0\u{4}\0\0\0\0\0";
    // The answer to a PING that nobody sent, and at the end one of a length that no PING has.
    const ANSWER: &str = "\0\0\u{8}\u{6}\u{1}\0\0\0\0abcdefgh";
    const END: &str = "\0\0\0\u{6}\0\0\0\0\0";
    let server = serve().await?;
    let bytes = format!("{PREFACE}{SETTINGS}{}{END}", ANSWER.repeat(100));
    raw(server.address(), &bytes).await?;
    let request = Request::get("one.test", "/next");
    request.send(server.address()).await?;
    server.record("one.test", "GET", "/next", 0).await?;
    let told = server.log().events("warn");
    ensure!(told.is_empty(), "the log says {told:?}");
    server.assert_healthy().await
}

/// A client that sends half a head, and one that never reads, cost the others nothing.
async fn slow_client() -> anyhow::Result<()> {
    let server = serve().await?;
    let mut half = TcpStream::connect(server.address()).await?;
    half.write_all(b"GET / HTTP/1.1\r\nhost: one.te").await?;
    let mut deaf = TcpStream::connect(server.address()).await?;
    deaf.write_all(b"GET / HTTP/1.1\r\nhost: one.test\r\n\r\n")
        .await?;
    for index in 0..20 {
        let answer = Request::get("one.test", &format!("/{index}"))
            .send(server.address())
            .await?;
        ensure!(answer.status == 200, "status {}", answer.status);
    }
    half.write_all(b"st\r\nconnection: close\r\n\r\n").await?;
    let mut late = String::new();
    tokio::time::timeout(CLOSE_DEADLINE, half.read_to_string(&mut late)).await??;
    ensure!(late.contains("[one.test/ ]"), "got {late:?}");
    server.assert_healthy().await
}

async fn refused(bytes: &str) -> anyhow::Result<()> {
    let server = serve().await?;
    let answer = raw(server.address(), bytes).await?;
    ensure!(answer.starts_with("HTTP/1.1 400 "), "got {answer:?}");
    ensure!(
        answer.matches("HTTP/1.1 ").count() == 1,
        "more than one answer: {answer:?}"
    );
    let next = Request::get("one.test", "/next")
        .send(server.address())
        .await?;
    ensure!(next.body == "[one.test/next ]", "got {:?}", next.body);
    // That it was refused is on record.
    let is_refused = |line: &serde_json::Value| is_record(line) && line["outcome"] == "refused";
    let record = server.log().first("record of it", is_refused).await?;
    ensure!(record["status"] == 400, "{record}");
    ensure!(record.get("function").is_none(), "{record}");
    // Only that last one reached a function.
    server.record("one.test", "GET", "/next", 0).await?;
    let records = server.log().records();
    let ran = records
        .iter()
        .filter(|record| record["outcome"] == "ok")
        .count();
    ensure!(ran == 1, "{ran} requests ran: {records:?}");
    server.assert_healthy().await
}

/// A client that leaves in the middle of its body leaves a record.
async fn broken_off(bytes: &str, outcome: &str) -> anyhow::Result<()> {
    let server = serve().await?;
    let mut socket = TcpStream::connect(server.address()).await?;
    socket.write_all(bytes.as_bytes()).await?;
    // It has been read once another client is answered.
    Request::get("one.test", "/next")
        .send(server.address())
        .await?;
    drop(socket);
    let record = server.record("one.test", "POST", "/part", 0).await?;
    ensure!(record["outcome"] == outcome, "{record}");
    server.assert_healthy().await
}

/// The end of a client's side is not its going away: it is answered, and the requests have records
/// as any have.
async fn sent_whole(bytes: &str, bodies: &[&str]) -> anyhow::Result<()> {
    let server = serve().await?;
    let mut socket = TcpStream::connect(server.address()).await?;
    socket.write_all(bytes.as_bytes()).await?;
    socket.shutdown().await?;
    let mut answer = String::new();
    let read = socket.read_to_string(&mut answer);
    tokio::time::timeout(CLOSE_DEADLINE, read).await??;
    let mut rest = answer.as_str();
    for body in bodies {
        let (_, behind) = rest
            .split_once(body)
            .with_context(|| format!("no {body:?} in {answer:?}"))?;
        rest = behind;
    }
    ensure!(rest.is_empty(), "more than the answers: {answer:?}");
    for (method, path) in requests(bytes) {
        let host = if path == "/b" { "two.test" } else { "one.test" };
        let record = server.record(host, method, path, 0).await?;
        ensure!(record["outcome"] == "ok", "the record is {record}");
    }
    server.assert_healthy().await
}

/// Methods and paths of the requests in these bytes.
fn requests(bytes: &str) -> impl Iterator<Item = (&str, &str)> {
    bytes.lines().filter_map(|line| {
        let (method, path) = line.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
        Some((method, path))
    })
}

/// Sends bytes and reads until the server closes.
async fn raw(to: SocketAddr, bytes: &str) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(to).await?;
    socket.write_all(bytes.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        loop {
            match socket.read(&mut buffer).await {
                Ok(0) => return,
                Ok(length) => answer.extend_from_slice(&buffer[..length]),
                // Closing with unread bytes resets the connection; the answer came before.
                Err(_) => return,
            }
        }
    };
    if tokio::time::timeout(CLOSE_DEADLINE, read).await.is_err() {
        bail!(
            "not closed after {CLOSE_DEADLINE:?}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
