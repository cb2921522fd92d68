//! Files beside a function: what is served, how, and what never is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use anyhow::ensure;
use http::Method;
use http::StatusCode;
use libtest_mimic::Trial;
use tempfile::TempDir;
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::{Connection, Request, Server, World};

const WORKER: &str = "export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname.startsWith('/asset/')) {
      const path = url.pathname.slice('/asset'.length);
      const init = { method: request.method, headers: request.headers };
      return env.ASSETS.fetch(new URL(path, url), init);
    }
    if (url.pathname === '/many') {
      for (let i = 0; i < 4; i++) await env.ASSETS.fetch('http://x.test/a.txt');
    }
    if (url.pathname === '/length') {
      const response = await env.ASSETS.fetch('http://x.test/large.bin');
      return new Response(String((await response.arrayBuffer()).byteLength));
    }
    if (url.pathname === '/neighbour') {
      const response = await fetch('http://files.test/a.txt');
      return new Response(`${response.status} ${await response.text()}`);
    }
    return new Response(`function ${request.method} ${url.pathname}`);
  },
};
";

/// Bytes of the file that is sent in many pieces.
const LARGE: usize = 1 << 20;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("assets::paths", async |_| paths().await),
        world.trial("assets::hostile_paths", async |_| hostile_paths().await),
        world.trial("assets::links_made_later", async |_| links().await),
        world.trial("assets::validators_and_ranges", async |_| ranges().await),
        world.trial("assets::codings", async |_| codings().await),
        world.trial("assets::rules", async |_| rules().await),
        world.trial("assets::what_is_not_there", async |_| not_found().await),
        world.trial("assets::binding", async |_| binding().await),
        world.trial("assets::files_that_change", async |_| changes().await),
        world.trial("assets::slow_and_leaving_clients", async |_| {
            leaving().await
        }),
        world.trial("assets::faults", async |_| faults().await),
    ]
}

/// A folder with files, and a secret beside it.
fn site() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let large: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let files: [(&str, &[u8]); 22] = [
        ("worker.js", WORKER.as_bytes()),
        ("secret.txt", b"secret"),
        ("public/index.html", b"<h1>index</h1>"),
        ("public/404.html", b"<h1>none</h1>"),
        ("public/docs/404.html", b"<h1>no docs</h1>"),
        ("public/about.html", b"<h1>about</h1>"),
        ("public/docs/index.html", b"<h1>docs</h1>"),
        ("public/docs/a b\u{e9}.html", b"<h1>spaced</h1>"),
        ("public/a.txt", b"0123456789"),
        ("public/b.txt", b"other"),
        ("public/empty.txt", b""),
        ("public/app.js", b"let plain = 'plain text';"),
        ("public/app.js.br", b"brotli"),
        ("public/app.js.gz", b"gzipped!"),
        ("public/app.js.zst", b"zstd"),
        ("public/.hidden", b"secret"),
        ("public/.git/config", b"secret"),
        ("public/.well-known/security.txt", b"mail"),
        ("public/sub/.env", b"secret"),
        ("public/large.bin", &large),
        (
            "public/_headers",
            b"/*\n  X-All: 1\n/a.txt\n  Cache-Control: no-store\n  X-All: 2\n/about\n  ! Cache-Control\n",
        ),
        (
            "public/_redirects",
            b"/old/* /docs/:splat 301\n/away https://away.test/x\n/shown/* /about.html 200\n/r/* /:splat\n",
        ),
    ];
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().context("a folder")?)?;
        fs::write(file, text)?;
    }
    Ok(folder)
}

fn assets(keys: &[(&str, toml::Value)]) -> Table {
    let mut all = table([("dir", "public".into())]);
    for (key, value) in keys {
        all.insert((*key).to_owned(), value.clone());
    }
    all
}

