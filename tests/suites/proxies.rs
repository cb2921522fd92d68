//! What stands in front of a node: the PROXY protocol. Fields of proxies are in `cases/edge`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::tls::{Pair, client};
use crate::harness::{Connection, Request, Server, World};

/// Says what it knows of its client.
const WORKER: &str = "export default {
  fetch(request) {
    const said = (name) => request.headers.get(name);
    return new Response([
      request.url,
      ...['x-forwarded-for', 'holm-tls-version', 'holm-tls-sni', 'holm-tls-alpn'].map(said),
    ].join(' '));
  },
};
";

const GET: &[u8] = b"GET /p HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 1.1.1.1\r\n\
                     connection: close\r\n\r\n";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("proxies::protocol_names_the_client", async |_| {
            named().await
        }),
        world.trial("proxies::protocol_in_front_of_tls", async |_| {
            secured().await
        }),
        world.trial("proxies::protocol_of_strangers", async |_| {
            strangers().await
        }),
    ]
}

async fn serve(trusted: &str, pair: &Pair) -> anyhow::Result<Server> {
    let mut config = node(table([("hello", function("worker.js", "a.test").into())]));
    let server = table([
        ("https", "127.0.0.1:0".into()),
        ("trusted_proxies", vec![trusted].into()),
        ("proxy_protocol", vec!["http", "https"].into()),
    ]);
    let tls = table([("cert", "a.pem".into()), ("key", "a.key".into())]);
    merge(&mut config, table([("server", server.into())]));
    config.insert("tls".to_owned(), vec![tls].into());
    let files = [
        ("worker.js", WORKER),
        ("a.pem", &pair.cert),
        ("a.key", &pair.key),
    ];
    Server::serve(&config, &files).await
}

/// What comes back for these bytes.
async fn sent(to: SocketAddr, bytes: &[&[u8]]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(&bytes.concat()).await?;
    let mut answer = Vec::new();
    // One that is refused may be reset.
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8(answer)?)
}

/// A header of version 2 for 192.0.2.9, with or without word of TLS.
fn v2(is_secure: bool) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14".to_vec();
    header.extend([192, 0, 2, 9, 10, 0, 0, 1, 0x12, 0x34, 0, 80]);
    header.extend([0x20, 0, 5, u8::from(is_secure), 0, 0, 0, 0]);
    header
}

async fn named() -> anyhow::Result<()> {
    let server = serve("127.0.0.1", &Pair::new(&["a.test"])?).await?;
    let to = server.address();
    for (header, said) in [
        (
            &b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n"[..],
            "http://a.test/p 192.0.2.7",
        ),
        (&v2(false), "http://a.test/p 192.0.2.9"),
        (&v2(true), "https://a.test/p 192.0.2.9"),
        // The client of a client that is a proxy itself.
        (
            b"PROXY TCP4 127.0.0.1 127.0.0.1 4660 80\r\n",
            "http://a.test/p 1.1.1.1",
        ),
        (b"PROXY UNKNOWN\r\n", "http://a.test/p 1.1.1.1"),
    ] {
        let answer = sent(to, &[header, GET]).await?;
        let body = answer.rsplit("\r\n\r\n").next().unwrap_or_default();
        ensure!(body.trim_end() == said, "{said}: {answer}");
    }
    let record = server.record("a.test", "GET", "/p", 0).await?;
    ensure!(record["client"] == "192.0.2.7", "{record}");
    // Who is trusted has to say who asks.
    server.record("a.test", "GET", "/p", 4).await?;
    let before = server.log().records().len();
    for bytes in [GET, b"PROXY TCP4 1.1.1.1\r\n", &v2(true)[..20]] {
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        ensure!(answer.is_empty(), "{answer:?}");
    }
    let _ = sent(to, &[b"PROXY UNKNOWN\r\n", GET]).await?;
    server.record("a.test", "GET", "/p", 5).await?;
    ensure!(server.log().records().len() == before + 1);
    server.assert_healthy().await
}

async fn secured() -> anyhow::Result<()> {
    let pair = Pair::new(&["a.test"])?;
    let server = serve("127.0.0.0/8", &pair).await?;
    let config = client(&[&pair], &["h2"], &[&TLS13])?;
    let mut stream = TcpStream::connect(server.https().await?).await?;
    stream.write_all(&v2(false)).await?;
    let connector = TlsConnector::from(config);
    let stream = connector
        .connect(ServerName::try_from("a.test")?, stream)
        .await?;
    let mut connection = Connection::over(stream, Version::Http2).await?;
    let answer = connection.exchange(Request::get("a.test", "/s")).await?;
    let said = "https://a.test/s 192.0.2.9 TLSv1.3 a.test h2";
    ensure!(answer.body == said, "{answer:?}");
    let record = server.record("a.test", "GET", "/s", 0).await?;
    ensure!(
        record["client"] == "192.0.2.9"
            && record["tlsVersion"] == "TLSv1.3"
            && record["sni"] == "a.test"
            && record["alpn"] == "h2",
        "{record}"
    );
    server.assert_healthy().await
}

/// Others are served without it, and refused with it.
async fn strangers() -> anyhow::Result<()> {
    let server = serve("192.0.2.0/24", &Pair::new(&["a.test"])?).await?;
    let to = server.address();
    let answer = sent(to, &[GET]).await?;
    ensure!(answer.ends_with("http://a.test/p 127.0.0.1   "), "{answer}");
    for header in [
        &b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n"[..],
        &v2(false),
    ] {
        let answer = sent(to, &[header, GET]).await?;
        ensure!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        ensure!(!answer.contains("a.test/p"), "{answer}");
    }
    server.assert_healthy().await
}
