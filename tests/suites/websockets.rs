//! WebSockets from end to end: messages both ways, how they end, and what they may cost.

mod costs;
mod early;
mod ends;

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use toml::{Table, Value};

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::websocket::{Ended, WebSocket, ask, frame, raw};
use crate::harness::{Request, Server, World};

const HOST: &str = "ws.test";

/// What a client asks for by the path, and says to it.
const WORKER: &str = r#"
let served = 0;
export default {
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/served") return new Response(`${served}`);
    served++;
    if (pathname === "/bare") return new Response(null, { status: 101 });
    if (pathname === "/pair") return pair();
    const { 0: client, 1: server } = new WebSocketPair();
    if (pathname === "/status") return new Response(null, { webSocket: client });
    if (pathname === "/early") {
      server.accept();
      server.send("first");
      server.send("second");
    } else if (pathname === "/accepted") {
      client.accept();
    } else if (pathname === "/late") {
      setTimeout(() => server.accept(), 50);
    } else if (pathname !== "/deaf") {
      server.accept();
    }
    if (pathname === "/bye") server.close(4001, "bye");
    if (pathname === "/tick") {
      let count = 0;
      const timer = setInterval(() => {
        server.send(`tick ${++count}`);
        if (count === 3) clearInterval(timer);
      }, 5);
    }
    if (pathname === "/flood") {
      server.addEventListener("message", () => {
        let sent = 0;
        const bytes = new Uint8Array(65536);
        try {
          for (;;) {
            server.send(bytes);
            sent++;
          }
        } catch (error) {
          console.log(`${error.name} after ${sent}, ${server.bufferedAmount > 0}`);
        }
      });
    } else if (pathname === "/burn") {
      server.addEventListener("message", ({ data }) => {
        const until = Number(data);
        let rounds = 0;
        for (; rounds < until * 1e6; rounds++) Math.sqrt(rounds);
        server.send("burnt");
      });
    } else if (pathname === "/timer") {
      server.addEventListener("message", () => setTimeout(() => { for (;;); }, 10));
    } else if (pathname === "/log") {
      server.addEventListener("message", async ({ data }) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        console.log(data);
        server.send("logged");
      });
    } else {
      server.addEventListener("message", async ({ data }) => {
        if (data === "loop") for (;;);
        if (data === "throw") throw new Error("thrown in a listener");
        if (data === "close") return server.close(1000, "done");
        if (data === "fetch") {
          const response = await fetch(env.ORIGIN + "/echo");
          return server.send(`${response.status}`);
        }
        if (data === "served") return server.send(`${served}`);
        server.send(data);
        if (typeof data !== "string" && !(data instanceof ArrayBuffer)) throw new Error("no buffer");
      });
    }
    server.addEventListener("close", ({ code, reason, wasClean }) => {
      console.log(`close ${code} ${reason} ${wasClean} ${server.readyState}`);
    });
    return new Response(null, { status: 101, webSocket: client, headers: { "x-own": "yes" } });
  },
};

async function pair() {
  const [one, other] = new WebSocketPair();
  const said = [];
  one.accept();
  one.send("before");
  other.onmessage = ({ data }) => {
    said.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
    if (data === "before") other.send("heard");
  };
  const closed = new Promise((resolve) => other.onclose = ({ code, reason }) => resolve([code, reason]));
  const heard = new Promise((resolve) => one.addEventListener("message", ({ data }) => resolve(data)));
  other.accept();
  said.push(await heard);
  one.send(new Uint8Array([1, 2]));
  one.close(3000, "enough");
  said.push(await closed, one.readyState, other.readyState);
  return Response.json(said);
}
"#;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = vec![
        world.trial("websockets::echo", async |_| echo().await),
        world.trial("websockets::fragments", async |_| fragments().await),
        world.trial("websockets::compressed", async |_| compressed().await),
        world.trial("websockets::over_http2", async |_| over_http2().await),
        world.trial("websockets::said_before_the_answer", async |_| {
            early().await
        }),
        world.trial("websockets::timers_and_fetch_go_on", async |world| {
            going_on(&world).await
        }),
        world.trial("websockets::a_pair_within_one_isolate", async |_| {
            within().await
        }),
        world.trial("websockets::mistakes_are_told", async |_| mistakes().await),
        world.trial("websockets::openings_that_are_none", async |_| {
            openings().await
        }),
        world.trial(
            "websockets::nothing_is_smuggled_behind_an_upgrade",
            async |_| smuggling().await,
        ),
        world.trial("websockets::as_a_client", async |_| as_a_client().await),
        world.trial("websockets::said_with_the_answer", async |_| {
            early::early().await
        }),
    ];
    trials.extend(ends::trials(world));
    trials.extend(costs::trials(world));
    trials
}

