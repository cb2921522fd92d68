//! Clients that speak no TLS, or never come to an end of it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::{DEADLINE, Site, site};
use crate::harness::area::table;
use crate::harness::neighbour::Load;
use crate::harness::processes::files;
use crate::harness::tls::client;
use crate::harness::{World, program};

/// Handshakes that the node takes at a time in these tests.
const MOST: usize = 40;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("tls::garbage_is_turned_away", async |_| garbage().await),
        world.trial("tls::a_hello_in_pieces_is_a_hello", async |_| {
            pieces().await
        }),
        world.trial("tls::nobody_negotiates_anew", async |_| anew().await),
        world.trial("tls::half_handshakes_make_room", async |_| half().await),
        world.trial("tls::a_slow_handshake_is_ended", async |_| slow().await),
        world.trial("tls::half_handshakes_do_not_hold_the_drain", async |_| {
            drained().await
        }),
    ]
}

/// The first flight of a client that asks for `host`.
pub(super) fn client_hello(host: &str) -> anyhow::Result<Vec<u8>> {
    let config = client(&[], &["http/1.1"], &[&TLS13, &TLS12])?;
    let mut connection = ClientConnection::new(config, ServerName::try_from(host.to_owned())?)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    Ok(hello)
}

/// What comes back before the node ends the connection.
async fn rest(socket: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut answer = Vec::new();
    match timeout(DEADLINE, socket.read_to_end(&mut answer)).await? {
        Ok(_) => {}
        // Bytes that it did not read make a reset of the end.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    Ok(answer)
}

async fn is_served(site: &Site) -> anyhow::Result<()> {
    let url = site.ask(&site.a, "a.test", "/").await?;
    ensure!(url == "https://a.test/", "{url}");
    Ok(())
}

async fn garbage() -> anyhow::Result<()> {
    let site = site(true, table([])).await?;
    let load = Load::begin(site.server.address()).await?;
    let hello = client_hello("a.test")?;
    let mut cases = vec![
        b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 4096],
        // A record that is longer than one may be, and one of no kind.
        [&[22, 3, 1, 0xff, 0xff][..], &[1; 20_000]].concat(),
        [&[99, 3, 1, 0, 4][..], &[1; 4]].concat(),
        // A ClientHello that claims 16 MiB, and one that is empty.
        [&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff][..]].concat(),
        [&[22, 3, 1, 0, 4, 1, 0, 0, 0][..]].concat(),
        // SSL 2.
        [&[0x80, 0x2e, 1, 0, 2][..], &[0; 41]].concat(),
        // An alert, and data of the application, where a handshake belongs.
        vec![21, 3, 3, 0, 2, 1, 0],
        [&[23, 3, 3, 0, 16][..], &[0; 16]].concat(),
    ];
    // Every byte of a sound one, wrong once.
    for at in (0..hello.len()).step_by(5) {
        let mut wrong = hello.clone();
        wrong[at] ^= 0xff;
        cases.push(wrong);
    }
    for case in cases {
        let mut socket = TcpStream::connect(site.https).await?;
        // It may have had enough before it has all.
        let _ = socket.write_all(&case).await;
        let _ = socket.shutdown().await;
        let answer = rest(&mut socket).await?;
        // An alert, or the first flight of a handshake that still made sense.
        ensure!(
            matches!(answer.first(), None | Some(21 | 22)),
            "{case:?}: {answer:?}"
        );
        ensure!(!answer.windows(4).any(|part| part == b"HTTP"));
    }
    is_served(&site).await?;
    load.end().await?;
    site.server.assert_healthy().await
}

/// The same ClientHello a byte a segment, and a byte a record.
async fn pieces() -> anyhow::Result<()> {
    let site = site(false, table([])).await?;
    let hello = client_hello("a.test")?;
    let (head, message) = hello.split_at(5);
    let records: Vec<u8> = message
        .iter()
        .flat_map(|byte| [head[0], head[1], head[2], 0, 1, *byte])
        .collect();
    for (bytes, piece) in [(&hello, 1), (&records, 6), (&records, records.len())] {
        let mut socket = TcpStream::connect(site.https).await?;
        socket.set_nodelay(true)?;
        for piece in bytes.chunks(piece) {
            socket.write_all(piece).await?;
        }
        let mut first = [0; 6];
        timeout(DEADLINE, socket.read_exact(&mut first)).await??;
        ensure!(first[0] == 22 && first[5] == 2, "no ServerHello: {first:?}");
    }
    site.server.assert_healthy().await
}

