//! How files are sent: whole or in ranges, encoded, to slow clients.

use std::fs;

use anyhow::ensure;
use http::Method;

use super::{LARGE, field, get, serve};
use crate::harness::client::Version;
use crate::harness::{Connection, Request, Server};

/// Fields of a request.
type Fields<'a> = &'a [(&'static str, &'static str)];

pub(super) async fn ranges() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    let whole = connection
        .exchange(Request::get("files.test", "/a.txt"))
        .await?;
    let etag = field(&whole, "etag").to_owned();
    ensure!(etag.len() == 34 && etag.starts_with('"'), "{whole:?}");
    ensure!(field(&whole, "accept-ranges") == "bytes", "{whole:?}");
    ensure!(whole.headers.get("last-modified").is_none(), "{whole:?}");
    let of_etag: &'static str = etag.clone().leak();
    let weak: &'static str = format!("W/{etag}").leak();
    let cases: [(Fields<'_>, u16, &str, &str); 17] = [
        (&[("range", "bytes=2-4")], 206, "234", "bytes 2-4/10"),
        (&[("range", "bytes=7-")], 206, "789", "bytes 7-9/10"),
        (&[("range", "bytes=-2")], 206, "89", "bytes 8-9/10"),
        (&[("range", "bytes=-99")], 206, "0123456789", "bytes 0-9/10"),
        (
            &[("range", "bytes=0-99")],
            206,
            "0123456789",
            "bytes 0-9/10",
        ),
        (&[("range", "bytes=10-")], 416, "", "bytes */10"),
        (&[("range", "bytes=4-2")], 200, "0123456789", ""),
        (&[("range", "bytes=0-1,4-5")], 200, "0123456789", ""),
        (&[("range", "chapters=1-2")], 200, "0123456789", ""),
        (
            &[("range", "bytes=0-1"), ("if-range", of_etag)],
            206,
            "01",
            "bytes 0-1/10",
        ),
        (
            &[("range", "bytes=0-1"), ("if-range", weak)],
            200,
            "0123456789",
            "",
        ),
        (
            &[("range", "bytes=0-1"), ("if-range", "\"x\"")],
            200,
            "0123456789",
            "",
        ),
        (&[("if-none-match", of_etag)], 304, "", ""),
        (
            &[("if-none-match", weak), ("range", "bytes=0-1")],
            304,
            "",
            "",
        ),
        (&[("if-none-match", "\"x\"")], 200, "0123456789", ""),
        (&[("if-match", "\"x\"")], 412, "", ""),
        (
            &[("if-modified-since", "Sun, 22 Nov 2099 01:00:00 GMT")],
            200,
            "0123456789",
            "",
        ),
    ];
    for (fields, status, body, range) in cases {
        let mut request = Request::get("files.test", "/a.txt");
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let answer = connection.exchange(request).await?;
        ensure!(answer.status == status, "{fields:?}: {answer:?}");
        ensure!(answer.body == body, "{fields:?}: {answer:?}");
        ensure!(
            field(&answer, "content-range") == range,
            "{fields:?}: {answer:?}"
        );
        if status == 304 {
            ensure!(field(&answer, "etag") == etag, "{answer:?}");
            ensure!(field(&answer, "cache-control") == "no-store", "{answer:?}");
        }
    }
    // HEAD says what a GET would have, and knows no ranges.
    let mut request = Request::get("files.test", "/a.txt").header("range", "bytes=0-1");
    request.method = Method::HEAD;
    let answer = connection.exchange(request).await?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer:?}");
    ensure!(field(&answer, "content-length") == "10", "{answer:?}");
    ensure!(field(&answer, "etag") == etag, "{answer:?}");
    // A file of many pieces.
    let path = "/large.bin";
    for version in [Version::Http1, Version::Http2] {
        let mut connection = Connection::open(server.address(), version).await?;
        let answer = connection
            .exchange(Request::get("files.test", path))
            .await?;
        ensure!(answer.body.len() == LARGE, "{} bytes", answer.body.len());
        let is_it = answer
            .body
            .iter()
            .zip(0..)
            .all(|(b, n)| *b == (n % 251) as u8);
        ensure!(is_it, "it has other bytes");
        let request = Request::get("files.test", path).header("range", "bytes=100000-900000");
        let part = connection.exchange(request).await?;
        ensure!(part.status == 206, "{:?}", part.status);
        ensure!(part.body == answer.body[100_000..=900_000], "another part");
    }
    let record = server.record("files.test", "GET", path, 0).await?;
    ensure!(
        record["bytesOut"] == LARGE && record["outcome"] == "ok",
        "{record}"
    );
    server.assert_healthy().await
}

pub(super) async fn codings() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    let mut etags = Vec::new();
    for (accepted, coding, body) in [
        ("", "", "let plain = 'plain text';"),
        ("gzip", "gzip", "gzipped!"),
        ("br", "br", "brotli"),
        // The smallest of those that are wanted as much.
        ("gzip, br, zstd", "zstd", "zstd"),
        ("gzip, br;q=0.5", "gzip", "gzipped!"),
        ("br;q=0, gzip;q=0", "", "let plain = 'plain text';"),
        ("deflate", "", "let plain = 'plain text';"),
    ] {
        let mut request = Request::get("files.test", "/app.js");
        if !accepted.is_empty() {
            request = request.header("accept-encoding", accepted);
        }
        let answer = request.send(server.address()).await?;
        ensure!(answer.body == body, "{accepted}: {answer:?}");
        ensure!(
            field(&answer, "content-encoding") == coding,
            "{accepted}: {answer:?}"
        );
        ensure!(field(&answer, "vary") == "accept-encoding", "{answer:?}");
        let kind = field(&answer, "content-type");
        ensure!(kind == "text/javascript; charset=utf-8", "{answer:?}");
        etags.push(field(&answer, "etag").to_owned());
    }
    etags.sort();
    etags.dedup();
    ensure!(etags.len() == 4, "each has its own: {etags:?}");
    let answer = get(&server, "files.test", "/a.txt").await?;
    ensure!(answer.headers.get("vary").is_none(), "{answer:?}");
    server.assert_healthy().await
}

/// What is not taken is not read, and holds no descriptor; a client that leaves is in the record.
pub(super) async fn leaving() -> anyhow::Result<()> {
    let (server, folder) = serve().await?;
    drop(server);
    let file = fs::File::create(folder.path().join("public/huge.bin"))?;
    file.set_len(256 << 20)?;
    let server = Server::spawn(&["serve", "holm.toml"], folder.path()).await?;
    let before = server.memory()?;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut connection = Connection::open(server.address(), Version::Http1).await?;
        let asked = Request::get("files.test", "/huge.bin");
        let answer = connection.head(asked).await?;
        ensure!(answer.status() == 200, "{answer:?}");
        held.push((connection, answer));
    }
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid()))?;
    let links = open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let of_file = links.filter(|link| link.ends_with("huge.bin")).count();
    ensure!(of_file == 0, "{of_file} descriptors");
    let grown = server.memory()?.saturating_sub(before);
    ensure!(grown < 64 << 20, "{grown} bytes");
    let neighbour = get(&server, "files.test", "/a.txt").await?;
    ensure!(neighbour.body == "0123456789", "{neighbour:?}");
    drop(held);
    let record = server.record("files.test", "GET", "/huge.bin", 0).await?;
    ensure!(record["outcome"] == "canceled", "{record}");
    ensure!(record["status"] == 200, "{record}");
    server.assert_healthy().await
}