/// A server with the worker under these limits and keys.
async fn serve(limits: Table, server: Table) -> anyhow::Result<Server> {
    serve_with(limits, server, Table::new()).await
}

async fn serve_with(limits: Table, server: Table, keys: Table) -> anyhow::Result<Server> {
    let mut own = function("worker.js", HOST);
    own.insert("limits".to_owned(), limits.into());
    merge(&mut own, keys);
    let mut config = node(table([("ws", own.into())]));
    merge(&mut config, egress_to_loopback());
    merge(&mut config, table([("server", server.into())]));
    Server::serve(&config, &[("worker.js", WORKER)]).await
}

/// The lines of a record.
fn lines(record: &serde_json::Value) -> Vec<String> {
    let lines = record["logs"].as_array().into_iter().flatten();
    lines
        .filter_map(|line| line["message"].as_str().map(str::to_owned))
        .collect()
}

/// Text and bytes of all lengths come back as they were, in order; and the record has them.
async fn echo() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let mut socket = WebSocket::open(server.address(), HOST, "/echo?x=1").await?;
    let mut bytes = 0;
    for length in [0, 1, 125, 126, 4_096, 65_535, 65_536, 200_000, 1 << 20] {
        let text = "å".repeat(length / 2);
        let binary = vec![0xA5; length];
        bytes += text.len() + binary.len();
        for message in [Message::text(text), Message::binary(binary)] {
            socket.send(message.clone()).await?;
            let next = socket.next().await?;
            ensure!(next == Ok(message), "another message of {length}");
        }
    }
    // Many at once.
    for index in 0..1_000 {
        socket.send(format!("{index}").as_str()).await?;
    }
    for index in 0..1_000 {
        let next = socket.next().await?;
        ensure!(next == Ok(Message::text(format!("{index}"))), "{next:?}");
        bytes += format!("{index}").len();
    }
    socket.0.close(None).await?;
    ensure!(socket.ended().await? == Ended::Closed(1005, String::new()));
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    let expected = json!({ "received": 1_018, "sent": 1_018, "code": 1005 });
    ensure!(
        record["outcome"] == "ok"
            && record["status"] == 101
            && record["websocket"] == expected
            && record["bytesIn"] == bytes
            && record["bytesOut"] == bytes
            && record["cpuUs"].as_u64() > Some(0),
        "{record}"
    );
    ensure!(lines(&record) == ["close 1005  true 3"], "{record}");
    server.assert_healthy().await
}

/// Fragments, with a ping between them, cut into single bytes.
async fn fragments() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let mut stream = raw(server.address(), HOST, "/echo").await?;
    let wire = [
        frame(0x01, "aå".as_bytes()),
        frame(0x00, &"å".as_bytes()[..1]),
        frame(0x89, b"are you there"),
        frame(0x00, &"å".as_bytes()[1..]),
        frame(0x80, b""),
    ]
    .concat();
    for byte in wire {
        stream.write_all(&[byte]).await?;
    }
    let expected = [&b"\x8a\x0dare you there\x81\x05"[..], "aåå".as_bytes()].concat();
    let mut came = vec![0; expected.len()];
    stream.read_exact(&mut came).await?;
    ensure!(came == expected, "{came:x?}");
    Ok(())
}

