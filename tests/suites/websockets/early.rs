//! What a server says in one breath with the answer that opens a function's WebSocket: its end, too.

use anyhow::{Context as _, ensure};
use holm_router::websocket::accept_key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::{Request, Server};

const CLIENT: &str = r#"
export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const url = search.slice(1);
    const isFetched = pathname === "/fetch";
    const socket = isFetched
      ? (await fetch(url, { headers: { upgrade: "websocket" } })).webSocket
      : new WebSocket(url.replace("http:", "ws:"));
    const heard = [];
    socket.addEventListener("open", () => heard.push("open"));
    socket.addEventListener("message", ({ data }) => heard.push(data));
    const closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code }) => resolve(heard.push(code)));
    });
    if (isFetched) socket.accept();
    await closed;
    return Response.json(heard);
  },
};
"#;

pub(super) async fn early() -> anyhow::Result<()> {
    let mut config = node(table([(
        "client",
        function("client.js", "client.test").into(),
    )]));
    merge(&mut config, egress_to_loopback());
    let server = Server::serve(&config, &[("client.js", CLIENT)]).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let talk = tokio::spawn(async move {
        loop {
            answer(&listener).await?;
        }
        #[allow(unreachable_code, reason = "says what `?` is to return")]
        anyhow::Ok(())
    });
    for (path, expected) in [
        ("/fetch", r#"["one","two",1000]"#),
        ("/", r#"["open","one","two",1000]"#),
    ] {
        let path = format!("{path}?{url}");
        let answer = Request::get("client.test", &path)
            .send(server.address())
            .await?;
        ensure!(answer.body == expected, "{path}: {answer:?}");
    }
    talk.abort();
    server.assert_healthy().await
}

/// Opens the WebSocket that is asked for, says two things, and goodbye, in one piece.
async fn answer(listener: &TcpListener) -> anyhow::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "))
        .with_context(|| head.clone())?;
    let mut all = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {}\r\n\r\n",
        accept_key(key.as_bytes())
    )
    .into_bytes();
    all.extend_from_slice(b"\x81\x03one\x81\x03two\x88\x02\x03\xe8");
    stream.write_all(&all).await?;
    // Until it has said goodbye, too.
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}