/// `with.test`: a function and files. `files.test`: the files alone. `page.test`, `spa.test`: the same, with
/// something for what is not there. `app.test`: a function beside an application of one page. `first.test`:
/// the function is asked first. `plain.test`: files by their names.
fn config() -> Table {
    let with = |name: &str, has_main: bool, keys: &[(&str, toml::Value)]| {
        let mut all = function("worker.js", &format!("{name}.test"));
        if !has_main {
            all.remove("main");
        }
        all.insert("assets".to_owned(), assets(keys).into());
        toml::Value::from(all)
    };
    let binding = ("binding", "ASSETS".into());
    let spa = ("not_found", "single-page-application".into());
    let mut config = node(table([
        ("with", with("with", true, std::slice::from_ref(&binding))),
        ("files", with("files", false, &[])),
        (
            "page",
            with("page", false, &[("not_found", "404-page".into())]),
        ),
        ("spa", with("spa", false, std::slice::from_ref(&spa))),
        ("app", with("app", true, &[spa])),
        (
            "first",
            with("first", true, &[binding, ("run_worker_first", true.into())]),
        ),
        (
            "plain",
            with("plain", false, &[("html_handling", "none".into())]),
        ),
    ]));
    // What is served of files that have changed before anybody reads the folder again.
    let watch = table([("node", table([("watch", false.into())]).into())]);
    merge(&mut config, watch);
    config
}

async fn serve() -> anyhow::Result<(Server, TempDir)> {
    let folder = site()?;
    fs::write(folder.path().join("holm.toml"), toml::to_string(&config())?)?;
    let server = Server::spawn(&["serve", "holm.toml"], folder.path()).await?;
    Ok((server, folder))
}

async fn get(server: &Server, host: &str, path: &str) -> anyhow::Result<Answer> {
    Request::get(host, path).send(server.address()).await
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    value.map_or("", |value| value.to_str().unwrap_or("?"))
}

async fn paths() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (host, path, status, expected) in [
        ("files", "/", 200, "<h1>index</h1>"),
        ("files", "/index.html", 307, "/"),
        ("files", "/index", 307, "/"),
        ("files", "/about", 200, "<h1>about</h1>"),
        ("files", "/about.html?a=b", 307, "/about?a=b"),
        ("files", "/about/", 307, "/about"),
        ("files", "/docs/", 200, "<h1>docs</h1>"),
        ("files", "/docs", 307, "/docs/"),
        ("files", "/docs/index", 307, "/docs/"),
        ("files", "/docs/index.html", 307, "/docs/"),
        ("files", "/docs/a%20b%c3%a9", 200, "<h1>spaced</h1>"),
        ("files", "/docs/a%20b%c3%a9.html", 307, "/docs/a%20b%C3%A9"),
        ("files", "/a.txt", 200, "0123456789"),
        ("files", "/%61.txt", 200, "0123456789"),
        ("files", "/empty.txt", 200, ""),
        ("files", "/A.txt", 404, ""),
        ("files", "//a.txt", 404, ""),
        ("files", "/a.txt/", 404, ""),
        ("files", "/.well-known/security.txt", 200, "mail"),
        ("plain", "/about.html", 200, "<h1>about</h1>"),
        ("plain", "/about", 404, ""),
        ("plain", "/", 404, ""),
        ("with", "/a.txt", 200, "0123456789"),
        ("with", "/api", 200, "function GET /api"),
        ("first", "/a.txt", 200, "function GET /a.txt"),
    ] {
        let answer = get(&server, &format!("{host}.test"), path).await?;
        ensure!(answer.status == status, "{host} {path}: {answer:?}");
        match status {
            307 => ensure!(field(&answer, "location") == expected, "{path}: {answer:?}"),
            404 => {}
            _ => ensure!(answer.body == expected, "{host} {path}: {answer:?}"),
        }
    }
    // Only files are read by the edge, and only read.
    let answer = Request::post("with.test", "/a.txt", "x")
        .send(server.address())
        .await?;
    ensure!(answer.body == "function POST /a.txt", "{answer:?}");
    let answer = Request::post("files.test", "/a.txt", "x")
        .send(server.address())
        .await?;
    ensure!(answer.status == 405, "{answer:?}");
    ensure!(field(&answer, "allow") == "GET, HEAD", "{answer:?}");
    for (host, path, status) in [("with.test", "/a.txt", 200), ("files.test", "/A.txt", 404)] {
        let record = server.record(host, "GET", path, 0).await?;
        ensure!(
            record["outcome"] == "ok" && record["status"] == status,
            "{record}"
        );
        ensure!(
            record["cpuUs"] == 0 && record["coldStart"] == false,
            "{record}"
        );
        ensure!(
            host.starts_with(record["function"].as_str().unwrap_or("?")),
            "{record}"
        );
    }
    let record = server.record("with.test", "GET", "/a.txt", 0).await?;
    ensure!(record["bytesOut"] == 10, "{record}");
    server.assert_healthy().await
}