/// A client that can is sent compressed messages, and may send them.
async fn compressed() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let (head, mut stream) = ask(server.address(), HOST, "/echo", offer).await?;
    let agreed = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
                  client_no_context_takeover\r\n";
    ensure!(
        head.contains(agreed) && head.contains("x-own: yes"),
        "{head}"
    );
    // `Hello`, as RFC 7692 (7.2.3.1) has it.
    let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    stream.write_all(&frame(0xC1, &hello)).await?;
    let mut came = [0; 7];
    stream.read_exact(&mut came).await?;
    ensure!(&came == b"\x81\x05Hello", "{came:x?}");
    stream.write_all(&frame(0x81, &[b'a'; 10_000])).await?;
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    ensure!(
        head[0] == 0xC1 && head[1] < 126,
        "not compressed: {head:x?}"
    );

    let off = table([("websocket_compression", false.into())]);
    let server = serve(Table::new(), off).await?;
    let (head, _stream) = ask(server.address(), HOST, "/echo", offer).await?;
    ensure!(!head.contains("sec-websocket-extensions"), "{head}");
    Ok(())
}

/// RFC 8441: sockets as streams, beside requests.
async fn over_http2() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let stream = TcpStream::connect(server.address()).await?;
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    // Its settings come with the first answer.
    let first = http::Request::get(format!("http://{HOST}/served")).body(Empty::<&[u8]>::new())?;
    client.send_request(first).await?;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let request = http::Request::connect(format!("http://{HOST}/echo"))
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<&[u8]>::new())?;
        let mut response = client.send_request(request).await?;
        ensure!(response.status() == 200, "{response:?}");
        ensure!(response.headers()["x-own"] == "yes", "{response:?}");
        let upgraded = hyper::upgrade::on(&mut response).await?;
        let io = TokioIo::new(upgraded);
        sockets.push(WebSocket(
            WebSocketStream::from_raw_socket(io, Role::Client, None).await,
        ));
    }
    let long = "x".repeat(500_000);
    for socket in &mut sockets {
        socket.exchange("hello", "hello").await?;
        socket.exchange(&long, &long).await?;
    }
    let [one, other, third] = &mut sockets[..] else {
        anyhow::bail!("three sockets");
    };
    one.send("close").await?;
    ensure!(one.ended().await? == Ended::Closed(1000, "done".into()));
    other.0.close(None).await?;
    other.ended().await?;
    third.exchange("still", "still").await?;
    connection.abort();
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    ensure!(
        record["outcome"] == "ok" && record["status"] == 101,
        "{record}"
    );
    let is_lost = |line: &serde_json::Value| line["websocket"]["code"] == 1006;
    let lost = server.log().first("the lost one's record", is_lost).await?;
    ensure!(lost["outcome"] == "canceled", "{lost}");
    server.assert_healthy().await
}

/// What a function says before it answers comes, and what comes before it accepts is heard.
async fn early() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let mut socket = WebSocket::open(server.address(), HOST, "/early").await?;
    for text in ["first", "second"] {
        let next = socket.next().await?;
        ensure!(next == Ok(Message::text(text)), "{next:?}");
    }
    socket.exchange("third", "third").await?;
    let mut late = WebSocket::open(server.address(), HOST, "/late").await?;
    for text in ["a", "b"] {
        late.send(text).await?;
    }
    for text in ["a", "b"] {
        let next = late.next().await?;
        ensure!(next == Ok(Message::text(text)), "{next:?}");
    }
    let mut bye = WebSocket::open(server.address(), HOST, "/bye").await?;
    ensure!(bye.ended().await? == Ended::Closed(4001, "bye".into()));
    Ok(())
}