/// A client of TLS 1.2 that asks for another handshake gets none, and is ended as one that says nothing.
async fn anew() -> anyhow::Result<()> {
    let site = site(false, table([])).await?;
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-servername", "a.test", "-connect"])
        .arg(site.https.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = openssl.stdin.take().context("no stdin")?;
    let mut stderr = openssl.stderr.take().context("no stderr")?;
    stdin.write_all(b"R\n").await?;
    let mut said = String::new();
    // It shows each certificate that it is sent.
    timeout(DEADLINE, stderr.read_to_string(&mut said)).await??;
    ensure!(said.contains("RENEGOTIATING"), "{said}");
    ensure!(said.matches("depth=0").count() <= 2, "{said}");
    let (_, behind) = said.split_once("RENEGOTIATING").unwrap_or_default();
    ensure!(!behind.contains("depth=0"), "{said}");
    is_served(&site).await?;
    site.server.assert_healthy().await
}

async fn half() -> anyhow::Result<()> {
    let more = table([
        ("max_handshakes", (MOST as i64).into()),
        ("handshake_time", "1h".into()),
    ]);
    let site = site(false, more).await?;
    let load = Load::begin(site.server.address()).await?;
    is_served(&site).await?;
    let before = files(site.server.pid())?;
    let hello = client_hello("a.test")?;
    let mut halves = Vec::new();
    for n in 0..2000 {
        let mut socket = TcpStream::connect(site.https).await?;
        // Some say nothing, some half of a hello, some a whole one and no more.
        let part = [0, hello.len() / 2, hello.len()][n % 3];
        // Those before it may have been ended already, this one not.
        socket.write_all(&hello[..part]).await?;
        halves.push(socket);
        if n % 500 == 499 {
            is_served(&site).await?;
        }
    }
    // They are still open at this end. What they hold at the other is bounded.
    let most = before + MOST + 20;
    let few = program::until(|| Ok((files(site.server.pid())? <= most).then_some(()))).await?;
    ensure!(
        few.is_some(),
        "{} files, {before} before",
        files(site.server.pid())?
    );
    let told = |line: &Value| {
        line["level"] == "warn" && line.to_string().contains("server.max_handshakes")
    };
    site.server.log().first("warning", told).await?;
    is_served(&site).await?;
    load.end().await?;
    drop(halves);
    site.server.assert_healthy().await
}

async fn slow() -> anyhow::Result<()> {
    let more = table([("handshake_time", "1s".into())]);
    let site = site(false, more).await?;
    let hello = client_hello("a.test")?;
    let mut silent = TcpStream::connect(site.https).await?;
    let mut trickling = TcpStream::connect(site.https).await?;
    let begin = Instant::now();
    let trickle = async {
        for byte in hello.chunks(1) {
            if trickling.write_all(byte).await.is_err() {
                break;
            }
            if let Ok(read) = timeout(Duration::from_millis(50), trickling.read(&mut [0])).await {
                // The end, or a reset.
                return Ok(matches!(read, Ok(0) | Err(_)));
            }
        }
        Ok::<_, anyhow::Error>(false)
    };
    let (rest, ended) = tokio::join!(rest(&mut silent), timeout(DEADLINE, trickle));
    ensure!(rest?.is_empty());
    ensure!(ended??, "it was waited for");
    ensure!(
        begin.elapsed() >= Duration::from_secs(1),
        "not given its time"
    );
    is_served(&site).await?;
    site.server.assert_healthy().await
}

async fn drained() -> anyhow::Result<()> {
    let more = table([("handshake_time", "1h".into()), ("drain", "40s".into())]);
    let site = site(false, more).await?;
    let hello = client_hello("a.test")?;
    let mut half = TcpStream::connect(site.https).await?;
    half.write_all(&hello).await?;
    let mut first = [0; 1];
    timeout(DEADLINE, half.read_exact(&mut first)).await??;
    let mut silent = TcpStream::connect(site.https).await?;
    site.server.terminate().await?;
    let begin = Instant::now();
    ensure!(rest(&mut silent).await?.is_empty());
    let status = site.server.ended().await?;
    ensure!(status.success(), "{status}");
    ensure!(begin.elapsed() < Duration::from_secs(20), "it waited");
    Ok(())
}