/// None of them gets out of the folder, or at what is hidden in it; a neighbour is served all the while.
async fn hostile_paths() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for path in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/.%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/docs%2f..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "/%5c..%5csecret.txt",
        "/%252e%252e/secret.txt",
        "/....//secret.txt",
        "/a.txt%00",
        "/a.txt%00.html",
        "/%00",
        "/docs%2findex.html",
        "/docs%5cindex.html",
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/%2egit/config",
        "/sub/.env",
        "/_headers",
        "/_redirects",
        "/worker.js",
        "/holm.toml",
        "/%ff%fe",
        "/%c0%ae%c0%ae/secret.txt",
        "/%zz",
        "//etc/passwd",
        "/etc/passwd",
        "/proc/self/environ",
        "/a.txt/../../secret.txt",
        "/shown/../../secret.txt",
        "/r//../secret.txt",
    ] {
        for host in ["files.test", "page.test"] {
            let answer = get(&server, host, path).await?;
            let refused = [400, 404].contains(&answer.status.as_u16());
            ensure!(refused, "{host} {path}: {answer:?}");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            ensure!(
                !text.contains("secret\n") && text != "secret",
                "{path}: {text}"
            );
        }
        let neighbour = get(&server, "with.test", "/a.txt").await?;
        ensure!(neighbour.body == "0123456789", "{path}: {neighbour:?}");
    }
    // What is put behind a redirect is no host.
    let answer = get(&server, "files.test", "/r//away.test/x").await?;
    ensure!(field(&answer, "location") == "/away.test/x", "{answer:?}");
    let long = format!("/{}", "a/".repeat(4_000));
    let answer = get(&server, "page.test", &long).await?;
    ensure!(answer.status == 404, "{:?}", answer.status);
    server.assert_healthy().await
}

/// A file that a link takes the place of after it was loaded.
async fn links() -> anyhow::Result<()> {
    let (server, folder) = serve().await?;
    let public = folder.path().join("public");
    for (name, target) in [
        ("a.txt", folder.path().join("secret.txt")),
        ("b.txt", Path::new("../secret.txt").to_owned()),
    ] {
        fs::remove_file(public.join(name))?;
        symlink(target, public.join(name))?;
        let answer = get(&server, "files.test", &format!("/{name}")).await?;
        ensure!(answer.status == 404, "{name}: {answer:?}");
    }
    fs::rename(public.join("docs"), public.join("moved"))?;
    symlink(folder.path(), public.join("docs"))?;
    let answer = get(&server, "files.test", "/docs/").await?;
    ensure!(answer.status == 404, "{answer:?}");
    server.assert_healthy().await
}

/// Fields of a request.
type Fields<'a> = &'a [(&'static str, &'static str)];

async fn ranges() -> anyhow::Result<()> {
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

async fn codings() -> anyhow::Result<()> {
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

async fn rules() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (path, cached, all) in [
        ("/a.txt", "no-store", "1, 2"),
        ("/b.txt", "public, max-age=0, must-revalidate", "1"),
        ("/about", "", "1"),
    ] {
        let answer = get(&server, "files.test", path).await?;
        ensure!(
            field(&answer, "cache-control") == cached,
            "{path}: {answer:?}"
        );
        ensure!(field(&answer, "x-all") == all, "{path}: {answer:?}");
    }
    for (host, path, status, expected) in [
        ("files.test", "/old/a?b=c", 301, "/docs/a?b=c"),
        ("with.test", "/old/a", 301, "/docs/a"),
        ("files.test", "/away", 302, "https://away.test/x"),
        ("files.test", "/shown/x/y", 200, "<h1>about</h1>"),
    ] {
        let answer = get(&server, host, path).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        if status == 200 {
            ensure!(answer.body == expected, "{path}: {answer:?}");
        } else {
            ensure!(field(&answer, "location") == expected, "{path}: {answer:?}");
        }
    }
    server.assert_healthy().await
}

async fn not_found() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (host, path, navigates, status, body) in [
        ("page.test", "/x/y", false, 404, "<h1>none</h1>"),
        ("page.test", "/docs/x/y", false, 404, "<h1>no docs</h1>"),
        ("spa.test", "/x/y", false, 200, "<h1>index</h1>"),
        ("spa.test", "/a.txt", true, 200, "0123456789"),
        ("app.test", "/x/y", true, 200, "<h1>index</h1>"),
        ("app.test", "/x/y", false, 200, "function GET /x/y"),
        ("with.test", "/x/y", true, 200, "function GET /x/y"),
    ] {
        let mut request = Request::get(host, path);
        if navigates {
            request = request.header("sec-fetch-mode", "navigate");
        }
        let answer = request.send(server.address()).await?;
        ensure!(answer.status == status, "{host} {path}: {answer:?}");
        ensure!(answer.body == body, "{host} {path}: {answer:?}");
        // A page for what is not there is no version of anything.
        let has_etag = answer.headers.contains_key("etag");
        ensure!(!(has_etag && status == 404), "{answer:?}");
    }
    server.assert_healthy().await
}