/// Timers, requests and log lines of a socket are its own, also beside requests that end.
async fn going_on(world: &World) -> anyhow::Result<()> {
    let vars = table([("ORIGIN", world.origin().url().into())]);
    let limits = table([("subrequests", 2.into()), ("max_isolates", 1.into())]);
    let server = serve_with(limits, Table::new(), table([("vars", vars.into())])).await?;
    let mut ticks = WebSocket::open(server.address(), HOST, "/tick").await?;
    let mut log = WebSocket::open(server.address(), HOST, "/log").await?;
    let mut socket = WebSocket::open(server.address(), HOST, "/echo").await?;
    for count in 1..=3 {
        // A request that ends takes its own with it, and nothing of theirs.
        Request::get(HOST, "/served").send(server.address()).await?;
        let next = ticks.next().await?;
        ensure!(
            next == Ok(Message::text(format!("tick {count}"))),
            "{next:?}"
        );
    }
    // Each message is as good as a request.
    for _ in 0..5 {
        socket.send("fetch").await?;
        let next = socket.next().await?;
        ensure!(matches!(&next, Ok(Message::Text(_))), "{next:?}");
    }
    socket.send("throw").await?;
    socket.exchange("still there", "still there").await?;
    log.exchange("a line", "logged").await?;
    for socket in [&mut log, &mut socket] {
        socket.0.close(None).await?;
        socket.ended().await?;
    }
    let record = server.record(HOST, "GET", "/log", 0).await?;
    ensure!(
        lines(&record).first().is_some_and(|line| line == "a line"),
        "{record}"
    );
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    ensure!(
        record["subrequests"] == 5 && record["outcome"] == "ok",
        "{record}"
    );
    let thrown = lines(&record)
        .iter()
        .any(|line| line.contains("thrown in a listener"));
    ensure!(thrown, "{record}");
    Ok(())
}

async fn within() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let answer = Request::get(HOST, "/pair").send(server.address()).await?;
    let said: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let expected = json!(["before", "heard", [1, 2], [3000, "enough"], 2, 3]);
    ensure!(said == expected, "{said}");
    Ok(())
}

/// What a function does wrong, it is told.
async fn mistakes() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    for (path, upgrades, said) in [
        (
            "/echo",
            false,
            "the request does not ask for one: it has no `Upgrade: websocket`",
        ),
        (
            "/bare",
            true,
            "a Response with status 101 needs a WebSocket",
        ),
        (
            "/status",
            true,
            "a Response with a webSocket has status 101",
        ),
        ("/accepted", true, "accept its other end"),
    ] {
        let status = if upgrades {
            let (head, _) = ask(server.address(), HOST, path, "").await?;
            head.split(' ').nth(1).context("a status")?.parse()?
        } else {
            Request::get(HOST, path)
                .send(server.address())
                .await?
                .status
                .as_u16()
        };
        ensure!(status == 500, "{path}: {status}");
        let record = server.record(HOST, "GET", path, 0).await?;
        let error = record["error"].to_string();
        ensure!(
            record["outcome"] == "exception" && error.contains(said),
            "{record}"
        );
    }
    server.assert_healthy().await
}

/// Requests that ask for a socket as nobody may.
async fn openings() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    for (fields, status) in [
        ("sec-websocket-version: 13\r\n", 400),
        (
            "sec-websocket-version: 13\r\nsec-websocket-key: AAAA\r\n",
            400,
        ),
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 426),
        (
            "sec-websocket-version: 8\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            426,
        ),
    ] {
        let mut stream = TcpStream::connect(server.address()).await?;
        let head = format!(
            "GET /echo HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n{fields}\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let head = crate::harness::websocket::head_of(&mut stream).await?;
        let begins = format!("HTTP/1.1 {status} ");
        ensure!(head.starts_with(&begins), "{fields}: {head}");
        ensure!(
            status != 426 || head.contains("sec-websocket-version: 13"),
            "{head}"
        );
    }
    // What does not ask for one is any request; so is one that asks, and is answered otherwise.
    let (head, _) = ask(server.address(), HOST, "/served", "").await?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(())
}