async fn binding() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (path, accepted, status, body) in [
        ("/asset/a.txt", "", 200, "0123456789"),
        ("/asset/about.html", "", 307, ""),
        ("/asset/nothing", "", 404, ""),
        ("/asset/app.js", "br", 200, "let plain = 'plain text';"),
        ("/length", "", 200, "1048576"),
        ("/neighbour", "", 200, "200 0123456789"),
    ] {
        let mut request = Request::get("first.test", path);
        if !accepted.is_empty() {
            request = request.header("accept-encoding", accepted);
        }
        let answer = request.send(server.address()).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        ensure!(answer.body == body, "{path}: {answer:?}");
    }
    // It passes through the function without being taken in.
    let answer = get(&server, "first.test", "/asset/large.bin").await?;
    ensure!(answer.body.len() == LARGE, "{} bytes", answer.body.len());
    let answer = Request::get("first.test", "/asset/a.txt")
        .header("range", "bytes=1-2")
        .send(server.address())
        .await?;
    ensure!(answer.status == 206 && answer.body == "12", "{answer:?}");
    let mut request = Request::post("first.test", "/asset/a.txt", "");
    request.method = Method::DELETE;
    let answer = request.send(server.address()).await?;
    ensure!(
        answer.status == StatusCode::METHOD_NOT_ALLOWED,
        "{answer:?}"
    );
    get(&server, "first.test", "/many").await?;
    let record = server.record("first.test", "GET", "/many", 0).await?;
    ensure!(record["subrequests"] == 4, "{record}");
    // A function that names no binding has none.
    let answer = get(&server, "app.test", "/asset/a.txt").await?;
    ensure!(answer.status == 500, "{answer:?}");
    server.assert_healthy().await
}

async fn changes() -> anyhow::Result<()> {
    let (server, folder) = serve().await?;
    let public = folder.path().join("public");
    fs::write(public.join("a.txt"), "changed, and longer")?;
    fs::remove_file(public.join("b.txt"))?;
    fs::write(public.join("new.txt"), "new")?;
    let request = Request::get("files.test", "/a.txt").header("range", "bytes=0-1");
    let answer = request.send(server.address()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(answer.body == "changed, and longer", "{answer:?}");
    ensure!(!answer.headers.contains_key("etag"), "{answer:?}");
    ensure!(field(&answer, "cache-control") == "no-store", "{answer:?}");
    for path in ["/b.txt", "/new.txt"] {
        let answer = get(&server, "files.test", path).await?;
        ensure!(answer.status == 404, "{path}: {answer:?}");
    }
    server.assert_healthy().await
}

/// What is not taken is not read, and holds no descriptor; a client that leaves is in the record.
async fn leaving() -> anyhow::Result<()> {
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

/// `holm check` names each, with its line and what to do.
async fn faults() -> anyhow::Result<()> {
    let folder = site()?;
    let public = folder.path().join("public");
    fs::write(folder.path().join("holm.toml"), toml::to_string(&config())?)?;
    fs::write(public.join("_headers"), "/a\n  X: y\n  nonsense\n")?;
    fs::write(public.join("_redirects"), "/a /b\n/c\n")?;
    symlink("../secret.txt", public.join("out"))?;
    let output = tokio::process::Command::new(crate::harness::program::holm())
        .args(["check", "holm.toml"])
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "{said}");
    for expected in [
        "public/_headers:3: `nonsense` is not a field (write `Name: value`",
        "public/_redirects:2: `/c` is not a rule (write",
        "public/out: it is a link that leads out of the folder (copy",
    ] {
        ensure!(said.contains(expected), "{expected}\n{said}");
    }
    Ok(())
}