/// What comes behind an upgrade is never read as a request; behind one that came to nothing it is.
async fn smuggling() -> anyhow::Result<()> {
    let server = serve(Table::new(), Table::new()).await?;
    let second = format!("GET /served?smuggled HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let upgrade = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(server.address()).await?;
    stream
        .write_all((upgrade("/echo") + &second).as_bytes())
        .await?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await?;
    let text = String::from_utf8_lossy(&all);
    ensure!(
        text.starts_with("HTTP/1.1 101 ") && !text.contains("HTTP/1.1 200"),
        "{text}"
    );
    let record = server.record(HOST, "GET", "/echo", 0).await?;
    ensure!(record["websocket"]["code"] == 1002, "{record}");
    ensure!(server.log().records().len() == 1, "a second request ran");

    let mut stream = TcpStream::connect(server.address()).await?;
    let both = upgrade("/served") + &second.replace("host", "connection: close\r\nhost");
    stream.write_all(both.as_bytes()).await?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await?;
    let count = String::from_utf8_lossy(&all)
        .matches("HTTP/1.1 200")
        .count();
    ensure!(count == 2, "{count} answers");
    server.assert_healthy().await
}

const CLIENT: &str = r#"
export default {
  async fetch(request) {
    const said = [];
    const url = new URL(request.url).searchParams.get("url");
    if (new URL(request.url).pathname === "/fetch") {
      const response = await fetch(url.replace("ws:", "http:"), { headers: { Upgrade: "websocket" } });
      const socket = response.webSocket;
      if (socket === null) return Response.json([response.status]);
      socket.accept();
      const heard = new Promise((resolve) => socket.addEventListener("message", resolve));
      const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
      socket.send("hello");
      const { data } = await heard;
      socket.close(1000, "enough");
      const { code, wasClean } = await closed;
      return Response.json([response.status, data, code, wasClean]);
    }
    const socket = new WebSocket(url, ["chat", "other"]);
    said.push(socket.readyState);
    const end = await new Promise((resolve) => {
      socket.onopen = () => {
        said.push(`open ${socket.readyState} ${socket.protocol}`);
        socket.send("hello");
      };
      socket.onmessage = ({ data }) => {
        said.push(data);
        socket.send("close");
      };
      socket.onerror = ({ message }) => said.push(message);
      socket.onclose = ({ code, reason, wasClean }) => resolve(`${code} ${reason} ${wasClean}`);
    });
    return Response.json([...said, end]);
  },
};
"#;

/// A function that opens one itself, to another of this node.
async fn as_a_client() -> anyhow::Result<()> {
    let mut config = node(table([
        ("ws", function("worker.js", HOST).into()),
        ("client", function("client.js", "client.test").into()),
    ]));
    merge(&mut config, egress_to_loopback());
    let files = [("worker.js", WORKER), ("client.js", CLIENT)];
    let server = Server::serve(&config, &files).await?;
    let port = server.address().port();
    // Over a connection: the other node's port is not this one's.
    let everywhere = table([("routes", Value::Array(vec!["*".into()]))]);
    let other = serve_with(Table::new(), Table::new(), everywhere).await?;
    let outside = format!("ws://{}/echo", other.address());
    for (path, url, expected) in [
        ("fetch", outside.clone(), json!([101, "hello", 1000, true])),
        (
            "fetch",
            format!("ws://{HOST}:{port}/echo"),
            json!([101, "hello", 1000, true]),
        ),
        ("fetch", format!("ws://{HOST}:{port}/served"), json!([200])),
        (
            "",
            format!("ws://{HOST}:{port}/echo"),
            json!([0, "open 1 ", "hello", "1000 done true"]),
        ),
        (
            "",
            outside,
            json!([0, "open 1 ", "hello", "1000 done true"]),
        ),
        (
            "",
            format!("ws://{HOST}:{port}/served"),
            json!([
                0,
                "the server does not make it a WebSocket: it answered with status 200",
                "1006  false"
            ]),
        ),
    ] {
        let path = format!("/{path}?url={url}");
        let answer = Request::get("client.test", &path)
            .send(server.address())
            .await?;
        let said: serde_json::Value =
            serde_json::from_slice(&answer.body).with_context(|| format!("{answer:?}"))?;
        ensure!(said == expected, "{said}");
    }
    server.assert_healthy().await
}

fn count(value: i64) -> Value {
    value.into()
}
